/* withdraw.c - reads that a revisit makes wait are taken back and made again when the wait is over.
 *
 * A thread that looked at a lock while it was free may be revisited by the write that takes it.
 * Then it waits, and all that can become of it is that the write that frees the lock revisits the
 * read once more, from the one graph whose deleted part is maximal; every other graph in which it
 * waits is begun in vain.  So the read is taken back instead.  Its thread is put off (await.c)
 * until the newest value is worth a look, and the read comes into the graph after that write.
 *
 * For each graph to come once all the same:
 *  - the write that revisited the read stays guarded (maximal_write), as if it were still read;
 *  - made again, the read may see only what would have revisited it by way of that write: of all
 *    writes that came no later than the read, or that y depends on, the newest is m(y); the
 *    revisits that lead to y are ..., m(m(y)), m(y), y.  What is reached by another way belongs to
 *    the branch in which the read was not revisited;
 *  - where a revisit deletes the read, the same holds for what it would then have read.
 *
 * Kokologiannakis et al., "Unblocking Dynamic Partial Order Reduction", CAV 2023, have the same
 * aim by revisits in place. */
#include <string.h>

#include "internal.h"

/* The newest of the location's other writes that came no later than `stamp` or that y depends on;
 * `early` says which. */
static evid before(const struct graph *g, uint32_t loc, evid y, uint32_t stamp,
                   const uint32_t *porf, bool *early)
{
    const struct gloc *l = &g->loc[loc];
    for (uint32_t i = l->nco; i-- > 0;) {
        evid x = l->co[i];
        *early = graph_ev(g, x)->stamp <= stamp;
        if (x != y && (*early || clk_has(porf, x)))
            return x;
    }
    *early = true;
    return EV_INIT;
}

/* Whether the revisits of the read that lead to y begin with the write that it was withdrawn
 * from. */
static bool leads_to(const struct graph *g, const struct withdrawn *h, evid y)
{
    uint32_t loc = graph_ev(g, h->write)->loc;
    bool early = y == EV_INIT || graph_ev(g, y)->stamp <= h->stamp;
    while (!early && y != h->write)
        y = before(g, loc, y, h->stamp, graph_clk(g, y, CLK_PORF), &early);
    return !early;
}

bool withdrawn_may_read(const struct graph *g, uint32_t tid, uint32_t pos, evid y)
{
    const struct gthread *t = &g->t[tid];
    for (uint32_t i = 0; i < t->nout; i++)
        if (t->out[i].pos == pos && !leads_to(g, &t->out[i], y))
            return false;
    return true;
}

void withdraw(evid r)
{
    struct graph *g = &lkc->g;
    struct gthread *t = &g->t[ev_tid(r)];
    const struct event *e = graph_ev(g, r);
    struct gloc *l = &g->loc[e->loc];
    LKC_GROW(t->out, t->cap_out, t->nout + 1);
    t->out[t->nout++] = (struct withdrawn){.write = e->rf, .pos = ev_pos(r), .stamp = e->stamp};
    uint32_t i = 0;
    while (l->rd[i] != r)
        i++;
    l->nrd--;
    memmove(l->rd + i, l->rd + i + 1, (l->nrd - i) * sizeof *l->rd);
    t->len = ev_pos(r);
    t->stuck = STUCK_NO;
    t->timed = 0;
}

bool withdrawn_from(const struct graph *g, evid w)
{
    for (uint32_t t = 0; t < g->nthreads; t++)
        for (uint32_t i = 0; i < g->t[t].nout; i++)
            if (g->t[t].out[i].write == w)
                return true;
    return false;
}

bool withdrawn_kept(const struct withdrawn *h, uint32_t keep, uint32_t stamp)
{
    return h->stamp <= stamp || keep > h->pos;
}

bool withdrawn_maximal(const struct graph *g, uint32_t tid, uint32_t stamp, const uint32_t *porf_w)
{
    const struct gthread *t = &g->t[tid];
    for (uint32_t i = 0; i < t->nout; i++) {
        const struct withdrawn *h = &t->out[i];
        bool early;
        if (withdrawn_kept(h, porf_w[tid], stamp))
            continue;
        evid u = before(g, graph_ev(g, h->write)->loc, EV_INIT, h->stamp, porf_w, &early);
        if (early || !leads_to(g, h, u))
            return false;
    }
    return true;
}
