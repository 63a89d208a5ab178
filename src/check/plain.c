/* plain.c - plain memory: races, and its meeting with atomic locations.
 *
 * A program without races reads from plain memory what was written last in its past.  So plain
 * accesses are no events: memory itself serves them, as runs keep to an order that respects rf.
 * What is kept is who accessed what and when, to tell accesses that no order separates. */
#include <string.h>

#include "internal.h"
#include "program.h"

struct touch {
    uint64_t pc;
    uint32_t tid, pos; /* events that the thread had had */
    uint32_t next;
    uint8_t mask, write;
};

struct cell {
    uintptr_t granule;
    uint32_t run, head;
};

struct shadow {
    uintptr_t *shared; /* granules that two threads have met in, in some run; 0 = free */
    uint32_t nshared, cap_shared;
    bool more_shared;
    struct cell *cell;
    struct touch *touch;
    uint32_t cap, used, run, ntouch, cap_touch;
};

static struct shadow *shadow(void)
{
    if (lkc->shadow == NULL) {
        struct shadow *s = lkc_alloc(sizeof *s);
        memset(s, 0, sizeof *s);
        s->cap = 1024;
        s->cell = lkc_alloc(s->cap * sizeof *s->cell);
        memset(s->cell, 0, s->cap * sizeof *s->cell);
        lkc->shadow = s;
    }
    return lkc->shadow;
}

void plain_reset(void)
{
    struct shadow *s = shadow();
    s->run++;
    s->used = 0;
    s->ntouch = 1;
}

static struct cell *probe(struct shadow *s, uintptr_t granule)
{
    uint32_t i = (uint32_t)((granule * 0x9e3779b97f4a7c15u) >> 40) & (s->cap - 1);
    while (s->cell[i].run == s->run && s->cell[i].granule != granule)
        i = (i + 1) & (s->cap - 1);
    return &s->cell[i];
}

static void rehash(struct shadow *s)
{
    struct cell *old = s->cell;
    uint32_t cap = s->cap;
    s->cap *= 2;
    s->cell = lkc_alloc(s->cap * sizeof *s->cell);
    memset(s->cell, 0, s->cap * sizeof *s->cell);
    for (uint32_t i = 0; i < cap; i++)
        if (old[i].run == s->run)
            *probe(s, old[i].granule) = old[i];
    lkc_free(old, cap * sizeof *old);
}

static struct cell *cell_of(uintptr_t granule)
{
    struct shadow *s = shadow();
    struct cell *c = probe(s, granule);
    if (c->run == s->run)
        return c;
    if (2 * s->used >= s->cap) {
        rehash(s);
        c = probe(s, granule);
    }
    s->used++;
    *c = (struct cell){granule, s->run, 0};
    return c;
}

/* The running thread's happens-before clock where it is now. */
static const uint32_t *clock_now(const struct fiber *f)
{
    static const uint32_t nothing[EV_TID_MAX + 2];
    return f->pos == 0 ? nothing : graph_clk(&lkc->g, ev_id(f->tid, f->pos - 1), CLK_HB);
}

_Noreturn static void race(uintptr_t addr, uint64_t pc, bool write, uint64_t other_pc,
                           bool other_write, uint32_t other)
{
    lkc->race_pc = other_pc;
    error_stop(LK_CHECK_RACE, pc, "plain %s at %#lx and %s of thread %u are in no order",
               write ? "write" : "read", (unsigned long)addr, other_write ? "write" : "read",
               other);
}

/* Against the atomic events of one location. */
static void against_events(uint32_t loc, uintptr_t addr, bool write, uint64_t pc)
{
    const struct graph *g = &lkc->g;
    const struct fiber *f = self();
    const struct gloc *l = &g->loc[loc];
    const uint32_t *now = clock_now(f);
    for (uint32_t i = 0; i < l->nco + (write ? l->nrd : 0); i++) {
        evid e = i < l->nco ? l->co[i] : l->rd[i - l->nco];
        if (ev_tid(e) != f->tid && !clk_has(now, e) && graph_clk(g, e, CLK_HB)[f->tid] <= f->pos)
            race(addr, pc, write, graph_ev(g, e)->pc, i < l->nco, ev_tid(e));
    }
}

static bool loc_active(uint32_t loc)
{
    const struct graph *g = &lkc->g;
    return loc < g->cap_locs && (g->loc[loc].nco != 0 || g->loc[loc].nrd != 0);
}

uint64_t plain_load(uintptr_t addr, unsigned size)
{
    uint64_t v = 0;
    memcpy(&v, (const void *)addr, size);
    return v;
}

void plain_store(uintptr_t addr, unsigned size, uint64_t value)
{
    memcpy((void *)addr, &value, size);
}

_Noreturn static void upgrade(void)
{
    lkc->upgrade = true;
    lkc->upgrade_mode = 1;
    lkc->end = RUN_UPGRADE;
    lkc_leave();
}

/* Locations in the granule that a plain access touches: check them, bring memory up to date. */
static void meet_locations(uintptr_t addr, size_t size, bool write, uint64_t pc)
{
    for (uint32_t loc = loc_granule(addr); loc != LOC_NONE; loc = lkc->locs[loc].next) {
        const struct location *l = &lkc->locs[loc];
        if (!loc_active(loc) || addr >= l->addr + l->size || l->addr >= addr + size)
            continue;
        against_events(loc, addr, write, pc);
        uint64_t value = explore_peek(l->addr, l->size);
        if (plain_load(l->addr, l->size) == value)
            continue;
        if (lkc->mode == MODE_FAST)
            upgrade();
        plain_store(l->addr, l->size, value);
    }
}

/* ---- where a death between two stores can be seen ---------------------------------------------
 *
 * A store to memory that only one thread ever touches is no effect.  Which memory that is is learnt
 * on the walks; should the search find another granule that threads share, it begins anew.  What is
 * found counts from the next walk or search on: within one, the events must stay the same. */
#define NOT_YET ((uintptr_t)1 << 63)

static uintptr_t *shared_slot(const struct shadow *s, uintptr_t granule)
{
    uint32_t i = (uint32_t)((granule * 0x9e3779b97f4a7c15u) >> 40) & (s->cap_shared - 1);
    while (s->shared[i] != 0 && (s->shared[i] & ~NOT_YET) != granule)
        i = (i + 1) & (s->cap_shared - 1);
    return &s->shared[i];
}

static void grow_shared(struct shadow *s)
{
    uintptr_t *old = s->shared;
    uint32_t cap = s->cap_shared;
    s->cap_shared = cap != 0 ? 2 * cap : 1024;
    s->shared = lkc_alloc(s->cap_shared * sizeof *s->shared);
    memset(s->shared, 0, s->cap_shared * sizeof *s->shared);
    for (uint32_t i = 0; i < cap; i++)
        if (old[i] != 0)
            *shared_slot(s, old[i] & ~NOT_YET) = old[i];
    if (cap != 0)
        lkc_free(old, cap * sizeof *old);
}

static void note_shared(struct shadow *s, uintptr_t granule)
{
    if (lkc->opt.max_deaths == 0)
        return;
    if (2 * s->nshared >= s->cap_shared)
        grow_shared(s);
    uintptr_t *slot = shared_slot(s, granule);
    if (*slot != 0)
        return;
    *slot = granule | NOT_YET;
    s->nshared++;
    s->more_shared = true;
    if (lkc->walking || lkc->upgrade)
        return;
    lkc->upgrade = true;
    lkc->upgrade_mode = 0;
}

void plain_use_shared(void)
{
    struct shadow *s = shadow();
    for (uint32_t i = 0; s->more_shared && i < s->cap_shared; i++)
        s->shared[i] &= ~NOT_YET;
    s->more_shared = false;
}

bool plain_shared(uintptr_t addr, size_t size)
{
    const struct shadow *s = shadow();
    if (s->cap_shared == 0)
        return false;
    for (uintptr_t g = addr >> 3; g <= (addr + size - 1) >> 3; g++)
        if (*shared_slot(s, g) == g)
            return true;
    return false;
}

static bool ordered(const struct touch *t, const uint32_t *now)
{
    return now[t->tid] > t->pos;
}

static void touch_granule(uintptr_t granule, uint8_t mask, bool write, uint64_t pc)
{
    struct shadow *s = shadow();
    const struct fiber *f = self();
    struct cell *c = cell_of(granule);
    const uint32_t *now = clock_now(f);
    uint32_t same = 0;
    bool others = false;
    for (uint32_t i = c->head; i != 0; i = s->touch[i].next) {
        struct touch *t = &s->touch[i];
        if (t->tid == f->tid) {
            if (t->write == write && (t->mask & mask) == t->mask)
                same = i;
        } else {
            if (t->mask & mask && (write || t->write) && !ordered(t, now))
                race(granule << 3, pc, write, t->pc, t->write, t->tid);
            others = true;
        }
    }
    if (others)
        note_shared(s, granule);
    if (same == 0) {
        LKC_GROW(s->touch, s->cap_touch, s->ntouch + 1);
        same = s->ntouch++;
        s->touch[same].next = c->head;
        c->head = same;
    }
    struct touch *t = &s->touch[same];
    t->pc = pc;
    t->tid = f->tid;
    t->pos = f->pos;
    t->mask = mask;
    t->write = write;
}

static uint8_t mask_in(uintptr_t granule, uintptr_t addr, size_t size)
{
    uintptr_t low = granule << 3, from = addr > low ? addr - low : 0;
    uintptr_t to = addr + size - low < 8 ? addr + size - low : 8;
    return (uint8_t)(((1u << to) - 1) & ~((1u << from) - 1));
}

/* Threads share the memory: run every thread every time, in an order that respects rf. */
static void need_mode(const struct fiber *f, uintptr_t addr, bool write)
{
    uint32_t owner;
    if (lkc->mode == MODE_FAST && write && (f->tid != 0 || f->created))
        upgrade();
    if (lkc->mode != MODE_STACKS && run_on_stack(addr, &owner) && owner != f->tid)
        upgrade();
}

/* A thread that goes round without events, without changing anything, waits for plain memory. */
static void mind_loops(struct fiber *f)
{
    if (++f->quiet % 100000 != 0)
        return;
    if (stop_asked())
        stop_run();
    if (f->quiet >= 10000000) {
        lkc->end = RUN_BOUND;
        lkc_leave();
    }
}

static void access_granules(uintptr_t addr, size_t size, bool write, uint64_t pc)
{
    for (uintptr_t g = addr >> 3; g <= (addr + size - 1) >> 3; g++) {
        uintptr_t low = g << 3 > addr ? g << 3 : addr;
        uintptr_t high = (g + 1) << 3 < addr + size ? (g + 1) << 3 : addr + size;
        meet_locations(low, high - low, write, pc);
        if (lkc->mode != MODE_FAST)
            touch_granule(g, mask_in(g, addr, size), write, pc);
    }
}

/* While threads share no plain memory, reads outside of stacks and heap need no look. */
static bool nobody_cares(uintptr_t addr)
{
    return addr >= 4096 && addr - lkc->stacks_low >= lkc->stacks_high - lkc->stacks_low &&
           !heap_owns((const void *)addr);
}

void plain_read(uintptr_t addr, size_t size, uint64_t pc)
{
    struct fiber *f = self();
    mind_loops(f);
    if (lkc->mode == MODE_FAST && loc_granule(addr) == LOC_NONE && size <= 8 &&
        ((addr ^ (addr + size - 1)) < 8 || loc_granule(addr + size - 1) == LOC_NONE) &&
        nobody_cares(addr))
        return;
    if (size == 0 || program_in_tls(f, addr))
        return;
    need_mode(f, addr, false);
    heap_check(addr, size, pc);
    access_granules(addr, size, false, pc);
}

/* ---- what a thread makes of plain memory ------------------------------------------------------
 *
 * A lap of a loop that leaves plain memory as it found it has had no effect there: nobody could
 * look meanwhile without a race. */

enum { WATCHED = 16 }; /* bytes; a larger write counts as an effect */

static void watch(struct fiber *f, uintptr_t addr, size_t size)
{
    if (addr - f->stack_low < f->stack_high - f->stack_low)
        return; /* its stack is looked at as a whole */
    if (size > WATCHED) {
        f->lap++;
        f->unseen++;
        return;
    }
    f->watched = addr & ~(uintptr_t)7;
    f->nwatched = (uint8_t)(((addr + size - 1) >> 3) - (addr >> 3) + 1);
    memcpy(f->before, (const void *)f->watched, f->nwatched * sizeof f->before[0]);
}

static uint64_t hash_word(uintptr_t addr, uint64_t value)
{
    uint64_t h = (addr * 0x9e3779b97f4a7c15u ^ value) * 0xff51afd7ed558ccdu;
    return (h ^ h >> 32) * 0xc4ceb9fe1a85ec53u;
}

void plain_look_again(struct fiber *f)
{
    for (uint32_t i = 0; i < f->nwatched; i++) {
        uintptr_t addr = f->watched + i * sizeof f->before[0];
        uint64_t now = plain_load(addr, 8);
        if (now != f->before[i])
            f->changed ^= hash_word(addr, f->before[i]) ^ hash_word(addr, now);
    }
    f->watched = 0;
}

void plain_write(uintptr_t addr, size_t size, uint64_t pc)
{
    struct fiber *f = self();
    if (size == 0)
        return;
    if (program_in_tls(f, addr)) {
        watch(f, addr, size);
        return;
    }
    mind_loops(f);
    need_mode(f, addr, true);
    if (f->mortal && plain_shared(addr, size))
        explore_may_die();
    heap_check(addr, size, pc);
    access_granules(addr, size, true, pc);
    watch(f, addr, size);
    f->pending = addr;
    f->pending_size = (uint32_t)size;
    f->pending_pc = pc;
}

void plain_check_free(uintptr_t addr, size_t size, uint64_t pc)
{
    if (size != 0)
        access_granules(addr, size, true, pc);
}

/* What a plain write left in memory may be an address of thread-local data. */
void plain_written(uintptr_t addr, size_t size)
{
    for (uintptr_t p = (addr + 7) & ~(uintptr_t)7; p + 8 <= addr + size; p += 8)
        program_tls_escapes(plain_load(p, 8));
}

/* The bytes of a plain write are in memory now: locations among them get it as an event. */
void plain_written_to(uintptr_t addr, size_t size, uint64_t pc)
{
    for (uintptr_t g = addr >> 3; g <= (addr + size - 1) >> 3; g++)
        for (uint32_t loc = loc_granule(g << 3); loc != LOC_NONE; loc = lkc->locs[loc].next) {
            struct location l = lkc->locs[loc];
            if (addr >= l.addr + l.size || l.addr >= addr + size || !plain_is_event(loc))
                continue;
            struct access a = {.addr = l.addr, .size = l.size, .order = MO_PLAIN, .pc = pc};
            explore_write(&a, plain_load(l.addr, l.size));
        }
}

/* At a recorded position the record says so; beyond, whatever the location has had is in our
 * past. */
bool plain_is_event(uint32_t loc)
{
    const struct fiber *f = self();
    const struct gthread *t = &lkc->g.t[f->tid];
    if (f->pos < t->len) {
        const struct event *e = &t->ev[f->pos];
        return e->kind == EK_WRITE && e->order == MO_PLAIN && e->loc == loc;
    }
    return loc_active(loc);
}

void plain_check_atomic(evid e, uintptr_t addr, unsigned size)
{
    struct shadow *s = shadow();
    const struct graph *g = &lkc->g;
    const struct event *ev = graph_ev(g, e);
    struct cell *c = probe(s, addr >> 3);
    if (c->run != s->run)
        return;
    const uint32_t *now = clock_now(self());
    uint8_t mask = mask_in(addr >> 3, addr, size);
    bool write = ev->kind == EK_WRITE || op_may_write(ev);
    for (uint32_t i = c->head; i != 0; i = s->touch[i].next) {
        const struct touch *t = &s->touch[i];
        if (t->tid != ev_tid(e) && t->mask & mask && (write || t->write) && !ordered(t, now)) {
            lkc->race_pc = t->pc;
            error_stop(LK_CHECK_RACE, ev->pc, "atomic %s and plain %s of thread %u are in no order",
                       ev->kind == EK_WRITE ? "write" : "read", t->write ? "write" : "read",
                       t->tid);
        }
    }
}
