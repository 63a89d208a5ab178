/* error.c - errors of the program under test. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hooks.h"
#include "report.h"

static const char *const names[LK_CHECK_ERRORS] = {
    [LK_CHECK_ASSERT] = "assert",
    [LK_CHECK_RACE] = "race",
    [LK_CHECK_DEADLOCK] = "deadlock",
    [LK_CHECK_HANG] = "hang",
    [LK_CHECK_USE_AFTER_FREE] = "use-after-free",
    [LK_CHECK_BAD_FREE] = "bad-free",
    [LK_CHECK_OUT_OF_BOUNDS] = "out-of-bounds",
    [LK_CHECK_LEAK] = "leak",
    [LK_CHECK_UNINITIALISED] = "uninitialised",
    [LK_CHECK_MIXED_SIZE] = "mixed-size",
    [LK_CHECK_MISUSE] = "misuse",
    [LK_CHECK_CRASH] = "crash",
    [LK_CHECK_UNSUPPORTED] = "unsupported",
    [LK_CHECK_BUSY_WAIT] = "busy-wait",
    [LK_CHECK_LIVELOCK] = "livelock",
};

const char *lk_check_error_name(enum lk_check_error kind)
{
    return (unsigned)kind < LK_CHECK_ERRORS ? names[kind] : "unknown";
}

static uint32_t count_events(void)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < lkc->g.nthreads; t++)
        n += lkc->g.t[t].len;
    return n;
}

static struct failure *failure_of(enum lk_check_error kind, uint64_t pc)
{
    struct failure **at = &lkc->failures;
    while (*at != NULL && ((*at)->kind != kind || (*at)->pc != pc))
        at = &(*at)->next;
    if (*at == NULL) {
        *at = lkc_alloc(sizeof **at);
        memset(*at, 0, sizeof **at);
        (*at)->kind = kind;
        (*at)->pc = pc;
        (*at)->events = UINT32_MAX;
    }
    return *at;
}

/* The functions that the thread is in, innermost first. */
static void copy_calls(struct failure *f, uint32_t tid)
{
    const struct fiber *fi = lkc->fibers[tid];
    void **top = fi == self() ? lkc_hot.calls : fi->calls_top;
    f->ncalls = 0;
    while (top > fi->calls && f->ncalls < 16)
        f->calls[f->ncalls++] = (uint64_t)(uintptr_t) * --top;
}

static void record(enum lk_check_error kind, uint32_t tid, uint64_t pc, const char *format,
                   va_list ap)
{
    struct failure *f = failure_of(kind, pc);
    uint32_t events = count_events();
    f->times++;
    lkc->errors_in_run++;
    f->sc |= consistent_sc(&lkc->g);
    f->tso |= consistent_tso(&lkc->g);
    if (events >= f->events)
        return;
    if (f->graph != NULL)
        snapshot_free(f->graph);
    f->graph = snapshot_copy(&lkc->g);
    f->events = events;
    f->tid = tid;
    f->other_pc = lkc->race_pc;
    f->execution = lkc->serial;
    (void)vsnprintf(f->text, sizeof f->text, format, ap);
    if (tid < lkc->nfibers)
        copy_calls(f, tid);
    lkc->race_pc = 0;
}

void error_record(enum lk_check_error kind, uint32_t tid, uint64_t pc, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    record(kind, tid, pc, format, ap);
    va_end(ap);
}

void error_stop(enum lk_check_error kind, uint64_t pc, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    record(kind, self()->tid, pc, format, ap);
    va_end(ap);
    lkc->end = RUN_ERROR;
    lkc_leave();
}

void report_forget(void)
{
    while (lkc->failures != NULL) {
        struct failure *f = lkc->failures;
        lkc->failures = f->next;
        if (f->graph != NULL)
            snapshot_free(f->graph);
        lkc_free(f, sizeof *f);
    }
}

void report_fill(struct lk_check_report *rep)
{
    for (const struct failure *f = lkc->failures; f != NULL; f = f->next) {
        if (rep->nerrors == sizeof rep->error / sizeof rep->error[0])
            break;
        rep->error[rep->nerrors++] = (struct lk_check_found){
            .kind = f->kind,
            .text = f->text,
            .place = report_place(f->pc),
            .times = f->times,
            .sc = f->sc,
            .tso = f->tso,
        };
    }
}

/* ---- signals
 * ---------------------------------------------------------------------------------- */

static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define FATALS (sizeof fatal / sizeof fatal[0])

struct signals {
    struct sigaction old[FATALS];
    void *stack;
};
static struct signals *sig;

static void on_fatal(int number, siginfo_t *info, void *context)
{
    (void)context;
    sigset_t set;
    if (self() == NULL) { /* not in the program: our own fault, or the caller's */
        (void)signal(number, SIG_DFL);
        return;
    }
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    error_stop(LK_CHECK_CRASH, 0, "%s at address %p", strsignal(number), info->si_addr);
}

void report_catch_signals(bool on)
{
    if (sig == NULL) {
        sig = lkc_alloc(sizeof *sig);
        memset(sig, 0, sizeof *sig);
        sig->stack = lkc_alloc(64 << 10);
        stack_t st = {.ss_sp = sig->stack, .ss_size = 64 << 10};
        (void)sigaltstack(&st, NULL);
    }
    struct sigaction act = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < FATALS; i++)
        (void)(on ? sigaction(fatal[i], &act, &sig->old[i])
                  : sigaction(fatal[i], &sig->old[i], NULL));
}
