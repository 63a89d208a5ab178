/* storm_ttas.c - the published broken lock, restated: what the storm proves it can see.
 *
 * A cache in shared memory behind one test-and-test-and-set writer lock (0 or 1) and a sequence
 * counter (odd while the writer is inside).  It is right in everything but one: a writer that is
 * killed inside leaves the lock at 1 and the counter odd.  Then writers wait for the lock and
 * readers for an even counter, for ever (FAILURES.md 1 and 3).  The odd store has its release
 * fence and the spins yield the processor, so that nothing else of it is at fault.
 *
 * Sets of four ways, round-robin within a set: as simple as a cache can be. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "storm_worker.h"

enum { WAYS = 4, SPINS_BEFORE_YIELD = 200 };

struct ttas_cell {
    uint64_t version, expire_ns;
    uint32_t key_size, size; /* key_size 0: free */
    char key[STORM_KEY_MAX];
    unsigned char value[];
};

struct ttas_cache {
    _Alignas(64) _Atomic uint32_t lock;     /* 0 free, 1 held: by whom, nobody knows */
    _Alignas(64) _Atomic uint32_t sequence; /* odd while a writer is inside */
    uint64_t version, sets, cell_bytes, value_bytes, map_bytes;
    _Alignas(64) unsigned char cells[];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pause_a_little(unsigned *spins)
{
    if (++*spins % SPINS_BEFORE_YIELD == 0)
        (void)sched_yield();
}

static void write_lock(struct ttas_cache *c)
{
    unsigned spins = 0;
    for (;;) {
        if (atomic_load_explicit(&c->lock, memory_order_relaxed) == 0 &&
            atomic_exchange_explicit(&c->lock, 1, memory_order_acquire) == 0)
            break;
        pause_a_little(&spins);
    }
    uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed);
    atomic_store_explicit(&c->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void write_unlock(struct ttas_cache *c)
{
    uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed);
    atomic_store_explicit(&c->sequence, sequence + 1, memory_order_release);
    atomic_store_explicit(&c->lock, 0, memory_order_release);
}

static uint32_t read_begin(const struct ttas_cache *c)
{
    unsigned spins = 0;
    uint32_t sequence;
    while ((sequence = atomic_load_explicit(&c->sequence, memory_order_acquire)) & 1)
        pause_a_little(&spins);
    return sequence;
}

static bool read_again(const struct ttas_cache *c, uint32_t sequence)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&c->sequence, memory_order_relaxed) != sequence;
}

/* ------------------------------------------------------------------ cells */

static struct ttas_cell *cell(struct ttas_cache *c, uint64_t set, unsigned way)
{
    return (struct ttas_cell *)(void *)(c->cells + (set * WAYS + way) * c->cell_bytes);
}

static uint64_t set_of(const struct ttas_cache *c, const char *key, size_t key_size)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < key_size; i++)
        h = (h ^ (unsigned char)key[i]) * 0x100000001b3ull;
    return (h ^ (h >> 32)) % c->sets;
}

static struct ttas_cell *find(struct ttas_cache *c, const char *key, size_t key_size)
{
    uint64_t set = set_of(c, key, key_size);
    for (unsigned way = 0; way < WAYS; way++) {
        struct ttas_cell *e = cell(c, set, way);
        if (e->key_size == key_size && memcmp(e->key, key, key_size) == 0 &&
            (e->expire_ns == 0 || e->expire_ns > now_ns()))
            return e;
    }
    return NULL;
}

/* Inside the lock.  A free or expired way, else the next one in turn. */
static struct ttas_cell *place(struct ttas_cache *c, const char *key, size_t key_size)
{
    uint64_t set = set_of(c, key, key_size), now = now_ns();
    for (unsigned way = 0; way < WAYS; way++) {
        struct ttas_cell *e = cell(c, set, way);
        if (e->key_size == 0 || (e->expire_ns != 0 && e->expire_ns <= now))
            return e;
    }
    return cell(c, set, (unsigned)(c->version % WAYS));
}

static void store(struct ttas_cache *c, struct ttas_cell *e, const char *key, size_t key_size,
                  const void *value, size_t size, uint64_t ttl_ns)
{
    e->key_size = (uint32_t)key_size;
    e->size = (uint32_t)size;
    e->version = ++c->version;
    e->expire_ns = ttl_ns == LK_TTL_NEVER ? 0 : now_ns() + ttl_ns;
    memcpy(e->key, key, key_size);
    memcpy(e->value, value, size);
}

/* ------------------------------------------------------------------ the table of calls */

static struct storm_range ttas_range;

static void ttas_warm(void)
{
    storm_warm_range(&ttas_range);
}

static int ttas_make(const struct storm_plan *plan, void **cache)
{
    uint64_t value_bytes = plan->value_bytes;
    uint64_t cell_bytes = (sizeof(struct ttas_cell) + value_bytes + 63) & ~63ull;
    uint64_t sets = plan->capacity_bytes / cell_bytes / WAYS + 1;
    uint64_t size = sizeof(struct ttas_cache) + sets * WAYS * cell_bytes;
    struct ttas_cache *c =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c == MAP_FAILED)
        return errno;
    c->sets = sets;
    c->cell_bytes = cell_bytes;
    c->value_bytes = value_bytes;
    c->map_bytes = size;
    ttas_range = (struct storm_range){(uintptr_t)c, size};
    *cache = c;
    return 0;
}

static int ttas_attach(const struct storm_plan *plan, void **cache)
{
    (void)plan;
    (void)cache; /* the inherited mapping is all there is */
    return 0;
}

static void ttas_detach(void *cache)
{
    (void)cache;
}

static void ttas_end(const struct storm_plan *plan, void *cache, bool keep)
{
    (void)plan;
    (void)keep;
    (void)munmap(cache, ((struct ttas_cache *)cache)->map_bytes);
}

static int get(struct ttas_cache *c, bool careful, const char *key, size_t key_size, void *buf,
               size_t capacity, struct storm_got *got)
{
    for (;;) {
        uint32_t sequence = careful ? read_begin(c) : 0;
        struct ttas_cell *e = find(c, key, key_size);
        struct storm_got now = {0, 0, 0};
        if (e) {
            now = (struct storm_got){e->size, e->version, e->expire_ns};
            if (now.size <= capacity && now.size <= c->value_bytes)
                memcpy(buf, e->value, now.size);
        }
        if (careful && read_again(c, sequence))
            continue;
        if (e)
            *got = now;
        return e ? 0 : ENOENT;
    }
}

static int ttas_get(void *cache, const char *key, size_t key_size, void *buf, size_t capacity,
                    struct storm_got *got)
{
    return get(cache, true, key, key_size, buf, capacity, got);
}

/* A reader that does not look whether a writer is inside, or came while it copied. */
static int torn_get(void *cache, const char *key, size_t key_size, void *buf, size_t capacity,
                    struct storm_got *got)
{
    return get(cache, false, key, key_size, buf, capacity, got);
}

static int ttas_put(void *cache, enum storm_put how, const char *key, size_t key_size,
                    const void *value, size_t size, uint64_t ttl_ns, uint64_t version)
{
    struct ttas_cache *c = cache;
    int rc = 0;
    if (size > c->value_bytes || key_size > STORM_KEY_MAX)
        return E2BIG;
    write_lock(c);
    struct ttas_cell *e = find(c, key, key_size);
    if (how == PUT_ADD && e)
        rc = EEXIST;
    else if ((how == PUT_REPLACE || how == PUT_CAS) && !e)
        rc = ENOENT;
    else if (how == PUT_CAS && e->version != version)
        rc = LK_ECHANGED;
    else
        store(c, e ? e : place(c, key, key_size), key, key_size, value, size, ttl_ns);
    write_unlock(c);
    return rc;
}

static int ttas_del(void *cache, const char *key, size_t key_size)
{
    struct ttas_cache *c = cache;
    write_lock(c);
    struct ttas_cell *e = find(c, key, key_size);
    if (e)
        e->key_size = 0;
    write_unlock(c);
    return e ? 0 : ENOENT;
}

static int ttas_touch(void *cache, const char *key, size_t key_size, uint64_t ttl_ns)
{
    struct ttas_cache *c = cache;
    write_lock(c);
    struct ttas_cell *e = find(c, key, key_size);
    if (e)
        e->expire_ns = ttl_ns == LK_TTL_NEVER ? 0 : now_ns() + ttl_ns;
    write_unlock(c);
    return e ? 0 : ENOENT;
}

static int ttas_incr(void *cache, const char *key, size_t key_size, int64_t initial,
                     int64_t *result)
{
    struct ttas_cache *c = cache;
    int64_t n = initial;
    write_lock(c);
    struct ttas_cell *e = find(c, key, key_size);
    if (e) {
        memcpy(&n, e->value, sizeof n);
        n++;
    }
    store(c, e ? e : place(c, key, key_size), key, key_size, &n, sizeof n, LK_TTL_NEVER);
    write_unlock(c);
    *result = n;
    return 0;
}

static int ttas_flush(void *cache)
{
    struct ttas_cache *c = cache;
    write_lock(c);
    for (uint64_t set = 0; set < c->sets; set++)
        for (unsigned way = 0; way < WAYS; way++)
            cell(c, set, way)->key_size = 0;
    write_unlock(c);
    return 0;
}

const struct storm_kind storm_ttas = {
    .name = "ttas",
    .make = ttas_make,
    .attach = ttas_attach,
    .detach = ttas_detach,
    .end = ttas_end,
    .get = ttas_get,
    .put = ttas_put,
    .del = ttas_del,
    .touch = ttas_touch,
    .incr = ttas_incr,
    .flush = ttas_flush,
    .warm = ttas_warm,
};

const struct storm_kind storm_torn = {
    .name = "torn",
    .make = ttas_make,
    .attach = ttas_attach,
    .detach = ttas_detach,
    .end = ttas_end,
    .get = torn_get,
    .put = ttas_put,
    .del = ttas_del,
    .touch = ttas_touch,
    .incr = ttas_incr,
    .flush = ttas_flush,
    .warm = ttas_warm,
};
