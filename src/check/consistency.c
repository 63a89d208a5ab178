/* consistency.c - which graphs the memory model allows.
 *
 * Coherence, atomicity and the absence of cycles through po and rf hold by construction; what is
 * left of RC11 is the axiom of sequentially consistent accesses: psc is acyclic.  SC and TSO are
 * tests of one acyclic relation each. */
#include <string.h>

#include "internal.h"

/* ---- bit sets over all events, numbered thread by thread
 * -------------------------------------- */

struct psc {
    const struct graph *g;
    uint32_t *base; /* first number of each thread */
    uint32_t n, words;
    evid *sc; /* the sequentially consistent events */
    uint32_t nsc;
    uint64_t *before;     /* [nsc][words]: x such that x scb y, y = the event or (fence) y hb it */
    uint64_t *eco_before; /* the same for eco; fences only */
    uint64_t *after;      /* fences: what they happen before */
};

/* Scratch memory that is kept from call to call. */
static struct {
    uint32_t *base, *from, *to, *next, *head, *degree, *queue;
    uint64_t *bits, *edges;
    evid *sc;
    uint32_t cap_base, cap_bits, cap_sc, cap_edges, cap_from, cap_next, cap_head, cap_queue;
} * scratch;

static void set_range(uint64_t *bits, uint32_t from, uint32_t to)
{
    for (; from < to && from % 64 != 0; from++)
        bits[from / 64] |= (uint64_t)1 << from % 64;
    for (; from + 64 <= to; from += 64)
        bits[from / 64] = UINT64_MAX;
    for (; from < to; from++)
        bits[from / 64] |= (uint64_t)1 << from % 64;
}

static void set_event(const struct psc *p, uint64_t *bits, evid e)
{
    uint32_t i = p->base[ev_tid(e)] + ev_pos(e);
    bits[i / 64] |= (uint64_t)1 << i % 64;
}

static bool has_event(const struct psc *p, const uint64_t *bits, evid e)
{
    uint32_t i = p->base[ev_tid(e)] + ev_pos(e);
    return bits[i / 64] >> i % 64 & 1;
}

/* What a clock has seen, without the last event of every thread. */
static void set_po_before_clock(const struct psc *p, uint64_t *bits, const uint32_t *clk)
{
    for (uint32_t t = 0; t < p->g->nthreads; t++)
        if (clk[t] > 1)
            set_range(bits, p->base[t], p->base[t] + clk[t] - 1);
}

/* Everything that is mo- or rb-before index `pos` of the location. */
static void set_mo_rb_before(const struct psc *p, uint64_t *bits, const struct gloc *l, int64_t pos)
{
    for (int64_t i = 0; i < pos; i++)
        set_event(p, bits, l->co[i]);
    for (uint32_t i = 0; i < l->nrd; i++)
        if (graph_copos(p->g, graph_ev(p->g, l->rd[i])->rf) < pos)
            set_event(p, bits, l->rd[i]);
}

static bool is_memory(const struct event *e)
{
    return e->kind == EK_READ || e->kind == EK_WRITE;
}

/* x hb y and both touch the same location: x of that location in y's clock. */
static void set_same_loc_before(const struct psc *p, uint64_t *bits, evid y)
{
    const struct gloc *l = &p->g->loc[graph_ev(p->g, y)->loc];
    const uint32_t *hb = graph_clk(p->g, y, CLK_HB);
    for (uint32_t i = 0; i < l->nco; i++)
        if (l->co[i] != y && clk_has(hb, l->co[i]))
            set_event(p, bits, l->co[i]);
    for (uint32_t i = 0; i < l->nrd; i++)
        if (l->rd[i] != y && clk_has(hb, l->rd[i]))
            set_event(p, bits, l->rd[i]);
}

static void scb_before_access(const struct psc *p, evid y, uint64_t *bits)
{
    const struct event *e = graph_ev(p->g, y);
    uint32_t t = ev_tid(y), pos = ev_pos(y);
    set_range(bits, p->base[t], p->base[t] + pos);
    if (pos != 0)
        set_po_before_clock(p, bits, graph_clk(p->g, ev_id(t, pos - 1), CLK_HB));
    set_same_loc_before(p, bits, y);
    if (e->kind == EK_WRITE)
        set_mo_rb_before(p, bits, &p->g->loc[e->loc], e->copos);
}

/* The last event x of some thread that the fence has seen may have x hb y on its own location. */
static bool seen_again(const struct psc *p, evid x, const uint32_t *hb)
{
    const struct gloc *l = &p->g->loc[graph_ev(p->g, x)->loc];
    for (uint32_t i = 0; i < l->nco; i++)
        if (l->co[i] != x && clk_has(hb, l->co[i]) && clk_has(graph_clk(p->g, l->co[i], CLK_HB), x))
            return true;
    for (uint32_t i = 0; i < l->nrd; i++)
        if (l->rd[i] != x && clk_has(hb, l->rd[i]) && clk_has(graph_clk(p->g, l->rd[i], CLK_HB), x))
            return true;
    return false;
}

static void before_fence(const struct psc *p, evid fence, uint64_t *bits, uint64_t *eco)
{
    const struct graph *g = p->g;
    const uint32_t *hb = graph_clk(g, fence, CLK_HB);
    set_po_before_clock(p, bits, hb);
    for (uint32_t t = 0; t < g->nthreads; t++) {
        if (hb[t] == 0 || t == ev_tid(fence))
            continue;
        evid x = ev_id(t, hb[t] - 1);
        if (is_memory(graph_ev(g, x)) && seen_again(p, x, hb))
            set_event(p, bits, x);
    }
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        int64_t write = -1, read = -1;
        for (uint32_t k = l->nco; k-- > 0 && write < 0;)
            if (clk_has(hb, l->co[k]))
                write = k;
        for (uint32_t k = 0; k < l->nrd; k++) {
            int64_t c = graph_copos(g, graph_ev(g, l->rd[k])->rf);
            if (c > read && clk_has(hb, l->rd[k]))
                read = c;
        }
        set_mo_rb_before(p, bits, l, write);
        set_mo_rb_before(p, eco, l, write > read ? write : read);
        if (read >= 0)
            set_event(p, eco, l->co[read]);
    }
}

/* What the fence happens before is a suffix of every thread. */
static void after_fence(const struct psc *p, evid fence, uint64_t *bits)
{
    for (uint32_t t = 0; t < p->g->nthreads; t++) {
        uint32_t lo = 0, hi = p->g->t[t].len;
        while (lo < hi) {
            uint32_t mid = (lo + hi) / 2;
            if (clk_has(graph_clk(p->g, ev_id(t, mid), CLK_HB), fence))
                hi = mid;
            else
                lo = mid + 1;
        }
        if (t == ev_tid(fence))
            lo = ev_pos(fence) + 1;
        set_range(bits, p->base[t] + lo, p->base[t] + p->g->t[t].len);
    }
}

static bool meet(const uint64_t *a, const uint64_t *b, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++)
        if (a[i] & b[i])
            return true;
    return false;
}

/* psc(a, b) */
static bool psc_edge(const struct psc *p, uint32_t a, uint32_t b)
{
    const uint64_t *before = p->before + (size_t)b * p->words;
    if (has_event(p, before, p->sc[a]))
        return true;
    if (graph_ev(p->g, p->sc[a])->kind != EK_FENCE)
        return false;
    const uint64_t *after = p->after + (size_t)a * p->words;
    if (meet(after, before, p->words))
        return true;
    return graph_ev(p->g, p->sc[b])->kind == EK_FENCE &&
           (has_event(p, after, p->sc[b]) ||
            meet(after, p->eco_before + (size_t)b * p->words, p->words));
}

/* Number the events and collect the sequentially consistent ones. */
static void number(struct psc *p)
{
    const struct graph *g = p->g;
    LKC_GROW(scratch->base, scratch->cap_base, g->nthreads + 1);
    p->base = scratch->base;
    p->n = p->nsc = 0;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        p->base[t] = p->n;
        for (uint32_t i = 0; i < g->t[t].len; i++) {
            const struct event *e = &g->t[t].ev[i];
            if (e->order != MO_SC || (!is_memory(e) && e->kind != EK_FENCE))
                continue;
            LKC_GROW(scratch->sc, scratch->cap_sc, p->nsc + 1);
            scratch->sc[p->nsc++] = ev_id(t, i);
        }
        p->n += g->t[t].len;
    }
    p->sc = scratch->sc;
    p->words = (p->n + 63) / 64;
}

void consistency_init(void)
{
    if (scratch == NULL) {
        scratch = lkc_alloc(sizeof *scratch);
        memset(scratch, 0, sizeof *scratch);
    }
}

static void fill_rows(struct psc *p)
{
    size_t row = p->words, all = 3 * row * p->nsc;
    LKC_GROW(scratch->bits, scratch->cap_bits, all);
    memset(scratch->bits, 0, all * sizeof *scratch->bits);
    p->before = scratch->bits;
    p->eco_before = p->before + row * p->nsc;
    p->after = p->eco_before + row * p->nsc;
    for (uint32_t i = 0; i < p->nsc; i++) {
        if (graph_ev(p->g, p->sc[i])->kind == EK_FENCE) {
            before_fence(p, p->sc[i], p->before + i * row, p->eco_before + i * row);
            after_fence(p, p->sc[i], p->after + i * row);
        } else {
            scb_before_access(p, p->sc[i], p->before + i * row);
        }
    }
}

bool consistent_rc11(struct graph *g)
{
    struct psc p = {.g = g};
    if (!lkc->sc_used)
        return true;
    number(&p);
    if (p.nsc < 2)
        return true;
    fill_rows(&p);
    /* Take away events that nothing is before, again and again; a rest is a cycle. */
    LKC_GROW(scratch->queue, scratch->cap_queue, p.nsc);
    uint32_t *rest = scratch->queue, n = p.nsc;
    for (uint32_t i = 0; i < n; i++)
        rest[i] = i;
    for (bool shrunk = true; shrunk && n > 0 && !stop_asked();) {
        shrunk = false;
        for (uint32_t i = 0; i < n; i++) {
            bool preceded = false;
            for (uint32_t k = 0; k < n && !preceded; k++)
                preceded = psc_edge(&p, rest[k], rest[i]);
            if (!preceded) {
                rest[i--] = rest[--n];
                shrunk = true;
            }
        }
    }
    return n == 0;
}

/* ---- one acyclic relation
 * --------------------------------------------------------------------- */

struct order {
    const struct graph *g;
    uint32_t *base, n, nedges;
};

static void edge(struct order *o, evid from, evid to)
{
    LKC_GROW(scratch->edges, scratch->cap_edges, o->nedges + 1);
    uint32_t a = o->base[ev_tid(from)] + ev_pos(from), b = o->base[ev_tid(to)] + ev_pos(to);
    scratch->edges[o->nedges++] = (uint64_t)a << 32 | b;
}

/* rf (those between threads only, if `external`), mo and rb. */
static void communication(struct order *o, bool external)
{
    const struct graph *g = o->g;
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        for (uint32_t k = 1; k < l->nco; k++)
            edge(o, l->co[k - 1], l->co[k]);
        for (uint32_t k = 0; k < l->nrd; k++) {
            evid r = l->rd[k], w = graph_ev(g, r)->rf;
            if (w != EV_INIT && !(external && ev_tid(w) == ev_tid(r)))
                edge(o, w, r);
            int64_t next = graph_copos(g, w) + 1;
            if (next < l->nco && l->co[next] != ev_id(ev_tid(r), ev_pos(r) + 1))
                edge(o, r, l->co[next]);
        }
    }
    for (uint32_t t = 0; t < g->nthreads; t++)
        for (uint32_t i = 0; i < g->t[t].len; i++) {
            const struct event *e = &g->t[t].ev[i];
            if ((e->kind == EK_BEGIN || e->kind == EK_JOIN) && e->rf != EV_INIT)
                edge(o, e->rf, ev_id(t, i));
        }
}

static void order_begin(struct order *o, const struct graph *g)
{
    *o = (struct order){.g = g};
    LKC_GROW(scratch->base, scratch->cap_base, g->nthreads + 1);
    o->base = scratch->base;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        o->base[t] = o->n;
        o->n += g->t[t].len;
    }
}

/* Kahn's algorithm. */
static bool acyclic(struct order *o)
{
    uint32_t n = o->n, done = 0, waiting = 0;
    LKC_GROW(scratch->head, scratch->cap_head, 3 * n + 1);
    LKC_GROW(scratch->next, scratch->cap_next, o->nedges + 1);
    uint32_t *head = scratch->head, *degree = head + n, *queue = degree + n;
    memset(head, 0xff, n * sizeof *head);
    memset(degree, 0, n * sizeof *degree);
    for (uint32_t i = 0; i < o->nedges; i++) {
        uint32_t from = (uint32_t)(scratch->edges[i] >> 32), to = (uint32_t)scratch->edges[i];
        scratch->next[i] = head[from];
        head[from] = i;
        degree[to]++;
    }
    for (uint32_t i = 0; i < n; i++)
        if (degree[i] == 0)
            queue[waiting++] = i;
    while (done < waiting) {
        uint32_t from = queue[done++];
        for (uint32_t i = head[from]; i != UINT32_MAX; i = scratch->next[i])
            if (--degree[(uint32_t)scratch->edges[i]] == 0)
                queue[waiting++] = (uint32_t)scratch->edges[i];
    }
    return done == n;
}

bool consistent_sc(struct graph *g)
{
    struct order o;
    order_begin(&o, g);
    for (uint32_t t = 0; t < g->nthreads; t++)
        for (uint32_t i = 1; i < g->t[t].len; i++)
            edge(&o, ev_id(t, i - 1), ev_id(t, i));
    communication(&o, false);
    return acyclic(&o);
}

/* Program order as x86 keeps it: a plain store may be overtaken by later reads of its thread.
 * Locked instructions, and the exchange that a sequentially consistent store is, wait for it. */
static void tso_program_order(struct order *o, uint32_t t)
{
    const struct gthread *th = &o->g->t[t];
    evid last_read = EV_INIT, last_write = EV_INIT;
    for (uint32_t i = 0; i < th->len; i++) {
        const struct event *e = &th->ev[i];
        evid id = ev_id(t, i);
        bool read = e->kind == EK_READ, locked = (e->flags & EF_RMW) || e->op == OP_CAS;
        if (last_read != EV_INIT)
            edge(o, last_read, id);
        if (last_write != EV_INIT && (!read || locked))
            edge(o, last_write, id);
        bool barrier =
            e->kind != EK_READ && e->kind != EK_WRITE && (e->kind != EK_FENCE || e->order == MO_SC);
        if (read || barrier || (e->kind == EK_WRITE && (locked || e->order == MO_SC)))
            last_read = id;
        if (!read && e->kind != EK_FENCE)
            last_write = id;
    }
}

bool consistent_tso(struct graph *g)
{
    struct order o;
    order_begin(&o, g);
    for (uint32_t t = 0; t < g->nthreads; t++)
        tso_program_order(&o, t);
    communication(&o, true);
    return acyclic(&o);
}

bool consistent(struct graph *g, enum lk_check_model model)
{
    if (model == LK_CHECK_SC)
        return consistent_sc(g);
    return consistent_rc11(g) && (model != LK_CHECK_TSO || consistent_tso(g));
}
