/* instruction_test.c - killed at every instruction: each operation is single-stepped, and whenever an
 * instruction has changed the segment, a copy of it is opened as a survivor would find it.
 * Runs in: dev */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cache/layout.h"
#include "latchkey/latchkey.h"
#include "life/presence.h"
#include "singlestep.h"
#include "survivor.h"
#include "test.h"

enum { ENTRIES = 64, GRANULE = 48, ALL_KEYS = PICTURE_KEYS - 1 };

/* One operation: what the cache holds, what the thread that will die does before, and the act. */
struct operation {
    const char *name;
    void (*furnish)(lk_cache *c);
    void (*prepare)(lk_cache *c);
    void (*operate)(lk_cache *c);
    struct lk_cache_options options;
    bool changes_nothing; /* that readers see */
};

static struct lk_cache_options options_of(const struct operation *op)
{
    struct lk_cache_options o = op->options;
    o.shards = 1;
    o.capacity_bytes = ENTRIES * GRANULE;
    o.granule_bytes = GRANULE;
    o.entry_bytes = GRANULE / 2;
    o.threads = o.threads != 0 ? o.threads : 3;
    return o;
}

/* Small words for what the operations do. ------------------------------------------------------- */

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
    T_REQUIRE_RC(get(c, ALL_KEYS - 1), ENOENT);
}

/* Running an operation. ------------------------------------------------------------------------- */

struct acted {
    const struct operation *op;
    lk_cache *cache;
};

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

/* What readers see when the operation is done, and before it; on copies, so that looking at them
 * leaves no trace. */
static void take_pictures(const struct operation *op, struct survivor *v, const char *segment,
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

/* Step the child to the operation's end and check each point. */
static void check_points(struct survivor *v, const struct role *role, const char *segment,
                         const struct picture *before, const struct picture *after)
{
    bool seen_after[PICTURE_KEYS] = {false};
    unsigned char *last = malloc(v->size);
    T_REQUIRE(last != NULL);
    struct stepped s = step_begin(role);
    memcpy(last, segment, v->size);
    survivor_check(v, segment, s.pid, before, after, seen_after, 0);
    while (step_once(&s)) {
        if (memcmp(last, segment, v->size) == 0)
            continue;
        memcpy(last, segment, v->size);
        survivor_check(v, segment, s.pid, before, after, seen_after, s.steps);
    }
    survivor_check(v, segment, s.pid, before, after, seen_after, s.steps);
    for (unsigned i = 0; i < PICTURE_KEYS; i++)
        T_REQUIRE(seen_after[i] || before->value[i] == after->value[i]);
    T_LOG("%s: %lu instructions, %lu points", v->what, s.steps, v->points);
    step_kill(&s);
    free(last);
}

static void run(const struct operation *op)
{
    struct lk_cache_options options = options_of(op);
    struct survivor v;
    struct picture before, after;
    lk_cache *c;
    T_TIMEOUT(120);
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &options), 0);
    op->furnish(c);
    lki_detach(c->segment.presence);
    survivor_open(&v, op->name, c->segment.size);
    take_pictures(op, &v, c->segment.base, &before, &after);
    struct acted a = {op, c};
    const struct role role = {act_prepare, act, &a};
    check_points(&v, &role, c->segment.base, &before, &after);
    survivor_close(&v);
    lk_cache_close(c);
}

/* The operations. ------------------------------------------------------------------------------- */

static void set_new(lk_cache *c)
{
    put(c, 80, "new");
}

/* Kills: cache.publish_before_write, cache.passed_after_publish. */
T_TEST(set_of_a_new_key)
{
    run(&(struct operation){
        .name = "set, new", .furnish = furnish_some, .prepare = attach_only, .operate = set_new});
}

static void set_over(lk_cache *c)
{
    put(c, 7, "another value");
}

/* Kills: cache.free_old_before_publish. */
T_TEST(set_over_an_old_value)
{
    run(&(struct operation){.name = "set, overwrite",
                            .furnish = furnish_some,
                            .prepare = attach_only,
                            .operate = set_over});
}

static void set_over_larger(lk_cache *c)
{
    put_big(c, 8, 500, 'L');
}

T_TEST(set_of_a_larger_value_in_a_full_cache)
{
    run(&(struct operation){.name = "set, overwrite and evict",
                            .furnish = furnish_full,
                            .prepare = attach_only,
                            .operate = set_over_larger});
}

T_TEST(set_that_evicts)
{
    run(&(struct operation){.name = "set, evicting",
                            .furnish = furnish_full,
                            .prepare = attach_only,
                            .operate = set_new});
}

static void set_in_pieces(lk_cache *c)
{
    put_big(c, 80, 600, 'F');
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE(stat.fragmented > 0);
}

T_TEST(set_in_several_runs)
{
    run(&(struct operation){.name = "set, fragmented",
                            .furnish = furnish_sieve,
                            .prepare = attach_only,
                            .operate = set_in_pieces,
                            .options.checksum = 0});
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

T_TEST(set_of_pieces_over_pieces)
{
    run(&(struct operation){.name = "set, fragmented over fragmented",
                            .furnish = furnish_pieces,
                            .prepare = attach_only,
                            .operate = set_pieces_over});
}

T_TEST(set_with_checksum)
{
    run(&(struct operation){.name = "set, with checksum",
                            .furnish = furnish_some,
                            .prepare = attach_only,
                            .operate = set_over,
                            .options.checksum = 1});
}

static void add_new(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_add(c, "k80", 3, "added", 5, LK_TTL_NEVER), 0);
    T_REQUIRE_RC(lk_cache_add(c, "k80", 3, "again", 5, LK_TTL_NEVER), EEXIST);
}

T_TEST(add)
{
    run(&(struct operation){
        .name = "add", .furnish = furnish_some, .prepare = attach_only, .operate = add_new});
}

static void replace_old(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_replace(c, "k80", 3, "x", 1, LK_TTL_NEVER), ENOENT);
    T_REQUIRE_RC(lk_cache_replace(c, "k03", 3, "replaced", 8, LK_TTL_NEVER), 0);
}

T_TEST(replace)
{
    run(&(struct operation){.name = "replace",
                            .furnish = furnish_some,
                            .prepare = attach_only,
                            .operate = replace_old});
}

static void cas_old(lk_cache *c)
{
    struct lk_cache_entry entry;
    char buf[64];
    T_REQUIRE_RC(lk_cache_get_entry(c, "k04", 3, buf, sizeof buf, &entry), 0);
    T_REQUIRE_RC(lk_cache_cas(c, "k04", 3, "no", 2, LK_TTL_NEVER, entry.version + 1), LK_ECHANGED);
    T_REQUIRE_RC(lk_cache_cas(c, "k04", 3, "swapped", 7, LK_TTL_NEVER, entry.version), 0);
}

T_TEST(cas)
{
    run(&(struct operation){
        .name = "cas", .furnish = furnish_some, .prepare = attach_only, .operate = cas_old});
}

static void delete_one(lk_cache *c)
{
    T_REQUIRE_RC(del(c, 11), 0);
}

/* Kills: cache.bitmap_not_cleared. */
T_TEST(delete)
{
    run(&(struct operation){
        .name = "delete", .furnish = furnish_full, .prepare = attach_only, .operate = delete_one});
}

static void touch_one(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_touch(c, "k05", 3, 3600000000000u), 0);
}

T_TEST(touch)
{
    run(&(struct operation){
        .name = "touch", .furnish = furnish_some, .prepare = attach_only, .operate = touch_one});
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

T_TEST(incr)
{
    run(&(struct operation){
        .name = "incr", .furnish = furnish_number, .prepare = attach_only, .operate = incr_one});
}

static void incr_new(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_incr(c, "k31", 3, 1, 7, LK_TTL_NEVER, NULL), 0);
}

T_TEST(incr_of_a_new_key)
{
    run(&(struct operation){.name = "incr, new",
                            .furnish = furnish_number,
                            .prepare = attach_only,
                            .operate = incr_new});
}

static struct lk_lease lease;

static void take_lease(lk_cache *c)
{
    char buf[64];
    size_t size;
    T_REQUIRE_RC(lk_cache_lease(c, lease_key(), 3, buf, sizeof buf, &size, 0, NULL, &lease),
                 ENOENT);
}

/* Kills: cache.dead_lease_kept. */
T_TEST(lease)
{
    run(&(struct operation){.name = "lease",
                            .furnish = furnish_some,
                            .prepare = attach_only,
                            .operate = take_lease,
                            .changes_nothing = true});
}

static void fill_lease(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_fill(c, lease_key(), 3, "computed", 8, LK_TTL_NEVER, &lease), 0);
}

T_TEST(fill)
{
    run(&(struct operation){
        .name = "fill", .furnish = furnish_full, .prepare = take_lease, .operate = fill_lease});
}

static void release_lease(lk_cache *c)
{
    lk_cache_release(c, &lease);
}

T_TEST(release)
{
    run(&(struct operation){.name = "release",
                            .furnish = furnish_some,
                            .prepare = take_lease,
                            .operate = release_lease,
                            .changes_nothing = true});
}

static void set_leased(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_set(c, lease_key(), 3, "set meanwhile", 13, LK_TTL_NEVER), 0);
}

T_TEST(set_that_voids_a_lease)
{
    run(&(struct operation){.name = "set of a leased key",
                            .furnish = furnish_some,
                            .prepare = take_lease,
                            .operate = set_leased});
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

T_TEST(expiry_by_delete)
{
    run(&(struct operation){.name = "delete of an expired entry",
                            .furnish = furnish_expired,
                            .prepare = attach_only,
                            .operate = delete_expired,
                            .changes_nothing = true});
}

static void set_over_expired(lk_cache *c)
{
    put(c, 3, "fresh");
}

T_TEST(expiry_by_overwriting)
{
    run(&(struct operation){.name = "set over an expired entry",
                            .furnish = furnish_expired,
                            .prepare = attach_only,
                            .operate = set_over_expired});
}

static void set_big_among_expired(lk_cache *c)
{
    put_big(c, 80, 300, 'E');
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE(stat.expirations > 0);
}

T_TEST(expiry_by_eviction)
{
    run(&(struct operation){.name = "set that drops expired entries",
                            .furnish = furnish_expired,
                            .prepare = attach_only,
                            .operate = set_big_among_expired});
}

static void flush(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_flush(c), 0);
}

T_TEST(flush)
{
    run(&(struct operation){
        .name = "flush", .furnish = furnish_full, .prepare = attach_only, .operate = flush});
}

static void hit(lk_cache *c)
{
    T_REQUIRE_RC(get(c, 1), 0);
}

T_TEST(get)
{
    run(&(struct operation){.name = "get",
                            .furnish = furnish_full,
                            .prepare = attach_only,
                            .operate = hit,
                            .changes_nothing = true});
}

/* The first use of a thread. */
T_TEST(attach)
{
    run(&(struct operation){
        .name = "attach", .furnish = furnish_some, .operate = hit, .changes_nothing = true});
}

static void detach(lk_cache *c)
{
    lki_detach(c->segment.presence);
}

T_TEST(detach)
{
    run(&(struct operation){.name = "detach",
                            .furnish = furnish_some,
                            .prepare = take_lease,
                            .operate = detach,
                            .changes_nothing = true});
}

/* Repair. --------------------------------------------------------------------------------------- */

/* A child dies inside its section, after so many changes of the segment.  False: it had left before. */
static bool die_inside(lk_cache *c, const struct operation *op, unsigned changes)
{
    struct acted a = {op, c};
    const struct role role = {act_prepare, act, &a};
    struct lki_shard shard = lki_shard_at(c, 0);
    const uint32_t *lock = &lki_head(&shard)->lock;
    size_t size = c->segment.size;
    unsigned char *last = malloc(size);
    struct stepped s = step_begin(&role);
    bool running = true;
    T_REQUIRE(last != NULL);
    while ((__atomic_load_n(lock, __ATOMIC_ACQUIRE) & LKI_HOLDER_ANY) == 0)
        T_REQUIRE(step_once(&s));
    memcpy(last, c->segment.base, size);
    while (running && changes > 0) {
        running = step_once(&s);
        if (memcmp(last, c->segment.base, size) == 0)
            continue;
        memcpy(last, c->segment.base, size);
        changes--;
    }
    running = running && (__atomic_load_n(lock, __ATOMIC_ACQUIRE) & LKI_HOLDER_ANY) != 0;
    step_kill(&s);
    free(last);
    return running;
}

/* The second death: whoever repairs, or attaches in the dead one's slot, dies at every instruction of
 * that, after each `stride`-th change of the first. */
static void run_after_death(const struct operation *first, const struct operation *second,
                            unsigned stride)
{
    struct lk_cache_options options = options_of(second);
    unsigned long points = 0;
    unsigned deaths = 0;
    T_TIMEOUT(120);
    for (unsigned changes = 0;; changes += stride) {
        struct survivor v;
        struct picture before, after;
        lk_cache *c;
        T_REQUIRE_RC(lk_cache_open_anonymous(&c, &options), 0);
        first->furnish(c);
        lki_detach(c->segment.presence);
        bool died = die_inside(c, first, changes);
        if (died) {
            survivor_open(&v, second->name, c->segment.size);
            take_pictures(second, &v, c->segment.base, &before, &after);
            struct acted a = {second, c};
            const struct role role = {act_prepare, act, &a};
            check_points(&v, &role, c->segment.base, &before, &after);
            points += v.points;
            deaths++;
            survivor_close(&v);
        }
        lk_cache_close(c);
        if (!died)
            break;
    }
    T_REQUIRE(deaths > 1);
    T_LOG("%s: %u first deaths, %lu points", second->name, deaths, points);
}

static const struct operation evicting = {
    .name = "set", .furnish = furnish_full, .prepare = attach_only, .operate = set_over_larger};

static void repair(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_repair(c, false, NULL), 0);
}

/* Its first instruction comes before the attaching: the thread may get the dead one's slot.
 * Kills: cache.bitmap_not_cleared. */
T_TEST(repair)
{
    run_after_death(
        &evicting,
        &(struct operation){.name = "repair", .operate = repair, .changes_nothing = true}, 40);
}

T_TEST(next_writer_repairs)
{
    run_after_death(&evicting,
                    &(struct operation){
                        .name = "set after a death", .prepare = attach_only, .operate = set_new},
                    40);
}

/* One slot: the second thread gets the dead one's and sweeps what it left. */
T_TEST(attach_in_the_slot_of_a_dead_holder)
{
    run_after_death(&evicting,
                    &(struct operation){.name = "attach in a dead holder's slot",
                                        .operate = attach_only,
                                        .options.threads = 1,
                                        .changes_nothing = true},
                    40);
}

static const struct operation leasing = {
    .name = "lease", .furnish = furnish_some, .prepare = attach_only, .operate = take_lease};

/* The lease of one that died while it took it, or had it. */
T_TEST(lease_after_a_death)
{
    run_after_death(&leasing,
                    &(struct operation){.name = "lease of a dead thread's key",
                                        .prepare = attach_only,
                                        .operate = take_lease,
                                        .changes_nothing = true},
                    3);
}
