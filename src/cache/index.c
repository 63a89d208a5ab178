/* index.c - buckets of seven slots, linear probing from bucket to bucket.
 *
 * An entry never moves to another slot.  Each bucket counts the entries that passed it on their
 * way, so a search stops at the first bucket that nobody passed.  The count is raised before the
 * slot word is published and lowered after it is gone: it is never too low for an entry that can be
 * seen. */
#include "cache/index.h"

#include "base/atomic.h"
#include "base/scan.h"

enum { FIND_TRIES = 64, PASSED_MAX = 255 };

static uint8_t passed_count(const struct lki_bucket *b)
{
    /* [index.10] relaxed: under the lock. */
    return lk_load_rlx_u8(&b->passed);
}

/* A slot word that changes while we look is looked at again. */
enum lki_search lki_look_again(const struct lki_shard *s, const uint64_t *slot_word, uint64_t word,
                               const struct lki_key *key, struct lki_found *found)
{
    for (int i = 0; i < FIND_TRIES; i++) {
        /* [index.14] acquire fence, pairs with [entry.5]: whoever's bytes made us say no, the slot
         * word's change that came before them is seen below. */
        lk_fence_acq();
        uint64_t again = lki_word_acquire(slot_word);
        if (again == word)
            return LKI_ABSENT; /* another key of this tag, or a word that leads nowhere */
        word = again;
        if (word == 0 || lki_word_tag(word) != lki_hash_tag(key->hash))
            return LKI_ABSENT;
        if (lki_view_load(s, word, &found->view) &&
            lki_view_key_is(s, &found->view, key->bytes, key->size)) {
            found->word = word;
            return LKI_FOUND;
        }
    }
    return LKI_UNSTEADY;
}

enum lki_search lki_find(const struct lki_shard *s, const struct lki_key *key,
                         struct lki_found *found)
{
    return lki_find_inline(s, key, found);
}

void lki_find_prefetch_bucket(const struct lki_shard *s, uint64_t hash)
{
    lk_prefetch(&lki_buckets(s)[lki_hash_bucket(hash, s->geometry->buckets)]);
}

void lki_find_prefetch_entry(const struct lki_shard *s, uint64_t hash)
{
    const struct lki_bucket *b = &lki_buckets(s)[lki_hash_bucket(hash, s->geometry->buckets)];
    for (uint32_t mask = lki_scan(b->word, lki_hash_tag(hash)); mask != 0; mask &= mask - 1) {
        /* [index.9] relaxed: a guess that decides nothing. */
        uint64_t word = lk_load_rlx_u64(&b->word[lki_scan_first(mask)]);
        if (lki_word_block(word) >= s->geometry->granules)
            continue;
        const char *entry = lki_block(s, lki_word_block(word));
        lk_prefetch(entry);
        lk_prefetch(entry + 64);
        lk_prefetch(entry + 128);
    }
}

bool lki_slot_for_new(const struct lki_shard *s, uint64_t hash, uint32_t *slot)
{
    uint32_t count = s->geometry->buckets;
    uint32_t at = lki_hash_bucket(hash, count);
    for (uint32_t probed = 0; probed < count; probed++) {
        const struct lki_bucket *b = &lki_buckets(s)[at];
        for (uint32_t i = 0; i < LKI_BUCKET_SLOTS; i++) {
            /* [index.7] relaxed: only the holder of the lock fills slots. */
            if (lk_load_rlx_u64(&b->word[i]) != 0)
                continue;
            *slot = at * LKI_BUCKET_SLOTS + i;
            return true;
        }
        at = at + 1 < count ? at + 1 : 0;
    }
    return false;
}

uint32_t lki_slot_distance(const struct lki_shard *s, uint64_t hash, uint32_t slot)
{
    uint32_t count = s->geometry->buckets;
    uint32_t begin = lki_hash_bucket(hash, count);
    uint32_t end = slot / LKI_BUCKET_SLOTS;
    uint32_t distance = end >= begin ? end - begin : end + count - begin;
    return distance < LKI_DISTANCE_MANY ? distance : LKI_DISTANCE_MANY;
}

void lki_slot_publish(const struct lki_shard *s, uint32_t slot, uint64_t word)
{
    /* [index.2] release, pairs with [index.1] [each.1]: the entry and the counts of passed buckets
     * first. */
    lk_store_rel_u64(lki_slot_word(s, slot), word);
}

void lki_slot_count_passed(const struct lki_shard *s, uint64_t hash, uint32_t slot, bool in)
{
    uint32_t count = s->geometry->buckets;
    uint32_t end = slot / LKI_BUCKET_SLOTS;
    uint32_t at = lki_hash_bucket(hash, count);
    for (uint32_t walked = 0; at != end && walked < count; walked++) {
        struct lki_bucket *b = &lki_buckets(s)[at];
        uint8_t old = passed_count(b);
        uint8_t now = old;
        if (old != PASSED_MAX && (in || old > 0))
            now = (uint8_t)(in ? old + 1 : old - 1);
        lk_store_rlx_u8(&b->passed, now); /* [index.8] relaxed: ordered by [index.2], see the top */
        at = at + 1 < count ? at + 1 : 0;
    }
}
