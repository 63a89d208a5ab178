/* graph.c - the execution graph that is being built: events, modification orders, clocks. */
#include <string.h>

#include "internal.h"

void graph_init(struct graph *g)
{
    memset(g, 0, sizeof *g);
    g->tcap = 4;
}

void graph_clear(struct graph *g)
{
    for (uint32_t i = 0; i < g->nactive; i++) {
        g->loc[g->active[i]].nco = 0;
        g->loc[g->active[i]].nrd = 0;
    }
    g->nactive = 0;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        g->t[t].len = 0;
        g->t[t].live = 0;
        g->t[t].stuck = STUCK_NO;
        g->t[t].detached = 0;
        g->t[t].died = 0;
        g->t[t].nout = 0;
    }
    g->nthreads = 0;
    g->stamp = 0;
    g->last = 0;
}

/* Room for clocks of n threads: rows grow, all at once, and only ever in the working graph. */
void graph_reserve_threads(struct graph *g, uint32_t n)
{
    uint32_t old = g->tcap;
    if (n > g->cap_threads) {
        uint32_t cap = g->cap_threads;
        LKC_GROW(g->t, g->cap_threads, n);
        memset(g->t + cap, 0, (g->cap_threads - cap) * sizeof *g->t);
    }
    if (n <= old)
        return;
    while (g->tcap < n)
        g->tcap *= 2;
    for (uint32_t t = 0; t < g->cap_threads; t++) {
        struct gthread *th = &g->t[t];
        if (th->cap == 0)
            continue;
        size_t rows = (size_t)th->cap * CLK_KINDS;
        uint32_t *wide = lkc_alloc(rows * g->tcap * sizeof *wide);
        memset(wide, 0, rows * g->tcap * sizeof *wide);
        for (size_t r = 0; r < (size_t)th->len * CLK_KINDS; r++)
            memcpy(wide + r * g->tcap, th->clk + r * old, old * sizeof *wide);
        lkc_free(th->clk, rows * old * sizeof *wide);
        th->clk = wide;
    }
}

uint32_t graph_new_thread(struct graph *g, evid creator, void *(*fn)(void *), void *arg)
{
    uint32_t tid = 0;
    while (tid < g->nthreads && g->t[tid].live)
        tid++;
    if (tid > EV_TID_MAX)
        lkc_die("more than %u threads at once", EV_TID_MAX);
    graph_reserve_threads(g, tid + 1);
    if (tid >= g->nthreads)
        g->nthreads = tid + 1;
    struct gthread *t = &g->t[tid];
    t->len = 0;
    t->live = 1;
    t->stuck = STUCK_NO;
    t->timed = t->detached = 0;
    t->died = t->process = 0;
    t->nout = 0;
    t->fn = fn;
    t->arg = arg;
    t->creator = creator;
    return tid;
}

struct event *graph_append(struct graph *g, uint32_t tid, unsigned kind)
{
    struct gthread *t = &g->t[tid];
    if (t->len == t->cap) {
        uint32_t old = t->cap;
        size_t row = (size_t)CLK_KINDS * g->tcap * sizeof *t->clk;
        if (t->len >= EV_POS_MAX)
            lkc_die("a thread of more than %u events", EV_POS_MAX);
        LKC_GROW(t->ev, t->cap, t->len + 1);
        t->clk = lkc_grow(t->clk, old * row, t->cap * row);
    }
    struct event *e = &t->ev[t->len++];
    memset(e, 0, sizeof *e);
    e->kind = (uint8_t)kind;
    e->stamp = ++g->stamp;
    e->rf = EV_INIT;
    e->relfence = t->len > 1 ? e[-1].relfence : 0;
    t->stuck = STUCK_NO;
    t->timed = 0;
    g->last = tid;
    return e;
}

void graph_touch_loc(struct graph *g, uint32_t loc)
{
    if (loc >= g->cap_locs) {
        uint32_t cap = g->cap_locs;
        LKC_GROW(g->loc, g->cap_locs, loc + 1);
        memset(g->loc + cap, 0, (g->cap_locs - cap) * sizeof *g->loc);
    }
    struct gloc *l = &g->loc[loc];
    if (l->nco == 0 && l->nrd == 0) {
        LKC_GROW(g->active, g->cap_active, g->nactive + 1);
        g->active[g->nactive++] = loc;
    }
}

void graph_add_read(struct graph *g, uint32_t loc, evid r)
{
    struct gloc *l = &g->loc[loc];
    LKC_GROW(l->rd, l->cap_rd, l->nrd + 1);
    l->rd[l->nrd++] = r;
}

void graph_insert_co(struct graph *g, uint32_t loc, evid w, uint32_t pos)
{
    struct gloc *l = &g->loc[loc];
    LKC_GROW(l->co, l->cap_co, l->nco + 1);
    for (uint32_t i = l->nco; i > pos; i--) {
        l->co[i] = l->co[i - 1];
        graph_ev(g, l->co[i])->copos = i;
    }
    l->co[pos] = w;
    l->nco++;
    graph_ev(g, w)->copos = pos;
}

static void clk_join(uint32_t *into, const uint32_t *from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (from[i] > into[i])
            into[i] = from[i];
}

static const uint32_t zero_clock[EV_TID_MAX + 2];

const uint32_t *graph_now(const struct graph *g, uint32_t tid)
{
    uint32_t len = g->t[tid].len;
    return len == 0 ? zero_clock : graph_clk(g, ev_id(tid, len - 1), CLK_HB);
}

/* An acquire fence acquires what the thread's earlier reads would have, had they been acquiring. */
static void fence_acquires(struct graph *g, uint32_t tid, uint32_t pos, uint32_t *hb)
{
    const struct event *ev = g->t[tid].ev;
    while (pos-- > 0) {
        if (ev[pos].kind == EK_FENCE && mo_acquires(ev[pos].order))
            return;
        if (ev[pos].kind == EK_READ && ev[pos].rf != EV_INIT)
            clk_join(hb, graph_clk(g, ev[pos].rf, CLK_REL), g->tcap);
    }
}

static void write_releases(struct graph *g, evid e, const uint32_t *hb, uint32_t *rel)
{
    const struct event *ev = graph_ev(g, e);
    uint32_t n = g->tcap;
    memset(rel, 0, n * sizeof *rel);
    if (mo_releases(ev->order))
        memcpy(rel, hb, n * sizeof *rel);
    else if (ev->order != MO_PLAIN && ev->relfence != 0)
        memcpy(rel, graph_clk(g, ev_id(ev_tid(e), ev->relfence - 1), CLK_HB), n * sizeof *rel);
    if (ev->flags & EF_RMW && ev[-1].rf != EV_INIT)
        clk_join(rel, graph_clk(g, ev[-1].rf, CLK_REL), n);
}

void graph_clocks(struct graph *g, evid e)
{
    struct event *ev = graph_ev(g, e);
    uint32_t tid = ev_tid(e), pos = ev_pos(e), n = g->tcap;
    uint32_t *hb = graph_clk(g, e, CLK_HB), *porf = hb + n, *rel = porf + n;

    if (pos != 0) {
        memcpy(hb, hb - (size_t)CLK_KINDS * n, 2 * (size_t)n * sizeof *hb);
    } else {
        memset(hb, 0, 2 * (size_t)n * sizeof *hb);
    }
    hb[tid] = porf[tid] = pos + 1;
    if (ev->rf != EV_INIT && ev->kind <= EK_READ && ev->kind != EK_END && ev->kind != EK_CREATE) {
        clk_join(porf, graph_clk(g, ev->rf, CLK_PORF), n);
        if (ev->kind != EK_READ)
            clk_join(hb, graph_clk(g, ev->rf, CLK_HB), n);
        else if (mo_acquires(ev->order))
            clk_join(hb, graph_clk(g, ev->rf, CLK_REL), n);
    }
    if (ev->kind == EK_FENCE) {
        if (mo_acquires(ev->order))
            fence_acquires(g, tid, pos, hb);
        if (mo_releases(ev->order))
            ev->relfence = pos + 1;
    }
    if (ev->kind == EK_WRITE)
        write_releases(g, e, hb, rel);
}

int64_t graph_seen(const struct graph *g, uint32_t loc, const uint32_t *hb)
{
    const struct gloc *l = &g->loc[loc];
    int64_t seen = -1;
    for (uint32_t i = l->nco; i-- > 0;) {
        if (clk_has(hb, l->co[i])) {
            seen = i;
            break;
        }
    }
    for (uint32_t i = 0; i < l->nrd; i++) {
        if (!clk_has(hb, l->rd[i]))
            continue;
        int64_t p = graph_copos(g, graph_ev(g, l->rd[i])->rf);
        if (p > seen)
            seen = p;
    }
    return seen;
}
