/* geometry.h - where everything is in a cache's segment: computed from a few checked numbers.
 *
 * The segment's body is `shards` equal parts, each:
 *   head      struct lki_shard_head: lock, counts, queue ends
 *   buckets   the index: 7 slots to a cache line
 *   links     a queue link per slot
 *   bitmap    a bit per granule: taken
 *   ghost     fingerprints of what was evicted lately
 *   leases    who computes which absent key
 *   blocks    the granules; entries lie in them
 * A reader relies on buckets and blocks only.  All else is derived from these or may be lost, and
 * is rebuilt by whoever finds the shard's last holder dead. */
#ifndef LKI_GEOMETRY_H
#define LKI_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchkey/cache.h"
#include "shm/segment.h"

enum {
    LKI_BUCKET_SLOTS = 7,
    LKI_GHOST_WAYS = 8,
    LKI_LEASES = 32, /* a shard */
    LKI_SHARDS_MAX = 1024,
};

struct lki_geometry {
    uint32_t shards;
    uint32_t granule;     /* bytes */
    uint32_t capacity;    /* granules that entries of a shard may take together */
    uint32_t granules;    /* granules that there are: a reserve to write new beside old */
    uint32_t max_entries; /* a shard */
    uint32_t buckets, slots;
    uint32_t bitmap_words;
    uint32_t ghost_buckets;
    uint32_t small_capacity; /* of S3-FIFO's small queue, granules */
    uint32_t entry_limit;    /* granules of one entry */
    uint64_t entry_limit_bytes;
    uint64_t value_limit; /* bytes of one value */
    uint32_t entry_bytes; /* as asked, for reports */
    uint64_t ttl_ns;      /* LK_TTL_NEVER or the default */
    bool checksum;
    size_t buckets_at, links_at, bitmap_at, ghost_at, leases_at, blocks_at;
    uint64_t blocks_bytes; /* of the granules of a shard */
    size_t stride;         /* bytes of a shard */
};

/* Fill in the defaults of `options` and turn it into a segment's parameters.
 * Returns 0 or EINVAL (lk_error_text says which option). */
int lki_geometry_params(const struct lk_cache_options *options, struct lk_cache_options *full,
                        uint64_t params[LKI_PARAMS]);

/* Compute the geometry of a cache from its segment's parameters; body_size is what it takes.
 * Returns 0 or LK_ECORRUPT if they are no parameters that lki_geometry_params() could have made. */
int lki_geometry_make(struct lki_geometry *g, const uint64_t params[LKI_PARAMS],
                      uint64_t *body_size);

/* The options that a cache of these parameters was made with. */
void lki_geometry_options(const uint64_t params[LKI_PARAMS], uint32_t threads,
                          struct lk_cache_options *out);

/* Does every option that is asked for (not zero) agree?  0 or LK_EOPTIONS. */
int lki_geometry_agree(const char *name, const struct lk_cache_options *has,
                       const struct lk_cache_options *asked);

#endif
