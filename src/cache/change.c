/* change.c - storing and removing entries.  The shard is locked.
 *
 * Order of a store: make room, write the entry where nobody looks, publish it by one store of the
 * slot word, then give back what the old entry had.  Killed before the publishing store, the key
 * has its old entry; after it, the new one.  What is derived (bitmap, queues, counts) may be left
 * half changed: the lock says so, and the next comer rebuilds it. */
#include "cache/section.h"

#include <errno.h>
#include <stddef.h>

#include "base/atomic.h"
#include "cache/queue.h"
#include "cache/read.h"
#include "cache/room.h"

/* The numbers that statistics read without the lock. */
static void set_counts(const struct lki_shard *s, uint32_t entries, uint32_t used)
{
    struct lki_shard_head *head = lki_head(s);
    lk_store_rlx_u32(&head->entries, entries); /* [change.1] relaxed: a number for reports */
    lk_store_rlx_u32(&head->used, used);       /* [change.2] relaxed: a number for reports */
}

static uint64_t next_version(const struct lki_shard *s)
{
    struct lki_shard_head *head = lki_head(s);
    uint64_t count = (head->version >> LKI_VERSION_SHIFT) + 1;
    if (count >> (64 - LKI_VERSION_SHIFT) != 0)
        count = 1; /* no cache lives so long, but a damaged one may say so; 0 is no version */
    head->version = count << LKI_VERSION_SHIFT | s->index;
    return head->version;
}

/* Take the entry away from readers and give back what it had. */
static void drop(struct lki_section *x, uint32_t slot, uint64_t hash, struct lki_view *view)
{
    const struct lki_shard *s = &x->shard;
    struct lki_shard_head *head = lki_head(s);
    uint32_t granules = lki_view_granules(s, view);
    /* [change.3] relaxed: the next write into these granules orders it by [entry.5]. */
    lk_store_rlx_u64(lki_slot_word(s, slot), 0);
    lki_queue_remove(s, slot, granules);
    lki_slot_count_passed(s, hash, slot, false);
    lki_room_give_all(s, view, granules);
    set_counts(s, head->entries - 1, head->used - granules);
}

/* Push one entry out.  False if there is none but `keep`. */
static bool evict_one(struct lki_section *x, uint32_t keep)
{
    const struct lki_shard *s = &x->shard;
    struct lki_view view;
    uint32_t slot = 0;
    uint32_t promoted = 0;
    bool small = false;
    bool found = lki_queue_victim(s, keep, &slot, &small, &promoted);
    if (promoted > 0)
        lki_count(x->self, LKI_PROMOTIONS, promoted);
    if (!found)
        return false;
    /* [change.4] relaxed: the lock orders it. */
    uint64_t word = lk_load_rlx_u64(lki_slot_word(s, slot));
    if (word == 0 || !lki_view_load(s, word, &view))
        return false;
    uint64_t hash = lki_view_hash(s, &view);
    bool expired = lki_expired(view.expire_ns);
    if (small && !expired)
        lki_ghost_add(s, hash);
    drop(x, slot, hash, &view);
    lki_count(x->self, expired ? LKI_EXPIRATIONS : LKI_EVICTIONS, 1);
    return true;
}

/* Evict until `granules` more than now, and `entries` more, are within the capacity. */
static bool make_room(struct lki_section *x, uint32_t granules, uint32_t without, uint32_t entries,
                      uint32_t keep)
{
    const struct lki_geometry *g = x->shard.geometry;
    const struct lki_shard_head *head = lki_head(&x->shard);
    while (head->entries + entries > g->max_entries) {
        bool fits = (uint64_t)head->used + granules <= (uint64_t)g->capacity + without;
        if (!evict_one(x, keep))
            return false;
        if (fits)
            lki_count(x->self, LKI_INDEX_FULL, 1);
    }
    while ((uint64_t)head->used + granules > (uint64_t)g->capacity + without) {
        if (!evict_one(x, keep))
            return false;
    }
    return true;
}

static uint32_t granules_of(const struct lki_run *runs, uint32_t count)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += runs[i].count;
    return sum;
}

/* Find granules for the entry, evicting until there are; in pieces it takes some more than
 * make_room() was asked for. */
static uint32_t find_room(struct lki_section *x, const struct lki_change *change, uint32_t without,
                          uint32_t keep, struct lki_run runs[LKI_RUNS_MAX])
{
    const struct lki_shard *s = &x->shard;
    for (;;) {
        uint32_t count = lki_room_find(s, change, runs);
        uint64_t used = (uint64_t)lki_head(s)->used + granules_of(runs, count);
        if (count > 0 && used <= (uint64_t)s->geometry->capacity + without)
            return count;
        for (uint32_t i = 0; i < count; i++)
            lki_room_give(s, runs[i]);
        if (!evict_one(x, keep))
            return 0;
    }
}

static uint64_t write_entry(struct lki_section *x, const struct lki_change *change,
                            uint32_t distance, const struct lki_run *runs, uint32_t count)
{
    struct lki_entry_source source = {.key = change->key.bytes,
                                      .value = change->value,
                                      .key_size = (uint32_t)change->key.size,
                                      .value_size = (uint32_t)change->value_size,
                                      .distance = distance,
                                      .version = next_version(&x->shard),
                                      .expire_ns = change->expire_ns};
    lki_entry_write(&x->shard, runs, count, &source);
    if (count > 1)
        lki_count(x->self, LKI_FRAGMENTED, 1);
    return lki_word_make(lki_hash_tag(change->key.hash), source.version, runs[0].first);
}

static int store_over(struct lki_section *x, const struct lki_change *change, struct lki_found *old)
{
    const struct lki_shard *s = &x->shard;
    struct lki_shard_head *head = lki_head(s);
    struct lki_run runs[LKI_RUNS_MAX];
    uint32_t freed = lki_view_granules(s, &old->view);
    uint32_t count = 1;
    bool alike = freed == change->granules && head->used <= s->geometry->capacity;
    if (!alike || !lki_room_take_next(s, freed, &runs[0])) {
        (void)make_room(x, change->granules, freed, 0, old->slot);
        count = find_room(x, change, freed, old->slot, runs);
    }
    if (count == 0) {
        /* Only the old entry is left and is in the way: the key is absent until the new one is
         * in. */
        drop(x, old->slot, change->key.hash, &old->view);
        return lki_change_store(x, change, NULL);
    }
    uint32_t granules = granules_of(runs, count);
    lki_slot_publish(s, old->slot, write_entry(x, change, old->view.distance, runs, count));
    lki_room_give_all(s, &old->view, freed);
    if (granules != freed) { /* most often not, and the queue's link is in a line of its own */
        lki_queue_resize(s, old->slot, freed, granules);
        set_counts(s, head->entries, head->used - freed + granules);
    }
    lki_slot_used(old);
    return 0;
}

static int store_new(struct lki_section *x, const struct lki_change *change)
{
    const struct lki_shard *s = &x->shard;
    struct lki_shard_head *head = lki_head(s);
    struct lki_run runs[LKI_RUNS_MAX];
    uint32_t slot;
    bool known = lki_ghost_take(s, change->key.hash);
    (void)make_room(x, change->granules, 0, 1, UINT32_MAX);
    uint32_t count = find_room(x, change, 0, UINT32_MAX, runs);
    if (count == 0 || !lki_slot_for_new(s, change->key.hash, &slot))
        return EAGAIN;
    uint32_t granules = granules_of(runs, count);
    uint32_t distance = lki_slot_distance(s, change->key.hash, slot);
    uint64_t word = write_entry(x, change, distance, runs, count);
    lk_store_rlx_u8(lki_slot_frequency(s, slot), 0); /* [change.5] relaxed: a hint */
    lki_slot_count_passed(s, change->key.hash, slot, true);
    lki_slot_publish(s, slot, word);
    lki_queue_add(s, known ? LKI_MAIN : LKI_SMALL, slot, granules);
    set_counts(s, head->entries + 1, head->used + granules);
    if (known)
        lki_count(x->self, LKI_GHOST_HITS, 1);
    return 0;
}

int lki_change_store(struct lki_section *x, const struct lki_change *change, struct lki_found *old)
{
    int rc = old != NULL ? store_over(x, change, old) : store_new(x, change);
    if (rc != EAGAIN)
        return rc;
    /* No room though everything was evicted: what is derived contradicts the entries. */
    lki_shard_rebuild(&x->shard, true);
    lki_count(x->self, LKI_REPAIRS, 1);
    return store_new(x, change);
}

int lki_change_make(const struct lk_cache *c, struct lki_change *change, const void *key,
                    size_t key_size, const void *value, size_t value_size)
{
    const struct lki_geometry *g = &c->geometry;
    int rc = lki_key_make(c, &change->key, key, key_size);
    if (rc != 0 || (value == NULL && value_size > 0))
        return EINVAL;
    if (value_size > g->value_limit && value_size > g->granule)
        return E2BIG;
    change->value = value;
    change->value_size = value_size;
    change->granules = lki_entry_granules(g, key_size, value_size, 1);
    return change->granules != 0 ? 0 : E2BIG;
}

int lki_change_put(struct lki_section *x, struct lki_change *change, uint64_t ttl_ns,
                   struct lki_found *old)
{
    bool fresh = old != NULL && !lki_expired(old->view.expire_ns);
    if (ttl_ns == LK_TTL_KEEP && !fresh)
        ttl_ns = LK_TTL_DEFAULT;
    change->expire_ns = lki_expiry(x->shard.cache, ttl_ns, fresh ? old->view.expire_ns : 0);
    int rc = lki_change_store(x, change, old);
    if (rc == 0)
        lki_count(x->self, LKI_SETS, 1);
    return rc;
}

void lki_change_remove(struct lki_section *x, uint64_t hash, struct lki_found *old)
{
    drop(x, old->slot, hash, &old->view);
}

void lki_change_flush(struct lki_section *x)
{
    const struct lki_shard *s = &x->shard;
    for (uint32_t i = 0; i < s->geometry->buckets; i++) {
        struct lki_bucket *b = &lki_buckets(s)[i];
        for (uint32_t j = 0; j < LKI_BUCKET_SLOTS; j++)
            lk_store_rlx_u64(&b->word[j], 0); /* [change.6] relaxed: as [change.3] */
    }
    /* Not before all words are gone: who was killed in between must not have hidden an entry that
     * the next holder would bring back. */
    for (uint32_t i = 0; i < s->geometry->buckets; i++)
        lk_store_rlx_u8(&lki_buckets(s)[i].passed, 0); /* [change.7] relaxed: nothing to find */
    lki_queue_clear(s);
    lki_room_clear(s);
    set_counts(s, 0, 0);
}
