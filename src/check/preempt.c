/* preempt.c - how many preemptions an execution needs, for a bound on them.
 *
 * A graph stands for all interleavings that agree with it.  A change of threads in one of them is a
 * preemption if the thread that is left could go on: it has another event, and that is neither a
 * join with a thread that still runs nor a read that would wait for another value.  What counts is
 * the interleaving with the fewest.
 *
 * Such a one never leaves a thread whose next event the graph allows: to do that event at once, and
 * not when the thread comes back, takes no more changes.  So only who comes next is a choice, and
 * states (how far each thread is, who ran last) met before at no higher price are not gone into.
 *
 * Under RC11 or TSO an execution may have no interleaving at all; then only program order and
 * reads-from count, which asks for fewer preemptions, never for more.
 *
 * A graph on the list that has more than the bound is not dropped at once: the default extension
 * that a revisit takes away may have needed more than what comes of it.  Slack: one for each
 * thread.  (Marmanis, Kokologiannakis, Vafeiadis, "Reconciling Preemption Bounding with DPOR",
 * TACAS 2023, prove that threads - 2 are enough for their count.) */
#include <string.h>

#include "internal.h"

enum { THREADS = 32, STATES = 1 << 14, PROBES = 8 };

struct state {
    uint64_t key; /* 0 = none */
    uint32_t cost;
};

struct line {
    const struct graph *g;
    struct state *met;
    uint32_t limit;
    bool sc; /* the interleaving must agree with modification orders, too */
};

typedef uint32_t vector[THREADS]; /* events done, of each thread */

static bool done(const uint32_t *at, evid e)
{
    return e == EV_INIT || at[ev_tid(e)] > ev_pos(e);
}

/* A write comes after those before it and after who reads them. */
static bool write_allowed(const struct line *s, const uint32_t *at, evid w)
{
    const struct event *e = graph_ev(s->g, w);
    const struct gloc *l = &s->g->loc[e->loc];
    if (e->copos > 0 && !done(at, l->co[e->copos - 1]))
        return false;
    for (uint32_t i = 0; i < l->nrd; i++)
        if (graph_copos(s->g, graph_ev(s->g, l->rd[i])->rf) < (int64_t)e->copos &&
            !done(at, l->rd[i]))
            return false;
    return true;
}

static bool allowed(const struct line *s, const uint32_t *at, uint32_t t)
{
    if (at[t] >= s->g->t[t].len)
        return false;
    const struct event *e = &s->g->t[t].ev[at[t]];
    switch ((enum ev_kind)e->kind) {
    case EK_BEGIN:
    case EK_JOIN:
    case EK_READ:
        return done(at, e->rf);
    case EK_WRITE:
        return !s->sc || write_allowed(s, at, ev_id(t, at[t]));
    default:
        return true;
    }
}

static uint64_t value_now(const struct line *s, const uint32_t *at, uint32_t loc)
{
    const struct gloc *l = &s->g->loc[loc];
    for (uint32_t i = l->nco; i-- > 0;)
        if (done(at, l->co[i]))
            return graph_ev(s->g, l->co[i])->value;
    return l->init;
}

/* To leave thread t here is a preemption. */
static bool could_go_on(const struct line *s, const uint32_t *at, uint32_t t)
{
    if (at[t] >= s->g->t[t].len)
        return false;
    const struct event *e = &s->g->t[t].ev[at[t]];
    if (e->kind == EK_JOIN)
        return done(at, e->rf);
    if (e->kind != EK_READ)
        return true;
    return (e->flags & EF_STUCK) == 0 &&
           !await_would_wait(ev_id(t, at[t]), value_now(s, at, e->loc));
}

/* Note that the state was reached at this cost; true if it had been, at no more. */
static bool met_before(const struct line *s, const uint32_t *at, uint32_t last, uint32_t cost)
{
    uint64_t key = last + 1;
    for (uint32_t t = 0; t < s->g->nthreads; t++) {
        key = (key ^ at[t]) * 0xff51afd7ed558ccdu;
        key ^= key >> 32;
    }
    key |= 1;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct state *m = &s->met[(key + i) % STATES];
        if (m->key == key && m->cost <= cost)
            return true;
        if (m->key == key || m->key == 0) {
            *m = (struct state){key, cost};
            return false;
        }
    }
    return false; /* no room: it is gone into again */
}

/* Whether what is left can be done; `last` has just stopped. */
static bool finish(const struct line *s, const uint32_t *at, uint32_t last, uint32_t cost)
{
    const struct graph *g = s->g;
    uint32_t left = 0;
    for (uint32_t t = 0; t < g->nthreads; t++)
        left += g->t[t].len - at[t];
    if (left == 0)
        return true;
    if (last != UINT32_MAX)
        cost += could_go_on(s, at, last);
    if (cost > s->limit || met_before(s, at, last, cost))
        return false;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        vector next;
        if (!allowed(s, at, t))
            continue;
        memcpy(next, at, sizeof next);
        while (allowed(s, next, t))
            next[t]++;
        if (finish(s, next, t, cost))
            return true;
    }
    return false;
}

bool preempt_fits(struct graph *g, uint32_t limit)
{
    static const vector nothing;
    struct line s = {.g = g, .met = lkc->met, .limit = limit};
    if (g->nthreads > THREADS)
        return true;
    if (s.met == NULL)
        s.met = lkc->met = lkc_alloc(STATES * sizeof *s.met);
    memset(s.met, 0, STATES * sizeof *s.met);
    s.sc = consistent_sc(g);
    return finish(&s, nothing, UINT32_MAX, 0);
}
