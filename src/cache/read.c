/* read.c - reads: no lock, no wait. */
#include "cache/read.h"

#include <errno.h>

#include "base/clock.h"
#include "cache/section.h"

enum { READ_TRIES = 2048, TRIES_TO_LOCK = 64, BATCH = 16 };

int lki_key_make(const struct lk_cache *c, struct lki_key *key, const void *bytes, size_t size)
{
    if (bytes == NULL || size == 0 || size > LK_CACHE_KEY_MAX)
        return EINVAL;
    *key = (struct lki_key){bytes, size, lki_hash(&c->key, bytes, size)};
    return 0;
}

uint64_t lki_expiry(const struct lk_cache *c, uint64_t ttl_ns, uint64_t old_ns)
{
    if (ttl_ns == LK_TTL_KEEP)
        return old_ns;
    if (ttl_ns == LK_TTL_DEFAULT)
        ttl_ns = c->geometry.ttl_ns;
    if (ttl_ns == LK_TTL_NEVER)
        return 0;
    uint64_t now = lki_boot_ns();
    return ttl_ns < UINT64_MAX - now ? now + ttl_ns : UINT64_MAX;
}

/* One look.  LKI_UNSTEADY: what was copied did not hold. */
static enum lki_search look(const struct lki_shard *s, const struct lki_key *key,
                            struct lki_read *read, int *rc)
{
    struct lki_found found;
    enum lki_search search = lki_find_inline(s, key, &found);
    *rc = ENOENT;
    if (search != LKI_FOUND)
        return search;
    bool fits = found.view.value_size <= read->capacity;
    read->stale = lki_expired(found.view.expire_ns);
    bool wanted = !read->stale || read->take_stale;
    if (wanted && fits && found.view.value_size > 0)
        lki_view_copy_value(s, &found.view, read->buf);
    if (!lki_view_holds(s, &found.bucket->word[found.way], found.word, &found.view))
        return LKI_UNSTEADY;
    if (!wanted)
        return LKI_FOUND;
    read->entry = (struct lk_cache_entry){.size = found.view.value_size,
                                          .version = found.view.version,
                                          .expire_ns = found.view.expire_ns};
    *rc = fits ? 0 : ENOBUFS;
    if (fits && lki_view_damaged(s, &found.view, read->buf)) {
        *rc = LK_ECORRUPT;
        return lki_view_holds(s, &found.bucket->word[found.way], found.word, &found.view)
                   ? LKI_FOUND
                   : LKI_UNSTEADY;
    }
    if (s->cache->segment.writable)
        lki_slot_used(&found);
    return LKI_FOUND;
}

/* Writers are faster than our copying: look once more while they are kept out, if that needs no
 * wait. */
static enum lki_search look_locked(struct lk_cache *c, const struct lki_key *key,
                                   struct lki_read *read, int *rc)
{
    struct lki_section x;
    struct lki_self *self = lki_attach_try(c->segment.presence);
    uint32_t shard = lki_hash_shard(key->hash, c->geometry.shards);
    if (self == NULL || lki_section_try(&x, c, shard, self) != 0)
        return LKI_UNSTEADY;
    enum lki_search search = look(&x.shard, key, read, rc);
    lki_section_leave(&x);
    return search;
}

int lki_read(struct lk_cache *c, const struct lki_key *key, struct lki_read *read)
{
    struct lki_shard s = lki_shard_at(c, lki_hash_shard(key->hash, c->geometry.shards));
    int rc;
    for (int i = 0; i < READ_TRIES; i++) {
        if (look(&s, key, read, &rc) != LKI_UNSTEADY)
            return rc;
        /* A stopped or dead writer changes nothing, so then the next look succeeds. */
        if (i % TRIES_TO_LOCK == TRIES_TO_LOCK - 1 &&
            look_locked(c, key, read, &rc) != LKI_UNSTEADY)
            return rc;
    }
    return EAGAIN;
}

void lki_read_count(struct lk_cache *c, int rc)
{
    struct lki_self *self = lki_attach_try(c->segment.presence);
    if (self != NULL && (rc == 0 || rc == ENOENT))
        lki_count(self, rc == 0 ? LKI_HITS : LKI_MISSES, 1);
}

/* A get of a key that is made; *read says where to.  Counted. */
static inline int get_key(lk_cache *c, const struct lki_key *key, struct lki_read *read)
{
    read->take_stale = false;
    int rc = lki_read(c, key, read);
    lki_read_count(c, rc);
    return rc;
}

int lk_cache_get_entry(lk_cache *c, const void *key, size_t key_size, void *buf, size_t capacity,
                       struct lk_cache_entry *entry)
{
    struct lki_key k;
    struct lki_read read = {.buf = buf, .capacity = capacity};
    int rc = lki_key_make(c, &k, key, key_size);
    if (rc != 0 || (buf == NULL && capacity > 0))
        return EINVAL;
    rc = get_key(c, &k, &read);
    if (rc == 0 || rc == ENOBUFS)
        *entry = read.entry;
    return rc;
}

/* Keys of so many bytes are hashed and compared in whole words. */
enum { SHORT_KEY_MIN = 8, SHORT_KEY_MAX = 64 };

/* The get that nearly all are: a short key, alone with its tag in its first bucket, one piece, no
 * expiry, no checksum, room in buf; or no such tag there and beyond.  The steps and orders of
 * look(), with nothing in between, so that the processor can begin the next get while this one
 * waits for memory (callgrind: 235 instructions a hit, 546 the long way).  LKI_UNSTEADY: nothing is
 * decided. */
static inline __attribute__((always_inline)) enum lki_search get_short(const lk_cache *c,
                                                                       const struct lki_key *k,
                                                                       char *buf, size_t capacity,
                                                                       size_t *size)
{
    const char *key = k->bytes;
    size_t key_size = k->size;
    uint64_t hash = k->hash;
    const struct lki_geometry *g = &c->geometry;
    struct lki_shard s = lki_shard_at(c, lki_hash_shard(hash, g->shards));
    struct lki_bucket *b = &lki_buckets(&s)[lki_hash_bucket(hash, g->buckets)];
    uint32_t mask = lki_scan(b->word, lki_hash_tag(hash));
    if (mask == 0) {
        /* [read.4] relaxed: as [index.3]. */
        return lk_load_rlx_u8(&b->passed) == 0 ? LKI_ABSENT : LKI_UNSTEADY;
    }
    uint32_t way = lki_scan_first(mask);
    uint64_t word = lki_word_acquire(&b->word[way]);
    uint32_t block = lki_word_block(word);
    if (block >= g->granules)
        return LKI_UNSTEADY;
    uint64_t offset = (uint64_t)block * g->granule;
    const struct lki_entry *e = (const void *)(s.base + g->blocks_at + offset);
    /* [read.1] acquire, pairs with [entry.4] [entry.6]: as [entry.1]. */
    uint64_t version = lk_load_acq_u64(&e->version);
    /* [read.2] relaxed: as [entry.7]. */
    uint64_t expire_ns = lk_load_rlx_u64(&e->expire_ns);
    /* [read.3] relaxed: as [entry.8]. */
    uint64_t shape = lk_load_rlx_u64(&e->shape);
    const char *bytes = (const char *)(e + 1);
    size_t value_size = (size_t)(shape >> 32);
    if ((shape & LKI_SHAPE_PLAIN) != key_size || expire_ns != 0 || version == 0 ||
        (version >> LKI_VERSION_SHIFT & 0xffff) != lki_word_version(word) ||
        value_size > capacity || offset + sizeof *e + key_size + value_size > g->blocks_bytes ||
        !lki_copy_equal_words(bytes, key, key_size))
        return LKI_UNSTEADY;
    lki_copy_out_inline(buf, bytes + key_size, value_size);
    if (!lki_entry_holds(&b->word[way], word, e, version))
        return LKI_UNSTEADY;
    lki_frequency_raise(&b->frequency[way]);
    *size = value_size;
    return LKI_FOUND;
}

static __attribute__((noinline)) int get_long(lk_cache *c, const struct lki_key *key, void *buf,
                                              size_t capacity, size_t *size)
{
    struct lki_read read;
    if (buf == NULL && capacity > 0)
        return EINVAL;
    read.buf = buf;
    read.capacity = capacity;
    int rc = get_key(c, key, &read);
    if (rc == 0 || rc == ENOBUFS)
        *size = read.entry.size;
    return rc;
}

int lk_cache_get(lk_cache *c, const void *key, size_t key_size, void *buf, size_t capacity,
                 size_t *size)
{
    if (key == NULL || buf == NULL || key_size < SHORT_KEY_MIN || key_size > SHORT_KEY_MAX ||
        !c->get_short) {
        struct lki_key k;
        int rc = lki_key_make(c, &k, key, key_size);
        return rc != 0 ? rc : get_long(c, &k, buf, capacity, size);
    }
    uint64_t hash = key_size <= LKI_HASH_SHORT ? lki_hash_short(&c->key, key, key_size)
                                               : lki_hash(&c->key, key, key_size);
    const struct lki_key k = {key, key_size, hash};
    enum lki_search search = get_short(c, &k, buf, capacity, size);
    if (__builtin_expect(search == LKI_UNSTEADY, 0))
        return get_long(c, &k, buf, capacity, size);
    int rc = search == LKI_FOUND ? 0 : ENOENT;
    struct lki_self *self = lki_attached(c->segment.presence);
    if (__builtin_expect(self != NULL, 1))
        lki_count(self, rc == 0 ? LKI_HITS : LKI_MISSES, 1);
    else
        lki_read_count(c, rc);
    return rc;
}

/* The keys of a batch are hashed and their lines asked for before the first is looked up. */
static size_t get_batch(lk_cache *c, struct lk_cache_request *requests, size_t n)
{
    struct lki_key keys[BATCH];
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        requests[i].rc = lki_key_make(c, &keys[i], requests[i].key, requests[i].key_size);
        if (requests[i].buf == NULL && requests[i].capacity > 0)
            requests[i].rc = EINVAL;
        if (requests[i].rc != 0)
            continue;
        struct lki_shard s = lki_shard_at(c, lki_hash_shard(keys[i].hash, c->geometry.shards));
        lki_find_prefetch_bucket(&s, keys[i].hash);
    }
    for (size_t i = 0; i < n; i++) {
        if (requests[i].rc != 0)
            continue;
        struct lki_shard s = lki_shard_at(c, lki_hash_shard(keys[i].hash, c->geometry.shards));
        lki_find_prefetch_entry(&s, keys[i].hash);
    }
    for (size_t i = 0; i < n; i++) {
        struct lki_read read = {.buf = requests[i].buf, .capacity = requests[i].capacity};
        if (requests[i].rc != 0)
            continue;
        int rc = lki_read(c, &keys[i], &read);
        lki_read_count(c, rc);
        if (rc == 0 || rc == ENOBUFS)
            requests[i].size = read.entry.size;
        requests[i].rc = rc;
        hits += rc == 0;
    }
    return hits;
}

size_t lk_cache_get_many(lk_cache *c, struct lk_cache_request *requests, size_t n)
{
    size_t hits = 0;
    for (size_t done = 0; done < n; done += BATCH)
        hits += get_batch(c, requests + done, n - done < BATCH ? n - done : BATCH);
    return hits;
}
