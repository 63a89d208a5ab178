/* place.c - source lines of addresses, asked of addr2line; and the progress line. */
#define _GNU_SOURCE
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

struct place {
    uint64_t pc;
    char text[120];
    struct place *next;
};
static struct place *known;

static int base_of(struct dl_phdr_info *info, size_t size, void *base)
{
    (void)size;
    *(uint64_t *)base = info->dlpi_addr;
    return 1;
}

static void ask(uint64_t pc, char *text, size_t size)
{
    uint64_t base = 0;
    char command[128], line[512] = "";
    (void)dl_iterate_phdr(base_of, &base);
    (void)snprintf(command, sizeof command, "addr2line -e /proc/%d/exe %#lx 2>/dev/null", (int)getpid(),
                   (unsigned long)(pc - 1 - base));
    FILE *p = popen(command, "r");
    if (p == NULL)
        return;
    if (fgets(line, sizeof line, p) == NULL)
        line[0] = 0;
    (void)pclose(p);
    line[strcspn(line, " \n")] = 0;
    const char *name = strrchr(line, '/');
    name = name != NULL ? name + 1 : line;
    if (name[0] != '?')
        (void)snprintf(text, size, "%s", name);
}

const char *report_place(uint64_t pc)
{
    for (const struct place *p = known; p != NULL; p = p->next)
        if (p->pc == pc)
            return p->text;
    struct place *p = lkc_alloc(sizeof *p);
    memset(p, 0, sizeof *p);
    p->pc = pc;
    if (pc != 0)
        ask(pc, p->text, sizeof p->text);
    p->next = known;
    known = p;
    return p->text;
}

void report_progress(uint64_t now_ns)
{
    double seconds = (double)(now_ns - lkc->begun_ns) / 1e9;
    (void)fprintf(stderr, "%s%lu executions, %lu blocked, %.0f a second, %zu pending\n",
                  isatty(2) ? "\r\033[K" : "", (unsigned long)lkc->runs, (unsigned long)lkc->blocked,
                  (double)lkc->runs / seconds, lkc->nwork);
}
