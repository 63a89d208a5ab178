/* bench_index.c - the least that a table costs which finds keys through an index and lets no death
 * tear a value: a yardstick for two processes that store side by side.
 *
 * A set locks the key's bucket (its lock lies in the bucket's own cache line), follows the word of
 * the same tag to the entry, compares the key, and publishes by one store of the word a new entry
 * that it wrote beforehand where nobody looks; the old entry's place is the process's next new one.
 * No shard, no queue, no room to search, no count, nothing robust.  What it reads was mostly
 * written by the other process: the bucket, then, once that has come, the entry. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "bench.h"
#include "bench_locks_run.h"

enum { WAYS = 7, KEYS_PER_BUCKET = 3, SPARES = 64, ALIGN = 64 };

struct bucket {
    _Atomic uint64_t word[WAYS]; /* {tag:16, entry + 1:48}; 0 = empty */
    _Atomic uint32_t lock;
    uint32_t unused;
};
_Static_assert(sizeof(struct bucket) == ALIGN, "a bucket is one cache line");

struct shared {
    _Atomic uint64_t spares; /* given to processes so far */
};

struct table {
    struct shared *shared;
    struct bucket *buckets;
    char *entries; /* each the key, then the value */
    size_t bucket_count, stride, bytes;
};

/* Of this process: the entry that its next set writes. */
static struct {
    pid_t process;
    uint64_t entry;
} spare;

static char *entry_at(const struct table *t, uint64_t entry)
{
    return t->entries + entry * t->stride;
}

static void table_close(struct bench_peer *p)
{
    struct table *t = p->state;
    if (t->shared != NULL)
        munmap(t->shared, t->bytes);
    free(t);
    p->state = NULL;
}

/* Where the key begins to be looked for, and its tag. */
static struct bucket *home(const struct table *t, const char *key, uint64_t *tag)
{
    uint64_t hash = XXH3_64bits(key, BENCH_KEY_SIZE);
    *tag = hash >> 48;
    return &t->buckets[(hash & 0xffffffff) * t->bucket_count >> 32];
}

static struct bucket *next(const struct table *t, struct bucket *b)
{
    return b + 1 < t->buckets + t->bucket_count ? b + 1 : t->buckets;
}

static void fill(const struct table *t, const struct bench_load *load)
{
    for (uint64_t i = 0; i < load->entries; i++) {
        uint64_t tag, mark = bench_mark((uint32_t)i);
        struct bucket *b = home(t, load->keys[i], &tag);
        unsigned way = 0;
        while (atomic_load_explicit(&b->word[way], memory_order_relaxed) != 0)
            if (++way == WAYS) {
                way = 0;
                b = next(t, b);
            }
        memcpy(entry_at(t, i), load->keys[i], BENCH_KEY_SIZE);
        memcpy(entry_at(t, i) + BENCH_KEY_SIZE, &mark, sizeof mark);
        atomic_store_explicit(&b->word[way], tag << 48 | (i + 1), memory_order_relaxed);
    }
}

static int table_open(struct bench_peer *p, const struct bench_load *load)
{
    struct table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return bench_peer_failed(p, "no memory");
    p->state = t;
    t->bucket_count = load->entries / KEYS_PER_BUCKET + 1;
    t->stride = (BENCH_KEY_SIZE + load->value_size + ALIGN - 1) / ALIGN * ALIGN;
    size_t index = ALIGN + t->bucket_count * sizeof(struct bucket);
    t->bytes = index + (load->entries + SPARES) * t->stride;
    char *memory = bench_shared_bytes(t->bytes);
    t->shared = (void *)memory;
    if (memory == NULL) {
        table_close(p);
        return bench_peer_failed(p, "no memory");
    }
    t->buckets = (void *)(memory + ALIGN);
    t->entries = memory + index;
    fill(t, load);
    return 0;
}

/* The word of the key, in a bucket from `b` on; NULL: none. */
static _Atomic uint64_t *find(const struct table *t, struct bucket *b, uint64_t tag,
                              const char *key)
{
    for (size_t probed = 0; probed < t->bucket_count; probed++, b = next(t, b))
        for (unsigned way = 0; way < WAYS; way++) {
            uint64_t word = atomic_load_explicit(&b->word[way], memory_order_acquire);
            if (word == 0)
                return NULL;
            if (word >> 48 == tag &&
                memcmp(entry_at(t, (word << 16 >> 16) - 1), key, BENCH_KEY_SIZE) == 0)
                return &b->word[way];
        }
    return NULL;
}

/* A process that was just forked has none yet. */
static bool have_spare(const struct table *t, const struct bench_load *load)
{
    if (spare.process == getpid())
        return true;
    uint64_t number = atomic_fetch_add_explicit(&t->shared->spares, 1, memory_order_relaxed);
    spare.process = getpid();
    spare.entry = load->entries + number;
    return number < SPARES;
}

static bool set_one(const struct table *t, const struct bench_load *load, const char *key)
{
    uint64_t tag;
    struct bucket *b = home(t, key, &tag);
    __builtin_prefetch(b, 1);
    memcpy(entry_at(t, spare.entry), key, BENCH_KEY_SIZE);
    memcpy(entry_at(t, spare.entry) + BENCH_KEY_SIZE, load->value, load->value_size);
    while (atomic_exchange_explicit(&b->lock, 1, memory_order_acquire) != 0)
        while (atomic_load_explicit(&b->lock, memory_order_relaxed) != 0)
            ;
    _Atomic uint64_t *word = find(t, b, tag, key);
    if (word != NULL) {
        uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
        atomic_store_explicit(word, tag << 48 | (spare.entry + 1), memory_order_release);
        spare.entry = (old << 16 >> 16) - 1;
    }
    atomic_store_explicit(&b->lock, 0, memory_order_release);
    return word != NULL;
}

static size_t table_set(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n)
{
    const struct table *t = p->state;
    size_t stored = 0;
    if (!have_spare(t, load))
        return 0;
    for (size_t i = 0; i < n; i++) {
        stored += set_one(t, load, load->asked[(first + i) & (BENCH_REQUESTS - 1)]);
        bench_bare_own_work();
    }
    return stored;
}

/* Only to map what will be stored to: bench_scaling_run() asks for it. */
static size_t table_get(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                        uint64_t *sum)
{
    const struct table *t = p->state;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const char *key = load->asked[(first + i) & (BENCH_REQUESTS - 1)];
        uint64_t tag, mark = 0;
        struct bucket *b = home(t, key, &tag);
        const _Atomic uint64_t *word = find(t, b, tag, key);
        if (word != NULL)
            memcpy(&mark, entry_at(t, (*word << 16 >> 16) - 1) + BENCH_KEY_SIZE, sizeof mark);
        *sum += mark;
        found += word != NULL;
    }
    return found;
}

const struct bench_peer bench_peer_index = {
    .name = "index",
    .how = "shared memory, buckets with their own locks, entries replaced, no eviction",
    .open = table_open,
    .get = table_get,
    .set = table_set,
    .close = table_close,
};
