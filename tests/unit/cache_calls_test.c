/* Every call of cache.h by its own words: results, limits, times to live, versions, numbers. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "test.h"

static lk_cache *new_cache(const struct lk_cache_options *o)
{
    lk_cache *c = NULL;
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, o), 0);
    return c;
}

static lk_cache *new_small(void)
{
    return new_cache(&(struct lk_cache_options){.capacity_bytes = 65536, .threads = 8});
}

static int set(lk_cache *c, const char *key, const char *value, uint64_t ttl)
{
    return lk_cache_set(c, key, strlen(key), value, strlen(value), ttl);
}

/* The value as a string; "(none)" if there is none. */
static const char *get(lk_cache *c, const char *key)
{
    static char text[256];
    size_t size = 0;
    int rc = lk_cache_get(c, key, strlen(key), text, sizeof text - 1, &size);
    if (rc == ENOENT)
        return "(none)";
    T_REQUIRE_RC(rc, 0);
    text[size] = '\0';
    return text;
}

static struct lk_cache_entry entry_of(lk_cache *c, const char *key)
{
    struct lk_cache_entry e = {0};
    int rc = lk_cache_get_entry(c, key, strlen(key), NULL, 0, &e);
    if (rc != ENOBUFS)
        T_REQUIRE_RC(rc, 0);
    return e;
}

static uint64_t boot_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct lk_cache_stat stat_of(lk_cache *c)
{
    struct lk_cache_stat s;
    T_REQUIRE_RC(lk_cache_stat(c, &s), 0);
    return s;
}

T_TEST(get_tells_absence_and_room)
{
    lk_cache *c = new_small();
    char buf[8] = "before.";
    size_t size = 99;
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, buf, sizeof buf, &size), ENOENT);
    T_REQUIRE_EQ(size, 99);
    T_REQUIRE_RC(set(c, "k", "12345", 0), 0);
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, buf, 4, &size), ENOBUFS);
    T_REQUIRE_EQ(size, 5);
    T_REQUIRE_STR_EQ(buf, "before."); /* as it was */
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, buf, 5, &size), 0);
    T_REQUIRE(memcmp(buf, "12345e.", 7) == 0);
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, NULL, 0, &size), ENOBUFS);
    T_REQUIRE_RC(lk_cache_set(c, "empty", 5, NULL, 0, 0), 0);
    T_REQUIRE_RC(lk_cache_get(c, "empty", 5, NULL, 0, &size), 0);
    T_REQUIRE_EQ(size, 0);
    lk_cache_close(c);
}

T_TEST(bad_arguments_are_einval)
{
    lk_cache *c = new_small();
    static char key[LK_CACHE_KEY_MAX + 1];
    char buf[4];
    size_t size;
    int64_t number;
    struct lk_lease lease;
    struct lk_cache_entry entry;
    struct timespec bad = {0, 1000000000};
    T_REQUIRE_RC(lk_cache_get(c, key, 0, buf, 4, &size), EINVAL);
    T_REQUIRE_RC(lk_cache_get(c, key, sizeof key, buf, 4, &size), EINVAL);
    T_REQUIRE_RC(lk_cache_get(c, NULL, 1, buf, 4, &size), EINVAL);
    T_REQUIRE_RC(lk_cache_get(c, key, 1, NULL, 4, &size), EINVAL);
    T_REQUIRE_RC(lk_cache_get_entry(c, key, 1, NULL, 4, &entry), EINVAL);
    T_REQUIRE_RC(lk_cache_set(c, key, 0, buf, 1, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_set(c, key, sizeof key, buf, 1, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_set(c, NULL, 1, buf, 1, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_set(c, key, 1, NULL, 1, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_add(c, key, 0, buf, 1, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_replace(c, key, 0, buf, 1, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_cas(c, key, 0, buf, 1, 0, 1), EINVAL);
    T_REQUIRE_RC(lk_cache_delete(c, key, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_touch(c, NULL, 3, 0), EINVAL);
    T_REQUIRE_RC(lk_cache_incr(c, key, 0, 1, 1, 0, &number), EINVAL);
    T_REQUIRE_RC(lk_cache_lease(c, key, 0, buf, 4, &size, 0, NULL, &lease), EINVAL);
    T_REQUIRE_RC(lk_cache_lease(c, key, 1, NULL, 4, &size, 0, NULL, &lease), EINVAL);
    T_REQUIRE_RC(lk_cache_lease(c, key, 1, buf, 4, &size, 0, &bad, &lease), EINVAL);
    T_REQUIRE_RC(lk_cache_each(c, NULL, 0, NULL, NULL), EINVAL);
    T_REQUIRE_EQ(stat_of(c).entries, 0);
    lk_cache_close(c);
    lk_cache_close(NULL);
}

/* 1 to 65535 bytes of key; bytes of any kind; keys that differ in one bit only. */
T_TEST(keys_are_any_bytes_up_to_the_limit)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 1 << 20});
    static char key[LK_CACHE_KEY_MAX];
    static const size_t sizes[] = {1, 7, 8, 9, 16, 250, 4095, 65535};
    char value[32], got[32];
    size_t size;
    memset(key, 0xff, sizeof key);
    key[0] = '\0';
    for (size_t i = 0; i < 8; i++) {
        int n = snprintf(value, sizeof value, "value %zu", i);
        T_REQUIRE_RC(lk_cache_set(c, key, sizes[i], value, (size_t)n, 0), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        size_t n = (size_t)snprintf(value, sizeof value, "value %zu", i);
        T_REQUIRE_RC(lk_cache_get(c, key, sizes[i], got, sizeof got, &size), 0);
        T_REQUIRE(size == n && memcmp(got, value, n) == 0);
        key[sizes[i] - 1] ^= 1;
        T_REQUIRE_RC(lk_cache_get(c, key, sizes[i], got, sizeof got, &size), ENOENT);
        key[sizes[i] - 1] ^= 1;
    }
    lk_cache_close(c);
}

/* A value may be exactly a quarter of a shard; one byte more may not. */
T_TEST(largest_value_is_a_quarter_of_a_shard)
{
    static const struct lk_cache_options shapes[] = {
        {.capacity_bytes = 48 * 1000},
        {.capacity_bytes = 48 * 4000, .shards = 4},
        {.capacity_bytes = 64 * 1000, .granule_bytes = 64, .checksum = 1},
    };
    static char value[20000], got[20000];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        lk_cache *c = new_cache(&shapes[i]);
        struct lk_cache_stat s = stat_of(c);
        size_t limit = s.capacity_bytes / s.shards / 4, size;
        for (size_t at = 0; at < limit; at++)
            value[at] = (char)(at * 7 + i);
        T_REQUIRE_RC(lk_cache_set(c, "k", 1, value, limit, 0), 0);
        T_REQUIRE_RC(lk_cache_set(c, "k", 1, value, limit + 1, 0), E2BIG);
        T_REQUIRE_RC(lk_cache_get(c, "k", 1, got, sizeof got, &size), 0); /* the old one stays */
        T_REQUIRE(size == limit && memcmp(got, value, limit) == 0);
        T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
        lk_cache_close(c);
    }
}

T_TEST(every_value_size_up_to_the_limit_is_kept)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 16384, .checksum = 1});
    static char value[4097], got[4097];
    size_t size;
    for (size_t n = 0; n <= 4096; n++) {
        value[n] = (char)n;
        T_REQUIRE_RC(lk_cache_set(c, "k", 1, value, n, 0), 0);
        T_REQUIRE_RC(lk_cache_get(c, "k", 1, got, sizeof got, &size), 0);
        T_REQUIRE(size == n && memcmp(value, got, n) == 0);
    }
    lk_cache_close(c);
}

T_TEST(add_replace_and_cas_keep_their_conditions)
{
    lk_cache *c = new_small();
    T_REQUIRE_RC(lk_cache_replace(c, "k", 1, "a", 1, 0), ENOENT);
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "a", 1, 0, 1), ENOENT);
    T_REQUIRE_RC(lk_cache_add(c, "k", 1, "a", 1, 0), 0);
    T_REQUIRE_RC(lk_cache_add(c, "k", 1, "b", 1, 0), EEXIST);
    T_REQUIRE_STR_EQ(get(c, "k"), "a");
    T_REQUIRE_RC(lk_cache_replace(c, "k", 1, "c", 1, 0), 0);
    uint64_t version = entry_of(c, "k").version;
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "d", 1, 0, version), 0);
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "e", 1, 0, version), LK_ECHANGED);
    T_REQUIRE_STR_EQ(get(c, "k"), "d");
    /* A value that was set to what it was before has another version all the same. */
    version = entry_of(c, "k").version;
    T_REQUIRE_RC(set(c, "k", "x", 0), 0);
    T_REQUIRE_RC(set(c, "k", "d", 0), 0);
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "e", 1, 0, version), LK_ECHANGED);
    T_REQUIRE_RC(lk_cache_delete(c, "k", 1), 0);
    T_REQUIRE_RC(lk_cache_delete(c, "k", 1), ENOENT);
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "e", 1, 0, version), ENOENT);
    T_REQUIRE_RC(set(c, "k", "d", 0), 0);
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "e", 1, 0, version), LK_ECHANGED);
    /* An expired entry is absent for all of them. */
    T_REQUIRE_RC(set(c, "k", "old", 1), 0);
    T_REQUIRE_RC(lk_cache_replace(c, "k", 1, "n", 1, 0), ENOENT);
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, 0), ENOENT);
    T_REQUIRE_RC(lk_cache_delete(c, "k", 1), ENOENT);
    T_REQUIRE_RC(set(c, "k", "old", 1), 0);
    T_REQUIRE_RC(lk_cache_add(c, "k", 1, "n", 1, 0), 0);
    lk_cache_close(c);
}

static int compare_versions(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

T_TEST(no_version_is_given_twice)
{
    enum { N = 3000 };
    static uint64_t versions[N];
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 65536, .shards = 8});
    for (int i = 0; i < N; i++) {
        char key[16];
        size_t n = (size_t)snprintf(key, sizeof key, "%d", i % 50);
        if (i % 7 == 0)
            T_REQUIRE_RC(lk_cache_flush(c), 0);
        if (i % 100 == 50)
            T_REQUIRE_RC(lk_cache_repair(c, true, NULL), 0);
        T_REQUIRE_RC(lk_cache_set(c, key, n, &i, sizeof i, 0), 0);
        versions[i] = entry_of(c, key).version;
        T_REQUIRE(versions[i] != 0);
    }
    qsort(versions, N, sizeof versions[0], compare_versions);
    for (int i = 1; i < N; i++)
        T_REQUIRE(versions[i] != versions[i - 1]);
    lk_cache_close(c);
}

T_TEST(time_to_live_is_counted_from_now)
{
    const uint64_t hour = 3600000000000u;
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 4096, .ttl_ns = hour});
    uint64_t before = boot_ns();
    T_REQUIRE_RC(set(c, "default", "v", LK_TTL_DEFAULT), 0);
    T_REQUIRE_RC(set(c, "never", "v", LK_TTL_NEVER), 0);
    T_REQUIRE_RC(set(c, "far", "v", UINT64_MAX - 2), 0);
    T_REQUIRE_RC(set(c, "soon", "v", 1), 0);
    T_REQUIRE_RC(set(c, "later", "v", 30000000), 0);
    uint64_t after = boot_ns();
    uint64_t expire = entry_of(c, "default").expire_ns;
    T_REQUIRE(expire >= before + hour && expire <= after + hour);
    T_REQUIRE_EQ(entry_of(c, "never").expire_ns, 0);
    T_REQUIRE(entry_of(c, "far").expire_ns > after + hour);
    T_REQUIRE_STR_EQ(get(c, "far"), "v");
    T_REQUIRE_STR_EQ(get(c, "soon"), "(none)");
    T_REQUIRE_STR_EQ(get(c, "later"), "v");
    /* Not a moment too early, and gone at its time. */
    while (strcmp(get(c, "later"), "v") == 0)
        ;
    T_REQUIRE(boot_ns() >= before + 30000000);
    T_REQUIRE_STR_EQ(get(c, "later"), "(none)");
    T_REQUIRE_RC(set(c, "later", "v", 1000000000000u), 0);
    T_REQUIRE_STR_EQ(get(c, "later"), "v");
    /* KEEP. */
    T_REQUIRE_RC(set(c, "default", "w", LK_TTL_KEEP), 0);
    T_REQUIRE_EQ(entry_of(c, "default").expire_ns, expire);
    T_REQUIRE_RC(set(c, "never", "w", LK_TTL_KEEP), 0);
    T_REQUIRE_EQ(entry_of(c, "never").expire_ns, 0);
    T_REQUIRE_RC(set(c, "new", "w", LK_TTL_KEEP), 0); /* there is none to keep: the default */
    T_REQUIRE(entry_of(c, "new").expire_ns >= after + hour);
    T_REQUIRE_RC(set(c, "soon", "w", LK_TTL_KEEP), 0); /* nor that of an expired one */
    T_REQUIRE(entry_of(c, "soon").expire_ns >= after + hour);
    lk_cache_close(c);
}

T_TEST(touch_changes_only_the_time_to_live)
{
    lk_cache *c = new_small();
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, 5), ENOENT);
    T_REQUIRE_RC(set(c, "k", "value", LK_TTL_NEVER), 0);
    uint64_t version = entry_of(c, "k").version;
    uint64_t now = boot_ns();
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, 3600000000000u), 0);
    T_REQUIRE(entry_of(c, "k").expire_ns >= now + 3600000000000u);
    T_REQUIRE_EQ(entry_of(c, "k").version, version);
    uint64_t expire = entry_of(c, "k").expire_ns;
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, LK_TTL_KEEP), 0);
    T_REQUIRE_EQ(entry_of(c, "k").expire_ns, expire);
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, LK_TTL_NEVER), 0);
    T_REQUIRE_EQ(entry_of(c, "k").expire_ns, 0);
    T_REQUIRE_STR_EQ(get(c, "k"), "value");
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, 1), 0);
    T_REQUIRE_STR_EQ(get(c, "k"), "(none)");
    lk_cache_close(c);
}

static void require_incr(lk_cache *c, const char *key, int64_t delta, int64_t initial, int64_t want)
{
    int64_t got = 12345;
    char text[32];
    T_REQUIRE_RC(lk_cache_incr(c, key, strlen(key), delta, initial, LK_TTL_DEFAULT, &got), 0);
    T_REQUIRE_EQ(got, want);
    (void)snprintf(text, sizeof text, "%lld", (long long)want);
    T_REQUIRE_STR_EQ(get(c, key), text);
}

T_TEST(counters_begin_add_and_stop_at_their_ends)
{
    lk_cache *c = new_small();
    require_incr(c, "n", 5, 100, 100); /* absent: stored without adding */
    require_incr(c, "n", 5, 100, 105);
    require_incr(c, "n", -205, 0, -100);
    require_incr(c, "n", 0, 7, -100);
    require_incr(c, "max", 1, INT64_MAX - 1, INT64_MAX - 1);
    require_incr(c, "max", 1, 0, INT64_MAX);
    require_incr(c, "max", 1, 0, INT64_MAX);
    require_incr(c, "max", INT64_MAX, 0, INT64_MAX);
    require_incr(c, "max", INT64_MIN, 0, -1);
    require_incr(c, "min", 1, INT64_MIN, INT64_MIN);
    require_incr(c, "min", -1, 0, INT64_MIN);
    require_incr(c, "min", INT64_MIN, 0, INT64_MIN);
    require_incr(c, "min", INT64_MAX, 0, -1);
    T_REQUIRE_RC(set(c, "n", "41", 0), 0);
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 0, LK_TTL_DEFAULT, NULL), 0);
    T_REQUIRE_STR_EQ(get(c, "n"), "42");
    T_REQUIRE_RC(set(c, "n", "9", 1), 0); /* expired: begins anew */
    require_incr(c, "n", 5, 3, 3);
    lk_cache_close(c);
}

T_TEST(what_is_no_number_is_not_counted)
{
    static const char *const others[] = {"",
                                         "-",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "0x1",
                                         "1.0",
                                         "1e3",
                                         "--1",
                                         "abc",
                                         "9223372036854775808",
                                         "-9223372036854775809",
                                         "99999999999999999999",
                                         "123456789012345678901",
                                         "1\n"};
    lk_cache *c = new_small();
    int64_t got = 5;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        T_REQUIRE_RC(set(c, "n", others[i], 0), 0);
        uint64_t version = entry_of(c, "n").version;
        T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, 0, &got), LK_ENOTNUM);
        T_REQUIRE_EQ(got, 5);
        T_REQUIRE_STR_EQ(get(c, "n"), others[i]);
        T_REQUIRE_EQ(entry_of(c, "n").version, version);
    }
    static const struct {
        const char *text;
        int64_t number;
    } numbers[] = {{"0", 1},
                   {"-0", 1},
                   {"007", 8},
                   {"-1", 0},
                   {"9223372036854775807", INT64_MAX},
                   {"-9223372036854775808", INT64_MIN + 1}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        T_REQUIRE_RC(set(c, "n", numbers[i].text, 0), 0);
        require_incr(c, "n", 1, 0, numbers[i].number);
    }
    lk_cache_close(c);
}

T_TEST(a_counter_keeps_its_time_to_live)
{
    const uint64_t hour = 3600000000000u;
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 4096, .ttl_ns = hour});
    uint64_t now = boot_ns();
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, 2 * hour, NULL), 0);
    uint64_t expire = entry_of(c, "n").expire_ns;
    T_REQUIRE(expire >= now + 2 * hour);
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, LK_TTL_DEFAULT, NULL), 0);
    T_REQUIRE_EQ(entry_of(c, "n").expire_ns, expire);
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, LK_TTL_KEEP, NULL), 0);
    T_REQUIRE_EQ(entry_of(c, "n").expire_ns, expire);
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, LK_TTL_NEVER, NULL), 0);
    T_REQUIRE_EQ(entry_of(c, "n").expire_ns, 0);
    T_REQUIRE_RC(lk_cache_incr(c, "m", 1, 1, 1, LK_TTL_DEFAULT, NULL), 0);
    T_REQUIRE(entry_of(c, "m").expire_ns >= now + hour);
    lk_cache_close(c);
}

T_TEST(get_many_is_many_gets)
{
    enum { N = 100 };
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 65536, .shards = 4});
    struct lk_cache_request requests[N];
    static char keys[N][8], bufs[N][16];
    for (int i = 0; i < N; i++) {
        int n = snprintf(keys[i], sizeof keys[i], "k%d", i);
        if (i % 3 != 0)
            T_REQUIRE_RC(lk_cache_set(c, keys[i], (size_t)n, keys[i], (size_t)n, 0), 0);
        requests[i] = (struct lk_cache_request){.key = keys[i],
                                                .key_size = (size_t)n,
                                                .buf = bufs[i],
                                                .capacity = i % 5 ? 16 : 1,
                                                .size = 77,
                                                .rc = 78};
    }
    requests[4].key_size = 0;
    requests[7].buf = NULL;
    size_t hits = lk_cache_get_many(c, requests, N), expected = 0;
    for (int i = 0; i < N; i++) {
        size_t n = strlen(keys[i]);
        int want = i == 4 || i == 7 ? EINVAL : i % 3 == 0 ? ENOENT : i % 5 ? 0 : ENOBUFS;
        T_REQUIRE_RC(requests[i].rc, want);
        T_REQUIRE_EQ(requests[i].size, want == 0 || want == ENOBUFS ? n : 77);
        T_REQUIRE(want != 0 || memcmp(bufs[i], keys[i], n) == 0);
        expected += want == 0;
    }
    T_REQUIRE_EQ(hits, expected);
    T_REQUIRE_EQ(lk_cache_get_many(c, requests, 0), 0);
    lk_cache_close(c);
}

T_TEST(flush_removes_everything)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 65536, .shards = 4});
    for (int i = 0; i < 300; i++)
        T_REQUIRE_RC(lk_cache_set(c, &i, sizeof i, "value", 5, 0), 0);
    T_REQUIRE(stat_of(c).entries > 200);
    T_REQUIRE_RC(lk_cache_flush(c), 0);
    T_REQUIRE_EQ(stat_of(c).entries, 0);
    T_REQUIRE_EQ(stat_of(c).used_bytes, 0);
    for (int i = 0; i < 300; i++) {
        char buf[8];
        size_t size;
        T_REQUIRE_RC(lk_cache_get(c, &i, sizeof i, buf, sizeof buf, &size), ENOENT);
    }
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    T_REQUIRE_RC(set(c, "k", "v", 0), 0);
    T_REQUIRE_STR_EQ(get(c, "k"), "v");
    lk_cache_close(c);
}

T_TEST(options_of_tells_what_the_cache_has)
{
    struct lk_cache_options o = {.shards = 2,
                                 .capacity_bytes = 10000,
                                 .granule_bytes = 64,
                                 .entry_bytes = 50,
                                 .ttl_ns = 7,
                                 .threads = 9,
                                 .checksum = 1,
                                 .lock_timeout_ns = 11};
    struct lk_cache_options has;
    lk_cache *c = new_cache(&o);
    lk_cache_options_of(c, &has);
    T_REQUIRE_EQ(has.shards, 2);
    T_REQUIRE_EQ(has.capacity_bytes, 10000);
    T_REQUIRE_EQ(has.granule_bytes, 64);
    T_REQUIRE_EQ(has.entry_bytes, 50);
    T_REQUIRE_EQ(has.ttl_ns, 7);
    T_REQUIRE_EQ(has.threads, 9);
    T_REQUIRE_EQ(has.checksum, 1);
    T_REQUIRE_EQ(has.lock_timeout_ns, 11);
    lk_cache_close(c);
    c = new_cache(NULL);
    lk_cache_options_of(c, &has);
    T_REQUIRE_EQ(has.shards, 64);
    T_REQUIRE_EQ(has.capacity_bytes, 64 << 20);
    T_REQUIRE_EQ(has.granule_bytes, 48);
    T_REQUIRE_EQ(has.threads, 128);
    T_REQUIRE(has.ttl_ns == LK_TTL_NEVER);
    lk_cache_close(c);
}

/* A byte of the value changes in the segment: told by caches with checksums. */
T_TEST(a_flipped_byte_is_told_where_there_are_checksums)
{
    lk_cache *c = new_cache(&(struct lk_cache_options){.capacity_bytes = 65536, .checksum = 1});
    static char file[400000];
    char buf[100];
    size_t size;
    T_REQUIRE_RC(set(c, "k", "a value that can be found in the file", 0), 0);
    T_REQUIRE_RC(set(c, "other", "unharmed", 0), 0);
    ssize_t n = pread(lk_cache_fd(c), file, sizeof file, 0);
    T_REQUIRE(n > 0);
    char *at = memmem(file, (size_t)n, "can be found", 12);
    T_REQUIRE(at != NULL);
    T_REQUIRE_EQ(pwrite(lk_cache_fd(c), "m", 1, at - file), 1);
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, buf, sizeof buf, &size), LK_ECORRUPT);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), LK_ECORRUPT);
    T_REQUIRE_STR_EQ(get(c, "other"), "unharmed");
    T_REQUIRE_RC(set(c, "k", "mended", 0), 0);
    T_REQUIRE_STR_EQ(get(c, "k"), "mended");
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    lk_cache_close(c);
}
