/* entry.h - entries in blocks: what a slot word leads to, read and written piece by piece.
 *
 * Whatever stands in the segment, a view that was loaded stays inside the shard: every offset and
 * length was checked against the geometry. */
#ifndef LKI_ENTRY_H
#define LKI_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/copy.h"
#include "cache/layout.h"

struct lki_run {
    uint32_t first, count; /* granules */
};

/* A private copy of all that says where an entry's bytes are. */
struct lki_view {
    uint64_t version;
    uint64_t expire_ns;
    uint64_t bytes;  /* of the entry in all, without the rest of the last granule */
    uint32_t key_at; /* offset of the key from the entry's begin; the value follows */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t block;    /* where the entry begins */
    uint32_t distance; /* see LKI_DISTANCE_MANY */
    uint32_t run_count;
    struct lki_run runs[LKI_RUNS_MAX]; /* set only if there are several */
};

/* {tag, version, block} of a slot word. */
static inline uint64_t lki_word_make(uint64_t tag, uint64_t version, uint32_t block)
{
    return tag << 48 | (version >> LKI_VERSION_SHIFT & 0xffff) << 32 | (block + 1);
}

static inline uint64_t lki_word_tag(uint64_t word)
{
    return word >> 48;
}

static inline uint64_t lki_word_version(uint64_t word)
{
    return word >> 32 & 0xffff;
}

static inline uint32_t lki_word_block(uint64_t word)
{
    return (uint32_t)word - 1;
}

/* Granules that an entry takes in `runs` pieces; 0 if that is more than an entry may have. */
uint32_t lki_entry_granules(const struct lki_geometry *g, size_t key_size, size_t value_size,
                            uint32_t runs);

static inline struct lki_entry *lki_entry_at(const struct lki_shard *s, uint32_t block)
{
    return (struct lki_entry *)(void *)lki_block(s, block);
}

/* Bytes of an entry in front of its key. */
static inline uint32_t lki_entry_fixed_bytes(const struct lki_geometry *g, uint32_t runs)
{
    uint32_t checksum = g->checksum ? LKI_ENTRY_CHECKSUM : 0;
    return LKI_ENTRY_HEADER + checksum + (runs - 1) * (uint32_t)sizeof(uint64_t);
}

/* Read the runs besides the first; they stand right behind the header. */
bool lki_view_load_runs(const struct lki_shard *s, struct lki_view *view);

/* Read where the entry that `word` names has its bytes.  False: it contradicts itself, or it is
 * being replaced at this moment. */
static inline __attribute__((always_inline)) bool lki_view_load(const struct lki_shard *s,
                                                                uint64_t word,
                                                                struct lki_view *view)
{
    const struct lki_geometry *g = s->geometry;
    uint32_t block = lki_word_block(word);
    if (block >= g->granules)
        return false;
    const struct lki_entry *e = lki_entry_at(s, block);
    /* [entry.1] acquire, pairs with [entry.4] [entry.6]: the bytes of this version are visible. */
    uint64_t version = lk_load_acq_u64(&e->version);
    /* [entry.7] relaxed: checked by [entry.3] like the bytes. */
    view->expire_ns = lk_load_rlx_u64(&e->expire_ns);
    /* [entry.8] relaxed: as [entry.7]. */
    uint64_t shape = lk_load_rlx_u64(&e->shape);
    view->version = version;
    view->block = block;
    view->key_size = (uint32_t)(shape & 0xffff);
    view->value_size = (uint32_t)(shape >> 32);
    view->distance = (uint32_t)(shape >> 16 & 0xff);
    view->run_count = (uint32_t)(shape >> 24 & 0xff) + 1;
    view->key_at = lki_entry_fixed_bytes(g, view->run_count);
    view->bytes = (uint64_t)view->key_at + view->key_size + view->value_size;
    if (version == 0 || (version >> LKI_VERSION_SHIFT & 0xffff) != lki_word_version(word) ||
        view->key_size == 0 || view->bytes > g->entry_limit_bytes)
        return false;
    if (__builtin_expect(view->run_count > 1, 0))
        return view->run_count <= LKI_RUNS_MAX && lki_view_load_runs(s, view);
    return view->bytes <= (uint64_t)(g->granules - block) * g->granule;
}

/* Was the entry, and all that was copied of it, still whole and current until now? */
static inline bool lki_entry_holds(const uint64_t *slot_word, uint64_t word,
                                   const struct lki_entry *e, uint64_t version)
{
    /* [entry.2] acquire fence, pairs with [entry.5]: whoever's bytes were copied, what was stored
     * before them is seen by the two loads below. */
    lk_fence_acq();
    /* [entry.9] relaxed: ordered by the fence. */
    if (lk_load_rlx_u64(slot_word) != word)
        return false;
    /* [entry.3] relaxed: ordered by the fence. */
    return lk_load_rlx_u64(&e->version) == version;
}

static inline bool lki_view_holds(const struct lki_shard *s, const uint64_t *slot_word,
                                  uint64_t word, const struct lki_view *view)
{
    return lki_entry_holds(slot_word, word, lki_entry_at(s, lki_word_block(word)), view->version);
}

/* Granules of the entry in all, and its runs also if it is one.  For the holder of the lock. */
uint32_t lki_view_granules(const struct lki_shard *s, const struct lki_view *view);
void lki_view_fill_runs(const struct lki_shard *s, struct lki_view *view);

/* How many bytes of the entry are in one piece from `offset` on, and where. */
size_t lki_view_span(const struct lki_shard *s, const struct lki_view *view, size_t offset,
                     char **at);

bool lki_view_key_is_in_pieces(const struct lki_shard *s, const struct lki_view *view,
                               const void *key, size_t key_size);

static inline bool lki_view_key_is(const struct lki_shard *s, const struct lki_view *view,
                                   const void *key, size_t key_size)
{
    if (view->key_size != key_size)
        return false;
    if (__builtin_expect(view->run_count == 1, 1))
        return lki_copy_equal(lki_block(s, view->block) + view->key_at, key, key_size);
    return lki_view_key_is_in_pieces(s, view, key, key_size);
}

/* Copy n bytes from `offset` on. */
void lki_view_copy(const struct lki_shard *s, const struct lki_view *view, size_t offset, char *buf,
                   size_t n);

static inline void lki_view_copy_key(const struct lki_shard *s, const struct lki_view *view,
                                     void *buf)
{
    lki_view_copy(s, view, view->key_at, buf, view->key_size);
}

static inline void lki_view_copy_value(const struct lki_shard *s, const struct lki_view *view,
                                       void *buf)
{
    size_t offset = (size_t)view->key_at + view->key_size;
    if (__builtin_expect(view->run_count == 1, 1))
        lki_copy_out(buf, lki_block(s, view->block) + offset, view->value_size);
    else
        lki_view_copy(s, view, offset, buf, view->value_size);
}

/* The hash of the entry's key.  Under the shard's lock. */
uint64_t lki_view_hash(const struct lki_shard *s, const struct lki_view *view);

bool lki_view_sum_differs(const struct lki_shard *s, const struct lki_view *view,
                          const void *value);

/* Does the cache have checksums, and does the private copy of the value not fit its own? */
static inline bool lki_view_damaged(const struct lki_shard *s, const struct lki_view *view,
                                    const void *value)
{
    return s->geometry->checksum && lki_view_sum_differs(s, view, value);
}

/* The bits of a shape that are just the key's size if the entry is in one piece. */
#define LKI_SHAPE_PLAIN 0xff00ffffu

/* What lki_entry_write() stores. */
struct lki_entry_source {
    const void *key;
    const void *value;
    uint32_t key_size, value_size;
    uint32_t distance;
    uint64_t version;
    uint64_t expire_ns;
};

/* Write an entry into free granules, which no slot names.  Under the shard's lock. */
void lki_entry_write(const struct lki_shard *s, const struct lki_run *runs, uint32_t run_count,
                     const struct lki_entry_source *source);

/* Has it expired?  Reads the clock only if it can expire. */
static inline bool lki_expired(uint64_t expire_ns)
{
    return expire_ns != 0 && lki_boot_ns() >= expire_ns;
}

#endif
