/* Random operations on a cache, compared with a plain table of what was stored.
 * Runs in: dev clang asan coverage
 *
 * The table cannot know what the cache evicts.  So before each operation a look at the index
 * (which leaves no trace in the cache) tells whether the key is still there; a key that the table
 * has and the cache has not must have been evicted, and the number of these is the cache's own
 * count of evictions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cache/read.h"
#include "cache/section.h"
#include "latchkey/cache.h"
#include "test.h"

enum { KEYS_MAX = 512, FAR_NS = 1000000000 };

struct record {
    bool there;
    char *value;
    size_t size;
    uint64_t version;
    bool expires;
};

struct model {
    lk_cache *cache;
    uint64_t state; /* of the random numbers */
    uint32_t keys;
    size_t size_max;
    struct record records[KEYS_MAX];
    uint64_t lost; /* keys that the cache evicted */
    uint64_t last_version;
};

static uint64_t draw(struct model *m)
{
    m->state += 0x9e3779b97f4a7c15u;
    uint64_t z = m->state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(struct model *m, uint32_t n)
{
    return (uint32_t)(draw(m) % n);
}

/* Keys of 2 to 41 bytes, never equal for different numbers. */
static size_t key_bytes(uint32_t number, char key[64])
{
    int n = snprintf(key, 64, "%u:", number);
    size_t size = (size_t)n + number * 7 % 38;
    memset(key + n, 'k', size - (size_t)n);
    return size;
}

static void forget(struct record *r)
{
    free(r->value);
    *r = (struct record){0};
}

static void remember(struct record *r, const char *value, size_t size, bool expires)
{
    forget(r);
    r->value = malloc(size + 1);
    T_REQUIRE(r->value != NULL);
    memcpy(r->value, value, size);
    r->size = size;
    r->there = true;
    r->expires = expires;
}

/* Is the key in the index?  Changes nothing, not even how often the entry was used. */
static bool peek(const struct model *m, const char *key, size_t size, uint64_t *version)
{
    struct lki_key k;
    struct lki_found found;
    T_REQUIRE_EQ(lki_key_make(m->cache, &k, key, size), 0);
    struct lki_shard s = lki_shard_at(m->cache, lki_hash_shard(k.hash, m->cache->geometry.shards));
    if (lki_find(&s, &k, &found) != LKI_FOUND || lki_expired(found.view.expire_ns))
        return false;
    *version = found.view.version;
    return true;
}

/* Bring the table up to date about one key; what is there must be what was stored. */
static void sync_key(struct model *m, uint32_t number)
{
    char key[64];
    size_t size = key_bytes(number, key);
    struct record *r = &m->records[number];
    uint64_t version = 0;
    if (!peek(m, key, size, &version)) {
        m->lost += r->there;
        forget(r);
        return;
    }
    if (!r->there)
        T_FAIL("key %u is in the cache, but was deleted, evicted or never stored", number);
    if (r->version == 0) {
        if (version <= m->last_version && m->cache->geometry.shards == 1)
            T_FAIL("version %llu is not new", (unsigned long long)version);
        r->version = version;
        m->last_version = version;
    }
    T_REQUIRE_EQ(version, r->version);
}

static void check_get(struct model *m, uint32_t number)
{
    static char buf[70000];
    char key[64];
    size_t size = key_bytes(number, key);
    const struct record *r = &m->records[number];
    struct lk_cache_entry entry = {0};
    size_t capacity = below(m, 4) == 0 ? below(m, 40) : sizeof buf;
    int rc = lk_cache_get_entry(m->cache, key, size, buf, capacity, &entry);
    if (!r->there) {
        T_REQUIRE_RC(rc, ENOENT);
        return;
    }
    T_REQUIRE_RC(rc, r->size > capacity ? ENOBUFS : 0);
    T_REQUIRE_EQ(entry.size, r->size);
    T_REQUIRE_EQ(entry.version, r->version);
    T_REQUIRE_EQ(entry.expire_ns != 0, r->expires);
    if (rc == 0 && memcmp(buf, r->value, r->size) != 0)
        T_FAIL("key %u: not the value that was stored", number);
}

static void check_get_many(struct model *m)
{
    enum { N = 37 };
    static char bufs[N][2048];
    char keys[N][64];
    uint32_t numbers[N];
    struct lk_cache_request requests[N];
    size_t hits = 0;
    for (uint32_t i = 0; i < N; i++) {
        numbers[i] = below(m, m->keys);
        sync_key(m, numbers[i]);
        requests[i] = (struct lk_cache_request){.key = keys[i],
                                                .key_size = key_bytes(numbers[i], keys[i]),
                                                .buf = bufs[i],
                                                .capacity = sizeof bufs[i]};
    }
    size_t told = lk_cache_get_many(m->cache, requests, N);
    for (uint32_t i = 0; i < N; i++) {
        const struct record *r = &m->records[numbers[i]];
        int want = !r->there ? ENOENT : r->size > sizeof bufs[i] ? ENOBUFS : 0;
        T_REQUIRE_RC(requests[i].rc, want);
        if (r->there)
            T_REQUIRE_EQ(requests[i].size, r->size);
        if (want == 0)
            T_REQUIRE(memcmp(bufs[i], r->value, r->size) == 0);
        hits += want == 0;
    }
    T_REQUIRE_EQ(told, hits);
}

/* A value: mostly bytes, now and then a number. */
static size_t make_value(struct model *m, char *value)
{
    if (below(m, 4) == 0)
        return (size_t)sprintf(value, "%d", (int)below(m, 1000) - 500);
    size_t size = below(m, 8) == 0 ? below(m, (uint32_t)m->size_max + 1)
                                   : below(m, (uint32_t)m->size_max / 8 + 2);
    for (size_t i = 0; i < size; i++)
        value[i] = (char)draw(m);
    return size;
}

/* Would the library take a value of this size under this key? */
static bool fits(const struct model *m, size_t key_size, size_t value_size)
{
    struct lki_change change;
    static char nothing[70000];
    return lki_change_make(m->cache, &change, nothing, key_size, nothing, value_size) == 0;
}

static void store_one(struct model *m, uint32_t number)
{
    static char value[70000];
    char key[64];
    size_t key_size = key_bytes(number, key);
    size_t size = make_value(m, value);
    struct record *r = &m->records[number];
    static const uint64_t ttls[] = {LK_TTL_DEFAULT,   LK_TTL_NEVER,  LK_TTL_KEEP, 1,
                                    3600ull * FAR_NS, UINT64_MAX - 2};
    uint64_t ttl = ttls[below(m, 6)];
    uint64_t version = r->version + (below(m, 2) == 0);
    uint32_t mode = below(m, 5);
    bool kept = r->there && r->expires;
    int rc = mode == 0   ? lk_cache_add(m->cache, key, key_size, value, size, ttl)
             : mode == 1 ? lk_cache_replace(m->cache, key, key_size, value, size, ttl)
             : mode == 2 ? lk_cache_cas(m->cache, key, key_size, value, size, ttl, version)
                         : lk_cache_set(m->cache, key, key_size, value, size, ttl);
    int want = 0;
    if (!fits(m, key_size, size))
        want = E2BIG;
    else if (mode == 0 && r->there)
        want = EEXIST;
    else if ((mode == 1 || mode == 2) && !r->there)
        want = ENOENT;
    else if (mode == 2 && version != r->version)
        want = LK_ECHANGED;
    T_REQUIRE_RC(rc, want);
    if (rc != 0)
        return;
    if (ttl == 1)
        forget(r);
    else
        remember(r, value, size, ttl == LK_TTL_KEEP ? kept : ttl != 0 && ttl != LK_TTL_NEVER);
}

static void remove_one(struct model *m, uint32_t number)
{
    char key[64];
    size_t size = key_bytes(number, key);
    struct record *r = &m->records[number];
    T_REQUIRE_RC(lk_cache_delete(m->cache, key, size), r->there ? 0 : ENOENT);
    forget(r);
}

static void touch_one(struct model *m, uint32_t number)
{
    char key[64];
    size_t size = key_bytes(number, key);
    struct record *r = &m->records[number];
    uint64_t ttl = below(m, 2) == 0 ? LK_TTL_NEVER : FAR_NS * 3600ull;
    T_REQUIRE_RC(lk_cache_touch(m->cache, key, size, ttl), r->there ? 0 : ENOENT);
    if (r->there)
        r->expires = ttl != LK_TTL_NEVER;
}

static bool as_number(const struct record *r, long long *number)
{
    char text[32], *end;
    if (r->size == 0 || r->size > 20 ||
        !(r->value[0] == '-' || (r->value[0] >= '0' && r->value[0] <= '9')))
        return false;
    memcpy(text, r->value, r->size);
    text[r->size] = '\0';
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end == text + r->size && text[r->size - 1] != '-';
}

static void incr_one(struct model *m, uint32_t number)
{
    char key[64];
    char text[32];
    size_t size = key_bytes(number, key);
    struct record *r = &m->records[number];
    long long sum = 7;
    int64_t got = 0;
    int64_t delta = (int64_t)below(m, 100) - 50;
    bool numeric = r->there && as_number(r, &sum);
    int want = !fits(m, size, 20) ? E2BIG : r->there && !numeric ? LK_ENOTNUM : 0;
    T_REQUIRE_RC(lk_cache_incr(m->cache, key, size, delta, 7, LK_TTL_DEFAULT, &got), want);
    if (want != 0)
        return;
    sum += numeric ? delta : 0;
    T_REQUIRE_EQ(got, sum);
    remember(r, text, (size_t)sprintf(text, "%lld", sum), r->there && r->expires);
}

static void lease_one(struct model *m, uint32_t number)
{
    static char buf[70000];
    char key[64];
    size_t key_size = key_bytes(number, key);
    size_t size = 0;
    struct record *r = &m->records[number];
    struct lk_lease lease;
    struct timespec now = {0, 0};
    int rc = lk_cache_lease(m->cache, key, key_size, buf, sizeof buf, &size, 0, &now, &lease);
    T_REQUIRE_RC(rc, r->there ? 0 : ENOENT);
    if (rc == 0) {
        T_REQUIRE_EQ(size, r->size);
        T_REQUIRE(memcmp(buf, r->value, size) == 0);
        return;
    }
    if (below(m, 4) == 0) {
        lk_cache_release(m->cache, &lease);
        return;
    }
    size = make_value(m, buf);
    int want = fits(m, key_size, size) ? 0 : E2BIG;
    T_REQUIRE_RC(lk_cache_fill(m->cache, key, key_size, buf, size, LK_TTL_NEVER, &lease), want);
    if (want == 0)
        remember(r, buf, size, false);
}

static void say_problem(const char *place, const char *text, void *arg)
{
    (void)arg;
    T_LOG("%s: %s", place, text);
}

/* Everything: the cache's invariants, its counts, and each key. */
static void check_all(struct model *m)
{
    struct lk_cache_stat stat;
    uint64_t entries = 0;
    T_REQUIRE_RC(lk_cache_verify(m->cache, say_problem, NULL), 0);
    for (uint32_t i = 0; i < m->keys; i++) {
        sync_key(m, i);
        entries += m->records[i].there;
    }
    T_REQUIRE_RC(lk_cache_stat(m->cache, &stat), 0);
    T_REQUIRE_EQ(stat.evictions, m->lost);
    T_REQUIRE(stat.entries >= entries); /* expired ones may still be there */
    T_REQUIRE(stat.used_bytes <= stat.capacity_bytes);
    T_REQUIRE_EQ(stat.leases_held, 0);
    T_REQUIRE_EQ(stat.backstops, 0);
}

static void step(struct model *m)
{
    uint32_t number = below(m, m->keys);
    uint32_t what = below(m, 1000);
    sync_key(m, number);
    if (what < 400)
        store_one(m, number);
    else if (what < 650)
        check_get(m, number);
    else if (what < 750)
        remove_one(m, number);
    else if (what < 800)
        touch_one(m, number);
    else if (what < 870)
        incr_one(m, number);
    else if (what < 960)
        lease_one(m, number);
    else if (what < 990)
        check_get_many(m);
    else if (what < 996)
        T_REQUIRE_RC(lk_cache_repair(m->cache, true, NULL), 0);
    else if (what < 997) {
        for (uint32_t i = 0; i < m->keys; i++) {
            sync_key(m, i);
            forget(&m->records[i]);
        }
        T_REQUIRE_RC(lk_cache_flush(m->cache), 0);
    }
    sync_key(m, number);
}

struct shape {
    uint32_t shards, granule, entry_bytes, checksum;
    uint64_t capacity;
    uint32_t keys;
    size_t size_max;
};

/* `steps` operations; after every `every` of them all is checked. */
static void run_shape(const struct shape *shape, uint32_t steps, uint32_t every, uint64_t seed)
{
    static struct model m;
    struct lk_cache_options o = {.shards = shape->shards,
                                 .capacity_bytes = shape->capacity,
                                 .granule_bytes = shape->granule,
                                 .entry_bytes = shape->entry_bytes,
                                 .checksum = shape->checksum,
                                 .threads = 2};
    m = (struct model){.state = seed, .keys = shape->keys, .size_max = shape->size_max};
    T_REQUIRE_RC(lk_cache_open_anonymous(&m.cache, &o), 0);
    for (uint32_t i = 1; i <= steps; i++) {
        step(&m);
        if (i % every == 0)
            check_all(&m);
    }
    check_all(&m);
    for (uint32_t i = 0; i < m.keys; i++)
        forget(&m.records[i]);
    lk_cache_close(m.cache);
}

/* One to eight entries, one granule each: every operation evicts. */
T_TEST(random_operations_on_caches_of_one_to_eight_entries)
{
    for (uint32_t entries = 1; entries <= 8; entries++)
        run_shape(&(struct shape){1, 96, 1, entries & 1, 96ull * entries, 12, 30}, 4000, 1,
                  entries);
}

/* Values of many granules in little room: nearly every one is stored in pieces. */
T_TEST(random_operations_on_a_fragmented_cache)
{
    T_TIMEOUT(120);
    run_shape(&(struct shape){1, 32, 64, 0, 4096, 40, 1100}, 20000, 3, 21);
    run_shape(&(struct shape){1, 32, 64, 1, 8192, 60, 2100}, 10000, 3, 22);
    run_shape(&(struct shape){1, 40, 200, 1, 3000, 40, 800}, 10000, 3, 23);
}

T_TEST(random_operations_on_several_shards)
{
    T_TIMEOUT(120);
    run_shape(&(struct shape){4, 48, 0, 0, 20000, 200, 600}, 25000, 50, 31);
    run_shape(&(struct shape){7, 64, 40, 1, 9999, 100, 300}, 15000, 50, 32);
}

/* An index sized for larger entries than those that come, and for smaller ones. */
T_TEST(random_operations_on_an_index_that_does_not_fit)
{
    T_TIMEOUT(120);
    run_shape(&(struct shape){1, 48, 2000, 0, 48000, 300, 200}, 20000, 50, 41);
    run_shape(&(struct shape){2, 32, 1, 0, 20000, 300, 200}, 20000, 50, 42);
    run_shape(&(struct shape){1, 4096, 0, 1, 40960, 40, 9000}, 10000, 50, 43);
}

T_TEST(random_operations_on_a_cache_that_holds_everything)
{
    T_TIMEOUT(120);
    run_shape(&(struct shape){1, 0, 0, 1, 1 << 20, 500, 1500}, 30000, 200, 51);
}
