/* await.c - waiting for a value: a thread that could only wait has its turn after all others.
 *
 * Whose turn it is may be any function of the graph (README.md, 8).  A read that would leave its
 * thread waiting, were it to see the newest writes, is put off until another write makes it worth
 * while or nobody else can go on: then it is added after all, and waits.  So most graphs in which a
 * thread has looked too early are never begun.  Kokologiannakis et al., "Unblocking Dynamic Partial
 * Order Reduction", CAV 2023, has the same aim; there a read that waits is moved, here it comes
 * later.
 *
 * Which reads only wait: those of locks and of sleeping say so themselves.  For a loop of the
 * program it is learnt on the random walks.  A lap that cut_spin() found to repeat itself is a
 * chain of facts: in this local state this read, of this value, leads to that next read without an
 * effect.  A thread waits if from its next read on the newest values lead round in a circle of such
 * facts.  Facts only move reads to a later time (or leave out one value that leads straight back to
 * the same read); what was not learnt costs time, not executions. */
#include <string.h>

#include "internal.h"

enum { LAP = 16, FACTS_MAX = 1 << 20 };

/* After a read with this key and value comes that one. */
struct fact {
    uint64_t from, next; /* from 0 = no fact */
    uintptr_t addr;
    uint8_t size;
};

struct facts {
    struct fact *fact;
    uint32_t n, cap;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}

uint64_t await_key(const struct access *a, uint64_t state)
{
    return mix(mix(mix(mix(state, a->pc), a->addr), a->operand), a->expected + a->op);
}

static uint64_t event_key(const struct event *e)
{
    struct access a = {.addr = lkc->locs[e->loc].addr,
                       .pc = e->pc,
                       .operand = e->operand,
                       .expected = e->expected,
                       .op = e->op};
    return await_key(&a, e->state);
}

static struct fact *slot_of(struct facts *f, uint64_t from)
{
    uint32_t i = (uint32_t)from & (f->cap - 1);
    while (f->fact[i].from != 0 && f->fact[i].from != from)
        i = (i + 1) & (f->cap - 1);
    return &f->fact[i];
}

static void make_room(struct facts *f)
{
    struct facts old = *f;
    if (2 * f->n < f->cap)
        return;
    f->cap = old.cap != 0 ? 2 * old.cap : 256;
    f->fact = lkc_alloc(f->cap * sizeof *f->fact);
    memset(f->fact, 0, f->cap * sizeof *f->fact);
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.fact[i].from != 0)
            *slot_of(f, old.fact[i].from) = old.fact[i];
    if (old.cap != 0)
        lkc_free(old.fact, old.cap * sizeof *old.fact);
}

static const struct fact *fact_of(uint64_t key, uint64_t value)
{
    struct facts *f = lkc->facts;
    if (f == NULL || f->cap == 0)
        return NULL;
    const struct fact *found = slot_of(f, mix(key, value) | 1);
    return found->from != 0 ? found : NULL;
}

static void learn(uint64_t key, uint64_t value, uint64_t next, uintptr_t addr, uint8_t size)
{
    struct facts *f = lkc->facts;
    if (f == NULL) {
        f = lkc->facts = lkc_alloc(sizeof *f);
        memset(f, 0, sizeof *f);
    }
    if (f->n >= FACTS_MAX)
        return;
    make_room(f);
    struct fact *s = slot_of(f, mix(key, value) | 1);
    f->n += s->from == 0;
    *s = (struct fact){.from = mix(key, value) | 1, .next = next, .addr = addr, .size = size};
}

void await_learn(const struct access *a, uint64_t key, uint32_t lap)
{
    const struct gthread *t = &lkc->g.t[self()->tid];
    uintptr_t addr = a->addr;
    uint8_t size = a->size;
    if (!lkc->walking)
        return;
    for (uint32_t p = t->len; p-- > 0;) {
        const struct event *e = &t->ev[p];
        if (e->kind == EK_FENCE || (e->kind == EK_WRITE && e->flags & EF_RMW))
            continue;
        if (e->kind != EK_READ || e->lap != lap || e->flags & EF_SILENT)
            return;
        uint64_t k = event_key(e);
        learn(k, e->value, key, addr, size);
        key = k;
        addr = lkc->locs[e->loc].addr;
        size = e->size;
    }
}

uint64_t await_newest(uintptr_t addr, unsigned size)
{
    const struct graph *g = &lkc->g;
    uint32_t loc = loc_find(addr, size);
    if (loc == LOC_NONE || loc >= g->cap_locs || (g->loc[loc].nco == 0 && g->loc[loc].nrd == 0))
        return addr >= SHADOW ? 0 : plain_load(addr, size);
    const struct gloc *l = &g->loc[loc];
    return graph_value(g, loc, l->nco == 0 ? EV_INIT : l->co[l->nco - 1]);
}

/* The newest write is not for the thread to read in this branch. */
static bool newest_is_elsewhere(uint32_t tid, uintptr_t addr, unsigned size)
{
    const struct graph *g = &lkc->g;
    uint32_t loc = g->t[tid].nout == 0 ? LOC_NONE : loc_find(addr, size);
    if (loc == LOC_NONE || loc >= g->cap_locs)
        return false;
    const struct gloc *l = &g->loc[loc];
    return !withdrawn_may_read(g, tid, g->t[tid].len, l->nco == 0 ? EV_INIT : l->co[l->nco - 1]);
}

bool await_in_vain(uint32_t tid, const struct access *a, uint64_t key)
{
    uint64_t met[LAP], value = await_newest(a->addr, a->size), result;
    if (newest_is_elsewhere(tid, a->addr, a->size))
        return true;
    if (!op_is_asked(a->op)) {
        struct event e = {
            .op = a->op, .operand = a->operand, .expected = a->expected, .size = a->size};
        return op_outcome(&e, value, &result) == OUT_WAIT;
    }
    if (lkc->states != NULL)
        return false; /* a loop that waits comes back to a state that is known */
    for (uint32_t n = 0; n < LAP; n++) {
        const struct fact *f = fact_of(key, value);
        if (f == NULL)
            return false;
        met[n] = key;
        key = f->next;
        for (uint32_t i = 0; i <= n; i++)
            if (met[i] == key)
                return true;
        value = await_newest(f->addr, f->size);
    }
    return false;
}

bool await_would_wait(evid r, uint64_t value)
{
    const struct event *first = graph_ev(&lkc->g, r), *e = first;
    uint64_t result;
    if (!op_is_asked(e->op))
        return op_outcome(e, value, &result) == OUT_WAIT;
    const struct fact *f = fact_of(event_key(e), value);
    for (uint32_t p = ev_pos(r) + 1; f != NULL && p-- > 0; e--) {
        if (e->kind == EK_FENCE || (e->kind == EK_WRITE && e->flags & (EF_RMW | EF_SILENT)))
            continue;
        if (e->kind != EK_READ || e->lap != first->lap)
            return false;
        if (event_key(e) == f->next)
            return true;
    }
    return false;
}
