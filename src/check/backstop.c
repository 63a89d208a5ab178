/* backstop.c - timers that end a sleep when nobody else can go on.
 *
 * Such a timer is no part of a protocol but what saves it where it gives up: after it has been long
 * quiet.  To let it run out at any time would hide each lost wake, and multiply the executions.  So
 * it runs out only where the execution would end with its sleeper asleep for ever, and only if as
 * many processes have died as lk_check_backstop() allows.  From there on the execution has but one
 * course: everybody sees the newest values, and no branch comes of it. */
#include "internal.h"
#include "shim.h"

/* A thread whose timer has run out so often, and that would sleep for ever again, does. */
enum { TURNS = 2 };

static uint32_t deaths(const struct graph *g)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < g->nthreads; t++)
        n += g->t[t].died != 0;
    return n;
}

/* The sleep that the thread is in, if it has a timer; the event's `copos` says so. */
static struct event *sleep_with_timer(const struct graph *g, uint32_t tid)
{
    const struct gthread *t = &g->t[tid];
    if (!t->live || graph_ended(g, tid) || t->stuck != STUCK_AWAIT)
        return NULL;
    struct event *e = &t->ev[t->stuck_at];
    return e->op == OP_WAIT_NOT && e->copos != 0 && deaths(g) >= e->copos - 1 ? e : NULL;
}

bool backstop_fires(void)
{
    struct graph *g = &lkc->g;
    uint32_t culprit;
    if (lkc->fired >= TURNS * g->nthreads || !hang_stands(&culprit))
        return false;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        struct event *e = sleep_with_timer(g, t);
        if (e == NULL)
            continue;
        struct fiber *f = run_fiber(t);
        e->flags &= (uint8_t)~EF_STUCK;
        e->value = WOKEN_BY_TIMER;
        g->t[t].stuck = STUCK_NO;
        f->state = f->pos == 0 ? FS_FRESH : FS_READY;
        f->redo = f->pos != 0;
        lkc->fired++;
        return true;
    }
    return false;
}
