/* bench_rate.c - lk bench get, lk bench set: throughput and latency of the cache alone, with
 * threads or processes.  Every 16th operation is timed by itself; what reading the clock costs
 * is taken off. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"

#define SAMPLE 16u
#define WORKERS_MAX 64u

/* Latencies: powers of two, each in 16 steps, so that a step is at most 6 % wide. */
#define STEPS 16u
#define BINS (60u * STEPS)

struct result {
    uint64_t operations, wrong, ns, samples, most_ns;
    uint64_t bins[BINS];
};

struct worker {
    lk_cache *cache;
    const struct bench_load *load;
    bool set;
    unsigned number;
    uint64_t begin_ns, end_ns, clock_ns;
    struct result *result;
    pthread_t thread;
    int pid;
};

static unsigned bin_of(uint64_t ns)
{
    if (ns < STEPS)
        return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    return (power - 3) * STEPS + (unsigned)(ns >> (power - 4) & (STEPS - 1));
}

/* The largest latency of the bin. */
static uint64_t bin_end(unsigned bin)
{
    if (bin < STEPS)
        return bin;
    unsigned power = bin / STEPS + 3;
    return ((uint64_t)(bin % STEPS + STEPS + 1) << (power - 4)) - 1;
}

/* What two clock readings in a row differ by: the least of many. */
static uint64_t clock_cost(void)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 1000; i++) {
        uint64_t a = cli_now_ns(), b = cli_now_ns();
        if (b - a < least)
            least = b - a;
    }
    return least;
}

static bool operate(struct worker *w, size_t r, char *buf)
{
    size_t size;
    uint64_t mark = bench_mark(w->load->ids[r]), seen;
    if (w->set) {
        memcpy(buf, &mark, sizeof mark);
        return lk_cache_set(w->cache, w->load->asked[r], BENCH_KEY_SIZE, buf, w->load->value_size,
                            LK_TTL_DEFAULT) == 0;
    }
    if (lk_cache_get(w->cache, w->load->asked[r], BENCH_KEY_SIZE, buf, w->load->value_size,
                     &size) != 0)
        return false;
    memcpy(&seen, buf, sizeof seen);
    return seen == mark;
}

static void run_worker(struct worker *w, char *buf)
{
    struct result *out = w->result;
    size_t r = w->number * (size_t)31337;
    uint64_t begin, now;
    while ((begin = cli_now_ns()) < w->begin_ns)
        ;
    do {
        for (unsigned i = 1; i < SAMPLE; i++, r++)
            out->wrong += !operate(w, r & (BENCH_REQUESTS - 1), buf);
        uint64_t before = cli_now_ns();
        out->wrong += !operate(w, r++ & (BENCH_REQUESTS - 1), buf);
        now = cli_now_ns();
        uint64_t ns = now - before > w->clock_ns ? now - before - w->clock_ns : 0;
        out->bins[bin_of(ns)]++;
        out->samples++;
        if (ns > out->most_ns)
            out->most_ns = ns;
        out->operations += SAMPLE;
    } while (now < w->end_ns && !cli_stop);
    out->ns = now - begin;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    bench_pin(bench_cpu(w->number % bench_cpus()));
    char *buf = malloc(w->load->value_size);
    if (buf == NULL) {
        w->result->wrong++;
        return NULL;
    }
    memcpy(buf, w->load->value, w->load->value_size);
    run_worker(w, buf);
    free(buf);
    return NULL;
}

/* Start all, wait for all.  False and a message. */
static bool run_all(struct worker *workers, unsigned n, bool processes)
{
    unsigned started = 0;
    bool done = true;
    for (; done && started < n; started++) {
        struct worker *w = &workers[started];
        if (!processes) {
            done = pthread_create(&w->thread, NULL, worker_main, w) == 0;
        } else if ((w->pid = cli_fork()) == 0) {
            worker_main(w);
            _exit(0);
        } else {
            done = w->pid > 0;
        }
    }
    if (!done) {
        cli_fail(CLI_CANNOT, "cannot start worker %u: %s", started, strerror(errno));
        started--;
    }
    for (unsigned i = 0; i < started; i++) {
        if (!processes)
            pthread_join(workers[i].thread, NULL);
        else
            while (waitpid(workers[i].pid, NULL, 0) < 0 && errno == EINTR)
                ;
    }
    return done;
}

static void add_up(struct result *sum, const struct worker *workers, unsigned n, double *rate)
{
    *rate = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct result *r = workers[i].result;
        sum->operations += r->operations;
        sum->wrong += r->wrong;
        sum->samples += r->samples;
        if (r->most_ns > sum->most_ns)
            sum->most_ns = r->most_ns;
        for (unsigned b = 0; b < BINS; b++)
            sum->bins[b] += r->bins[b];
        if (r->ns > 0)
            *rate += (double)r->operations * 1e9 / (double)r->ns;
    }
}

static uint64_t percentile(const struct result *r, double part)
{
    uint64_t seen = 0, wanted = (uint64_t)(part * (double)r->samples);
    for (unsigned b = 0; b < BINS; b++) {
        seen += r->bins[b];
        if (seen > wanted)
            return bin_end(b) < r->most_ns ? bin_end(b) : r->most_ns;
    }
    return r->most_ns;
}

static int report(const struct result *r, double rate, bool set, const struct bench_options *o,
                  unsigned n)
{
    static const double parts[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "p99.99"};
    const char *who = o->processes > 0 ? "processes" : "threads";
    if (o->json) {
        json_t *latency = json_object();
        for (size_t i = 0; i < 5; i++)
            json_object_set_new(latency, names[i],
                                json_integer((json_int_t)percentile(r, parts[i])));
        json_object_set_new(latency, "max", json_integer((json_int_t)r->most_ns));
        cli_json_print(json_pack("{s:s, s:o, s:s, s:i, s:I, s:I, s:I, s:f, s:I, s:o}", "bench",
                                 set ? "set" : "get", "machine", bench_machine_json(), "workers",
                                 who, "n", (int)n, "entries", (json_int_t)o->entries, "value_bytes",
                                 (json_int_t)o->value_size, "operations", (json_int_t)r->operations,
                                 "per_second", rate, "wrong", (json_int_t)r->wrong, "latency_ns",
                                 latency));
        return CLI_OK;
    }
    char text[32], more[32];
    bench_machine_print();
    printf("%s %ss by %u %s: %s/s, %.1f ns each per %.*s\n", cli_count(text, r->operations),
           set ? "set" : "get", n, who, cli_count(more, (uint64_t)rate), n * 1e9 / rate,
           (int)strlen(who) - (o->processes > 0 ? 2 : 1), who);
    printf("latency of every %uth:", SAMPLE);
    for (size_t i = 0; i < 5; i++)
        printf(" %s %s,", names[i], cli_span(text, percentile(r, parts[i])));
    printf(" max %s\n", cli_span(text, r->most_ns));
    return CLI_OK;
}

static int run(lk_cache *c, const struct bench_load *load, bool set, const struct bench_options *o)
{
    unsigned n = (unsigned)(o->processes > 0 ? o->processes : o->threads > 0 ? o->threads : 1);
    struct worker workers[WORKERS_MAX];
    size_t size = sizeof(struct result) * (WORKERS_MAX + 1);
    struct result *results =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        return cli_fail(CLI_CANNOT, "no memory");
    uint64_t begin = cli_now_ns() + 20000000, clock_ns = clock_cost();
    for (unsigned i = 0; i < n; i++)
        workers[i] = (struct worker){c,        load,        set, i, begin, begin + o->run_ns,
                                     clock_ns, &results[i], 0,   -1};
    int code = run_all(workers, n, o->processes > 0) ? CLI_OK : CLI_CANNOT;
    struct result *sum = &results[WORKERS_MAX];
    double rate;
    add_up(sum, workers, n, &rate);
    if (code == CLI_OK && sum->operations == 0)
        code = CLI_STOPPED;
    if (code == CLI_OK)
        code = report(sum, rate, set, o, n);
    if (code == CLI_OK && sum->wrong > 0)
        code = cli_fail(CLI_PROBLEM, "%" PRIu64 " operations failed or served wrong values",
                        sum->wrong);
    munmap(results, size);
    return code == CLI_OK && cli_stop ? CLI_STOPPED : code;
}

static int rate_of(const struct bench_options *o, bool set)
{
    struct bench_load load;
    if (o->threads > 0 && o->processes > 0)
        return cli_usage("either --threads or --processes");
    if (!bench_load_init(&load, o->entries, o->value_size, o->skew))
        return CLI_CANNOT;
    int code = CLI_CANNOT;
    lk_cache *c = bench_cache_open(&load, (unsigned)o->shards);
    if (c != NULL)
        code = run(c, &load, set, o);
    lk_cache_close(c);
    bench_load_destroy(&load);
    return code;
}

int bench_get(const struct bench_options *o)
{
    return rate_of(o, false);
}

int bench_set(const struct bench_options *o)
{
    return rate_of(o, true);
}
