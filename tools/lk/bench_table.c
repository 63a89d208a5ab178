/* bench_table.c - the yardstick: a plain hash table inside one process, as one would write it by
 * hand when nothing is shared.  Open addressing with linear probing, at most half full; a slot
 * holds the 64-bit hash (XXH3) and a pointer; every entry is one malloc of sizes, key and
 * value.  A get hashes the key, compares hash, size and key, and copies the value out.  No
 * locks, no eviction. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench.h"

struct entry {
    uint32_t key_size, value_size;
    char bytes[]; /* key, then value */
};

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL = free */
};

struct table {
    size_t mask;
    struct slot *slots;
};

/* The slot of the key, or the free one where it belongs. */
static inline struct slot *find(const struct table *t, const void *key, size_t key_size)
{
    uint64_t hash = XXH3_64bits(key, key_size);
    for (size_t i = hash & t->mask;; i = (i + 1) & t->mask) {
        struct slot *s = &t->slots[i];
        if (s->entry == NULL || (s->hash == hash && s->entry->key_size == key_size &&
                                 memcmp(s->entry->bytes, key, key_size) == 0))
            return s;
    }
}

static __attribute__((noinline)) bool table_get(const struct table *t, const void *key,
                                                size_t key_size, void *buf, size_t capacity,
                                                size_t *size)
{
    const struct slot *s = find(t, key, key_size);
    if (s->entry == NULL || s->entry->value_size > capacity)
        return false;
    *size = s->entry->value_size;
    memcpy(buf, s->entry->bytes + key_size, *size);
    return true;
}

/* gcc 12 does not see that the slot keeps the entry, which plain_close() frees. */
#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* Overwrites in place when the size is the same, else makes the entry anew. */
static __attribute__((noinline)) bool table_set(struct table *t, const void *key, size_t key_size,
                                                const void *value, size_t value_size)
{
    struct slot *s = find(t, key, key_size);
    if (s->entry == NULL || s->entry->value_size != value_size) {
        struct entry *e = malloc(sizeof *e + key_size + value_size);
        if (e == NULL)
            return false;
        free(s->entry);
        *e = (struct entry){.key_size = (uint32_t)key_size, .value_size = (uint32_t)value_size};
        memcpy(e->bytes, key, key_size);
        *s = (struct slot){XXH3_64bits(key, key_size), e};
    } /* cppcheck-suppress memleak ; the slot keeps it */
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): set just above if it was NULL */
    memcpy(s->entry->bytes + key_size, value, value_size);
    return true;
}

struct plain {
    struct table table;
    char *buf;
};

static void plain_close(struct bench_peer *p)
{
    struct plain *s = p->state;
    for (size_t i = 0; s->table.slots != NULL && i <= s->table.mask; i++)
        free(s->table.slots[i].entry);
    free(s->table.slots);
    free(s->buf);
    free(s);
    p->state = NULL;
}

static int plain_open(struct bench_peer *p, const struct bench_load *load)
{
    struct plain *s = calloc(1, sizeof *s);
    if (s == NULL)
        return bench_peer_failed(p, "no memory");
    p->state = s;
    size_t slots = 64;
    while (slots < 2 * load->entries)
        slots *= 2;
    s->table.mask = slots - 1;
    s->table.slots = calloc(slots, sizeof *s->table.slots);
    s->buf = malloc(load->value_size);
    bool done = s->table.slots != NULL && s->buf != NULL;
    for (size_t i = 0; done && i < load->entries; i++) {
        uint64_t mark = bench_mark((uint32_t)i);
        memcpy(load->value, &mark, sizeof mark);
        done = table_set(&s->table, load->keys[i], BENCH_KEY_SIZE, load->value, load->value_size);
    }
    if (!done) {
        plain_close(p);
        return bench_peer_failed(p, "no memory");
    }
    snprintf(p->version, sizeof p->version, "XXH3 %d.%d.%d", XXH_VERSION_MAJOR, XXH_VERSION_MINOR,
             XXH_VERSION_RELEASE);
    return 0;
}

static size_t plain_get(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                        uint64_t *sum)
{
    struct plain *s = p->state;
    size_t hits = 0, size;
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        const char *key = load->asked[(first + i) & (BENCH_REQUESTS - 1)];
        if (table_get(&s->table, key, BENCH_KEY_SIZE, s->buf, load->value_size, &size)) {
            uint64_t mark;
            memcpy(&mark, s->buf, sizeof mark);
            total += mark;
            hits++;
        }
    }
    *sum += total;
    return hits;
}

static size_t plain_set(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n)
{
    struct plain *s = p->state;
    size_t stored = 0;
    for (size_t i = 0; i < n; i++) {
        size_t r = (first + i) & (BENCH_REQUESTS - 1);
        uint64_t mark = bench_mark(load->ids[r]);
        memcpy(load->value, &mark, sizeof mark);
        stored +=
            table_set(&s->table, load->asked[r], BENCH_KEY_SIZE, load->value, load->value_size);
    }
    return stored;
}

const struct bench_peer bench_peer_plain = {
    .name = "plain",
    .how = "in-process open addressing table, XXH3, malloc'd entries, key compare, memcpy; no lock",
    .open = plain_open,
    .get = plain_get,
    .set = plain_set,
    .close = plain_close,
};
