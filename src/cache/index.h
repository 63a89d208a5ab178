/* index.h - from a key to its slot. */
#ifndef LKI_INDEX_H
#define LKI_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/entry.h"
#include "cache/hash.h"
#include "cache/layout.h"

struct lki_key {
    const void *bytes;
    size_t size;
    uint64_t hash;
};

struct lki_found {
    struct lki_bucket *bucket;
    uint32_t way; /* which of the bucket's slots */
    uint32_t slot;
    uint64_t word;
    struct lki_view view;
};

enum lki_search {
    LKI_FOUND,
    LKI_ABSENT,
    LKI_UNSTEADY, /* replaced again and again under our eyes */
};

/* Find the key's entry.  Needs no lock; what it found may be gone at once: lki_view_holds().
 * Looks at each bucket once at the most, however the segment looks. */
enum lki_search lki_find(const struct lki_shard *s, const struct lki_key *key,
                         struct lki_found *found);

/* Ask for the cache lines that lki_find() will want: first the bucket, later the entry. */
void lki_find_prefetch_bucket(const struct lki_shard *s, uint64_t hash);
void lki_find_prefetch_entry(const struct lki_shard *s, uint64_t hash);

/* A read by key has used the slot: raise its frequency, at most one byte store. */
static inline void lki_slot_used(const struct lki_found *found)
{
    uint8_t *frequency = &found->bucket->frequency[found->way];
    /* [index.5] relaxed: a hint to eviction. */
    uint8_t old = lk_load_rlx_u8(frequency);
    if (old < LKI_FREQUENCY_MAX)
        lk_store_rlx_u8(frequency, (uint8_t)(old + 1)); /* [index.6] relaxed: as [index.5] */
}

/* The rest is for the holder of the shard's lock. */

/* The slot that a new entry with this hash goes to.  False if the index is full. */
bool lki_slot_for_new(const struct lki_shard *s, uint64_t hash, uint32_t *slot);

/* Make `word` what readers find in the slot; the entry was written. */
void lki_slot_publish(const struct lki_shard *s, uint32_t slot, uint64_t word);

/* Count the entry of a slot in (or out of) the buckets that it passed on its way. */
void lki_slot_count_passed(const struct lki_shard *s, uint64_t hash, uint32_t slot, bool in);

#endif
