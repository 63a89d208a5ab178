/* place.c - source lines of addresses, asked of addr2line in one go; and the progress line. */
#include <string.h>
#include <unistd.h>

#include "report.h"

struct place {
    uint64_t pc;
    char text[120];
    struct place *next;
};
static struct place *known;

static struct place *find(uint64_t pc)
{
    struct place *p = known;
    while (p != NULL && p->pc != pc)
        p = p->next;
    return p;
}

static void add(uint64_t pc, const char *text)
{
    struct place *p = find(pc);
    if (p == NULL) {
        p = lkc_alloc(sizeof *p);
        p->pc = pc;
        p->next = known;
        known = p;
    }
    (void)snprintf(p->text, sizeof p->text, "%s", text);
}

/* addr2line answers one line an address, "path/file.c:12" or "??:0". */
static void ask(const uint64_t *pc, uint32_t n)
{
    char command[16384], line[512];
    uint64_t base = report_base();
    int used = snprintf(command, sizeof command, "addr2line -e /proc/%d/exe", (int)getpid());
    for (uint32_t i = 0; i < n; i++)
        used += snprintf(command + used, sizeof command - (size_t)used, " %#lx",
                         (unsigned long)(pc[i] - 1 - base));
    (void)snprintf(command + used, sizeof command - (size_t)used, " 2>/dev/null");
    FILE *p = popen(command, "r");
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < n && fgets(line, sizeof line, p) != NULL; i++) {
        line[strcspn(line, " \n")] = 0;
        const char *name = strrchr(line, '/');
        name = name != NULL ? name + 1 : line;
        add(pc[i], name[0] != '?' ? name : "");
    }
    (void)pclose(p);
}

void report_learn(const uint64_t *pc, uint32_t n)
{
    uint64_t unknown[500];
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (pc[i] == 0 || find(pc[i]) != NULL)
            continue;
        add(pc[i], "");
        unknown[m++] = pc[i];
        if (m == 500) {
            ask(unknown, m);
            m = 0;
        }
    }
    if (m != 0)
        ask(unknown, m);
}

const char *report_place(uint64_t pc)
{
    if (pc == 0)
        return "";
    if (find(pc) == NULL)
        report_learn(&pc, 1);
    return find(pc)->text;
}

void report_progress(uint64_t now_ns)
{
    double seconds = (double)(now_ns - lkc->begun_ns) / 1e9;
    bool terminal = isatty(2);
    (void)fputs(terminal ? "\r\033[K" : "", stderr);
    if (lkc->nstates != 0)
        (void)fprintf(stderr, "%lu states, %lu steps, %.0f states a second",
                      (unsigned long)lkc->nstates, (unsigned long)lkc->steps,
                      (double)lkc->nstates / seconds);
    else
        (void)fprintf(stderr, "%lu executions, %lu blocked, %.0f a second, %zu pending",
                      (unsigned long)lkc->runs, (unsigned long)lkc->blocked,
                      (double)lkc->runs / seconds, lkc->nwork);
    if (lkc->nstates == 0 && lkc->walked != 0 && lkc->weight_sum > 0)
        (void)fprintf(stderr, ", about %.2g in all", lkc->weight_sum / (double)lkc->walked);
    (void)fputs(terminal ? "" : "\n", stderr);
}
