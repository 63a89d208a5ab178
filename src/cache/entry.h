/* entry.h - entries in blocks: what a slot word leads to, read and written piece by piece.
 *
 * Whatever stands in the segment, a view that was loaded stays inside the shard: every offset and
 * length was checked against the geometry. */
#ifndef LKI_ENTRY_H
#define LKI_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/layout.h"

struct lki_run {
    uint32_t first, count; /* granules */
};

/* A private copy of all that says where an entry's bytes are. */
struct lki_view {
    uint64_t version;
    uint64_t expire_ns;
    struct lki_run runs[LKI_RUNS_MAX];
    uint32_t run_count;
    uint32_t key_at; /* offset of the key from the entry's begin; the value follows */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t granules; /* in all */
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

/* Read where the entry that `word` names has its bytes.  False: it contradicts itself, or it is being
 * replaced at this moment. */
bool lki_view_load(const struct lki_shard *s, uint64_t word, struct lki_view *view);

/* Was the view, and all that was copied by it, still whole and current until now? */
bool lki_view_holds(const struct lki_shard *s, const uint64_t *slot_word, uint64_t word,
                    const struct lki_view *view);

/* How many bytes of the entry are in one piece from `offset` on, and where. */
size_t lki_view_span(const struct lki_shard *s, const struct lki_view *view, size_t offset,
                     char **at);

bool lki_view_key_is(const struct lki_shard *s, const struct lki_view *view, const void *key,
                     size_t key_size);
void lki_view_copy_key(const struct lki_shard *s, const struct lki_view *view, void *buf);
void lki_view_copy_value(const struct lki_shard *s, const struct lki_view *view, void *buf);

/* The hash of the entry's key.  Under the shard's lock. */
uint64_t lki_view_hash(const struct lki_shard *s, const struct lki_view *view);

/* Does the cache have checksums, and does the private copy of the value not fit its own? */
bool lki_view_damaged(const struct lki_shard *s, const struct lki_view *view, const void *value);

/* What lki_entry_write() stores. */
struct lki_entry_source {
    const void *key;
    const void *value;
    uint32_t key_size, value_size;
    uint64_t version;
    uint64_t expire_ns;
};

/* Write an entry into free granules, which no slot names.  Under the shard's lock. */
void lki_entry_write(const struct lki_shard *s, const struct lki_run *runs, uint32_t run_count,
                     const struct lki_entry_source *source);

/* Has it expired?  Reads the clock only if it can expire. */
bool lki_expired(uint64_t expire_ns);

#endif
