#include "operations.h"

#include <errno.h>
#include <string.h>

#include "cache/hash.h"
#include "life/presence.h"
#include "test.h"

enum { ENTRIES = 64, GRANULE = 48 };

struct lk_cache_options operation_options(const struct operation *op)
{
    struct lk_cache_options o = op->options;
    o.shards = 1;
    o.capacity_bytes = ENTRIES * GRANULE;
    o.granule_bytes = GRANULE;
    o.entry_bytes = GRANULE / 2;
    o.threads = o.threads != 0 ? o.threads : 3;
    return o;
}

/* Small words for what the operations do. */

static void put_ttl(lk_cache *c, unsigned i, const char *value, uint64_t ttl_ns)
{
    const char *key = picture_key(i);
    T_REQUIRE_RC(lk_cache_set(c, key, strlen(key), value, strlen(value), ttl_ns), 0);
}

static void put(lk_cache *c, unsigned i, const char *value)
{
    put_ttl(c, i, value, LK_TTL_NEVER);
}

static void put_big(lk_cache *c, unsigned i, size_t size, int byte)
{
    char value[PICTURE_VALUE_MAX];
    const char *key = picture_key(i);
    memset(value, byte, size);
    T_REQUIRE_RC(lk_cache_set(c, key, strlen(key), value, size, LK_TTL_NEVER), 0);
}

static int get(lk_cache *c, unsigned i)
{
    char buf[PICTURE_VALUE_MAX];
    size_t size;
    const char *key = picture_key(i);
    return lk_cache_get(c, key, strlen(key), buf, sizeof buf, &size);
}

static int del(lk_cache *c, unsigned i)
{
    return lk_cache_delete(c, picture_key(i), strlen(picture_key(i)));
}

static void furnish_some(lk_cache *c)
{
    for (unsigned i = 0; i < 24; i++)
        put(c, i, "a value");
}

static void furnish_full(lk_cache *c)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        put(c, i, "a value");
    for (unsigned i = 0; i < ENTRIES; i += 5)
        T_REQUIRE_RC(get(c, i), 0); /* so that eviction has some to promote */
}

/* Every second granule is free. */
static void furnish_sieve(lk_cache *c)
{
    furnish_full(c);
    for (unsigned i = 0; i < ENTRIES; i += 2)
        T_REQUIRE_RC(del(c, i), 0);
}

static void attach_only(lk_cache *c)
{
    T_REQUIRE_RC(get(c, PICTURE_KEYS - 2), ENOENT);
}

/* The operations. */

static void set_new(lk_cache *c)
{
    put(c, 80, "new");
}

static void set_over(lk_cache *c)
{
    put(c, 7, "another value");
}

static void set_over_larger(lk_cache *c)
{
    put_big(c, 8, 500, 'L');
}

static void set_in_pieces(lk_cache *c)
{
    put_big(c, 80, 600, 'F');
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE(stat.fragmented > 0);
}

static void furnish_pieces(lk_cache *c)
{
    furnish_sieve(c);
    put_big(c, 80, 600, 'F');
}

static void set_pieces_over(lk_cache *c)
{
    put_big(c, 80, 650, 'G');
}

static void add_new(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_add(c, "k80", 3, "added", 5, LK_TTL_NEVER), 0);
    T_REQUIRE_RC(lk_cache_add(c, "k80", 3, "again", 5, LK_TTL_NEVER), EEXIST);
}

static void replace_old(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_replace(c, "k80", 3, "x", 1, LK_TTL_NEVER), ENOENT);
    T_REQUIRE_RC(lk_cache_replace(c, "k03", 3, "replaced", 8, LK_TTL_NEVER), 0);
}

static void cas_old(lk_cache *c)
{
    struct lk_cache_entry entry;
    char buf[64];
    T_REQUIRE_RC(lk_cache_get_entry(c, "k04", 3, buf, sizeof buf, &entry), 0);
    T_REQUIRE_RC(lk_cache_cas(c, "k04", 3, "no", 2, LK_TTL_NEVER, entry.version + 1), LK_ECHANGED);
    T_REQUIRE_RC(lk_cache_cas(c, "k04", 3, "swapped", 7, LK_TTL_NEVER, entry.version), 0);
}

static void delete_one(lk_cache *c)
{
    T_REQUIRE_RC(del(c, 11), 0);
}

static void touch_one(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_touch(c, "k05", 3, 3600000000000u), 0);
}

static void furnish_number(lk_cache *c)
{
    furnish_some(c);
    put(c, 30, "41");
}

static void incr_one(lk_cache *c)
{
    int64_t result;
    T_REQUIRE_RC(lk_cache_incr(c, "k30", 3, 1, 0, LK_TTL_KEEP, &result), 0);
    T_REQUIRE_EQ(result, 42);
}

static void incr_new(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_incr(c, "k31", 3, 1, 7, LK_TTL_NEVER, NULL), 0);
}

static struct lk_lease lease;

static void take_lease(lk_cache *c)
{
    char buf[64];
    size_t size;
    T_REQUIRE_RC(lk_cache_lease(c, lease_key(), 3, buf, sizeof buf, &size, 0, NULL, &lease),
                 ENOENT);
}

static void fill_lease(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_fill(c, lease_key(), 3, "computed", 8, LK_TTL_NEVER, &lease), 0);
}

static void release_lease(lk_cache *c)
{
    lk_cache_release(c, &lease);
}

static void set_leased(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_set(c, lease_key(), 3, "set meanwhile", 13, LK_TTL_NEVER), 0);
}

static void furnish_expired(lk_cache *c)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        put_ttl(c, i, "a value", i % 3 == 0 ? 1 : LK_TTL_NEVER);
}

static void delete_expired(lk_cache *c)
{
    T_REQUIRE_RC(del(c, 3), ENOENT);
}

static void set_over_expired(lk_cache *c)
{
    put(c, 3, "fresh");
}

static void set_big_among_expired(lk_cache *c)
{
    put_big(c, 80, 300, 'E');
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE(stat.expirations > 0);
}

static void flush(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_flush(c), 0);
}

static void hit(lk_cache *c)
{
    T_REQUIRE_RC(get(c, 1), 0);
}

static void detach(lk_cache *c)
{
    lki_detach(c->segment.presence);
}

/* A key that is not there, whose own bucket is full, and that bucket was not passed by any entry
 * yet. */
static unsigned passing;

static uint32_t bucket_of(const lk_cache *c, unsigned i)
{
    const char *key = picture_key(i);
    return lki_hash_bucket(lki_hash(&c->key, key, strlen(key)), c->geometry.buckets);
}

/* The bucket that most keys belong to. */
static uint32_t common_bucket(const lk_cache *c)
{
    unsigned keys[PICTURE_KEYS] = {0};
    uint32_t best = 0;
    T_REQUIRE(c->geometry.buckets * LKI_BUCKET_SLOTS < PICTURE_KEYS - 2);
    for (unsigned i = 0; i < PICTURE_KEYS - 2; i++)
        keys[bucket_of(c, i)]++;
    for (uint32_t b = 1; b < c->geometry.buckets; b++)
        best = keys[b] > keys[best] ? b : best;
    return best;
}

/* One bucket full to the last slot by keys that belong there, no entry anywhere but in its own. */
static void furnish_crowded(lk_cache *c)
{
    unsigned in_bucket[PICTURE_KEYS] = {0};
    uint32_t full = common_bucket(c);
    passing = PICTURE_KEYS;
    for (unsigned i = 0; i < PICTURE_KEYS - 2; i++) {
        uint32_t b = bucket_of(c, i);
        unsigned wanted = b == full ? LKI_BUCKET_SLOTS : 3;
        if (in_bucket[b] < wanted) {
            put(c, i, "a value");
            in_bucket[b]++;
        } else if (b == full) {
            passing = i;
        }
    }
    T_REQUIRE(passing < PICTURE_KEYS);
}

static void set_passing(lk_cache *c)
{
    put(c, passing, "it passed");
}

static void furnish_passed(lk_cache *c)
{
    furnish_crowded(c);
    set_passing(c);
}

static void set_over_passed(lk_cache *c)
{
    put(c, passing, "it passed again");
}

static void delete_passed(lk_cache *c)
{
    T_REQUIRE_RC(del(c, passing), 0);
}

static void repair(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_repair(c, false, NULL), 0);
}

const struct operation operations[] = {
    {.name = "set_of_a_new_key",
     .furnish = furnish_some,
     .prepare = attach_only,
     .operate = set_new},
    {.name = "set_over_an_old_value",
     .furnish = furnish_some,
     .prepare = attach_only,
     .operate = set_over},
    {.name = "set_of_a_larger_value_in_a_full_cache",
     .furnish = furnish_full,
     .prepare = attach_only,
     .operate = set_over_larger},
    {.name = "set_that_evicts",
     .furnish = furnish_full,
     .prepare = attach_only,
     .operate = set_new},
    {.name = "set_in_several_runs",
     .furnish = furnish_sieve,
     .prepare = attach_only,
     .operate = set_in_pieces,
     .options.checksum = 0},
    {.name = "set_of_pieces_over_pieces",
     .furnish = furnish_pieces,
     .prepare = attach_only,
     .operate = set_pieces_over},
    {.name = "set_with_checksum",
     .furnish = furnish_some,
     .prepare = attach_only,
     .operate = set_over,
     .options.checksum = 1},
    {.name = "add", .furnish = furnish_some, .prepare = attach_only, .operate = add_new},
    {.name = "replace", .furnish = furnish_some, .prepare = attach_only, .operate = replace_old},
    {.name = "cas", .furnish = furnish_some, .prepare = attach_only, .operate = cas_old},
    {.name = "delete", .furnish = furnish_full, .prepare = attach_only, .operate = delete_one},
    {.name = "touch", .furnish = furnish_some, .prepare = attach_only, .operate = touch_one},
    {.name = "incr", .furnish = furnish_number, .prepare = attach_only, .operate = incr_one},
    {.name = "incr_of_a_new_key",
     .furnish = furnish_number,
     .prepare = attach_only,
     .operate = incr_new},
    {.name = "lease",
     .furnish = furnish_some,
     .prepare = attach_only,
     .operate = take_lease,
     .changes_nothing = true},
    {.name = "fill", .furnish = furnish_full, .prepare = take_lease, .operate = fill_lease},
    {.name = "release",
     .furnish = furnish_some,
     .prepare = take_lease,
     .operate = release_lease,
     .changes_nothing = true},
    {.name = "set_that_voids_a_lease",
     .furnish = furnish_some,
     .prepare = take_lease,
     .operate = set_leased},
    {.name = "expiry_by_delete",
     .furnish = furnish_expired,
     .prepare = attach_only,
     .operate = delete_expired,
     .changes_nothing = true},
    {.name = "expiry_by_overwriting",
     .furnish = furnish_expired,
     .prepare = attach_only,
     .operate = set_over_expired},
    {.name = "expiry_by_eviction",
     .furnish = furnish_expired,
     .prepare = attach_only,
     .operate = set_big_among_expired},
    {.name = "flush", .furnish = furnish_full, .prepare = attach_only, .operate = flush},
    {.name = "get",
     .furnish = furnish_full,
     .prepare = attach_only,
     .operate = hit,
     .changes_nothing = true},
    {.name = "attach", .furnish = furnish_some, .operate = hit, .changes_nothing = true},
    {.name = "detach",
     .furnish = furnish_some,
     .prepare = take_lease,
     .operate = detach,
     .changes_nothing = true},
    {.name = "set_past_a_full_bucket",
     .furnish = furnish_crowded,
     .prepare = attach_only,
     .operate = set_passing},
    {.name = "set_over_past_a_full_bucket",
     .furnish = furnish_passed,
     .prepare = attach_only,
     .operate = set_over_passed},
    {.name = "delete_past_a_full_bucket",
     .furnish = furnish_passed,
     .prepare = attach_only,
     .operate = delete_passed},
    /* After a death.  Of the first two the first instruction comes before the attaching: the
     * thread may get the dead one's slot; the second must. */
    {.name = "repair", .operate = repair, .changes_nothing = true},
    {.name = "attach_in_the_slot_of_a_dead_holder",
     .operate = attach_only,
     .options.threads = 1,
     .changes_nothing = true},
    {.name = "next_writer", .prepare = attach_only, .operate = set_new},
    {.name = "next_leaseholder",
     .prepare = attach_only,
     .operate = take_lease,
     .changes_nothing = true},
    {.name = NULL},
};

const struct operation *operation_named(const char *name)
{
    const struct operation *op = operations;
    while (op->name != NULL && strcmp(op->name, name) != 0)
        op++;
    T_REQUIRE(op->name != NULL);
    return op;
}

static void act_prepare(void *arg)
{
    const struct acted *a = arg;
    if (a->op->prepare != NULL)
        a->op->prepare(a->cache);
}

static void act(void *arg)
{
    const struct acted *a = arg;
    a->op->operate(a->cache);
}

struct role operation_role(struct acted *a)
{
    return (struct role){act_prepare, act, a};
}

/* What readers see when the operation is done, and before it; on copies, so that looking at them
 * leaves no trace. */
void operation_pictures(const struct operation *op, struct survivor *v, const char *segment,
                        struct picture *before, struct picture *after)
{
    lk_cache *c;
    survivor_copy(v, segment, &c);
    picture_take(c, before);
    lk_cache_close(c);
    survivor_copy(v, segment, &c);
    if (op->prepare != NULL)
        op->prepare(c);
    op->operate(c);
    picture_take(c, after);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    lk_cache_close(c);
    bool same = memcmp(before->value, after->value, sizeof before->value) == 0 &&
                memcmp(before->expire_ns, after->expire_ns, sizeof before->expire_ns) == 0;
    T_REQUIRE_EQ(same, op->changes_nothing);
}
