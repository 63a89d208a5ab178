/* rebuild.c - a shard from what readers rely on: slot words and entries.
 *
 * Rebuilt: bitmap, queues, counts of passed buckets, numbers.  Kept as they are: ghosts and
 * frequencies, which are hints, and leases, whose records are each whole at every step or name a
 * dead holder.  A slot word that leads to no sound entry is dropped.
 *
 * Readers go on meanwhile.  They stop a search at a bucket that nobody passed, so while the counts
 * are being made they say "many": a search may then be long, never too short.
 *
 * Every step may be the last of this process.  The lock then still says "inconsistent", and the
 * next comer begins anew: nothing that is rebuilt is read before it was written, but for the queue
 * that an entry was in, a hint. */
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/memory.h"
#include "base/scan.h"
#include "cache/queue.h"
#include "cache/room.h"
#include "cache/section.h"

enum { PASSED_MANY = 255, AHEAD = 4, LINE = 64, KEY_NEAR = 48 };

struct rebuild {
    const struct lki_shard *s;
    bool thorough;
    bool distant;    /* there are entries that passed too many buckets to say how many */
    uint8_t *passed; /* private counts; NULL: no memory */
    uint32_t entries, used;
    uint64_t version;
};

/* An entry that is being looked at. */
struct rebuild_entry {
    const struct lki_shard *s;
    uint32_t slot;
    uint64_t word, hash;
    struct lki_view view;
};

static uint64_t word_in(const uint64_t *slot_word)
{
    /* [rebuild.1] relaxed: the dead holder's stores are ordered by [rmutex.1]. */
    return lk_load_rlx_u64(slot_word);
}

/* Mark the entry's granules; none if another entry has one of them. */
static bool take_runs(const struct lki_shard *s, struct lki_view *view, uint32_t granules)
{
    if (view->run_count == 1)
        return lki_room_take(s, (struct lki_run){view->block, granules});
    for (uint32_t i = 0; i < view->run_count; i++) {
        if (lki_room_take(s, view->runs[i]))
            continue;
        while (i-- > 0)
            lki_room_give(s, view->runs[i]);
        return false;
    }
    return true;
}

/* Count the entry in the buckets before its own that a search passes. */
static void note_passed(const struct rebuild *r, uint32_t bucket, uint32_t distance)
{
    uint32_t count = r->s->geometry->buckets;
    for (uint32_t i = 0; i < distance && i < count; i++) {
        bucket = bucket > 0 ? bucket - 1 : count - 1;
        if (r->passed[bucket] != PASSED_MANY)
            r->passed[bucket]++;
    }
}

/* Call fn with the entry's bytes from `offset` on in one piece: where they are, or a copy. */
static bool with_bytes(const struct lki_shard *s, const struct lki_view *view, size_t offset,
                       size_t size, bool (*fn)(const struct rebuild_entry *, const void *),
                       const struct rebuild_entry *entry)
{
    char *at = NULL;
    if (lki_view_span(s, view, offset, &at) >= size)
        return fn(entry, at);
    char *copy = malloc(size);
    if (copy == NULL)
        return true; /* unchecked: only what no death can cause is looked for here */
    lki_view_copy(s, view, offset, copy, size);
    bool yes = fn(entry, copy);
    free(copy);
    return yes;
}

static bool sum_fits(const struct rebuild_entry *e, const void *value)
{
    return !lki_view_sum_differs(e->s, &e->view, value);
}

static bool search_ends_here(const struct rebuild_entry *e, const void *bytes)
{
    struct lki_found found;
    struct lki_key key = {bytes, e->view.key_size, e->hash};
    return lki_find(e->s, &key, &found) == LKI_FOUND && found.slot == e->slot;
}

/* Is there an entry with this tag where a search comes by before it comes to the slot? */
static bool may_have_twin(const struct rebuild_entry *e)
{
    uint32_t count = e->s->geometry->buckets;
    uint32_t end = e->slot / LKI_BUCKET_SLOTS;
    uint32_t at = lki_hash_bucket(e->hash, count);
    uint64_t tag = lki_hash_tag(e->hash);
    for (; at != end; at = at + 1 < count ? at + 1 : 0) {
        if (lki_scan(lki_buckets(e->s)[at].word, tag) != 0)
            return true;
    }
    uint32_t mask = lki_scan(lki_buckets(e->s)[end].word, tag);
    return mask != 0 && lki_scan_first(mask) < e->slot % LKI_BUCKET_SLOTS;
}

/* Nothing that a death leaves behind fails here; a damaged or hostile segment may. */
static bool entry_belongs(struct rebuild_entry *e)
{
    const struct lki_shard *s = e->s;
    const struct lki_view *v = &e->view;
    e->hash = lki_view_hash(s, v);
    if (lki_hash_tag(e->hash) != lki_word_tag(e->word) ||
        lki_hash_shard(e->hash, s->geometry->shards) != s->index ||
        lki_slot_distance(s, e->hash, e->slot) != v->distance)
        return false;
    if (s->geometry->checksum &&
        !with_bytes(s, v, (size_t)v->key_at + v->key_size, v->value_size, sum_fits, e))
        return false;
    return !may_have_twin(e) || with_bytes(s, v, v->key_at, v->key_size, search_ends_here, e);
}

static void rebuild_slot(struct rebuild *r, uint32_t bucket, uint32_t way)
{
    const struct lki_shard *s = r->s;
    uint64_t *slot_word = &lki_buckets(s)[bucket].word[way];
    uint64_t word = word_in(slot_word);
    uint32_t granules = 0;
    if (word == 0)
        return;
    struct rebuild_entry e = {.s = s, .slot = bucket * LKI_BUCKET_SLOTS + way, .word = word};
    bool sound = lki_view_load(s, e.word, &e.view);
    if (sound) {
        granules = lki_view_granules(s, &e.view);
        sound = r->entries < s->geometry->max_entries &&
                r->used + granules <= s->geometry->capacity &&
                (!r->thorough || entry_belongs(&e)) && take_runs(s, &e.view, granules);
    }
    if (!sound) {
        lk_store_rlx_u64(slot_word, 0); /* [rebuild.2] relaxed: as [change.3] */
        return;
    }
    if (e.view.distance == LKI_DISTANCE_MANY)
        r->distant = true;
    else if (e.view.distance > 0 && r->passed != NULL)
        note_passed(r, bucket, e.view.distance);
    lki_queue_add(s, lki_queue_of(s, e.slot), e.slot, granules);
    r->entries++;
    r->used += granules;
    if (e.view.version > r->version)
        r->version = e.view.version;
}

static uint32_t count_leases(const struct lki_shard *s)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < LKI_LEASES; i++)
        held += lki_lease_records(s)[i].holder != 0;
    return held;
}

/* Entries lie anywhere: ask for those of a bucket that comes soon. */
static void prefetch_bucket(const struct lki_shard *s, uint32_t bucket)
{
    if (bucket >= s->geometry->buckets)
        return;
    for (uint32_t i = 0; i < LKI_BUCKET_SLOTS; i++) {
        uint32_t block = lki_word_block(word_in(&lki_buckets(s)[bucket].word[i]));
        if (block >= s->geometry->granules)
            continue;
        const char *entry = lki_block(s, block);
        lk_prefetch(entry);
        if ((uintptr_t)entry % LINE > LINE - KEY_NEAR) /* header and key are in two lines */
            lk_prefetch(entry + KEY_NEAR);
    }
}

static void store_passed(const struct lki_shard *s, const uint8_t *counts)
{
    for (uint32_t i = 0; i < s->geometry->buckets; i++) {
        uint8_t count = counts != NULL ? counts[i] : PASSED_MANY;
        lk_store_rlx_u8(&lki_buckets(s)[i].passed, count); /* [rebuild.3] relaxed: never too low */
    }
}

void lki_shard_rebuild(const struct lki_shard *s, bool thorough)
{
    struct lki_shard_head *head = lki_head(s);
    struct rebuild r = {.s = s, .version = head->version, .thorough = thorough};
    lki_memory_populate(s->base, s->geometry->stride);
    r.passed = calloc(s->geometry->buckets, 1);
    store_passed(s, NULL);
    lki_room_clear(s);
    lki_queue_clear(s);
    for (uint32_t bucket = 0; bucket < s->geometry->buckets; bucket++) {
        prefetch_bucket(s, bucket + AHEAD);
        for (uint32_t i = 0; i < LKI_BUCKET_SLOTS; i++)
            rebuild_slot(&r, bucket, i);
    }
    if (r.passed != NULL && !r.distant)
        store_passed(s, r.passed);
    free(r.passed);
    head->version = r.version;
    lk_store_rlx_u32(&head->entries, r.entries); /* [rebuild.4] relaxed: as [change.1] */
    lk_store_rlx_u32(&head->used, r.used);       /* [rebuild.5] relaxed: as [change.2] */
    /* [rebuild.6] relaxed: as [lease.1]. */
    lk_store_rlx_u32(&head->leases_held, count_leases(s));
}
