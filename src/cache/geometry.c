/* geometry.c - options, parameters, geometry. */
#include "cache/geometry.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "cache/layout.h"
#include "latchkey/seg.h"

enum param { CAPACITY, GRANULE, ENTRY_BYTES, SHARDS, TTL, CHECKSUM };

#define MIB ((uint64_t)1 << 20)
#define CAPACITY_MIN ((uint64_t)64)
#define CAPACITY_MAX ((uint64_t)1 << 40)
#define ENTRY_BYTES_MAX ((uint32_t)MIB)

static int out_of_range(const char *option, uint64_t value)
{
    return lki_fail(EINVAL, "option %s: %llu is out of range", option, (unsigned long long)value);
}

static uint32_t default_shards(uint64_t capacity)
{
    uint64_t mib = capacity / MIB;
    if (mib < 2)
        return 1;
    return mib > 64 ? 64 : (uint32_t)mib;
}

static bool granule_ok(uint64_t bytes)
{
    return bytes >= 32 && bytes <= 4096 && bytes % 8 == 0;
}

int lki_geometry_params(const struct lk_cache_options *options, struct lk_cache_options *full,
                        uint64_t params[LKI_PARAMS])
{
    struct lk_cache_options o = *options;
    o.capacity_bytes = o.capacity_bytes != 0 ? o.capacity_bytes : 64 * MIB;
    o.granule_bytes = o.granule_bytes != 0 ? o.granule_bytes : 48;
    o.entry_bytes = o.entry_bytes != 0 ? o.entry_bytes : 96;
    o.shards = o.shards != 0 ? o.shards : default_shards(o.capacity_bytes);
    o.ttl_ns = o.ttl_ns != 0 ? o.ttl_ns : LK_TTL_NEVER;
    o.threads = o.threads != 0 ? o.threads : LK_SEG_THREADS_DEFAULT;
    if (o.capacity_bytes < CAPACITY_MIN || o.capacity_bytes > CAPACITY_MAX)
        return out_of_range("capacity_bytes", o.capacity_bytes);
    if (!granule_ok(o.granule_bytes))
        return out_of_range("granule_bytes", o.granule_bytes);
    if (o.entry_bytes > ENTRY_BYTES_MAX)
        return out_of_range("entry_bytes", o.entry_bytes);
    if (o.shards > LKI_SHARDS_MAX || (uint64_t)o.shards * o.granule_bytes > o.capacity_bytes)
        return out_of_range("shards", o.shards);
    if (o.threads > LK_SEG_THREADS_MAX)
        return out_of_range("threads", o.threads);
    if (o.checksum > 1)
        return out_of_range("checksum", o.checksum);
    if (o.ttl_ns == LK_TTL_KEEP)
        return out_of_range("ttl_ns", o.ttl_ns);
    for (size_t i = 0; i < sizeof o.reserved / sizeof o.reserved[0]; i++) {
        if (o.reserved[i] != 0)
            return out_of_range("reserved", o.reserved[i]);
    }
    memset(params, 0, LKI_PARAMS * sizeof params[0]);
    params[CAPACITY] = o.capacity_bytes;
    params[GRANULE] = o.granule_bytes;
    params[ENTRY_BYTES] = o.entry_bytes;
    params[SHARDS] = o.shards;
    params[TTL] = o.ttl_ns;
    params[CHECKSUM] = o.checksum;
    *full = o;
    return 0;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static size_t line_up(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* Sizes of one shard, all from the capacity in granules. */
static bool size_shard(struct lki_geometry *g, uint64_t capacity)
{
    uint64_t header = LKI_ENTRY_HEADER + (g->checksum ? LKI_ENTRY_CHECKSUM : 0);
    uint64_t each = divide_up(header + g->entry_bytes, g->granule);
    uint64_t entries = divide_up(capacity, each);
    uint64_t granules = capacity + capacity / 64 + 8;
    uint64_t buckets = divide_up(entries, LKI_BUCKET_SLOTS - 1) + 1;
    if (granules > (uint64_t)1 << 30 || buckets * LKI_BUCKET_SLOTS > (uint64_t)1 << 30)
        return false;
    g->capacity = (uint32_t)capacity;
    g->granules = (uint32_t)granules;
    g->max_entries = (uint32_t)entries;
    g->buckets = (uint32_t)buckets;
    g->slots = g->buckets * LKI_BUCKET_SLOTS;
    g->bitmap_words = (uint32_t)divide_up(granules, 64);
    g->ghost_buckets = (uint32_t)divide_up(entries * 4, (uint64_t)3 * LKI_GHOST_WAYS);
    g->small_capacity = g->capacity / 10 > 0 ? g->capacity / 10 : 1;
    g->entry_limit = g->capacity > 1 ? g->capacity / 2 + 1 : 1;
    g->entry_limit_bytes = (uint64_t)g->entry_limit * g->granule;
    g->value_limit = (uint64_t)g->capacity * g->granule / 4;
    return true;
}

static void place_parts(struct lki_geometry *g)
{
    g->buckets_at = line_up(sizeof(struct lki_shard_head));
    g->links_at = g->buckets_at + g->buckets * sizeof(struct lki_bucket);
    g->bitmap_at = line_up(g->links_at + g->slots * sizeof(struct lki_link));
    g->ghost_at = line_up(g->bitmap_at + g->bitmap_words * sizeof(uint64_t));
    g->leases_at =
        line_up(g->ghost_at + (size_t)g->ghost_buckets * LKI_GHOST_WAYS * sizeof(uint32_t));
    g->blocks_at = line_up(g->leases_at + LKI_LEASES * sizeof(struct lki_lease_record));
    g->blocks_bytes = (uint64_t)g->granules * g->granule;
    g->stride = line_up(g->blocks_at + g->blocks_bytes);
}

int lki_geometry_make(struct lki_geometry *g, const uint64_t params[LKI_PARAMS],
                      uint64_t *body_size)
{
    memset(g, 0, sizeof *g);
    if (params[CAPACITY] < CAPACITY_MIN || params[CAPACITY] > CAPACITY_MAX ||
        !granule_ok(params[GRANULE]) || params[ENTRY_BYTES] < 1 ||
        params[ENTRY_BYTES] > ENTRY_BYTES_MAX || params[SHARDS] < 1 ||
        params[SHARDS] > LKI_SHARDS_MAX || params[SHARDS] * params[GRANULE] > params[CAPACITY] ||
        params[TTL] == 0 || params[TTL] == LK_TTL_KEEP || params[CHECKSUM] > 1)
        return lki_fail(LK_ECORRUPT, "the cache's parameters are out of range");
    g->shards = (uint32_t)params[SHARDS];
    g->granule = (uint32_t)params[GRANULE];
    g->entry_bytes = (uint32_t)params[ENTRY_BYTES];
    g->ttl_ns = params[TTL];
    g->checksum = params[CHECKSUM] != 0;
    if (!size_shard(g, divide_up(params[CAPACITY], (uint64_t)g->granule * g->shards)))
        return lki_fail(LK_ECORRUPT, "the cache's shards are too large");
    place_parts(g);
    *body_size = (uint64_t)g->stride * g->shards;
    return 0;
}

void lki_geometry_options(const uint64_t params[LKI_PARAMS], uint32_t threads,
                          struct lk_cache_options *out)
{
    *out = (struct lk_cache_options){
        .shards = (uint32_t)params[SHARDS],
        .capacity_bytes = params[CAPACITY],
        .granule_bytes = (uint32_t)params[GRANULE],
        .entry_bytes = (uint32_t)params[ENTRY_BYTES],
        .ttl_ns = params[TTL],
        .threads = threads,
        .checksum = (uint32_t)params[CHECKSUM],
    };
}

int lki_geometry_agree(const char *name, const struct lk_cache_options *has,
                       const struct lk_cache_options *asked)
{
    const struct {
        const char *option;
        uint64_t is, asked;
    } fields[] = {
        {"shards", has->shards, asked->shards},
        {"capacity_bytes", has->capacity_bytes, asked->capacity_bytes},
        {"granule_bytes", has->granule_bytes, asked->granule_bytes},
        {"entry_bytes", has->entry_bytes, asked->entry_bytes},
        {"ttl_ns", has->ttl_ns, asked->ttl_ns},
        {"threads", has->threads, asked->threads},
        {"checksum", has->checksum, asked->checksum},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].asked != 0 && fields[i].asked != fields[i].is)
            return lki_fail(LK_EOPTIONS, "cache '%s': %s is %llu, asked %llu", name,
                            fields[i].option, (unsigned long long)fields[i].is,
                            (unsigned long long)fields[i].asked);
    }
    return 0;
}
