/* read.c - reads: no lock, no wait. */
#include "cache/read.h"

#include <errno.h>

#include "base/clock.h"
#include "cache/section.h"

enum { READ_TRIES = 64, BATCH = 16 };

int lki_key_make(const struct lk_cache *c, struct lki_key *key, const void *bytes, size_t size)
{
    if (bytes == NULL || size == 0 || size > LK_CACHE_KEY_MAX)
        return EINVAL;
    *key = (struct lki_key){bytes, size, lki_hash(c->key, bytes, size)};
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
static inline __attribute__((always_inline)) enum lki_search look(const struct lki_shard *s,
                                                                  const struct lki_key *key,
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

/* Writers are faster than our copying: look once more while they are kept out. */
static int read_locked(struct lk_cache *c, const struct lki_key *key, struct lki_read *read)
{
    struct lki_section x;
    int rc = EAGAIN;
    if (lki_section_enter(&x, c, lki_hash_shard(key->hash, c->geometry.shards)) != 0)
        return EAGAIN;
    if (look(&x.shard, key, read, &rc) == LKI_UNSTEADY)
        rc = EAGAIN;
    lki_section_leave(&x);
    return rc;
}

int lki_read(struct lk_cache *c, const struct lki_key *key, struct lki_read *read)
{
    struct lki_shard s = lki_shard_at(c, lki_hash_shard(key->hash, c->geometry.shards));
    int rc;
    for (int i = 0; i < READ_TRIES; i++) {
        if (look(&s, key, read, &rc) != LKI_UNSTEADY)
            return rc;
    }
    return read_locked(c, key, read);
}

void lki_read_count(struct lk_cache *c, int rc)
{
    struct lki_self *self = lki_attach_try(c->segment.presence);
    if (self != NULL && (rc == 0 || rc == ENOENT))
        lki_count(self, rc == 0 ? LKI_HITS : LKI_MISSES, 1);
}

/* A get; *read says where to.  Counted. */
static inline int get(lk_cache *c, const void *key, size_t key_size, struct lki_read *read)
{
    struct lki_key k;
    if (lki_key_make(c, &k, key, key_size) != 0 || (read->buf == NULL && read->capacity > 0))
        return EINVAL;
    read->take_stale = false;
    int rc = lki_read(c, &k, read);
    lki_read_count(c, rc);
    return rc;
}

int lk_cache_get_entry(lk_cache *c, const void *key, size_t key_size, void *buf, size_t capacity,
                       struct lk_cache_entry *entry)
{
    struct lki_read read;
    read.buf = buf;
    read.capacity = capacity;
    int rc = get(c, key, key_size, &read);
    if (rc == 0 || rc == ENOBUFS)
        *entry = read.entry;
    return rc;
}

int lk_cache_get(lk_cache *c, const void *key, size_t key_size, void *buf, size_t capacity,
                 size_t *size)
{
    struct lki_read read;
    read.buf = buf;
    read.capacity = capacity;
    int rc = get(c, key, key_size, &read);
    if (rc == 0 || rc == ENOBUFS)
        *size = read.entry.size;
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
