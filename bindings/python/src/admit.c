/* admit.c - is a result that was just computed worth its place in the shared cache?
 *
 * To store costs more than many a computation: it evicts something, and every process then fetches
 * the changed cache lines.  That is the ski-rental problem: rent until the rents have cost as much
 * as the skis.  So once this process has stored the whole cache TURNED_OVER times, a result that
 * takes less than CHEAP_NS is stored when its key has been missed so often that computing it has
 * cost as much as storing it does, which makes it at most twice as dear as the best choice with
 * hindsight.  Both are timed now and then, so the number follows how far the processors are apart;
 * a store counts STORE_WEIGHT times, once for here, the rest for those who fetch what it changed
 * (two processes on processors far apart: at 2 they do 1.63 times the calls of one, at 4 1.73, at 8
 * 1.85, with 67, 66 and 64 % hits; LRU has 64 %).
 *
 * The door remembers keys missed lately, one to a place; a key that finds another there wears that
 * one's count down before it comes in, so of two that meet the more frequent stays.
 *
 * Source: A. Karlin, M. Manasse, L. Rudolph, D. Sleator, "Competitive snoopy caching", 1988;
 * R. Boyer, J Moore, "MJRTY: a fast majority vote algorithm", 1981. */
#include "core.h"

#include <string.h>

#include "admit.h"

enum { CHEAP_NS = 1000, TURNED_OVER = 8, TIMED = 16, MISSES_MIN = 2, MISSES_MAX = 255 };
enum { STORE_WEIGHT = 5, DOOR_MIN = 16, DOOR_MAX = 1 << 24 };

/* Towards the median, an eighth at a time: one long interruption moves it no further than a short
 * one. */
static void follow(uint64_t *about, uint64_t ns)
{
    uint64_t step = *about / 8 + 1;
    if (*about == 0)
        *about = ns + 1;
    else if (ns > *about)
        *about += step;
    else if (ns < *about)
        *about -= step < *about ? step : *about - 1;
}

void lkp_admit_computed(struct lkp_admission *a, uint64_t ns)
{
    follow(&a->compute_ns, ns);
}

uint64_t lkp_admit_begin(struct lkp_admission *a)
{
    if (++a->untimed < TIMED)
        return 0;
    a->untimed = 0;
    return lkp_mono_ns();
}

void lkp_admit_stored(struct lkp_admission *a, uint64_t begun)
{
    a->stored++;
    if (begun != 0)
        follow(&a->store_ns, lkp_mono_ns() - begun);
}

static uint64_t key_hash(const char *key, size_t size)
{
    uint64_t hash = size;
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        memcpy(&word, key + at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    for (; at < size; at++)
        hash = (hash ^ (unsigned char)key[at]) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static bool make_door(struct lkp_admission *a, uint32_t max_size)
{
    uint32_t size = DOOR_MIN;
    while (size / 2 < max_size && size < DOOR_MAX)
        size *= 2;
    a->door = PyMem_Calloc(size, sizeof *a->door);
    a->door_mask = size - 1;
    return a->door != NULL;
}

/* How many misses of a key cost as much as to store its result, here and with the others. */
static uint32_t misses_wanted(const struct lkp_admission *a)
{
    uint64_t misses = STORE_WEIGHT * a->store_ns / a->compute_ns;
    return misses < MISSES_MIN ? MISSES_MIN : misses > MISSES_MAX ? MISSES_MAX : (uint32_t)misses;
}

bool lkp_admit(struct lkp_admission *a, uint32_t max_size, const char *key, size_t size)
{
    if (a->compute_ns == 0 || a->compute_ns >= CHEAP_NS ||
        a->stored < (uint64_t)max_size * TURNED_OVER ||
        (a->door == NULL && !make_door(a, max_size)))
        return true;
    uint64_t hash = key_hash(key, size);
    uint32_t *place = &a->door[hash & a->door_mask];
    uint32_t print = (uint32_t)(hash >> 40) << 8, misses = *place & 0xff;
    bool enough = false;
    if (misses == 0)
        *place = print | 1;
    else if ((*place ^ print) >> 8 != 0)
        *place -= 1;
    else if (misses + 1 < misses_wanted(a))
        *place += 1;
    else
        enough = true;
    if (enough)
        *place = 0;
    return enough;
}

void lkp_admit_forget(struct lkp_admission *a)
{
    a->stored = 0;
}

void lkp_admit_end(struct lkp_admission *a)
{
    PyMem_Free(a->door);
    a->door = NULL;
}
