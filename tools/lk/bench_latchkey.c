/* bench_latchkey.c - latchkey among its peers: an anonymous cache, the public calls only. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

#define ENTRY_HEADER 24u
#define GRANULE 48u
#define SPARE_ENTRIES 512u

static int fill(lk_cache *c, const struct bench_load *load)
{
    for (size_t i = 0; i < load->entries; i++) {
        uint64_t mark = bench_mark((uint32_t)i);
        memcpy(load->value, &mark, sizeof mark);
        int rc = lk_cache_set(c, load->keys[i], BENCH_KEY_SIZE, load->value, load->value_size,
                              LK_TTL_DEFAULT);
        if (rc != 0)
            return rc;
    }
    return 0;
}

lk_cache *bench_cache_open(const struct bench_load *load, unsigned shards)
{
    uint64_t entry =
        (ENTRY_HEADER + BENCH_KEY_SIZE + load->value_size + GRANULE - 1) / GRANULE * GRANULE;
    /* Half as much again, and for few entries more: shards fill unevenly, and this measures hits,
     * not evictions. */
    struct lk_cache_options options = {
        .capacity_bytes = entry * (load->entries * 3 / 2 + SPARE_ENTRIES) + 65536,
        .entry_bytes = (uint32_t)(BENCH_KEY_SIZE + load->value_size),
        .shards = shards,
    };
    lk_cache *c;
    int rc = lk_cache_open_anonymous(&c, &options);
    if (rc != 0) {
        cli_fail_rc("a cache for the measurement", rc);
        return NULL;
    }
    rc = fill(c, load);
    struct lk_cache_stat stat = {0};
    if (rc == 0)
        rc = lk_cache_stat(c, &stat);
    if (rc != 0)
        cli_fail_rc("filling the cache", rc);
    else if (stat.entries == load->entries)
        return c;
    else
        cli_fail(CLI_PROBLEM, "%" PRIu64 " of %zu entries are in the cache", stat.entries,
                 load->entries);
    lk_cache_close(c);
    return NULL;
}

struct state {
    lk_cache *cache;
    char *buf;
};

lk_cache *bench_latchkey_cache(const struct bench_peer *p)
{
    return ((const struct state *)p->state)->cache;
}

static void latchkey_close(struct bench_peer *p)
{
    struct state *s = p->state;
    lk_cache_close(s->cache);
    free(s->buf);
    free(s);
    p->state = NULL;
}

static int latchkey_open(struct bench_peer *p, const struct bench_load *load)
{
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return bench_peer_failed(p, "no memory");
    p->state = s;
    s->buf = malloc(load->value_size);
    s->cache = bench_cache_open(load, 0);
    if (s->buf == NULL || s->cache == NULL) {
        latchkey_close(p);
        return bench_peer_failed(p, "no cache");
    }
    snprintf(p->version, sizeof p->version, "%s", lk_version());
    return 0;
}

static size_t latchkey_get(struct bench_peer *p, const struct bench_load *load, size_t first,
                           size_t n, uint64_t *sum)
{
    struct state *s = p->state;
    size_t hits = 0, size;
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        const char *key = load->asked[(first + i) & (BENCH_REQUESTS - 1)];
        if (lk_cache_get(s->cache, key, BENCH_KEY_SIZE, s->buf, load->value_size, &size) == 0) {
            uint64_t mark;
            memcpy(&mark, s->buf, sizeof mark);
            total += mark;
            hits++;
        }
    }
    *sum += total;
    return hits;
}

static size_t latchkey_set(struct bench_peer *p, const struct bench_load *load, size_t first,
                           size_t n)
{
    struct state *s = p->state;
    size_t stored = 0;
    for (size_t i = 0; i < n; i++) {
        size_t r = (first + i) & (BENCH_REQUESTS - 1);
        uint64_t mark = bench_mark(load->ids[r]);
        memcpy(load->value, &mark, sizeof mark);
        stored += lk_cache_set(s->cache, load->asked[r], BENCH_KEY_SIZE, load->value,
                               load->value_size, LK_TTL_DEFAULT) == 0;
    }
    return stored;
}

const struct bench_peer bench_peer_latchkey = {
    .name = "latchkey",
    .how = "lk_cache_get / lk_cache_set on a sealed memfd, default shards, no checksum",
    .open = latchkey_open,
    .get = latchkey_get,
    .set = latchkey_set,
    .close = latchkey_close,
};
