/* Many threads over one cache with every call.  A value says whose it is and how long: a read
 * that is torn, of another key, or older than what its thread knows, is seen.  In the tsan build
 * a data race ends the test. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "latchkey/latchkey.h"
#include "test.h"

enum { THREADS = 6, RUN_MS = 2500, VALUE_MAX = 900 };

struct stress {
    lk_cache *cache;
    uint32_t keys;
    uint32_t value_max;
    volatile bool stop;
};

struct worker {
    struct stress *s;
    uint64_t state;
    uint64_t operations;
    uint64_t added;
    char buf[VALUE_MAX + 64];
};

static uint32_t below(struct worker *w, uint32_t n)
{
    w->state = w->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->state >> 33) % n;
}

static size_t key_of(uint32_t number, char key[32])
{
    return (size_t)snprintf(key, 32, "key-%u", number);
}

/* {key, seed, size} and bytes that follow from them. */
struct value_head {
    uint32_t key, seed, size;
};

static unsigned char byte_at(const struct value_head *h, uint32_t i)
{
    return (unsigned char)(h->key * 31 + h->seed * 17 + i * 7);
}

static size_t make_value(struct worker *w, uint32_t key)
{
    struct value_head h = {key, below(w, 1u << 30),
                           (uint32_t)sizeof h + below(w, w->s->value_max - (uint32_t)sizeof h)};
    memcpy(w->buf, &h, sizeof h);
    for (uint32_t i = sizeof h; i < h.size; i++)
        w->buf[i] = (char)byte_at(&h, i);
    return h.size;
}

static void check_value(uint32_t key, const void *bytes, size_t size)
{
    struct value_head h;
    const unsigned char *p = bytes;
    T_REQUIRE(size >= sizeof h);
    memcpy(&h, p, sizeof h);
    if (h.key != key || h.size != size)
        T_FAIL("key %u: a value of key %u, %u bytes, came with %zu", key, h.key, h.size, size);
    for (uint32_t i = sizeof h; i < h.size; i++)
        if (p[i] != byte_at(&h, i))
            T_FAIL("key %u: byte %u of %u is torn", key, i, h.size);
}

static void do_get(struct worker *w, uint32_t number)
{
    char key[32];
    size_t size = 0;
    int rc = lk_cache_get(w->s->cache, key, key_of(number, key), w->buf, VALUE_MAX, &size);
    if (rc == 0)
        check_value(number, w->buf, size);
    else
        T_REQUIRE_RC(rc, ENOENT);
}

static void do_get_many(struct worker *w)
{
    enum { N = 5 };
    char keys[N][32], bufs[N][VALUE_MAX];
    uint32_t numbers[N];
    struct lk_cache_request requests[N];
    for (int i = 0; i < N; i++) {
        numbers[i] = below(w, w->s->keys);
        requests[i] = (struct lk_cache_request){.key = keys[i],
                                                .key_size = key_of(numbers[i], keys[i]),
                                                .buf = bufs[i],
                                                .capacity = VALUE_MAX};
    }
    (void)lk_cache_get_many(w->s->cache, requests, N);
    for (int i = 0; i < N; i++) {
        if (requests[i].rc == 0)
            check_value(numbers[i], bufs[i], requests[i].size);
        else
            T_REQUIRE_RC(requests[i].rc, ENOENT);
    }
}

static void do_store(struct worker *w, uint32_t number)
{
    char key[32];
    size_t key_size = key_of(number, key), size = make_value(w, number);
    lk_cache *c = w->s->cache;
    struct lk_cache_entry e = {0};
    uint64_t ttl = below(w, 8) ? LK_TTL_NEVER : 1 + below(w, 2000000);
    int rc;
    switch (below(w, 8)) {
    case 0:
        rc = lk_cache_add(c, key, key_size, w->buf, size, ttl);
        T_REQUIRE(rc == 0 || rc == EEXIST);
        break;
    case 1:
        rc = lk_cache_replace(c, key, key_size, w->buf, size, ttl);
        T_REQUIRE(rc == 0 || rc == ENOENT);
        break;
    case 2:
        rc = lk_cache_get_entry(c, key, key_size, NULL, 0, &e);
        T_REQUIRE(rc == ENOBUFS || rc == ENOENT);
        rc = lk_cache_cas(c, key, key_size, w->buf, size, ttl, e.version);
        T_REQUIRE(rc == 0 || rc == ENOENT || rc == LK_ECHANGED);
        break;
    case 3:
        rc = lk_cache_touch(c, key, key_size, ttl);
        T_REQUIRE(rc == 0 || rc == ENOENT);
        break;
    case 4:
        rc = lk_cache_delete(c, key, key_size);
        T_REQUIRE(rc == 0 || rc == ENOENT);
        break;
    default:
        T_REQUIRE_RC(lk_cache_set(c, key, key_size, w->buf, size, ttl), 0);
    }
}

static void do_lease(struct worker *w, uint32_t number)
{
    char key[32];
    size_t key_size = key_of(number, key), size = 0;
    struct lk_lease lease;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += below(w, 2);
    int rc = lk_cache_lease(w->s->cache, key, key_size, w->buf, VALUE_MAX, &size, below(w, 2),
                            &until, &lease);
    if (rc == 0 || rc == ESTALE) {
        check_value(number, w->buf, size);
    } else if (rc == ENOENT && below(w, 3) == 0) {
        lk_cache_release(w->s->cache, &lease);
    } else if (rc == ENOENT) {
        size = make_value(w, number);
        rc = lk_cache_fill(w->s->cache, key, key_size, w->buf, size, LK_TTL_NEVER, &lease);
        T_REQUIRE(rc == 0 || rc == ECANCELED);
    } else {
        T_REQUIRE_RC(rc, ETIMEDOUT);
    }
}

static int check_item(const struct lk_cache_item *item, void *arg)
{
    (void)arg;
    if (item->key_size > 4 && memcmp(item->key, "key-", 4) == 0) {
        char text[32] = "";
        memcpy(text, item->key, item->key_size < 31 ? item->key_size : 31);
        check_value((uint32_t)atoi(text + 4), item->value, item->entry.size);
    }
    return 0;
}

static void do_rare(struct worker *w)
{
    struct lk_cache_stat stat;
    switch (below(w, 8)) {
    case 0:
        T_REQUIRE_RC(lk_cache_repair(w->s->cache, true, NULL), 0);
        break;
    case 1:
        T_REQUIRE_RC(lk_cache_flush(w->s->cache), 0);
        break;
    case 2:
        T_REQUIRE_RC(lk_cache_each(w->s->cache, NULL, 0, check_item, NULL), 0);
        break;
    case 3:
        T_REQUIRE_RC(lk_cache_verify(w->s->cache, NULL, NULL), 0);
        break;
    default:
        T_REQUIRE_RC(lk_cache_stat(w->s->cache, &stat), 0);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    while (!__atomic_load_n(&w->s->stop, __ATOMIC_RELAXED)) {
        uint32_t number = below(w, w->s->keys), what = below(w, 1000);
        if (what < 550)
            do_get(w, number);
        else if (what < 850)
            do_store(w, number);
        else if (what < 940)
            do_lease(w, number);
        else if (what < 998)
            do_get_many(w);
        else
            do_rare(w);
        w->operations++;
    }
    return NULL;
}

static void run_stress(const struct lk_cache_options *o, uint32_t keys, uint32_t value_max)
{
    static struct worker workers[THREADS];
    struct stress s = {.keys = keys, .value_max = value_max};
    pthread_t threads[THREADS];
    uint64_t operations = 0;
    T_TIMEOUT(120);
    T_REQUIRE_RC(lk_cache_open_anonymous(&s.cache, o), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.s = &s, .state = i * 977 + 1};
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    (void)nanosleep(&(struct timespec){RUN_MS / 1000, RUN_MS % 1000 * 1000000}, NULL);
    __atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < THREADS; i++) {
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
        operations += workers[i].operations;
    }
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_verify(s.cache, NULL, NULL), 0);
    T_REQUIRE_RC(lk_cache_stat(s.cache, &stat), 0);
    T_LOG("%llu operations, %llu hits, %llu evictions, %llu backstops",
          (unsigned long long)operations, (unsigned long long)stat.hits,
          (unsigned long long)stat.evictions, (unsigned long long)stat.backstops);
    T_REQUIRE(stat.used_bytes <= stat.capacity_bytes);
    T_REQUIRE_EQ(stat.deaths, 0);
    T_REQUIRE_EQ(stat.shards_locked, 0);
    lk_cache_close(s.cache);
}

/* A handful of entries: everything meets everywhere. */
T_TEST(threads_in_a_cache_of_eight_entries)
{
    run_stress(
        &(struct lk_cache_options){
            .shards = 1, .capacity_bytes = 8 * 128, .granule_bytes = 128, .threads = 8},
        12, 90);
}

T_TEST(threads_in_a_fragmented_cache)
{
    run_stress(
        &(struct lk_cache_options){
            .shards = 1, .capacity_bytes = 8192, .granule_bytes = 32, .threads = 8},
        40, VALUE_MAX);
}

T_TEST(threads_in_a_cache_with_shards_and_checksums)
{
    run_stress(
        &(struct lk_cache_options){
            .shards = 4, .capacity_bytes = 65536, .checksum = 1, .threads = 8},
        300, VALUE_MAX);
}

static void *count_up(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 5000; i++) {
        int64_t now = 0;
        T_REQUIRE_RC(lk_cache_incr(w->s->cache, "n", 1, 1, 1, LK_TTL_NEVER, &now), 0);
        T_REQUIRE(now > (int64_t)w->added);
        w->added = (uint64_t)now;
    }
    return NULL;
}

/* No increment is lost, and every thread sees the counter rise. */
T_TEST(threads_count_together)
{
    static struct worker workers[THREADS];
    struct stress s = {.keys = 1};
    pthread_t threads[THREADS];
    int64_t now = 0;
    struct lk_cache_options o = {.capacity_bytes = 4096, .threads = 8};
    T_REQUIRE_RC(lk_cache_open_anonymous(&s.cache, &o), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.s = &s};
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, count_up, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
    T_REQUIRE_RC(lk_cache_incr(s.cache, "n", 1, 0, 0, 0, &now), 0);
    T_REQUIRE_EQ(now, THREADS * 5000);
    lk_cache_close(s.cache);
}
