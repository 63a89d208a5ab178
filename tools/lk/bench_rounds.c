/* bench_rounds.c - series and their medians, CPUs, the machine, the limits that must
 * hold, peers in libraries. */
#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"

/* ---- series -------------------------------------------------------------------------------- */

void bench_add(struct bench_series *s, double value)
{
    if (s->n < BENCH_ROUNDS_MAX)
        s->values[s->n++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(const struct bench_series *s, double part)
{
    if (s->n == 0)
        return NAN;
    static struct bench_series sorted; /* 8 KiB: too much for every caller's stack */
    sorted = *s;
    qsort(sorted.values, sorted.n, sizeof sorted.values[0], compare);
    double at = part * (double)(s->n - 1);
    size_t low = (size_t)at, high = low + 1 < s->n ? low + 1 : low;
    double rest = at - (double)low;
    return sorted.values[low] * (1 - rest) + sorted.values[high] * rest;
}

double bench_median(const struct bench_series *s)
{
    return bench_quantile(s, 0.5);
}

double bench_least(const struct bench_series *s)
{
    return bench_quantile(s, 0);
}

double bench_most(const struct bench_series *s)
{
    return bench_quantile(s, 1);
}

/* ---- CPUs ---------------------------------------------------------------------------------- */

static cpu_set_t allowed_set;

static void ask_allowed(void)
{
    if (sched_getaffinity(0, sizeof allowed_set, &allowed_set) != 0)
        CPU_SET(0, &allowed_set);
}

/* What we were allowed when we began, before any pinning.  Workers ask at the same time. */
static const cpu_set_t *allowed(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, ask_allowed);
    return &allowed_set;
}

unsigned bench_cpus(void)
{
    return (unsigned)CPU_COUNT(allowed());
}

int bench_cpu(unsigned i)
{
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, allowed()) && i-- == 0)
            return (int)cpu;
    return -1;
}

void bench_pin(int cpu)
{
    (void)allowed();
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof set, &set); /* refused: measured unpinned, no worse to know */
}

void bench_unpin(void)
{
    (void)sched_setaffinity(0, sizeof *allowed(), allowed());
}

/* ---- the machine --------------------------------------------------------------------------- */

static void cpu_model(char *buf, size_t capacity)
{
    snprintf(buf, capacity, "unknown CPU");
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (f == NULL)
        return;
    char line[256];
    while (fgets(line, sizeof line, f) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(buf, capacity, "%s", colon + 1 + strspn(colon + 1, " "));
            break;
        }
    }
    fclose(f);
}

static double load_average(void)
{
    double load = 0;
    return getloadavg(&load, 1) == 1 ? load : 0;
}

void bench_machine_print(void)
{
    char model[128];
    struct utsname os;
    cpu_model(model, sizeof model);
    if (uname(&os) != 0)
        return;
    printf("machine: %s, %u CPUs, %s %s, load average at the start %.2f\n", model, bench_cpus(),
           os.sysname, os.release, load_average());
}

json_t *bench_machine_json(void)
{
    char model[128];
    struct utsname os;
    cpu_model(model, sizeof model);
    if (uname(&os) != 0)
        memset(&os, 0, sizeof os);
    return json_pack("{s:s, s:i, s:s, s:s, s:f}", "cpu", model, "cpus", (int)bench_cpus(), "system",
                     os.sysname, "kernel", os.release, "load_average", load_average());
}

/* ---- limits -------------------------------------------------------------------------------- */

static bool holds(const struct bench_limit *l)
{
    /* A figure that could not be measured is no figure that holds. */
    if (isnan(l->measured))
        return false;
    return l->at_least ? l->measured >= l->limit : l->measured <= l->limit;
}

static void add_limit(struct bench_limits *l, const char *text, double limit, const char *unit,
                      double measured, bool at_least)
{
    if (l->n == BENCH_LIMITS_MAX)
        return;
    struct bench_limit *added = &l->all[l->n++];
    added->limit = limit;
    added->measured = measured;
    added->at_least = at_least;
    snprintf(added->text, sizeof added->text, "%s", text);
    snprintf(added->unit, sizeof added->unit, "%s", unit);
}

void bench_limit_at_most(struct bench_limits *l, const char *text, double limit, const char *unit,
                         double measured)
{
    add_limit(l, text, limit, unit, measured, false);
}

void bench_limit_at_least(struct bench_limits *l, const char *text, double limit, const char *unit,
                          double measured)
{
    add_limit(l, text, limit, unit, measured, true);
}

void bench_limits_print(const struct bench_limits *l)
{
    if (l->n == 0)
        return;
    printf("\nMust hold\n");
    for (size_t i = 0; i < l->n; i++) {
        const struct bench_limit *one = &l->all[i];
        char measured[32] = "not measured";
        if (!isnan(one->measured))
            snprintf(measured, sizeof measured, "measured %.4g", one->measured);
        printf("  %-66s at %s %.4g %s, %s: %s\n", one->text, one->at_least ? "least" : "most",
               one->limit, one->unit, measured, holds(one) ? "holds" : "DOES NOT HOLD");
    }
}

json_t *bench_number_json(double x)
{
    return isnan(x) ? json_null() : json_real(x);
}

json_t *bench_limits_json(const struct bench_limits *l)
{
    json_t *list = json_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct bench_limit *one = &l->all[i];
        json_t *measured = bench_number_json(one->measured);
        json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:s, s:o, s:b}", "what", one->text,
                                              "bound", one->at_least ? "at least" : "at most",
                                              "limit", one->limit, "unit", one->unit, "measured",
                                              measured, "holds", (int)holds(one)));
    }
    return list;
}

int bench_limits_code(const struct bench_limits *l, bool check)
{
    for (size_t i = 0; check && i < l->n; i++)
        if (!holds(&l->all[i]))
            return CLI_PROBLEM;
    return CLI_OK;
}

/* ---- peers in libraries -------------------------------------------------------------------- */

void *bench_beside(const char *file, const char *name)
{
    char path[PATH_MAX + NAME_MAX];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (slash == NULL)
        return NULL;
    (void)snprintf(slash + 1, NAME_MAX, "%s", file);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    return library != NULL ? dlsym(library, name) : NULL;
}
