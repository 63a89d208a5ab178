/* revisit.c - a new write may be read by reads that came before it.
 *
 * Such a read r takes its value from w in a graph from which everything that was added after r, and
 * that w does not depend on, is gone.  To reach that graph once only, r is revisited from the one
 * graph whose deleted part is maximal: each deleted event is what extending the rest by default
 * would have made of it. */
#include "internal.h"

/* The part of the graph that counts when e is judged: what came no later than e, or w depends
 * on. */
static bool in_prev(const struct graph *g, evid other, const struct event *e,
                    const uint32_t *porf_w)
{
    return graph_ev(g, other)->stamp <= e->stamp || clk_has(porf_w, other);
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

static bool maximal_write(const struct graph *g, evid id, const struct event *e,
                          const uint32_t *porf_w)
{
    const struct gloc *l = &g->loc[e->loc];
    for (uint32_t i = 0; i < l->nrd; i++) {
        const struct event *r = graph_ev(g, l->rd[i]);
        if (r->rf == id && r->stamp < e->stamp)
            return false;
    }
    return !newer_write_in_prev(g, e, e->copos, porf_w) && !withdrawn_from(g, id);
}

static bool maximal(const struct graph *g, evid id, const uint32_t *porf_w)
{
    const struct event *e = graph_ev(g, id);
    switch (e->kind) {
    case EK_READ:
        if (e->choice != 0)
            return false;
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

/* First position of thread t whose event is younger than `stamp`. */
static uint32_t first_younger(const struct gthread *t, uint32_t stamp)
{
    uint32_t lo = 0, hi = t->len;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (t->ev[mid].stamp > stamp)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* How much of every thread stays; false if something that would go is not maximal. */
static bool cut_before(const struct graph *g, evid r, const uint32_t *porf_w, uint32_t *keep)
{
    if (!maximal(g, r, porf_w))
        return false;
    uint32_t stamp = graph_ev(g, r)->stamp;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        uint32_t n = first_younger(&g->t[t], stamp);
        keep[t] = n > porf_w[t] ? n : porf_w[t];
        for (uint32_t p = keep[t]; p < g->t[t].len; p++)
            if (!maximal(g, ev_id(t, p), porf_w))
                return false;
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

/* Whether, besides the read-modify-write of which w is the write, another one that read the same
 * value is kept: no execution has both. */
static bool still_taken(const struct graph *g, const struct gloc *l, evid r, evid w, evid after)
{
    for (uint32_t i = 0; i < l->nrd; i++) {
        evid o = l->rd[i];
        const struct event *e = graph_ev(g, o);
        if (e->rf == after && e->flags & EF_RMW && o != r && o + 1 != w &&
            ev_pos(o) + 1 < lkc->keep[ev_tid(o)])
            return true;
    }
    return false;
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
    if (forced && still_taken(g, l, r, w, after))
        return;
    struct event *e = graph_ev(g, r);
    evid old = e->rf;
    e->rf = w;
    bool waits = await_would_wait(r, graph_ev(g, w)->value) ||
                 !withdrawn_may_read(g, ev_tid(r), ev_pos(r), w);
    for (uint32_t p = from; p <= to; p++) {
        bool splits = !forced && p < n && graph_ev(g, lkc->kept[p])->flags & EF_RMW;
        if (!splits && (int64_t)p > low && (!waits || p == n))
            explore_push(
                snapshot_pack(g, lkc->keep, waits ? TODO_WITHDRAW : TODO_REVISIT, r, w, p));
    }
    e->rf = old;
}

void revisit_reads(evid w, bool forced, evid after)
{
    struct graph *g = &lkc->g;
    const struct gloc *l = &g->loc[graph_ev(g, w)->loc];
    const uint32_t *porf_w = graph_clk(g, w, CLK_PORF);

    LKC_GROW(lkc->keep, lkc->cap_keep, g->tcap);
    for (uint32_t i = 0; i < l->nrd; i++) {
        evid r = l->rd[i];
        if (!clk_has(porf_w, r) && cut_before(g, r, porf_w, lkc->keep))
            push_revisit(r, w, forced, after);
    }
}
