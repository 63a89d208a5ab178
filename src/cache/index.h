/* index.h - from a key to its slot. */
#ifndef LKI_INDEX_H
#define LKI_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/scan.h"
#include "cache/entry.h"
#include "cache/hash.h"
#include "cache/layout.h"

struct lki_key {
    const void *bytes;
    size_t size;
    uint64_t hash;
};

/* What is to be stored. */
struct lki_change {
    struct lki_key key;
    const void *value;
    size_t value_size;
    uint32_t granules; /* in one piece */
    uint64_t expire_ns;
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

static inline uint64_t lki_word_acquire(const uint64_t *word)
{
    /* [index.1] acquire, pairs with [index.2]: the entry that the word names is visible. */
    return lk_load_acq_u64(word);
}

/* For lki_look_at(): the word was not the key's; has it changed? */
enum lki_search lki_look_again(const struct lki_shard *s, const uint64_t *slot_word, uint64_t word,
                               const struct lki_key *key, struct lki_found *found);

/* Does the slot, whose tag fits, hold the key? */
static inline __attribute__((always_inline)) enum lki_search lki_look_at(const struct lki_shard *s,
                                                                         const uint64_t *slot_word,
                                                                         const struct lki_key *key,
                                                                         struct lki_found *found)
{
    uint64_t word = lki_word_acquire(slot_word);
    if (word != 0 && lki_view_load(s, word, &found->view) &&
        lki_view_key_is(s, &found->view, key->bytes, key->size)) {
        found->word = word;
        return LKI_FOUND;
    }
    return lki_look_again(s, slot_word, word, key, found);
}

/* lki_find() for the one place where a call counts. */
static inline __attribute__((always_inline)) enum lki_search lki_find_inline(
    const struct lki_shard *s, const struct lki_key *key, struct lki_found *found)
{
    uint32_t count = s->geometry->buckets;
    uint32_t at = lki_hash_bucket(key->hash, count);
    uint64_t tag = lki_hash_tag(key->hash);
    struct lki_bucket *buckets = lki_buckets(s);
    for (uint32_t probed = 0; probed < count; probed++) {
        struct lki_bucket *b = &buckets[at];
        /* Without branches: which slot it will be cannot be predicted, and a wrong prediction here
         * would wait for the bucket's cache line. */
        for (uint32_t mask = lki_scan(b->word, tag); mask != 0; mask &= mask - 1) {
            uint32_t i = lki_scan_first(mask);
            enum lki_search rc = lki_look_at(s, &b->word[i], key, found);
            if (rc == LKI_ABSENT)
                continue;
            found->bucket = b;
            found->way = i;
            found->slot = at * LKI_BUCKET_SLOTS + i;
            return rc;
        }
        /* [index.3] relaxed: raised before [index.2] publishes an entry beyond, so who may expect
         * that entry sees the count too. */
        if (lk_load_rlx_u8(&b->passed) == 0)
            return LKI_ABSENT;
        at = at + 1 < count ? at + 1 : 0;
    }
    return LKI_ABSENT;
}

/* For the holder of the lock: is what was found before it was taken still so?  If so, its expiry is
 * read again, which alone may have changed. */
static inline bool lki_found_holds(const struct lki_shard *s, struct lki_found *found)
{
    const struct lki_entry *e = lki_entry_at(s, found->view.block);
    if (!lki_entry_holds(&found->bucket->word[found->way], found->word, e, found->view.version))
        return false;
    /* [index.13] relaxed: the lock orders it. */
    found->view.expire_ns = lk_load_rlx_u64(&e->expire_ns);
    return true;
}

/* Ask for the cache lines that lki_find() will want: first the bucket, later the entry. */
void lki_find_prefetch_bucket(const struct lki_shard *s, uint64_t hash);
void lki_find_prefetch_entry(const struct lki_shard *s, uint64_t hash);

/* A read by key has used the slot: raise its frequency, at most one byte store. */
static inline void lki_frequency_raise(uint8_t *frequency)
{
    /* [index.5] relaxed: a hint to eviction. */
    uint8_t old = lk_load_rlx_u8(frequency);
    if (old < LKI_FREQUENCY_MAX)
        lk_store_rlx_u8(frequency, (uint8_t)(old + 1)); /* [index.6] relaxed: as [index.5] */
}

static inline void lki_slot_used(const struct lki_found *found)
{
    lki_frequency_raise(&found->bucket->frequency[found->way]);
}

/* The rest is for the holder of the shard's lock. */

/* The slot that a new entry with this hash goes to.  False if the index is full. */
bool lki_slot_for_new(const struct lki_shard *s, uint64_t hash, uint32_t *slot);

/* How many buckets a search for the hash goes on to come to the slot, at most LKI_DISTANCE_MANY. */
uint32_t lki_slot_distance(const struct lki_shard *s, uint64_t hash, uint32_t slot);

/* Make `word` what readers find in the slot; the entry was written. */
void lki_slot_publish(const struct lki_shard *s, uint32_t slot, uint64_t word);

/* Count the entry of a slot in (or out of) the buckets that it passed on its way. */
void lki_slot_count_passed(const struct lki_shard *s, uint64_t hash, uint32_t slot, bool in);

#endif
