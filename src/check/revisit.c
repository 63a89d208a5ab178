/* revisit.c - a new write may be read by reads that came before it.
 *
 * Such a read r takes its value from w in a graph from which everything that was added after r, and
 * that w does not depend on, is gone.  To reach that graph once only, r is revisited from the one
 * graph whose deleted part is maximal: each deleted event is what extending the rest by default
 * would have made of it. */
#include "internal.h"

/* Whether, and this is the usual case, what e did was the default when it was added.  No write that
 * came before e is newer then, and no read that came before e reads it; later events change
 * nothing about that. */
static bool was_default(const struct event *e)
{
    return e->flags & EF_NEWEST;
}

/* The part of the graph that counts when e is judged: what came no later than e, or w depends
 * on. */
static bool in_prev(const struct graph *g, evid other, const struct event *e,
                    const uint32_t *porf_w)
{
    return graph_ev(g, other)->stamp <= e->stamp || clk_has(porf_w, other);
}

/* Index of the location's newest write that w depends on; -1 = none. */
static int64_t newest_below(struct graph *g, uint32_t loc, const uint32_t *porf_w)
{
    struct gloc *l = &g->loc[loc];
    if (l->asked != g->revisits) {
        uint32_t i = l->nco;
        while (i > 0 && !clk_has(porf_w, l->co[i - 1]))
            i--;
        l->asked = g->revisits;
        l->below = (int64_t)i - 1;
    }
    return l->below;
}

static bool newer_write_in_prev(const struct graph *g, const struct event *e, int64_t copos,
                                const uint32_t *porf_w)
{
    const struct gloc *l = &g->loc[e->loc];
    for (uint32_t i = (uint32_t)(copos + 1); i < l->nco; i++)
        if (in_prev(g, l->co[i], e, porf_w))
            return true;
    return false;
}

static bool maximal_write(struct graph *g, evid id, const struct event *e, const uint32_t *porf_w)
{
    const struct gloc *l = &g->loc[e->loc];
    if (newest_below(g, e->loc, porf_w) > (int64_t)e->copos)
        return false;
    if (was_default(e))
        return true;
    for (uint32_t i = 0; i < l->nrd; i++) {
        const struct event *r = graph_ev(g, l->rd[i]);
        if (r->rf == id && r->stamp < e->stamp)
            return false;
    }
    return !newer_write_in_prev(g, e, e->copos, porf_w) && !withdrawn_from(g, id);
}

static bool maximal(struct graph *g, evid id, const uint32_t *porf_w)
{
    const struct event *e = graph_ev(g, id);
    switch (e->kind) {
    case EK_READ:
        if (e->choice != 0 || newest_below(g, e->loc, porf_w) > graph_copos(g, e->rf))
            return false;
        if (was_default(e))
            return true;
        if (e->rf != EV_INIT && !in_prev(g, e->rf, e, porf_w))
            return false;
        return !newer_write_in_prev(g, e, graph_copos(g, e->rf), porf_w);
    case EK_WRITE:
        return maximal_write(g, id, e, porf_w);
    case EK_CHOICE:
        return e->value == 0 || e->operand == 1;
    default:
        return true;
    }
}

/* How much of every thread stays; false if something that would go is not maximal. */
static bool cut_before(struct graph *g, evid r, const uint32_t *porf_w, uint32_t *keep)
{
    if (!maximal(g, r, porf_w))
        return false;
    uint32_t stamp = graph_ev(g, r)->stamp;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        const struct event *ev = g->t[t].ev;
        uint32_t n = g->t[t].len;
        for (; n > porf_w[t] && ev[n - 1].stamp > stamp; n--)
            if (!maximal(g, ev_id(t, n - 1), porf_w))
                return false;
        keep[t] = n;
        if (g->t[t].nout != 0 && !withdrawn_maximal(g, t, stamp, porf_w))
            return false;
    }
    return true;
}

/* The location's kept writes, and for each original index that of the last kept one up to there. */
static uint32_t kept_order(const struct graph *g, const struct gloc *l, const uint32_t *keep)
{
    uint32_t n = 0;
    LKC_GROW(lkc->kept, lkc->cap_kept, l->nco + 1);
    LKC_GROW(lkc->kept_index, lkc->cap_kept_index, l->nco + 1);
    for (uint32_t i = 0; i < l->nco; i++) {
        if (ev_pos(l->co[i]) < keep[ev_tid(l->co[i])])
            lkc->kept[n++] = l->co[i];
        lkc->kept_index[i] = n; /* one more than the index */
    }
    (void)g;
    return n;
}

static int64_t kept_seen(const struct graph *g, uint32_t loc, const uint32_t *hb)
{
    int64_t seen = graph_seen(g, loc, hb); /* what is in hb is kept */
    return seen < 0 ? -1 : (int64_t)lkc->kept_index[seen] - 1;
}

/* The read-modify-write that has read `after`, besides the one of which w is the write, or EV_INIT:
 * no execution has both. */
static evid taken_by(const struct graph *g, const struct gloc *l, evid w, evid after)
{
    for (uint32_t i = 0; i < l->nrd; i++) {
        evid o = l->rd[i];
        const struct event *e = graph_ev(g, o);
        if (e->rf == after && e->flags & EF_RMW && o + 1 != w)
            return o;
    }
    return EV_INIT;
}

/* Whether a revisit of r keeps that one, too. */
static bool still_taken(const struct graph *g, evid other, evid r, const uint32_t *porf_w)
{
    return other != EV_INIT && other != r &&
           (graph_ev(g, other + 1)->stamp <= graph_ev(g, r)->stamp || clk_has(porf_w, other + 1));
}

static void push_revisit(evid r, evid w, bool forced, evid after)
{
    struct graph *g = &lkc->g;
    uint32_t loc = graph_ev(g, r)->loc;
    const struct gloc *l = &g->loc[loc];
    uint32_t n = kept_order(g, l, lkc->keep), from, to;
    static const uint32_t nothing[EV_TID_MAX + 2];
    const uint32_t *hb_r =
        ev_pos(r) == 0 ? nothing : graph_clk(g, ev_id(ev_tid(r), ev_pos(r) - 1), CLK_HB);
    int64_t low = kept_seen(g, loc, hb_r);

    if (forced) {
        int64_t p = graph_copos(g, after);
        from = to = p < 0 ? 0 : lkc->kept_index[p];
    } else {
        from = (uint32_t)(kept_seen(g, loc, graph_clk(g, w, CLK_HB)) + 1);
        to = n;
    }
    struct event *e = graph_ev(g, r);
    evid old = e->rf;
    uint8_t flags = e->flags;
    e->rf = w;
    e->flags &= (uint8_t)~EF_NEWEST;
    bool waits = await_would_wait(r, graph_ev(g, w)->value) ||
                 !withdrawn_may_read(g, ev_tid(r), ev_pos(r), w);
    for (uint32_t p = from; p <= to; p++) {
        bool splits = !forced && p < n && graph_ev(g, lkc->kept[p])->flags & EF_RMW;
        if (!splits && (int64_t)p > low && (!waits || p == n))
            explore_push(
                snapshot_pack(g, lkc->keep, waits ? TODO_WITHDRAW : TODO_REVISIT, r, w, p));
    }
    e->rf = old;
    e->flags = flags;
}

void revisit_reads(evid w, bool forced, evid after)
{
    struct graph *g = &lkc->g;
    const struct gloc *l = &g->loc[graph_ev(g, w)->loc];
    const uint32_t *porf_w = graph_clk(g, w, CLK_PORF);
    evid other = forced ? taken_by(g, l, w, after) : EV_INIT;

    g->revisits++;
    LKC_GROW(lkc->keep, lkc->cap_keep, g->tcap);
    for (uint32_t i = 0; i < l->nrd; i++) {
        evid r = l->rd[i];
        if (!clk_has(porf_w, r) && !still_taken(g, other, r, porf_w) &&
            cut_before(g, r, porf_w, lkc->keep))
            push_revisit(r, w, forced, after);
    }
}
