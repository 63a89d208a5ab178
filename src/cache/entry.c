/* entry.c - reading an entry without a lock, and writing one that nobody sees yet.
 *
 * Reader                                     Writer (shard locked)
 *   [entry.1] acquire: version, not 0          (the slot's old word is gone or replaced)
 *   copy, relaxed                              [entry.4] release: version = 0
 *   [entry.2] acquire fence                    [entry.5] release fence
 *   [index.1] word and [entry.3] version       bytes, relaxed
 *             as they were                     [entry.6] release: version;  [index.2] release: word
 * A reader that copied any byte of a later entry of these granules sees, behind its fence, what was
 * stored before the later writer's fence: the slot word is another one, or the version is. */
#include "cache/entry.h"

#include <string.h>

#include "base/atomic.h"
#include "base/copy.h"
#include "base/crc32c.h"
#include "cache/hash.h"

uint32_t lki_entry_granules(const struct lki_geometry *g, size_t key_size, size_t value_size,
                            uint32_t runs)
{
    uint64_t bytes = (uint64_t)lki_entry_fixed_bytes(g, runs) + key_size + value_size;
    uint64_t granules = (bytes + g->granule - 1) / g->granule;
    return granules <= g->entry_limit ? (uint32_t)granules : 0;
}

bool lki_view_load_runs(const struct lki_shard *s, struct lki_view *view)
{
    const struct lki_geometry *g = s->geometry;
    uint64_t table[LKI_RUNS_MAX];
    uint32_t others = view->run_count - 1;
    uint32_t rest = lki_entry_granules(g, view->key_size, view->value_size, view->run_count);
    uint32_t table_at = lki_entry_fixed_bytes(g, 1);
    uint64_t first_need = (table_at + others * sizeof(uint64_t) + g->granule - 1) / g->granule;
    if (view->block + first_need > g->granules)
        return false;
    lki_copy_out(table, lki_block(s, view->block) + table_at, others * sizeof(uint64_t));
    for (uint32_t i = 0; i < others; i++) {
        uint32_t first = (uint32_t)(table[i] >> 32);
        uint32_t count = (uint32_t)table[i];
        if (count == 0 || count >= rest || first >= g->granules || count > g->granules - first)
            return false;
        rest -= count;
        view->runs[i + 1] = (struct lki_run){first, count};
    }
    if (rest < first_need || rest > g->granules - view->block)
        return false;
    view->runs[0] = (struct lki_run){view->block, rest};
    return true;
}

uint32_t lki_view_granules(const struct lki_shard *s, const struct lki_view *view)
{
    return lki_entry_granules(s->geometry, view->key_size, view->value_size, view->run_count);
}

void lki_view_fill_runs(const struct lki_shard *s, struct lki_view *view)
{
    if (view->run_count == 1)
        view->runs[0] = (struct lki_run){view->block, lki_view_granules(s, view)};
}

size_t lki_view_span(const struct lki_shard *s, const struct lki_view *view, size_t offset,
                     char **at)
{
    size_t granule = s->geometry->granule;
    if (__builtin_expect(view->run_count == 1, 1)) {
        *at = lki_block(s, view->block) + offset;
        return view->bytes - offset;
    }
    for (uint32_t i = 0; i < view->run_count; i++) {
        size_t bytes = view->runs[i].count * granule;
        if (offset < bytes) {
            *at = lki_block(s, view->runs[i].first) + offset;
            return bytes - offset;
        }
        offset -= bytes;
    }
    return 0;
}

void lki_view_copy(const struct lki_shard *s, const struct lki_view *view, size_t offset, char *buf,
                   size_t n)
{
    while (n > 0) {
        char *at;
        size_t span = lki_view_span(s, view, offset, &at);
        size_t step = span < n ? span : n;
        if (step == 0)
            return;
        lki_copy_out(buf, at, step);
        buf += step;
        offset += step;
        n -= step;
    }
}

bool lki_view_key_is_in_pieces(const struct lki_shard *s, const struct lki_view *view,
                               const void *key, size_t key_size)
{
    const char *k = key;
    size_t offset = view->key_at;
    while (key_size > 0) {
        char *at;
        size_t span = lki_view_span(s, view, offset, &at);
        size_t step = span < key_size ? span : key_size;
        if (step == 0 || !lki_copy_equal(at, k, step))
            return false;
        k += step;
        offset += step;
        key_size -= step;
    }
    return true;
}

uint64_t lki_view_hash(const struct lki_shard *s, const struct lki_view *view)
{
    const struct lki_hash_key *key = &s->cache->key;
    char *at = NULL;
    size_t span = lki_view_span(s, view, view->key_at, &at);
    if (span >= view->key_size)
        return lki_hash(key, at, view->key_size);
    if (view->key_size <= LKI_HASH_SHORT) {
        char whole[LKI_HASH_SHORT] = {0};
        lki_view_copy_key(s, view, whole);
        return lki_hash(key, whole, view->key_size);
    }
    struct lki_hasher hasher;
    size_t left = view->key_size;
    size_t offset = view->key_at;
    lki_hash_begin(&hasher, key);
    while (left > 0 && span > 0) {
        size_t step = span < left ? span : left;
        lki_hash_add(&hasher, at, step);
        left -= step;
        offset += step;
        span = lki_view_span(s, view, offset, &at);
    }
    return lki_hash_end(&hasher);
}

bool lki_view_sum_differs(const struct lki_shard *s, const struct lki_view *view, const void *value)
{
    uint64_t stored;
    lki_copy_out(&stored, lki_block(s, view->block) + LKI_ENTRY_HEADER, sizeof stored);
    return stored != lki_crc32c(value, view->value_size);
}

/* A place in an entry that is being written. */
struct writing {
    const struct lki_shard *s;
    const struct lki_run *run; /* where the next byte goes */
    size_t offset;             /* in that run */
};

static void put(struct writing *w, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        size_t room = (size_t)w->run->count * w->s->geometry->granule - w->offset;
        size_t step = room < n ? room : n;
        lki_copy_in(lki_block(w->s, w->run->first) + w->offset, p, step);
        p += step;
        n -= step;
        w->offset += step;
        if (step == room) {
            w->run++;
            w->offset = 0;
        }
    }
}

void lki_entry_write(const struct lki_shard *s, const struct lki_run *runs, uint32_t run_count,
                     const struct lki_entry_source *source)
{
    struct lki_entry *e = lki_entry_at(s, runs[0].first);
    struct writing w = {.s = s, .run = runs, .offset = LKI_ENTRY_HEADER};
    uint64_t shape = (uint64_t)source->value_size << 32 | (uint64_t)(run_count - 1) << 24 |
                     (uint64_t)source->distance << 16 | source->key_size;
    /* [entry.4] release, pairs with [entry.1] [read.1]: who sees version 0 sees that the slot word
     * which led here is gone, and does not call its key absent.  Ordered before the bytes by the
     * fence. */
    lk_store_rel_u64(&e->version, 0);
    /* [entry.5] release fence, pairs with [entry.2] [index.14]: the slot word's change and version
     * 0 come before the bytes.  No operation can do it: the bytes are many plain words. */
    lk_fence_rel();
    /* [entry.10] relaxed: published by [entry.6]. */
    lk_store_rlx_u64(&e->expire_ns, source->expire_ns);
    /* [entry.11] relaxed: published by [entry.6]. */
    lk_store_rlx_u64(&e->shape, shape);
    if (s->geometry->checksum) {
        uint64_t sum = lki_crc32c(source->value, source->value_size);
        put(&w, &sum, sizeof sum);
    }
    for (uint32_t i = 1; i < run_count; i++) {
        uint64_t run = (uint64_t)runs[i].first << 32 | runs[i].count;
        put(&w, &run, sizeof run);
    }
    if (run_count == 1) {
        char *at = lki_block(s, runs[0].first) + w.offset;
        lki_copy_in(at, source->key, source->key_size);
        lki_copy_in(at + source->key_size, source->value, source->value_size);
    } else {
        put(&w, source->key, source->key_size);
        put(&w, source->value, source->value_size);
    }
    /* [entry.6] release, pairs with [entry.1] [read.1]: whoever sees the version sees the bytes. */
    lk_store_rel_u64(&e->version, source->version);
}
