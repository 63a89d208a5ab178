/* verify.c - every invariant of a cache, checked on private copies of its shards.
 *
 * A copy is taken by pread(2), so the writers that go on meanwhile and our reading are no data
 * race; it counts if no section began or ended while it was taken.
 *
 *   1  a slot word leads to an entry that is whole, inside the shard, of the word's tag and version
 *   2  a search for the entry's key ends at this slot
 *   3  no granule belongs to two entries; the checksum fits
 *   and, unless the last holder died inside (the next one rebuilds these):
 *   4  the bitmap has exactly the entries' granules: nothing leaked
 *   5  each entry is in exactly one queue, linked both ways; the queues' sums are right
 *   6  each bucket counts exactly the entries that passed it, or says "many"
 *   7  numbers of entries, granules and leases are right and within the capacity */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/error.h"
#include "cache/queue.h"
#include "cache/section.h"
#include "life/rmutex.h"

enum { COPY_TRIES = 200, PASSED_MANY = 255 };

struct verify {
    lk_cache *cache;
    struct lki_shard live; /* in the segment */
    struct lki_shard copy; /* private */
    bool dead;
    lk_cache_problem_fn *report;
    void *arg;
    uint64_t problems;
    uint64_t *bitmap; /* as the entries say */
    uint8_t *passed;  /* as the entries say */
    uint8_t *queued;  /* slots met in queues */
    char *bytes;      /* a key or a value */
    size_t bytes_capacity;
    uint32_t entries, used;
};

__attribute__((format(printf, 3, 4))) static void problem(struct verify *v, const char *place,
                                                          const char *format, ...)
{
    char text[200];
    char where[96];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)snprintf(where, sizeof where, "shard %u %s", v->live.index, place);
    if (v->problems++ == 0)
        (void)lki_fail(LK_ECORRUPT, "%s: %s", where, text);
    if (v->report != NULL)
        v->report(where, text, v->arg);
}

#define SLOT_PROBLEM(v, slot, ...)                                                                 \
    do {                                                                                           \
        char place_[64];                                                                           \
        (void)snprintf(place_, sizeof place_, "bucket %u slot %u", (slot) / LKI_BUCKET_SLOTS,      \
                       (slot) % LKI_BUCKET_SLOTS);                                                 \
        problem(v, place_, __VA_ARGS__);                                                           \
    } while (0)

/* Taking the copy.
 * ------------------------------------------------------------------------------ */

static enum lki_rmutex_state lock_state(const struct verify *v)
{
    return lki_rmutex_look(&lki_head(&v->live)->lock, v->cache->segment.presence);
}

/* How many sections began.  A section counts itself after it has the lock and before it changes
 * anything: so before a copy this is read first and the lock's state second, and after it the other
 * way round.  Then no section can hide between the two. */
static uint64_t sections_begun(const struct verify *v)
{
    /* [verify.1] acquire, pairs with [section.2]: the lock's state and the copy are read after
     * it. */
    return lk_load_acq_u64(&lki_head(&v->live)->sections);
}

static int read_shard(const struct verify *v)
{
    const struct lki_segment *segment = &v->cache->segment;
    size_t size = v->live.geometry->stride;
    off_t at = (off_t)(v->live.base - segment->base);
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(segment->fd, v->copy.base + done, size - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : LK_ESIZE;
        done += (size_t)n;
    }
    return 0;
}

static int copy_locked(struct verify *v)
{
    struct lki_section x;
    int rc = lki_section_enter(&x, v->cache, v->live.index);
    if (rc != 0)
        return rc == EROFS ? EAGAIN : rc;
    rc = read_shard(v);
    lki_section_leave(&x);
    return rc;
}

static int take_copy(struct verify *v)
{
    for (int i = 0; i < COPY_TRIES; i++) {
        uint64_t begun = sections_begun(v);
        enum lki_rmutex_state state = lock_state(v);
        if (state == LKI_RMUTEX_HELD)
            continue;
        int rc = read_shard(v);
        if (rc != 0)
            return rc;
        /* [verify.5] acquire fence, pairs with [section.3]: of a section that changed what was
         * read, the number is seen below. */
        lk_fence_acq();
        if (lock_state(v) == state && sections_begun(v) == begun) {
            v->dead = state != LKI_RMUTEX_FREE;
            return 0;
        }
    }
    v->dead = false;
    return copy_locked(v);
}

/* Entries.
 * -------------------------------------------------------------------------------------- */

static bool mark(struct verify *v, struct lki_run run)
{
    for (uint32_t i = run.first; i < run.first + run.count; i++) {
        uint64_t bit = (uint64_t)1 << (i % 64);
        if (v->bitmap[i / 64] & bit)
            return false;
        v->bitmap[i / 64] |= bit;
    }
    return true;
}

static bool reserve(struct verify *v, size_t size)
{
    if (size > v->bytes_capacity) {
        char *grown = realloc(v->bytes, size);
        if (grown == NULL)
            return false;
        v->bytes = grown;
        v->bytes_capacity = size;
    }
    return true;
}

static void note_passed(struct verify *v, uint64_t hash, uint32_t slot)
{
    uint32_t count = v->copy.geometry->buckets;
    for (uint32_t at = lki_hash_bucket(hash, count); at != slot / LKI_BUCKET_SLOTS;
         at = at + 1 < count ? at + 1 : 0) {
        if (v->passed[at] != PASSED_MANY)
            v->passed[at]++;
    }
}

static void check_search(struct verify *v, uint32_t slot, uint64_t word,
                         const struct lki_view *view)
{
    struct lki_found found;
    struct lki_key key = {v->bytes, view->key_size, 0};
    lki_view_copy_key(&v->copy, view, v->bytes);
    key.hash = lki_hash(&v->cache->key, key.bytes, key.size);
    if (lki_hash_tag(key.hash) != lki_word_tag(word))
        SLOT_PROBLEM(v, slot, "the tag is not its key's");
    else if (lki_hash_shard(key.hash, v->copy.geometry->shards) != v->copy.index)
        SLOT_PROBLEM(v, slot, "the key belongs to another shard");
    else if (lki_slot_distance(&v->copy, key.hash, slot) != view->distance)
        SLOT_PROBLEM(v, slot, "the entry says it passed %u buckets, not %u", view->distance,
                     lki_slot_distance(&v->copy, key.hash, slot));
    else if (lki_find(&v->copy, &key, &found) != LKI_FOUND)
        SLOT_PROBLEM(v, slot, "a search does not find the key");
    else if (found.slot != slot)
        SLOT_PROBLEM(v, slot, "the key is in slot %u too", found.slot);
    note_passed(v, key.hash, slot);
}

static int check_slot(struct verify *v, uint32_t slot)
{
    struct lki_view view;
    uint64_t word =
        lk_load_rlx_u64(lki_slot_word(&v->copy, slot)); /* [verify.2] relaxed: private */
    if (word == 0)
        return 0;
    if (!lki_view_load(&v->copy, word, &view)) {
        SLOT_PROBLEM(v, slot, "the word leads to no sound entry");
        return 0;
    }
    if (!reserve(v, (view.key_size > view.value_size ? view.key_size : view.value_size) + 1u))
        return ENOMEM;
    lki_view_fill_runs(&v->copy, &view);
    for (uint32_t i = 0; i < view.run_count; i++) {
        if (!mark(v, view.runs[i]))
            SLOT_PROBLEM(v, slot, "granules %u+%u belong to another entry too", view.runs[i].first,
                         view.runs[i].count);
    }
    check_search(v, slot, word, &view);
    lki_view_copy_value(&v->copy, &view, v->bytes);
    if (lki_view_damaged(&v->copy, &view, v->bytes))
        SLOT_PROBLEM(v, slot, "the checksum does not fit");
    if (!v->dead && view.version > lki_head(&v->copy)->version)
        SLOT_PROBLEM(v, slot, "the version was never given");
    v->entries++;
    v->used += lki_view_granules(&v->copy, &view);
    return 0;
}

/* What is derived.
 * ------------------------------------------------------------------------------ */

static uint32_t granules_in(const struct verify *v, uint32_t slot)
{
    struct lki_view view;
    uint64_t word =
        lk_load_rlx_u64(lki_slot_word(&v->copy, slot)); /* [verify.3] relaxed: private */
    return word != 0 && lki_view_load(&v->copy, word, &view) ? lki_view_granules(&v->copy, &view)
                                                             : 0;
}

static void check_queue(struct verify *v, enum lki_queue_name name)
{
    const struct lki_queue *q = &lki_head(&v->copy)->queues[name];
    const char *place = name == LKI_SMALL ? "small queue" : "main queue";
    uint32_t granules = 0;
    uint32_t prev = 0;
    for (uint32_t number = q->head; number != 0;) {
        if (number > v->copy.geometry->slots || v->queued[number - 1]) {
            problem(v, place, "its list leads to slot %u, %s", number - 1,
                    number > v->copy.geometry->slots ? "which does not exist" : "a second time");
            return;
        }
        const struct lki_link *link = &lki_links(&v->copy)[number - 1];
        v->queued[number - 1] = 1;
        if ((link->prev & 0x7fffffff) != prev || lki_queue_of(&v->copy, number - 1) != name)
            problem(v, place, "slot %u is not linked back", number - 1);
        granules += granules_in(v, number - 1);
        prev = number;
        number = link->next;
    }
    if (q->tail != prev || q->granules != granules)
        problem(v, place, "says tail %u, %u granules; has %u, %u", q->tail, q->granules, prev,
                granules);
}

static void check_queues(struct verify *v)
{
    check_queue(v, LKI_SMALL);
    check_queue(v, LKI_MAIN);
    for (uint32_t slot = 0; slot < v->copy.geometry->slots; slot++) {
        /* [verify.4] relaxed: private. */
        bool filled = lk_load_rlx_u64(lki_slot_word(&v->copy, slot)) != 0;
        if (filled != (v->queued[slot] != 0))
            SLOT_PROBLEM(v, slot, filled ? "the entry is in no queue" : "empty, but in a queue");
    }
}

static void check_derived(struct verify *v)
{
    const struct lki_geometry *g = v->copy.geometry;
    const struct lki_shard_head *head = lki_head(&v->copy);
    uint32_t leaked = 0;
    uint32_t missing = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < g->bitmap_words; i++) {
        leaked += (uint32_t)__builtin_popcountll(lki_bitmap(&v->copy)[i] & ~v->bitmap[i]);
        missing += (uint32_t)__builtin_popcountll(v->bitmap[i] & ~lki_bitmap(&v->copy)[i]);
    }
    if (leaked > 0)
        problem(v, "bitmap", "%u granules are taken by no entry", leaked);
    if (missing > 0)
        problem(v, "bitmap", "%u granules of entries are marked free", missing);
    for (uint32_t i = 0; i < g->buckets; i++) {
        uint8_t says = lki_buckets(&v->copy)[i].passed;
        char place[32];
        (void)snprintf(place, sizeof place, "bucket %u", i);
        if (says != v->passed[i] && says != PASSED_MANY)
            problem(v, place, "says %u entries passed it; %u did", says, v->passed[i]);
    }
    for (uint32_t i = 0; i < LKI_LEASES; i++)
        held += lki_lease_records(&v->copy)[i].holder != 0;
    if (held != head->leases_held)
        problem(v, "head", "says %u leases; there are %u", head->leases_held, held);
    if (head->entries != v->entries || head->used != v->used)
        problem(v, "head", "says %u entries of %u granules; there are %u of %u", head->entries,
                head->used, v->entries, v->used);
    if (v->entries > g->max_entries || v->used > g->capacity)
        problem(v, "head", "%u entries of %u granules are more than %u of %u", v->entries, v->used,
                g->max_entries, g->capacity);
    check_queues(v);
}

static int check_shard(struct verify *v)
{
    const struct lki_geometry *g = v->live.geometry;
    v->entries = v->used = 0;
    v->bitmap = calloc(g->bitmap_words, sizeof(uint64_t));
    v->passed = calloc(g->buckets, 1);
    v->queued = calloc(g->slots, 1);
    int rc = v->bitmap != NULL && v->passed != NULL && v->queued != NULL ? take_copy(v) : ENOMEM;
    for (uint32_t slot = 0; slot < g->slots && rc == 0; slot++)
        rc = check_slot(v, slot);
    if (rc == 0 && !v->dead)
        check_derived(v);
    free(v->bitmap);
    free(v->passed);
    free(v->queued);
    return rc;
}

int lk_cache_verify(lk_cache *c, lk_cache_problem_fn *report, void *arg)
{
    const struct lki_geometry *g = &c->geometry;
    struct verify v = {.cache = c, .report = report, .arg = arg};
    char *copy = malloc(g->stride);
    int rc = 0;
    if (copy == NULL)
        rc = lki_fail(ENOMEM, "no memory to copy a shard of %zu bytes", g->stride);
    for (uint32_t i = 0; i < g->shards && rc == 0; i++) {
        v.live = lki_shard_at(c, i);
        v.copy = v.live;
        v.copy.base = copy;
        rc = check_shard(&v);
        if (rc == EAGAIN)
            rc = lki_fail(EAGAIN, "shard %u is busy", i);
    }
    free(copy);
    free(v.bytes);
    return rc == 0 && v.problems > 0 ? LK_ECORRUPT : rc;
}
