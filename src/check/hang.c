/* hang.c - is a run that ends with waiting threads one that would wait for ever?
 *
 * Threads are fair and every store is seen in the end (Lahav et al., OOPSLA 2021): a spinning or
 * sleeping thread waits for ever when every read of its last lap already sees the newest write. */
#include <string.h>

#include "internal.h"

bool hang_sees_newest(const struct graph *g, const struct event *e)
{
    const struct gloc *l = &g->loc[e->loc];
    int64_t newest = (int64_t)l->nco - 1;
    if (graph_copos(g, e->rf) == newest || (e->flags & EF_RMW && e[1].copos == newest))
        return true;
    /* Two that spin by exchanging what is there overwrite each other, with the same. */
    return graph_value(g, e->loc, l->co[newest]) == e->value;
}

/* Whether the thread, left alone, stays where it is. */
static bool stands_still(const struct graph *g, uint32_t tid)
{
    const struct gthread *t = &g->t[tid];
    if (t->timed)
        return false;
    switch ((enum stuck)t->stuck) {
    case STUCK_AWAIT:
    case STUCK_SPIN:
        for (uint32_t p = t->stuck_at; p < t->len; p++)
            if (t->ev[p].kind == EK_READ && !(t->ev[p].flags & EF_SILENT) &&
                !hang_sees_newest(g, &t->ev[p]))
                return false;
        return true;
    case STUCK_JOIN:
        return true; /* the thread joined is judged by itself */
    default:
        return false;
    }
}

static bool of_dead_process(uint32_t tid)
{
    const struct graph *g = &lkc->g;
    uint32_t process = g->t[tid].process;
    for (uint32_t t = 0; t < g->nthreads && process != 0; t++)
        if (g->t[t].live && g->t[t].died != 0 && g->t[t].process == process)
            return true;
    return false;
}

bool hang_stands(uint32_t *culprit)
{
    const struct graph *g = &lkc->g;
    *culprit = UINT32_MAX;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        if (!g->t[t].live || graph_ended(g, t))
            continue;
        /* A process that is dead in part will be killed yet. */
        if (of_dead_process(t) || !stands_still(g, t))
            return false;
        if (*culprit == UINT32_MAX || g->t[*culprit].stuck == STUCK_JOIN)
            *culprit = t;
    }
    return *culprit != UINT32_MAX;
}

/* All that is waited for are locks and threads. */
static bool only_locks(const struct graph *g)
{
    for (uint32_t t = 0; t < g->nthreads; t++) {
        const struct gthread *th = &g->t[t];
        if (!th->live || graph_ended(g, t) || th->stuck == STUCK_JOIN)
            continue;
        if (th->stuck != STUCK_AWAIT || th->ev[th->stuck_at].op != OP_LOCK)
            return false;
    }
    return true;
}

void hang_judge(void)
{
    const struct graph *g = &lkc->g;
    uint32_t culprit;
    if (!hang_stands(&culprit))
        return;
    const struct gthread *t = &g->t[culprit];
    uint64_t pc = t->stuck == STUCK_JOIN ? 0 : t->ev[t->stuck_at].pc;
    if (only_locks(g))
        error_record(LK_CHECK_DEADLOCK, culprit, pc,
                     "thread %u waits for ever for a lock or a thread", culprit);
    else if (t->stuck == STUCK_SPIN)
        error_record(LK_CHECK_HANG, culprit, pc, "thread %u spins for ever", culprit);
    else
        error_record(LK_CHECK_HANG, culprit, pc, "thread %u sleeps for ever", culprit);
}
