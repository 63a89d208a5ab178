/* Capacity, eviction, fragmentation, memory, iteration, statistics. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/index.h"
#include "latchkey/latchkey.h"
#include "test.h"

static lk_cache *new_cache(const struct lk_cache_options *o)
{
    lk_cache *c = NULL;
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, o), 0);
    return c;
}

static struct lk_cache_stat stat_of(lk_cache *c)
{
    struct lk_cache_stat s;
    T_REQUIRE_RC(lk_cache_stat(c, &s), 0);
    return s;
}

static bool is_there(lk_cache *c, uint32_t key)
{
    struct lk_cache_entry e;
    int rc = lk_cache_get_entry(c, &key, sizeof key, NULL, 0, &e);
    T_REQUIRE(rc == ENOENT || rc == ENOBUFS || rc == 0);
    return rc != ENOENT;
}

static uint32_t count_there(lk_cache *c, uint32_t n)
{
    uint32_t there = 0;
    for (uint32_t i = 0; i < n; i++)
        there += is_there(c, i);
    return there;
}

static void require_sound(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
}

/* N entries of one granule in a shard of N granules: all stay; one more pushes out exactly one.
 * */
T_TEST(capacity_is_exact_however_small)
{
    static const uint32_t sizes[] = {1, 2, 3, 4, 7, 8, 10, 64, 100, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t n = sizes[i];
        lk_cache *c = new_cache(&(struct lk_cache_options){
            .shards = 1, .capacity_bytes = 64ull * n, .granule_bytes = 64, .entry_bytes = 40});
        T_REQUIRE_EQ(stat_of(c).capacity_bytes, 64 * n);
        for (uint32_t key = 0; key < n; key++)
            T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, "0123456789", 10, 0), 0);
        T_REQUIRE_EQ(stat_of(c).evictions, 0);
        T_REQUIRE_EQ(stat_of(c).used_bytes, 64 * n);
        T_REQUIRE_EQ(count_there(c, n), n);
        /* Overwriting at full capacity evicts nobody. */
        for (uint32_t key = 0; key < n; key++)
            T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, "abcdefghij", 10, 0), 0);
        T_REQUIRE_EQ(stat_of(c).evictions, 0);
        T_REQUIRE_EQ(count_there(c, n), n);
        T_REQUIRE_RC(lk_cache_set(c, &n, sizeof n, "0123456789", 10, 0), 0);
        T_REQUIRE_EQ(stat_of(c).evictions, 1);
        T_REQUIRE_EQ(count_there(c, n + 1), n);
        T_REQUIRE(is_there(c, n));
        require_sound(c);
        lk_cache_close(c);
    }
}

/* A damaged segment may say that an entry was used more often than readers ever say: it is pushed
 * out all the same. */
T_TEST(a_frequency_beyond_all_bounds_keeps_nobody)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){
        .shards = 1, .capacity_bytes = 64, .granule_bytes = 64, .entry_bytes = 40});
    struct lki_shard s = lki_shard_at(c, 0);
    for (uint32_t key = 0; key < 10; key++) {
        T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, "0123456789", 10, 0), 0);
        for (uint32_t slot = 0; slot < c->geometry.slots; slot++)
            lk_store_rlx_u8(lki_slot_frequency(&s, slot), 255);
    }
    T_REQUIRE_EQ(stat_of(c).evictions, 9);
    require_sound(c);
    lk_cache_close(c);
}

/* Capacity is global for one shard: bytes that one large value gives back serve many small ones.
 * */
T_TEST(capacity_is_one_pool_for_all_sizes)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){
        .shards = 1, .capacity_bytes = 64 * 100, .granule_bytes = 64, .entry_bytes = 40});
    static char large[1600];
    for (int round = 0; round < 20; round++) {
        T_REQUIRE_RC(lk_cache_flush(c), 0);
        for (uint32_t key = 0; key < 4; key++) /* 25 + 25 + 25 + 25 */
            T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, large, 1600 - 24 - 4, 0), 0);
        T_REQUIRE_EQ(stat_of(c).used_bytes, 6400);
        T_REQUIRE_EQ(stat_of(c).evictions, 0);
        for (uint32_t key = 0; key < 4; key++)
            T_REQUIRE_RC(lk_cache_delete(c, &key, sizeof key), 0);
        T_REQUIRE_EQ(stat_of(c).used_bytes, 0);
        for (uint32_t key = 0; key < 100; key++)
            T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, large, 36, 0), 0);
        T_REQUIRE_EQ(stat_of(c).evictions, 0);
        T_REQUIRE_EQ(count_there(c, 100), 100);
    }
    require_sound(c);
    lk_cache_close(c);
}

/* Every second entry is deleted: the holes are of one granule, and the value that comes is in
 * pieces. */
T_TEST(fragmentation_never_fails_a_set)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){
        .shards = 1, .capacity_bytes = 128 * 200, .granule_bytes = 128, .entry_bytes = 100});
    static char value[128 * 40], got[sizeof value];
    size_t size;
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t key = 0; key < 200; key++)
            T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, value, 100, 0), 0);
        for (uint32_t key = round % 2; key < 200; key += 2)
            (void)!lk_cache_delete(c, &key, sizeof key);
        size_t n = 128 * 2 + round * 90;
        uint32_t key = 1000 + round;
        memset(value, (int)round, n);
        T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, value, n, 0), 0);
        T_REQUIRE_RC(lk_cache_get(c, &key, sizeof key, got, sizeof got, &size), 0);
        T_REQUIRE(size == n && memcmp(got, value, n) == 0);
        require_sound(c);
        T_REQUIRE(stat_of(c).used_bytes <= stat_of(c).capacity_bytes);
    }
    T_REQUIRE(stat_of(c).fragmented > 0);
    lk_cache_close(c);
}

/* What is asked for again stays, what is seen once goes. */
T_TEST(a_scan_does_not_push_out_what_is_used)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){
        .shards = 1, .capacity_bytes = 64 * 100, .granule_bytes = 64, .entry_bytes = 40});
    for (uint32_t key = 0; key < 50; key++) {
        T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, "v", 1, 0), 0);
        T_REQUIRE(is_there(c, key));
    }
    for (uint32_t key = 1000; key < 6000; key++) {
        T_REQUIRE_RC(lk_cache_set(c, &key, sizeof key, "v", 1, 0), 0);
        T_REQUIRE(is_there(c, key % 50));
    }
    T_REQUIRE_EQ(count_there(c, 50), 50);
    T_REQUIRE(stat_of(c).promotions > 0);
    lk_cache_close(c);
}

/* A 20-byte key and a 100-byte value take at most 176 bytes, everything counted. */
T_TEST(an_entry_of_120_bytes_takes_at_most_176)
{
    lk_cache *c = new_cache(
        &(struct lk_cache_options){.capacity_bytes = 16 << 20, .entry_bytes = 120, .threads = 16});
    uint64_t n = 0;
    char value[100] = "v";
    for (uint32_t i = 0; stat_of(c).evictions == 0; i++, n++) {
        char key[21];
        (void)snprintf(key, sizeof key, "%020u", i);
        for (int more = 0; more < 16; more++, i++, n++) {
            (void)snprintf(key, sizeof key, "%020u", i);
            T_REQUIRE_RC(lk_cache_set(c, key, 20, value, sizeof value, 0), 0);
        }
    }
    for (uint32_t i = 0; i < 400000; i++) {
        char key[21];
        (void)snprintf(key, sizeof key, "other%015u", i);
        T_REQUIRE_RC(lk_cache_set(c, key, 20, value, sizeof value, 0), 0);
    }
    struct lk_cache_stat s = stat_of(c);
    double each = (double)s.segment_bytes / (double)s.entries;
    T_LOG("%.1f bytes for each of %llu entries", each, (unsigned long long)s.entries);
    T_REQUIRE(each <= 176.0);
    lk_cache_close(c);
}

struct seen {
    lk_cache *cache;
    uint32_t times[1000];
    uint32_t count, stop_at;
    int change;
};

static int see(const struct lk_cache_item *item, void *arg)
{
    struct seen *s = arg;
    uint32_t key;
    T_REQUIRE(item->key_size == 5);
    memcpy(&key, (const char *)item->key + 1, sizeof key);
    T_REQUIRE(key < 1000);
    T_REQUIRE(item->entry.size == sizeof key && memcmp(item->value, &key, sizeof key) == 0);
    T_REQUIRE(item->entry.version != 0);
    s->times[key]++;
    s->count++;
    if (s->change == 1) { /* any call, from inside */
        char other[16];
        size_t n = (size_t)snprintf(other, sizeof other, "other%u", key);
        T_REQUIRE_RC(lk_cache_set(s->cache, other, n, "v", 1, 0), 0);
        T_REQUIRE_RC(lk_cache_delete(s->cache, other, n), 0);
    }
    if (s->change == 2)
        T_REQUIRE_RC(lk_cache_delete(s->cache, item->key, item->key_size), 0);
    return s->count == s->stop_at ? 4711 : 0;
}

static struct seen see_all(lk_cache *c, const char *prefix, size_t n, int change, uint32_t stop_at,
                           int want)
{
    static struct seen s;
    s = (struct seen){.cache = c, .change = change, .stop_at = stop_at};
    T_REQUIRE_RC(lk_cache_each(c, prefix, n, see, &s), want);
    return s;
}

T_TEST(each_shows_every_entry_exactly_once)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 1 << 20, .shards = 4});
    struct seen s = see_all(c, NULL, 0, 0, 0, 0);
    T_REQUIRE_EQ(s.count, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        char key[5] = {i % 2 ? 'b' : 'a'};
        memcpy(key + 1, &i, sizeof i);
        T_REQUIRE_RC(lk_cache_set(c, key, sizeof key, &i, sizeof i, i == 10 ? 1 : 0), 0);
    }
    s = see_all(c, NULL, 0, 1, 0, 0);
    T_REQUIRE_EQ(s.count, 999); /* one has expired */
    for (uint32_t i = 0; i < 1000; i++)
        T_REQUIRE_EQ(s.times[i], i != 10);
    s = see_all(c, "b", 1, 0, 0, 0);
    T_REQUIRE_EQ(s.count, 500);
    T_REQUIRE_EQ(s.times[0], 0);
    s = see_all(c, "b\0\0\0\0\0", 6, 0, 0, 0);
    T_REQUIRE_EQ(s.count, 0);
    s = see_all(c, NULL, 0, 0, 17, 4711); /* ends when the callback says so */
    T_REQUIRE_EQ(s.count, 17);
    s = see_all(c, "a", 1, 2, 0, 0); /* each deletes what it is shown */
    T_REQUIRE_EQ(s.count, 499);
    s = see_all(c, NULL, 0, 0, 0, 0);
    T_REQUIRE_EQ(s.count, 500);
    require_sound(c);
    lk_cache_close(c);
}

static void worker(void *arg)
{
    lk_cache *c = arg;
    char buf[8];
    size_t size;
    T_REQUIRE_RC(lk_cache_set(c, "worker", 6, "1", 1, 0), 0);
    T_REQUIRE_RC(lk_cache_get(c, "worker", 6, buf, sizeof buf, &size), 0);
    T_REQUIRE_RC(lk_cache_get(c, "nobody", 6, buf, sizeof buf, &size), ENOENT);
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, 0, NULL), 0);
    T_REQUIRE_RC(lk_cache_delete(c, "worker", 6), 0);
}

/* Counters sum over processes, dead ones included, and slots are used again. */
T_TEST(statistics_keep_what_dead_processes_counted)
{
    enum { PROCESSES = 25 };
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 65536, .threads = 3});
    for (int i = 0; i < PROCESSES; i++)
        T_REQUIRE_EQ(t_wait(t_fork(worker, c)), 0);
    struct lk_cache_stat s = stat_of(c);
    T_REQUIRE_EQ(s.sets, 2 * PROCESSES);
    T_REQUIRE_EQ(s.hits, PROCESSES);
    T_REQUIRE_EQ(s.misses, PROCESSES);
    T_REQUIRE_EQ(s.deletes, PROCESSES);
    T_REQUIRE_EQ(s.entries, 1);
    T_REQUIRE_EQ(s.threads, 0);
    T_REQUIRE_EQ(s.threads_max, 3);
    T_REQUIRE_EQ(s.backstops, 0);
    T_REQUIRE_EQ(s.shards_locked, 0);
    lk_cache_close(c);
}

T_TEST(statistics_count_what_happens)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){
        .shards = 1, .capacity_bytes = 64 * 4, .granule_bytes = 64, .entry_bytes = 40});
    char buf[8];
    size_t size;
    struct lk_cache_request request = {.key = "a", .key_size = 1, .buf = buf, .capacity = 8};
    T_REQUIRE_RC(lk_cache_set(c, "a", 1, "1", 1, 1), 0);
    T_REQUIRE_RC(lk_cache_get(c, "a", 1, buf, 8, &size), ENOENT); /* expired: a miss */
    T_REQUIRE_EQ(lk_cache_get_many(c, &request, 1), 0);
    T_REQUIRE_EQ(stat_of(c).misses, 2);
    T_REQUIRE_RC(lk_cache_delete(c, "a", 1), ENOENT);
    T_REQUIRE_EQ(stat_of(c).expirations, 1);
    T_REQUIRE_EQ(stat_of(c).deletes, 0);
    for (uint32_t i = 0; i < 10; i++)
        T_REQUIRE_RC(lk_cache_set(c, &i, sizeof i, "1", 1, 0), 0);
    struct lk_cache_stat s = stat_of(c);
    T_REQUIRE_EQ(s.sets, 11);
    T_REQUIRE_EQ(s.evictions, 6);
    T_REQUIRE_EQ(s.entries, 4);
    T_REQUIRE_EQ(s.shards, 1);
    T_REQUIRE_EQ(s.threads, 1);
    T_REQUIRE_EQ(s.threads_dead, 0);
    unsigned repaired = 9;
    T_REQUIRE_RC(lk_cache_repair(c, false, &repaired), 0);
    T_REQUIRE_EQ(repaired, 0);
    T_REQUIRE_RC(lk_cache_repair(c, true, &repaired), 0);
    T_REQUIRE_EQ(repaired, 1);
    T_REQUIRE_EQ(stat_of(c).repairs, 1);
    T_REQUIRE_EQ(stat_of(c).entries, 4);
    lk_cache_close(c);
}
