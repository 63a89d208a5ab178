/* rebuild.c - a shard from what readers rely on: slot words and entries.
 *
 * Rebuilt: bitmap, queues, counts of passed buckets, numbers.  Kept as they are: ghosts and
 * frequencies, which are hints, and leases, whose records are each whole at every step or name a dead
 * holder.  A slot word that leads to no sound entry is dropped.
 *
 * Readers go on meanwhile.  They stop a search at a bucket that nobody passed, so while the counts are
 * being made they say "many": a search may then be long, never too short.
 *
 * Every step may be the last of this process.  The lock then still says "inconsistent", and the next
 * comer begins anew: nothing that is rebuilt is read before it was written, but for the queue that an
 * entry was in, a hint. */
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "cache/queue.h"
#include "cache/room.h"
#include "cache/section.h"

enum { PASSED_MANY = 255, AHEAD = 2 };

struct rebuild {
    const struct lki_shard *s;
    uint8_t *passed; /* private counts; NULL: no memory, then "many" stays */
    uint32_t entries, used;
    uint64_t version;
};

static uint64_t word_in(const struct lki_shard *s, uint32_t slot)
{
    /* [rebuild.1] relaxed: the dead holder's stores are ordered by [rmutex.1]. */
    return lk_load_rlx_u64(lki_slot_word(s, slot));
}

/* Mark the entry's granules; none if another entry has one of them. */
static bool take_runs(const struct lki_shard *s, struct lki_view *view)
{
    lki_view_fill_runs(s, view);
    for (uint32_t i = 0; i < view->run_count; i++) {
        if (lki_room_take(s, view->runs[i]))
            continue;
        while (i-- > 0)
            lki_room_give(s, view->runs[i]);
        return false;
    }
    return true;
}

static void note_passed(struct rebuild *r, uint64_t hash, uint32_t slot)
{
    uint32_t count = r->s->geometry->buckets;
    uint32_t end = slot / LKI_BUCKET_SLOTS;
    uint32_t at = lki_hash_bucket(hash, count);
    while (r->passed != NULL && at != end) {
        if (r->passed[at] != PASSED_MANY)
            r->passed[at]++;
        at = at + 1 < count ? at + 1 : 0;
    }
}

static void rebuild_slot(struct rebuild *r, uint32_t slot)
{
    const struct lki_shard *s = r->s;
    struct lki_view view;
    uint64_t word = word_in(s, slot);
    if (word == 0)
        return;
    uint64_t hash = 0;
    uint32_t granules = 0;
    bool sound = lki_view_load(s, word, &view);
    if (sound) {
        granules = lki_view_granules(s, &view);
        hash = lki_view_hash(s, &view);
        sound = lki_hash_tag(hash) == lki_word_tag(word) &&
                r->entries < s->geometry->max_entries &&
                r->used + granules <= s->geometry->granules && take_runs(s, &view);
    }
    if (!sound) {
        lk_store_rlx_u64(lki_slot_word(s, slot), 0); /* [rebuild.2] relaxed: as [change.3] */
        return;
    }
    note_passed(r, hash, slot);
    lki_queue_add(s, lki_queue_of(s, slot), slot, granules);
    r->entries++;
    r->used += granules;
    if (view.version > r->version)
        r->version = view.version;
}

/* Entries lie anywhere: ask for those of a bucket that comes soon. */
static void prefetch_bucket(const struct lki_shard *s, uint32_t bucket)
{
    if (bucket >= s->geometry->buckets)
        return;
    for (uint32_t i = 0; i < LKI_BUCKET_SLOTS; i++) {
        uint32_t block = lki_word_block(word_in(s, bucket * LKI_BUCKET_SLOTS + i));
        if (block < s->geometry->granules)
            lk_prefetch(lki_block(s, block));
    }
}

static void store_passed(const struct lki_shard *s, const uint8_t *counts)
{
    for (uint32_t i = 0; i < s->geometry->buckets; i++) {
        uint8_t count = counts != NULL ? counts[i] : PASSED_MANY;
        lk_store_rlx_u8(&lki_buckets(s)[i].passed, count); /* [rebuild.3] relaxed: never too low */
    }
}

void lki_shard_rebuild(const struct lki_shard *s)
{
    struct lki_shard_head *head = lki_head(s);
    struct rebuild r = {.s = s, .version = head->version};
    r.passed = calloc(s->geometry->buckets, 1);
    store_passed(s, NULL);
    lki_room_clear(s);
    lki_queue_clear(s);
    for (uint32_t bucket = 0; bucket < s->geometry->buckets; bucket++) {
        prefetch_bucket(s, bucket + AHEAD);
        for (uint32_t i = 0; i < LKI_BUCKET_SLOTS; i++)
            rebuild_slot(&r, bucket * LKI_BUCKET_SLOTS + i);
    }
    if (r.passed != NULL)
        store_passed(s, r.passed);
    free(r.passed);
    head->version = r.version;
    lk_store_rlx_u32(&head->entries, r.entries); /* [rebuild.4] relaxed: as [change.1] */
    lk_store_rlx_u32(&head->used, r.used);       /* [rebuild.5] relaxed: as [change.2] */
}
