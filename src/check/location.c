/* location.c - which bytes are atomic locations.  Numbers are never reused during an
 * exploration. */
#include <string.h>

#include "internal.h"

static uint32_t slot_of(uintptr_t granule)
{
    uint64_t h = granule * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) & (lkc->cap_loc_hash - 1);
}

/* The first location in addr's granule of 8 bytes, or LOC_NONE; the rest hang on `next`. */
uint32_t loc_granule(uintptr_t addr)
{
    if (lkc->cap_loc_hash == 0)
        return LOC_NONE;
    for (uint32_t i = slot_of(addr >> 3);; i = (i + 1) & (lkc->cap_loc_hash - 1)) {
        uint32_t loc = lkc->loc_hash[i];
        if (loc == LOC_NONE || lkc->locs[loc].addr >> 3 == addr >> 3)
            return loc;
    }
}

uint32_t loc_find(uintptr_t addr, unsigned size)
{
    for (uint32_t loc = loc_granule(addr); loc != LOC_NONE; loc = lkc->locs[loc].next)
        if (lkc->locs[loc].addr == addr && lkc->locs[loc].size == size)
            return loc;
    return LOC_NONE;
}

static void enter(uint32_t loc)
{
    uint32_t i = slot_of(lkc->locs[loc].addr >> 3);
    while (lkc->loc_hash[i] != LOC_NONE) {
        if (lkc->locs[lkc->loc_hash[i]].addr >> 3 == lkc->locs[loc].addr >> 3) {
            lkc->locs[loc].next = lkc->locs[lkc->loc_hash[i]].next;
            lkc->locs[lkc->loc_hash[i]].next = loc;
            return;
        }
        i = (i + 1) & (lkc->cap_loc_hash - 1);
    }
    lkc->loc_hash[i] = loc;
}

static void grow(void)
{
    uint32_t old = lkc->cap_loc_hash, cap = old != 0 ? 2 * old : 1024;
    lkc_free(lkc->loc_hash, old * sizeof *lkc->loc_hash);
    lkc->loc_hash = lkc_alloc(cap * sizeof *lkc->loc_hash);
    memset(lkc->loc_hash, 0, cap * sizeof *lkc->loc_hash);
    lkc->cap_loc_hash = cap;
    for (uint32_t i = 1; i < lkc->nlocs; i++) {
        lkc->locs[i].next = LOC_NONE;
        enter(i);
    }
}

static bool in_use(uint32_t loc)
{
    const struct graph *g = &lkc->g;
    return loc < g->cap_locs && (g->loc[loc].nco != 0 || g->loc[loc].nrd != 0);
}

uint32_t loc_get(uintptr_t addr, unsigned size, uint64_t pc)
{
    uint32_t found = LOC_NONE;
    for (uint32_t loc = loc_granule(addr); loc != LOC_NONE; loc = lkc->locs[loc].next) {
        const struct location *l = &lkc->locs[loc];
        if (l->addr == addr && l->size == size)
            found = loc;
        else if (addr < l->addr + l->size && l->addr < addr + size && in_use(loc))
            error_stop(LK_CHECK_MIXED_SIZE, pc,
                       "atomic access of %u bytes to bytes that are also accessed as %u bytes",
                       size, l->size);
    }
    if (found != LOC_NONE)
        return found;
    if (addr % size != 0)
        error_stop(LK_CHECK_MIXED_SIZE, pc, "atomic access to an unaligned address");
    if (lkc->nlocs == 0)
        lkc->nlocs = 1;
    if (2 * lkc->nlocs >= lkc->cap_loc_hash)
        grow();
    LKC_GROW(lkc->locs, lkc->cap_locs, lkc->nlocs + 1);
    lkc->locs[lkc->nlocs] = (struct location){.addr = addr, .size = (uint8_t)size};
    enter(lkc->nlocs);
    return lkc->nlocs++;
}
