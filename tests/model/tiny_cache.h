/* tiny_cache.h - a cache of one shard for the models: two entries at most, ten granules, keys of 8
 * bytes, values of two words that are equal in every state that ever existed.
 *
 * Everything but the handle is made by the library's own sources; the oracle is its own
 * lk_cache_verify(), whose pread(2) is a copy here. */
#ifndef MODEL_TINY_CACHE_H
#define MODEL_TINY_CACHE_H

#include <string.h>
#include <unistd.h>

#include "cache/layout.h"
#include "latchkey/cache.h"
#include "processes.h"

#ifndef CAPACITY_ENTRIES
#define CAPACITY_ENTRIES 2
#endif
enum { GRANULE = 48, BODY = 8192 };

static char body[BODY] __attribute__((aligned(64)));
static lk_cache cache;

struct value {
    uint64_t word[2];
};

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
    (void)fd;
    memcpy(buf, body + at, n);
    return (ssize_t)n;
}

static void make_cache(void)
{
    struct lk_cache_options options = {.capacity_bytes = CAPACITY_ENTRIES * GRANULE,
                                       .granule_bytes = GRANULE,
                                       .entry_bytes = GRANULE - LKI_ENTRY_HEADER,
                                       .shards = 1,
                                       .threads = PROCESSES_MAX};
    struct lk_cache_options full;
    const uint64_t secret[2] = {1, 2};
    uint64_t params[LKI_PARAMS], size = 0;
    assert(lki_geometry_params(&options, &full, params) == 0);
    assert(lki_geometry_make(&cache.geometry, params, &size) == 0 && size <= BODY);
    assert(cache.geometry.max_entries == CAPACITY_ENTRIES);
    attach_all();
    lki_hash_key_make(&cache.key, secret);
    cache.get_short = true; /* as hand_out() decides for a writable cache without checksums */
    cache.segment = (struct lki_segment){.base = body,
                                         .body = body,
                                         .size = size,
                                         .body_size = size,
                                         .writable = true,
                                         .presence = &presence};
}

static int set(uint64_t key, uint64_t number)
{
    struct value v = {{number, number}};
    return lk_cache_set(&cache, &key, sizeof key, &v, sizeof v, LK_TTL_NEVER);
}

/* The number of the key's value, 0 = a miss.  A value that no set() stored is an error. */
static uint64_t get(uint64_t key)
{
    struct value v = {{0, 0}};
    size_t size = 0;
    int rc = lk_cache_get(&cache, &key, sizeof key, &v, sizeof v, &size);
    if (rc == ENOENT)
        return 0;
    assert(rc == 0 && size == sizeof v);
    assert(v.word[0] == v.word[1] && v.word[0] != 0);
    return v.word[0];
}

/* Everything that the cache derives agrees with its entries. */
static void check_all(void)
{
    assert(lk_cache_verify(&cache, NULL, NULL) == 0);
}

#endif
