/* layout.h - the structures in a cache's segment, and the handle that a process has of it. */
#ifndef LKI_LAYOUT_H
#define LKI_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "cache/geometry.h"
#include "cache/hash.h"
#include "shm/segment.h"

/* A queue of slots, linked by struct lki_link.  Ends are slot + 1; 0 = none.  New ones come in at
 * the head. */
struct lki_queue {
    uint32_t head, tail;
    uint32_t granules; /* of its entries */
};

enum lki_queue_name { LKI_SMALL = 0, LKI_MAIN = 1 };

/* Under the shard's lock, but for `entries`, `used` and `leases_held`, which statistics read.  What
 * each change needs is in the first cache line. */
struct lki_shard_head {
    uint32_t lock;   /* life/rmutex.h */
    uint32_t cursor; /* granule where the next search for room begins */
    uint32_t entries;
    uint32_t used;        /* granules of entries */
    uint32_t leases_held; /* records that name a holder */
    uint32_t reserved;
    uint64_t sections; /* how often the lock was taken */
    uint64_t version;  /* the last that was given to an entry */
    struct lki_queue queues[2];
    uint64_t ghost_clock; /* evictions remembered */
    uint64_t unused[7];
};
_Static_assert(offsetof(struct lki_shard_head, ghost_clock) == 64, "the first cache line");
_Static_assert(sizeof(struct lki_shard_head) == 128, "two cache lines");

/* A version is {count:54, shard:10}: one shard's count makes it unique in the cache. */
enum { LKI_VERSION_SHIFT = 10 };
_Static_assert(LKI_SHARDS_MAX == 1 << LKI_VERSION_SHIFT, "a version has room for the shard");

/* Slot word: {tag:16, low bits of the version's count:16, block + 1:32}; 0 = empty.  One release
 * store makes an entry visible, replaces or removes it. */
struct lki_bucket {
    uint64_t word[LKI_BUCKET_SLOTS];
    uint8_t frequency[LKI_BUCKET_SLOTS]; /* hits, 0..3; stored by readers */
    uint8_t passed; /* entries that found this bucket full and went on; 255 = that many or more */
};
_Static_assert(sizeof(struct lki_bucket) == 64, "a bucket is one cache line");

/* Neighbours in the slot's queue, slot + 1, 0 = end.  Bit 31 of prev: the queue's name. */
struct lki_link {
    uint32_t next, prev;
};

struct lki_lease_record {
    uint64_t hash;
    uint32_t holder;  /* holder name, 0 = free */
    uint32_t stamp;   /* raised at every grant and end; what waiters sleep on */
    uint32_t waiting; /* somebody sleeps on the stamp */
    uint32_t voided;  /* the key was changed meanwhile: what is computed must not be stored */
    uint64_t unused;
};
_Static_assert(sizeof(struct lki_lease_record) == 32, "two to a cache line");

/* An entry, at the first granule of its first run.  Behind it: the checksum (if the cache has
 * them), the other runs (if it is in pieces), key, value.  Never changes while a slot names it, but
 * for expire_ns, one word that touch replaces. */
struct lki_entry {
    uint64_t version;   /* 0 while it is being written */
    uint64_t expire_ns; /* CLOCK_BOOTTIME, 0 = never */
    uint64_t shape;     /* {value size:32, runs besides the first:8, distance:8, key size:16} */
};
enum {
    LKI_ENTRY_HEADER = sizeof(struct lki_entry),
    LKI_ENTRY_CHECKSUM = 8,
    LKI_RUNS_MAX = 8, /* in all */
    LKI_FREQUENCY_MAX = 3,
    LKI_DISTANCE_MANY = 255, /* buckets from where a search begins to the entry's; or more */
};

/* What a process counts, in its thread's presence record. */
enum lki_counter {
    LKI_HITS,
    LKI_MISSES,
    LKI_SETS,
    LKI_DELETES,
    LKI_EVICTIONS,
    LKI_EXPIRATIONS,
    LKI_INDEX_FULL,
    LKI_PROMOTIONS,
    LKI_GHOST_HITS,
    LKI_FRAGMENTED,
    LKI_LEASES_GRANTED,
    LKI_LEASE_WAITS,
    LKI_LEASE_DEATHS,
    LKI_DEATHS,
    LKI_REPAIRS,
    LKI_LOCK_WAITS,
    LKI_BACKSTOPS,
    LKI_COUNTERS
};

struct lk_cache {
    struct lki_segment segment;
    struct lki_geometry geometry;
    struct lki_hash_key key;
    bool get_short; /* entries have no checksum, and frequencies can be stored */
    uint64_t lock_timeout_ns;
    uint32_t flags;
};

/* A shard as this process sees it. */
struct lki_shard {
    const struct lk_cache *cache;
    const struct lki_geometry *geometry;
    char *base;
    uint32_t index;
};

static inline struct lki_shard lki_shard_at(const struct lk_cache *c, uint32_t index)
{
    return (struct lki_shard){.cache = c,
                              .geometry = &c->geometry,
                              .base = c->segment.body + (size_t)index * c->geometry.stride,
                              .index = index};
}

static inline struct lki_shard_head *lki_head(const struct lki_shard *s)
{
    return (struct lki_shard_head *)(void *)s->base;
}

static inline struct lki_bucket *lki_buckets(const struct lki_shard *s)
{
    return (struct lki_bucket *)(void *)(s->base + s->geometry->buckets_at);
}

static inline struct lki_link *lki_links(const struct lki_shard *s)
{
    return (struct lki_link *)(void *)(s->base + s->geometry->links_at);
}

static inline uint64_t *lki_bitmap(const struct lki_shard *s)
{
    return (uint64_t *)(void *)(s->base + s->geometry->bitmap_at);
}

static inline uint32_t *lki_ghosts(const struct lki_shard *s)
{
    return (uint32_t *)(void *)(s->base + s->geometry->ghost_at);
}

static inline struct lki_lease_record *lki_lease_records(const struct lki_shard *s)
{
    return (struct lki_lease_record *)(void *)(s->base + s->geometry->leases_at);
}

static inline char *lki_block(const struct lki_shard *s, uint32_t granule)
{
    return s->base + s->geometry->blocks_at + (size_t)granule * s->geometry->granule;
}

static inline uint64_t *lki_slot_word(const struct lki_shard *s, uint32_t slot)
{
    return &lki_buckets(s)[slot / LKI_BUCKET_SLOTS].word[slot % LKI_BUCKET_SLOTS];
}

static inline uint8_t *lki_slot_frequency(const struct lki_shard *s, uint32_t slot)
{
    return &lki_buckets(s)[slot / LKI_BUCKET_SLOTS].frequency[slot % LKI_BUCKET_SLOTS];
}

#endif
