/* write.c - set, add, replace, cas, delete, touch, incr, flush: each is one section of one
 * shard. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "cache/read.h"
#include "cache/room.h"
#include "cache/section.h"

enum mode { SET, ADD, REPLACE, CAS };

/* What is asked of a store. */
struct request {
    enum mode mode;
    uint64_t version; /* CAS */
    uint64_t ttl_ns;
    struct lki_change change;
};

/* Enter the key's shard and find its entry, expired or not.  Returns what lki_section_enter()
 * does; inside, *search says the rest.  The entry is looked for first, as a reader does: so it and
 * the lock come from memory at the same time, and while others are not kept out. */
static int enter_for(struct lki_section *x, const struct lk_cache *c, const struct lki_key *key,
                     struct lki_found *found, enum lki_search *search)
{
    struct lki_shard s = lki_shard_at(c, lki_hash_shard(key->hash, c->geometry.shards));
    lk_prefetch_write(lki_head(&s));
    *search = lki_find(&s, key, found);
    int rc = lki_section_enter(x, c, s.index);
    if (rc != 0)
        return rc;
    lki_room_prefetch(&s);
    if (*search != LKI_FOUND || !lki_found_holds(&s, found))
        *search = lki_find(&s, key, found);
    return 0;
}

/* Is the store allowed, with `old` (NULL: absent) there? */
static int allowed(const struct request *r, const struct lki_found *old, bool expired)
{
    bool present = old != NULL && !expired;
    if (r->mode == ADD && present)
        return EEXIST;
    if ((r->mode == REPLACE || r->mode == CAS) && !present)
        return ENOENT;
    return r->mode == CAS && old->view.version != r->version ? LK_ECHANGED : 0;
}

static int store_in(struct lki_section *x, struct request *r, struct lki_found *old)
{
    bool expired = old != NULL && lki_expired(old->view.expire_ns);
    int rc = allowed(r, old, expired);
    if (rc == 0)
        rc = lki_change_put(x, &r->change, r->ttl_ns, old);
    if (rc == 0)
        lki_lease_void(x, r->change.key.hash, false);
    return rc;
}

static int store(lk_cache *c, struct request *r, const void *key, size_t key_size,
                 const void *value, size_t value_size)
{
    struct lki_section x;
    struct lki_found found;
    enum lki_search search;
    int rc = lki_change_make(c, &r->change, key, key_size, value, value_size);
    if (rc == 0)
        rc = enter_for(&x, c, &r->change.key, &found, &search);
    if (rc != 0)
        return rc;
    rc = search == LKI_UNSTEADY ? EAGAIN : store_in(&x, r, search == LKI_FOUND ? &found : NULL);
    lki_section_leave(&x);
    return rc;
}

int lk_cache_set(lk_cache *c, const void *key, size_t key_size, const void *value,
                 size_t value_size, uint64_t ttl_ns)
{
    struct request r = {.mode = SET, .ttl_ns = ttl_ns};
    return store(c, &r, key, key_size, value, value_size);
}

int lk_cache_add(lk_cache *c, const void *key, size_t key_size, const void *value,
                 size_t value_size, uint64_t ttl_ns)
{
    struct request r = {.mode = ADD, .ttl_ns = ttl_ns};
    return store(c, &r, key, key_size, value, value_size);
}

int lk_cache_replace(lk_cache *c, const void *key, size_t key_size, const void *value,
                     size_t value_size, uint64_t ttl_ns)
{
    struct request r = {.mode = REPLACE, .ttl_ns = ttl_ns};
    return store(c, &r, key, key_size, value, value_size);
}

int lk_cache_cas(lk_cache *c, const void *key, size_t key_size, const void *value,
                 size_t value_size, uint64_t ttl_ns, uint64_t version)
{
    struct request r = {.mode = CAS, .ttl_ns = ttl_ns, .version = version};
    return store(c, &r, key, key_size, value, value_size);
}

/* 0: inside and found; ENOENT, EAGAIN: inside; otherwise not inside. */
static int enter_and_find(struct lki_section *x, lk_cache *c, const void *bytes, size_t size,
                          struct lki_key *key, struct lki_found *found, bool *inside)
{
    enum lki_search search;
    *inside = false;
    int rc = lki_key_make(c, key, bytes, size);
    if (rc == 0)
        rc = enter_for(x, c, key, found, &search);
    if (rc != 0)
        return rc;
    *inside = true;
    if (search == LKI_UNSTEADY)
        return EAGAIN;
    return search == LKI_FOUND ? 0 : ENOENT;
}

int lk_cache_delete(lk_cache *c, const void *key, size_t key_size)
{
    struct lki_section x;
    struct lki_key k;
    struct lki_found found;
    bool inside;
    int rc = enter_and_find(&x, c, key, key_size, &k, &found, &inside);
    if (inside)
        lki_lease_void(&x, k.hash, false);
    if (rc == 0) {
        bool expired = lki_expired(found.view.expire_ns);
        lki_change_remove(&x, k.hash, &found);
        lki_count(x.self, expired ? LKI_EXPIRATIONS : LKI_DELETES, 1);
        rc = expired ? ENOENT : 0;
    }
    if (inside)
        lki_section_leave(&x);
    return rc;
}

int lk_cache_touch(lk_cache *c, const void *key, size_t key_size, uint64_t ttl_ns)
{
    struct lki_section x;
    struct lki_key k;
    struct lki_found found;
    bool inside;
    int rc = enter_and_find(&x, c, key, key_size, &k, &found, &inside);
    if (rc == 0 && lki_expired(found.view.expire_ns))
        rc = ENOENT;
    if (rc == 0) {
        struct lki_entry *e = (struct lki_entry *)(void *)lki_block(&x.shard, found.view.block);
        /* [write.1] relaxed: one word that readers take as it is; the value is not changed. */
        lk_store_rlx_u64(&e->expire_ns, lki_expiry(c, ttl_ns, found.view.expire_ns));
    }
    if (inside)
        lki_section_leave(&x);
    return rc;
}

enum { NUMBER_MAX = 20 }; /* characters of -9223372036854775808 */

/* An optional sign, digits, nothing else, within 64 bits. */
static bool parse_number(const char *text, size_t size, int64_t *number)
{
    size_t i = size > 0 && text[0] == '-' ? 1 : 0;
    int64_t value = 0;
    if (i == size)
        return false;
    for (; i < size; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false;
    }
    if (text[0] == '-') {
        *number = value;
        return true;
    }
    return !__builtin_sub_overflow(0, value, number);
}

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

static int read_number(const struct lki_shard *s, const struct lki_view *view, int64_t *number)
{
    char text[NUMBER_MAX];
    if (view->value_size > NUMBER_MAX)
        return LK_ENOTNUM;
    lki_view_copy_value(s, view, text);
    return parse_number(text, view->value_size, number) ? 0 : LK_ENOTNUM;
}

int lk_cache_incr(lk_cache *c, const void *key, size_t key_size, int64_t delta, int64_t initial,
                  uint64_t ttl_ns, int64_t *result)
{
    struct lki_section x;
    struct lki_found found;
    struct request r = {.mode = SET, .ttl_ns = ttl_ns};
    bool inside;
    char text[NUMBER_MAX + 1] = "-9223372036854775808"; /* the longest, to check that it fits */
    int64_t number = initial;
    int rc = lki_change_make(c, &r.change, key, key_size, text, NUMBER_MAX);
    if (rc != 0)
        return rc;
    rc = enter_and_find(&x, c, key, key_size, &r.change.key, &found, &inside);
    bool there = rc == 0;
    if (there && !lki_expired(found.view.expire_ns)) {
        rc = read_number(&x.shard, &found.view, &number);
        number = add_clamped(number, delta);
        if (ttl_ns == LK_TTL_DEFAULT)
            r.ttl_ns = LK_TTL_KEEP;
    }
    if (rc == 0 || rc == ENOENT) {
        size_t size = (size_t)snprintf(text, sizeof text, "%lld", (long long)number);
        (void)lki_change_make(c, &r.change, key, key_size, text, size);
        rc = store_in(&x, &r, there ? &found : NULL);
    }
    if (inside)
        lki_section_leave(&x);
    if (rc == 0 && result != NULL)
        *result = number;
    return rc;
}

int lk_cache_flush(lk_cache *c)
{
    int rc = 0;
    for (uint32_t i = 0; i < c->geometry.shards && rc == 0; i++) {
        struct lki_section x;
        rc = lki_section_enter(&x, c, i);
        if (rc != 0)
            break;
        lki_lease_void(&x, 0, true);
        lki_change_flush(&x);
        lki_section_leave(&x);
    }
    return rc;
}
