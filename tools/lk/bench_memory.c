/* bench_memory.c - lk bench memory: what an entry costs, all in.  Sets go on until the cache has
 * turned over several times; then the whole segment is divided by the entries that are in it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

#define TURNS 4u /* how often the capacity is written */

struct memory {
    uint64_t sets;
    struct lk_cache_stat stat;
    double bytes_per_entry;
};

static int fill(struct memory *m, lk_cache *c, const struct bench_options *o)
{
    static char value[1 << 16];
    uint64_t entry = 24 + BENCH_KEY_SIZE + o->value_size;
    struct cli_progress progress;
    int rc = lk_cache_stat(c, &m->stat);
    uint64_t total = TURNS * m->stat.capacity_bytes / entry;
    cli_progress_begin(&progress, "filling", total, o->quiet);
    for (; rc == 0 && m->sets < total && !cli_stop; m->sets++) {
        char key[BENCH_KEY_SIZE + 1];
        uint64_t random = m->sets;
        snprintf(key, sizeof key, "key:%016" PRIx64, bench_random(&random));
        rc = lk_cache_set(c, key, BENCH_KEY_SIZE, value, o->value_size, LK_TTL_DEFAULT);
        if (m->sets % 16384 == 0)
            cli_progress_show(&progress, m->sets, NULL);
    }
    cli_progress_end(&progress);
    return rc == 0 ? lk_cache_stat(c, &m->stat) : rc;
}

static void print_memory(const struct memory *m, const struct bench_options *o)
{
    char segment[32], capacity[32], entries[32], sets[32];
    printf("%s sets of 20-byte keys and %" PRIu64 "-byte values: %s entries, segment %s "
           "(%s of entries, %" PRIu32
           " shards), %.1f bytes per entry all in; evictions forced by a "
           "full index: %" PRIu64 "\n",
           cli_count(sets, m->sets), o->value_size, cli_count(entries, m->stat.entries),
           cli_size(segment, m->stat.segment_bytes), cli_size(capacity, m->stat.capacity_bytes),
           m->stat.shards, m->bytes_per_entry, m->stat.index_full);
}

int bench_memory(const struct bench_options *o)
{
    struct memory m = {0};
    struct bench_limits limits = {0};
    struct lk_cache_options options = {.shards = (uint32_t)o->shards};
    lk_cache *c;
    int rc = lk_cache_open_anonymous(&c, &options);
    if (rc != 0)
        return cli_fail_rc("a cache with the default options", rc);
    rc = fill(&m, c, o);
    lk_cache_close(c);
    if (rc != 0)
        return cli_fail_rc("filling the cache", rc);
    if (cli_stop)
        return CLI_STOPPED;
    m.bytes_per_entry = (double)m.stat.segment_bytes / (double)m.stat.entries;
    if (o->value_size == 100)
        bench_limit_at_most(&limits, "memory per entry, 20-byte key, 100-byte value, all in", 176,
                            "bytes", m.bytes_per_entry);
    if (o->json) {
        cli_json_print(json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "bench", "memory", "value_bytes",
            (json_int_t)o->value_size, "entries", (json_int_t)m.stat.entries, "segment_bytes",
            (json_int_t)m.stat.segment_bytes, "capacity_bytes", (json_int_t)m.stat.capacity_bytes,
            "index_full", (json_int_t)m.stat.index_full, "bytes_per_entry", m.bytes_per_entry,
            "limits", bench_limits_json(&limits)));
    } else {
        print_memory(&m, o);
        bench_limits_print(&limits);
    }
    return bench_limits_code(&limits, o->check);
}
