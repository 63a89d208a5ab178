/* Threads of one process that share a cache and a mutex.  Built with ThreadSanitizer too, which then
 * also proves that whatever one thread wrote is ordered before another uses it. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "latchkey/latchkey.h"
#include "test.h"

enum { THREADS = 4, KEYS = 300, VALUE_MAX = 3000, ROUNDS = 60000, COUNTED = 10000 };

#if defined(__SANITIZE_THREAD__)
enum { SLOWDOWN = 10 };
#else
enum { SLOWDOWN = 1 };
#endif

struct worker {
    pthread_t thread;
    lk_cache *cache;
    unsigned number;
    uint64_t random;
    uint64_t hits;
};

static uint64_t draw(struct worker *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

/* A value tells its key, and every byte of it follows from the first eight: a value that is torn or
 * stored under another key cannot pass. */
static size_t make_value(struct worker *w, uint32_t key, unsigned char value[VALUE_MAX])
{
    uint64_t seed = draw(w) << 16 | key;
    size_t size = sizeof seed + seed / 7 % (VALUE_MAX - sizeof seed);
    memcpy(value, &seed, sizeof seed);
    for (size_t i = sizeof seed; i < size; i++)
        value[i] = (unsigned char)((seed >> i % 57) + i);
    return size;
}

static void require_value(uint32_t key, const unsigned char *value, size_t size)
{
    uint64_t seed;
    T_REQUIRE(size >= sizeof seed);
    memcpy(&seed, value, sizeof seed);
    T_REQUIRE_EQ(seed & 0xffff, key);
    T_REQUIRE_EQ(size, sizeof seed + seed / 7 % (VALUE_MAX - sizeof seed));
    for (size_t i = sizeof seed; i < size; i++)
        if (value[i] != (unsigned char)((seed >> i % 57) + i))
            T_FAIL("key %u: byte %zu of %zu is of another value", key, i, size);
}

static lk_cache *open_cache(uint64_t capacity_bytes, uint32_t shards, uint32_t threads)
{
    struct lk_cache_options options = {
        .capacity_bytes = capacity_bytes, .shards = shards, .threads = threads};
    lk_cache *cache;
    T_REQUIRE_RC(lk_cache_open_anonymous(&cache, &options), 0);
    return cache;
}

static void run_workers(lk_cache *cache, void *(*run)(void *), struct worker workers[THREADS])
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.cache = cache, .number = i, .random = 88172645463325252u + i};
        T_REQUIRE_EQ(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        T_REQUIRE_EQ(pthread_join(workers[i].thread, NULL), 0);
}

static void tell_problem(const char *place, const char *problem, void *arg)
{
    (void)arg;
    T_LOG("%s: %s", place, problem);
}

/* Nothing is broken, nobody is left inside, and no sleep was ended by the backstop. */
static void require_sound(lk_cache *cache)
{
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_verify(cache, tell_problem, NULL), 0);
    T_REQUIRE_RC(lk_cache_stat(cache, &stat), 0);
    T_REQUIRE_EQ(stat.backstops, 0);
    T_REQUIRE_EQ(stat.deaths, 0);
    T_REQUIRE_EQ(stat.shards_locked, 0);
    T_REQUIRE_EQ(stat.leases_held, 0);
}

static int look_at_item(const struct lk_cache_item *item, void *arg)
{
    uint32_t key;
    (void)arg;
    T_REQUIRE_EQ(item->key_size, sizeof key);
    memcpy(&key, item->key, sizeof key);
    require_value(key, item->value, item->entry.size);
    return 0;
}

static void get_one(struct worker *w, uint32_t key)
{
    unsigned char value[VALUE_MAX];
    size_t size = 0;
    int rc = lk_cache_get(w->cache, &key, sizeof key, value, sizeof value, &size);
    if (rc != ENOENT) {
        T_REQUIRE_RC(rc, 0);
        require_value(key, value, size);
        w->hits++;
    }
}

static void get_some(struct worker *w, uint32_t key)
{
    enum { N = 8 };
    static _Thread_local unsigned char values[N][VALUE_MAX];
    struct lk_cache_request requests[N];
    uint32_t keys[N];
    for (uint32_t i = 0; i < N; i++) {
        keys[i] = (key + i) % KEYS;
        requests[i] = (struct lk_cache_request){
            .key = &keys[i], .key_size = sizeof keys[i], .buf = values[i], .capacity = VALUE_MAX};
    }
    (void)lk_cache_get_many(w->cache, requests, N);
    for (uint32_t i = 0; i < N; i++)
        if (requests[i].rc == 0)
            require_value(keys[i], values[i], requests[i].size);
        else
            T_REQUIRE_RC(requests[i].rc, ENOENT);
}

static void lease_one(struct worker *w, uint32_t key)
{
    unsigned char value[VALUE_MAX];
    size_t size = 0;
    struct lk_lease lease;
    int rc =
        lk_cache_lease(w->cache, &key, sizeof key, value, sizeof value, &size, 0, NULL, &lease);
    if (rc == 0) {
        require_value(key, value, size);
        return;
    }
    T_REQUIRE_RC(rc, ENOENT);
    if (draw(w) % 4 == 0) {
        lk_cache_release(w->cache, &lease);
        return;
    }
    size = make_value(w, key, value);
    rc = lk_cache_fill(w->cache, &key, sizeof key, value, size, LK_TTL_DEFAULT, &lease);
    if (rc != ECANCELED)
        T_REQUIRE_RC(rc, 0);
}

static void change_one(struct worker *w, uint32_t key)
{
    unsigned char value[VALUE_MAX];
    size_t size = make_value(w, key, value);
    struct lk_cache_entry entry;
    int rc;
    switch (draw(w) % 6) {
    case 0:
        rc = lk_cache_add(w->cache, &key, sizeof key, value, size, LK_TTL_DEFAULT);
        T_REQUIRE(rc == 0 || rc == EEXIST);
        break;
    case 1:
        rc = lk_cache_replace(w->cache, &key, sizeof key, value, size, LK_TTL_KEEP);
        T_REQUIRE(rc == 0 || rc == ENOENT);
        break;
    case 2:
        rc = lk_cache_get_entry(w->cache, &key, sizeof key, NULL, 0, &entry);
        T_REQUIRE(rc == ENOBUFS || rc == ENOENT);
        if (rc == ENOBUFS) {
            rc = lk_cache_cas(w->cache, &key, sizeof key, value, size, LK_TTL_DEFAULT,
                              entry.version);
            T_REQUIRE(rc == 0 || rc == LK_ECHANGED || rc == ENOENT);
        }
        break;
    case 3:
        rc = lk_cache_delete(w->cache, &key, sizeof key);
        T_REQUIRE(rc == 0 || rc == ENOENT);
        break;
    case 4:
        rc = lk_cache_touch(w->cache, &key, sizeof key, 1000 + draw(w) % 1000000);
        T_REQUIRE(rc == 0 || rc == ENOENT);
        break;
    default:
        T_REQUIRE_RC(lk_cache_set(w->cache, &key, sizeof key, value, size, LK_TTL_DEFAULT), 0);
    }
}

static void *mix(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < ROUNDS / SLOWDOWN; i++) {
        uint32_t key = (uint32_t)(draw(w) % KEYS);
        unsigned what = (unsigned)(draw(w) % 100);
        if (what < 50)
            get_one(w, key);
        else if (what < 58)
            get_some(w, key);
        else if (what < 68)
            lease_one(w, key);
        else
            change_one(w, key);
        if (i % 1024 == 512)
            T_REQUIRE_RC(lk_cache_each(w->cache, NULL, 0, look_at_item, NULL), 0);
        if (i % 4096 == 2048 && w->number == 0)
            T_REQUIRE_RC(lk_cache_flush(w->cache), 0);
    }
    return NULL;
}

static void mix_on(uint64_t capacity_bytes, uint32_t shards)
{
    struct worker workers[THREADS];
    lk_cache *cache = open_cache(capacity_bytes, shards, 0);
    run_workers(cache, mix, workers);
    require_sound(cache);
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(cache, &stat), 0);
    T_REQUIRE(stat.evictions > 0 && stat.expirations > 0 && stat.leases > 0);
    T_REQUIRE(workers[0].hits > 0 && stat.hits >= workers[0].hits);
    lk_cache_close(cache);
}

T_TEST(threads_see_whole_values_in_a_cache_of_one_shard)
{
    T_TIMEOUT(120);
    mix_on(64u << 10, 1);
}

T_TEST(threads_see_whole_values_in_a_cache_of_eight_shards)
{
    T_TIMEOUT(120);
    mix_on(256u << 10, 8);
}

static void *count_up(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < COUNTED / SLOWDOWN; i++)
        T_REQUIRE_RC(lk_cache_incr(w->cache, "count", 5, 1, 1, LK_TTL_NEVER, NULL), 0);
    return NULL;
}

T_TEST(increments_of_threads_are_all_counted)
{
    struct worker workers[THREADS];
    int64_t count = 0;
    lk_cache *cache = open_cache(64u << 10, 1, 0);
    run_workers(cache, count_up, workers);
    T_REQUIRE_RC(lk_cache_incr(cache, "count", 5, 0, 0, LK_TTL_NEVER, &count), 0);
    T_REQUIRE_EQ(count, THREADS * (COUNTED / SLOWDOWN));
    require_sound(cache);
    lk_cache_close(cache);
}

/* Compare-and-swap: of all who saw a version, one may replace it. */
static void *swap_up(void *arg)
{
    struct worker *w = arg;
    for (int done = 0; done < COUNTED / 5 / SLOWDOWN;) {
        uint64_t count = 0;
        struct lk_cache_entry entry;
        T_REQUIRE_RC(lk_cache_get_entry(w->cache, "count", 5, &count, sizeof count, &entry), 0);
        count++;
        int rc =
            lk_cache_cas(w->cache, "count", 5, &count, sizeof count, LK_TTL_NEVER, entry.version);
        if (rc == 0)
            done++;
        else
            T_REQUIRE_RC(rc, LK_ECHANGED);
    }
    return NULL;
}

T_TEST(swaps_of_threads_lose_nothing)
{
    struct worker workers[THREADS];
    uint64_t count = 0;
    size_t size;
    T_TIMEOUT(120);
    lk_cache *cache = open_cache(64u << 10, 1, 0);
    T_REQUIRE_RC(lk_cache_set(cache, "count", 5, &count, sizeof count, LK_TTL_NEVER), 0);
    run_workers(cache, swap_up, workers);
    T_REQUIRE_RC(lk_cache_get(cache, "count", 5, &count, sizeof count, &size), 0);
    T_REQUIRE_EQ(count, THREADS * (COUNTED / 5 / SLOWDOWN));
    require_sound(cache);
    lk_cache_close(cache);
}

/* Of the threads that ask for an absent value at once, one computes it. */
static uint64_t computed;

static void *compute_once(void *arg)
{
    struct worker *w = arg;
    for (uint32_t key = 0; key < COUNTED / 50 / SLOWDOWN; key++) {
        uint32_t got = 0;
        size_t size;
        struct lk_lease lease;
        int rc =
            lk_cache_lease(w->cache, &key, sizeof key, &got, sizeof got, &size, 0, NULL, &lease);
        if (rc == ENOENT) {
            __atomic_fetch_add(&computed, 1, __ATOMIC_RELAXED);
            T_REQUIRE_RC(
                lk_cache_fill(w->cache, &key, sizeof key, &key, sizeof key, LK_TTL_NEVER, &lease),
                0);
        } else {
            T_REQUIRE_RC(rc, 0);
            T_REQUIRE_EQ(got, key);
        }
    }
    return NULL;
}

T_TEST(a_leased_value_is_computed_once)
{
    struct worker workers[THREADS];
    lk_cache *cache = open_cache(1u << 20, 1, 0);
    run_workers(cache, compute_once, workers);
    T_REQUIRE_EQ(computed, COUNTED / 50 / SLOWDOWN);
    require_sound(cache);
    lk_cache_close(cache);
}

/* More threads than presence slots, one after the other: each gives its slot back when it ends. */
static void *come_and_go(void *arg)
{
    struct worker *w = arg;
    uint32_t key = w->number;
    T_REQUIRE_RC(lk_cache_set(w->cache, &key, sizeof key, "x", 1, LK_TTL_NEVER), 0);
    return NULL;
}

T_TEST(threads_that_end_give_their_slots_back)
{
    struct worker workers[THREADS];
    struct lk_cache_stat stat;
    lk_cache *cache = open_cache(64u << 10, 1, THREADS + 1);
    for (int i = 0; i < 400 / SLOWDOWN; i++)
        run_workers(cache, come_and_go, workers);
    T_REQUIRE_RC(lk_cache_stat(cache, &stat), 0);
    T_REQUIRE_EQ(stat.threads_max, THREADS + 1);
    T_REQUIRE(stat.threads <= 1); /* this one, if it attached */
    require_sound(cache);
    lk_cache_close(cache);
}

struct guarded {
    lk_rmutex mutex;
    uint64_t count; /* plain: only the mutex orders it */
};

static struct guarded *guarded;

static void *lock_and_count(void *arg)
{
    for (int i = 0; i < COUNTED / SLOWDOWN; i++) {
        T_REQUIRE_RC(lk_rmutex_lock(&guarded->mutex), 0);
        guarded->count++;
        T_REQUIRE_RC(lk_rmutex_unlock(&guarded->mutex), 0);
    }
    return arg;
}

T_TEST(the_mutex_excludes_threads)
{
    struct worker workers[THREADS];
    lk_seg *segment;
    T_REQUIRE_RC(lk_seg_create_anonymous(&segment, sizeof *guarded, 0), 0);
    guarded = lk_seg_memory(segment);
    run_workers(NULL, lock_and_count, workers);
    T_REQUIRE_EQ(guarded->count, THREADS * (COUNTED / SLOWDOWN));
    lk_seg_close(segment);
}
