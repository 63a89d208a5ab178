/* snapshot.c - graphs that wait their turn: packed into one block each. */
#include <string.h>

#include "internal.h"

struct snapshot {
    uint64_t bytes;
    uint32_t nthreads, tcap, nlocs, stamp, last;
    uint8_t todo;
    evid subject;
};

struct packed_thread {
    void *(*fn)(void *);
    void *arg;
    uint32_t len, stuck_at;
    evid creator;
    uint8_t live, stuck, timed, detached;
    uint32_t died, process, nout;
};

struct packed_loc {
    uint64_t init;
    uint32_t loc, nco, nrd, unknown;
};

static size_t clock_bytes(uint32_t len, uint32_t tcap)
{
    return ((size_t)len * CLK_KINDS * tcap * sizeof(uint32_t) + 7) & ~(size_t)7;
}

static size_t withdrawn_bytes(uint32_t n)
{
    return (n * sizeof(struct withdrawn) + 7) & ~(size_t)7;
}

static size_t thread_bytes(const struct gthread *t, uint32_t len, uint32_t tcap)
{
    return sizeof(struct packed_thread) + len * sizeof(struct event) + clock_bytes(len, tcap) +
           withdrawn_bytes(t->nout);
}

static uint32_t kept_len(const struct graph *g, const uint32_t *keep, uint32_t t)
{
    return keep != NULL ? keep[t] : g->t[t].len;
}

static size_t bytes_needed(const struct graph *g, const uint32_t *keep)
{
    size_t n = sizeof(struct snapshot);
    for (uint32_t t = 0; t < g->nthreads; t++)
        n += thread_bytes(&g->t[t], kept_len(g, keep, t), g->tcap);
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        n +=
            sizeof(struct packed_loc) + (((size_t)l->nco + l->nrd + 2) & ~(size_t)1) * sizeof(evid);
    }
    return n;
}

/* A revisit of what was added at `stamp` keeps len events of the thread. */
static uint32_t pack_withdrawn(const struct gthread *t, uint32_t len, uint32_t stamp, char *out)
{
    struct withdrawn *to = (struct withdrawn *)out;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->nout; i++)
        if (withdrawn_kept(&t->out[i], len, stamp))
            to[n++] = t->out[i];
    return n;
}

static char *pack_thread(const struct graph *g, uint32_t tid, uint32_t len, bool created,
                         uint32_t stamp, char *out)
{
    const struct gthread *t = &g->t[tid];
    struct packed_thread *p = (struct packed_thread *)out;
    bool whole = len == t->len;
    *p = (struct packed_thread){.fn = t->fn,
                                .arg = t->arg,
                                .len = len,
                                .creator = t->creator,
                                .live = t->live && created,
                                .stuck_at = t->stuck_at,
                                .stuck = whole ? t->stuck : STUCK_NO,
                                .timed = whole && t->timed,
                                .detached = t->detached,
                                .died = t->died <= len ? t->died : 0,
                                .process = t->process};
    out += sizeof *p;
    memcpy(out, t->ev, len * sizeof *t->ev);
    out += len * sizeof *t->ev;
    memcpy(out, t->clk, (size_t)len * CLK_KINDS * g->tcap * sizeof *t->clk);
    out += clock_bytes(len, g->tcap);
    p->nout = t->nout == 0 ? 0 : pack_withdrawn(t, len, stamp, out);
    return out + withdrawn_bytes(p->nout);
}

/* The location's kept reads and writes; `w` goes to index pos of the kept writes. */
static char *pack_loc(const struct graph *g, uint32_t loc, const uint32_t *keep, evid w,
                      uint32_t pos, char *out)
{
    const struct gloc *l = &g->loc[loc];
    struct packed_loc *p = (struct packed_loc *)out;
    evid *id = (evid *)(p + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->nco; i++) {
        if (keep != NULL && ev_pos(l->co[i]) >= keep[ev_tid(l->co[i])])
            continue;
        if (w != EV_INIT && n == pos)
            id[n++] = w;
        id[n++] = l->co[i];
    }
    if (w != EV_INIT && n == pos)
        id[n++] = w;
    uint32_t m = n;
    for (uint32_t i = 0; i < l->nrd; i++)
        if (keep == NULL || ev_pos(l->rd[i]) < keep[ev_tid(l->rd[i])])
            id[m++] = l->rd[i];
    if (m == 0)
        return NULL;
    *p = (struct packed_loc){l->init, loc, n, m - n, l->init_unknown};
    return (char *)(id + ((m + 1) & ~1u));
}

struct snapshot *snapshot_pack(const struct graph *g, const uint32_t *keep, enum todo todo,
                               evid subject, evid write, uint32_t pos)
{
    size_t room = bytes_needed(g, keep);
    struct snapshot *s = lkc_alloc(room);
    s->bytes = room;
    s->nthreads = g->nthreads;
    s->tcap = g->tcap;
    s->stamp = g->stamp;
    s->last = g->last;
    s->todo = (uint8_t)todo;
    s->subject = subject;
    s->nlocs = 0;
    char *out = (char *)(s + 1);
    uint32_t stamp = keep != NULL ? graph_ev(g, subject)->stamp : UINT32_MAX;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        evid creator = g->t[t].creator;
        bool created =
            keep == NULL || creator == EV_INIT || ev_pos(creator) < keep[ev_tid(creator)];
        out = pack_thread(g, t, kept_len(g, keep, t), created, stamp, out);
    }
    uint32_t target = write == EV_INIT ? LOC_NONE : graph_ev(g, write)->loc;
    for (uint32_t i = 0; i < g->nactive; i++) {
        uint32_t loc = g->active[i];
        char *next = pack_loc(g, loc, keep, loc == target ? write : EV_INIT, pos, out);
        if (next != NULL) {
            s->nlocs++;
            out = next;
        }
    }
    return s;
}

struct snapshot *snapshot_copy(const struct graph *g)
{
    return snapshot_pack(g, NULL, TODO_RUN, EV_INIT, EV_INIT, 0);
}

struct snapshot *snapshot_clone(const struct snapshot *s)
{
    struct snapshot *copy = lkc_alloc(s->bytes);
    memcpy(copy, s, s->bytes);
    return copy;
}

static const char *unpack_thread(struct graph *g, uint32_t tid, uint32_t tcap, const char *in)
{
    const struct packed_thread *p = (const struct packed_thread *)in;
    struct gthread *t = &g->t[tid];
    uint32_t len = p->len;
    if (len > t->cap) {
        uint32_t old = t->cap;
        size_t row = (size_t)CLK_KINDS * g->tcap * sizeof *t->clk;
        LKC_GROW(t->ev, t->cap, len);
        t->clk = lkc_grow(t->clk, old * row, t->cap * row);
    }
    t->fn = p->fn;
    t->arg = p->arg;
    t->len = len;
    t->creator = p->creator;
    t->stuck_at = p->stuck_at;
    t->live = p->live;
    t->stuck = p->stuck;
    t->timed = p->timed;
    t->detached = p->detached;
    t->died = p->died;
    t->process = p->process;
    in += sizeof *p;
    memcpy(t->ev, in, len * sizeof *t->ev);
    in += len * sizeof *t->ev;
    size_t rows = (size_t)len * CLK_KINDS;
    const uint32_t *clk = (const uint32_t *)in;
    if (tcap == g->tcap) {
        memcpy(t->clk, clk, rows * tcap * sizeof *clk);
    } else { /* packed before the clocks grew */
        memset(t->clk, 0, rows * g->tcap * sizeof *clk);
        for (size_t r = 0; r < rows; r++)
            memcpy(t->clk + r * g->tcap, clk + r * tcap, tcap * sizeof *clk);
    }
    in += clock_bytes(len, tcap);
    t->nout = p->nout;
    LKC_GROW(t->out, t->cap_out, p->nout);
    if (p->nout != 0)
        memcpy(t->out, in, p->nout * sizeof *t->out);
    return in + withdrawn_bytes(p->nout);
}

static const char *unpack_loc(struct graph *g, const char *in)
{
    const struct packed_loc *p = (const struct packed_loc *)in;
    const evid *id = (const evid *)(p + 1);
    graph_touch_loc(g, p->loc);
    struct gloc *l = &g->loc[p->loc];
    l->init = p->init;
    l->init_unknown = p->unknown;
    l->nco = p->nco;
    l->nrd = p->nrd;
    LKC_GROW(l->co, l->cap_co, p->nco);
    LKC_GROW(l->rd, l->cap_rd, p->nrd);
    for (uint32_t i = 0; i < p->nco; i++) {
        l->co[i] = id[i];
        graph_ev(g, id[i])->copos = i;
    }
    if (p->nrd != 0)
        memcpy(l->rd, id + p->nco, p->nrd * sizeof *id);
    return (const char *)(id + ((p->nco + p->nrd + 1) & ~1u));
}

enum todo snapshot_unpack(struct snapshot *s, struct graph *g, evid *subject)
{
    enum todo todo = s->todo;
    graph_clear(g);
    graph_reserve_threads(g, s->nthreads);
    g->nthreads = s->nthreads;
    g->stamp = s->stamp;
    g->last = s->last;
    const char *in = (const char *)(s + 1);
    for (uint32_t t = 0; t < s->nthreads; t++)
        in = unpack_thread(g, t, s->tcap, in);
    while (g->nthreads > 0 && !g->t[g->nthreads - 1].live)
        g->nthreads--;
    for (uint32_t i = 0; i < s->nlocs; i++)
        in = unpack_loc(g, in);
    *subject = s->subject;
    snapshot_free(s);
    return todo;
}

size_t snapshot_bytes(const struct snapshot *s)
{
    return s->bytes;
}

void snapshot_free(struct snapshot *s)
{
    lkc_free(s, s->bytes);
}
