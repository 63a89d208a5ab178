/* heap.c - malloc for the program under test: one arena a thread, addresses that repeat in every
 * run and are never used twice in one. */
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "program.h"

#define ARENA ((size_t)1 << 30)
#define FILL 0xa5

struct block {
    uintptr_t addr;
    size_t size;
    uint64_t new_pc, free_pc;
    bool freed, marked;
};

struct arena {
    uintptr_t base, next;
    struct block *block;
    uint32_t nblocks, cap_blocks;
};

struct heap {
    struct arena *arena;
    uint32_t narenas, cap_arenas;
    uintptr_t low, high;
};

static struct heap *heap(void)
{
    return lkc->heap;
}

void heap_init(void)
{
    struct heap *h = lkc_alloc(sizeof *h);
    memset(h, 0, sizeof *h);
    h->low = UINTPTR_MAX;
    lkc->heap = h;
}

void heap_thread_start(uint32_t tid)
{
    struct heap *h = heap();
    if (tid < h->narenas) {
        h->arena[tid].nblocks = 0;
        h->arena[tid].next = h->arena[tid].base;
    }
}

static struct arena *arena_of(uint32_t tid)
{
    struct heap *h = heap();
    while (h->narenas <= tid) {
        LKC_GROW(h->arena, h->cap_arenas, h->narenas + 1);
        memset(&h->arena[h->narenas++], 0, sizeof *h->arena);
    }
    struct arena *a = &h->arena[tid];
    if (a->base == 0) {
        void *p = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            lkc_die("cannot reserve memory for the program's heap");
        a->base = a->next = (uintptr_t)p;
        if (a->base < h->low)
            h->low = a->base;
        if (a->base + ARENA > h->high)
            h->high = a->base + ARENA;
    }
    return a;
}

static struct arena *arena_at(uintptr_t addr)
{
    struct heap *h = heap();
    if (h == NULL || addr < h->low || addr >= h->high)
        return NULL;
    for (uint32_t i = 0; i < h->narenas; i++)
        if (h->arena[i].base != 0 && addr - h->arena[i].base < ARENA)
            return &h->arena[i];
    return NULL;
}

bool heap_owns(const void *p)
{
    return lkc != NULL && arena_at((uintptr_t)p) != NULL;
}

/* The block that begins at or before addr; NULL = addr is before all. */
static struct block *block_before(const struct arena *a, uintptr_t addr)
{
    uint32_t lo = 0, hi = a->nblocks;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (a->block[mid].addr <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? NULL : &a->block[lo - 1];
}

/* What other threads do to the heap must be done again in every run. */
static void mind_mode(void)
{
    if (lkc->mode != MODE_FAST || self()->tid == 0)
        return;
    lkc->upgrade = true;
    lkc->upgrade_mode = 1;
    lkc->end = RUN_UPGRADE;
    lkc_leave();
}

void *heap_new(size_t size, size_t align, bool zero, uint64_t pc)
{
    struct fiber *f = self();
    mind_mode();
    struct arena *a = arena_of(f->tid);
    if (align < 16)
        align = 16;
    uintptr_t addr = (a->next + align - 1) & ~(uintptr_t)(align - 1);
    if (size > ARENA || addr + size + 16 > a->base + ARENA)
        return NULL;
    a->next = addr + size + 16; /* a gap, so that one past the end is nobody's */
    LKC_GROW(a->block, a->cap_blocks, a->nblocks + 1);
    a->block[a->nblocks++] = (struct block){.addr = addr, .size = size, .new_pc = pc};
    memset((void *)addr, zero ? 0 : FILL, size);
    f->lap++;
    f->unseen++;
    return (void *)addr;
}

static struct block *block_named(void *p, uint64_t pc)
{
    struct arena *a = arena_at((uintptr_t)p);
    struct block *b = a != NULL ? block_before(a, (uintptr_t)p) : NULL;
    if (b == NULL || b->addr != (uintptr_t)p)
        error_stop(LK_CHECK_BAD_FREE, pc, "free of %p, which malloc never returned", p);
    /* cppcheck-suppress nullPointer ; error_stop() does not return */
    if (b->freed) {
        lkc->race_pc = b->free_pc;
        error_stop(LK_CHECK_BAD_FREE, pc, "free of %p, which is free already", p);
    }
    return b;
}

void heap_delete(void *p, uint64_t pc)
{
    if (p == NULL)
        return;
    mind_mode();
    struct block *b = block_named(p, pc);
    plain_check_free(b->addr, b->size, pc);
    b->freed = true;
    b->free_pc = pc;
    self()->lap++;
    self()->unseen++;
}

size_t heap_size(const void *p)
{
    struct arena *a = arena_at((uintptr_t)p);
    const struct block *b = a != NULL ? block_before(a, (uintptr_t)p) : NULL;
    return b != NULL && b->addr == (uintptr_t)p ? b->size : 0;
}

void heap_check(uintptr_t addr, size_t size, uint64_t pc)
{
    struct arena *a = arena_at(addr);
    if (a == NULL) {
        if (addr < 4096)
            error_stop(LK_CHECK_CRASH, pc, "access through a null pointer (address %#lx)",
                       (unsigned long)addr);
        return;
    }
    const struct block *b = block_before(a, addr);
    if (b == NULL || addr + size > b->addr + b->size)
        error_stop(LK_CHECK_OUT_OF_BOUNDS, pc, "access of %zu bytes at %#lx, outside every block",
                   size, (unsigned long)addr);
    /* cppcheck-suppress nullPointerRedundantCheck ; error_stop() does not return */
    if (b->freed) {
        lkc->race_pc = b->free_pc;
        error_stop(LK_CHECK_USE_AFTER_FREE, pc, "access to freed memory at %#lx",
                   (unsigned long)addr);
    }
}

/* Memory from malloc is filled with a pattern; what still has it was never written. */
bool heap_unwritten(uintptr_t addr, unsigned size)
{
    if (arena_at(addr) == NULL)
        return false;
    for (unsigned i = 0; i < size; i++)
        if (((const unsigned char *)addr)[i] != FILL)
            return false;
    return true;
}

bool heap_any(void)
{
    const struct heap *h = heap();
    for (uint32_t i = 0; i < h->narenas; i++)
        if (h->arena[i].nblocks != 0)
            return true;
    return false;
}

bool heap_name(uintptr_t addr, char *text, size_t size)
{
    struct arena *a = arena_at(addr);
    const struct block *b = a != NULL ? block_before(a, addr) : NULL;
    if (b == NULL)
        return false;
    (void)snprintf(text, size, "block %u of T%u, byte %lu", (unsigned)(b - a->block),
                   (unsigned)(a - heap()->arena), (unsigned long)(addr - b->addr));
    return true;
}

uint64_t heap_state(uint64_t h)
{
    const uint64_t k = 0xff51afd7ed558ccdu;
    for (uint32_t i = 0; i < heap()->narenas; i++) {
        const struct arena *a = &heap()->arena[i];
        for (const uint64_t *p = (const uint64_t *)a->base; p < (const uint64_t *)a->next; p++)
            h = (h ^ *p ^ h >> 32) * k;
        for (uint32_t b = 0; b < a->nblocks; b++)
            h = (h ^ a->block[b].size ^ (uint64_t)a->block[b].freed << 63 ^ h >> 32) * k;
    }
    return h;
}

/* ---- leaks: blocks that nothing refers to
 * ------------------------------------------------------ */

static void mark_value(uint64_t value)
{
    struct arena *a = arena_at((uintptr_t)value);
    struct block *b = a != NULL ? block_before(a, (uintptr_t)value) : NULL;
    if (b == NULL || b->freed || b->marked || value > b->addr + b->size)
        return;
    b->marked = true;
    lkc->marked++;
}

static void mark_range(uintptr_t from, uintptr_t to)
{
    uintptr_t low = heap()->low, size = heap()->high - low;
    for (const uint64_t *p = (const uint64_t *)((from + 7) & ~(uintptr_t)7);
         (uintptr_t)(p + 1) <= to; p++)
        if (*p - low < size) /* most are no addresses of the heap */
            mark_value(*p);
}

/* Atomic locations hold what the graph says, not what memory says. */
static void mark_locations(void)
{
    const struct graph *g = &lkc->g;
    for (uint32_t i = 0; i < g->nactive; i++) {
        uint32_t loc = g->active[i];
        const struct gloc *l = &g->loc[loc];
        if (lkc->locs[loc].size != 8)
            continue;
        struct arena *a = arena_at(lkc->locs[loc].addr);
        const struct block *b = a != NULL ? block_before(a, lkc->locs[loc].addr) : NULL;
        if (b == NULL || b->marked)
            mark_value(graph_value(g, loc, l->nco == 0 ? EV_INIT : l->co[l->nco - 1]) &
                       ~(uint64_t)7);
    }
}

/* A process that is killed leaves nothing: its heap goes with it. */
static bool died(uint32_t tid)
{
    return tid < lkc->g.nthreads && lkc->g.t[tid].died != 0;
}

void heap_leaks(uintptr_t data, uintptr_t data_end)
{
    struct heap *h = heap();
    uint64_t before;
    lkc->marked = 0;
    mark_range(data, data_end);
    do { /* until nothing new is reached */
        before = lkc->marked;
        mark_locations();
        for (uint32_t i = 0; i < h->narenas; i++)
            for (uint32_t k = 0; k < h->arena[i].nblocks; k++)
                if (h->arena[i].block[k].marked)
                    mark_range(h->arena[i].block[k].addr,
                               h->arena[i].block[k].addr + h->arena[i].block[k].size);
    } while (lkc->marked != before);
    for (uint32_t i = 0; i < h->narenas; i++)
        for (uint32_t k = 0; k < h->arena[i].nblocks; k++) {
            struct block *b = &h->arena[i].block[k];
            if (!b->freed && !b->marked && !died(i))
                error_record(LK_CHECK_LEAK, i, b->new_pc, "%zu bytes are never freed", b->size);
            b->marked = false;
        }
}
