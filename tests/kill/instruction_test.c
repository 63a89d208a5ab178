/* instruction_test.c - killed at every instruction: each operation is single-stepped, and
 * whenever an instruction has changed the segment, a copy of it is opened as a survivor would
 * find it.
 * Runs in: dev */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "latchkey/latchkey.h"
#include "life/presence.h"
#include "operations.h"
#include "singlestep.h"
#include "survivor.h"
#include "test.h"

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

static void run(const char *name)
{
    const struct operation *op = operation_named(name);
    struct lk_cache_options options = operation_options(op);
    struct survivor v;
    struct picture before, after;
    lk_cache *c;
    T_TIMEOUT(120);
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &options), 0);
    op->furnish(c);
    lki_detach(c->segment.presence);
    survivor_open(&v, op->name, c->segment.size);
    operation_pictures(op, &v, c->segment.base, &before, &after);
    struct acted a = {op, c};
    const struct role role = operation_role(&a);
    check_points(&v, &role, c->segment.base, &before, &after);
    survivor_close(&v);
    lk_cache_close(c);
}

/* Kills: cache.counts_not_rebuilt, cache.queues_not_cleared. */
T_TEST(set_of_a_new_key)
{
    run("set_of_a_new_key");
}

/* Kills: cache.publish_before_write, cache.free_old_before_write. */
T_TEST(set_over_an_old_value)
{
    run("set_over_an_old_value");
}

/* Kills: cache.pieces_over_capacity. */
T_TEST(set_of_a_larger_value_in_a_full_cache)
{
    run("set_of_a_larger_value_in_a_full_cache");
}

T_TEST(set_that_evicts)
{
    run("set_that_evicts");
}

T_TEST(set_in_several_runs)
{
    run("set_in_several_runs");
}

T_TEST(set_of_pieces_over_pieces)
{
    run("set_of_pieces_over_pieces");
}

T_TEST(set_with_checksum)
{
    run("set_with_checksum");
}

T_TEST(add)
{
    run("add");
}

T_TEST(replace)
{
    run("replace");
}

T_TEST(cas)
{
    run("cas");
}

/* Kills: cache.bitmap_not_cleared, cache.not_declared_consistent. */
T_TEST(delete)
{
    run("delete");
}

T_TEST(touch)
{
    run("touch");
}

T_TEST(incr)
{
    run("incr");
}

T_TEST(incr_of_a_new_key)
{
    run("incr_of_a_new_key");
}

/* Kills: cache.dead_lease_kept, cache.leases_not_counted. */
T_TEST(lease)
{
    run("lease");
}

T_TEST(fill)
{
    run("fill");
}

T_TEST(release)
{
    run("release");
}

T_TEST(set_that_voids_a_lease)
{
    run("set_that_voids_a_lease");
}

T_TEST(expiry_by_delete)
{
    run("expiry_by_delete");
}

T_TEST(expiry_by_overwriting)
{
    run("expiry_by_overwriting");
}

T_TEST(expiry_by_eviction)
{
    run("expiry_by_eviction");
}

/* Kills: cache.flush_hides_half_way. */
T_TEST(flush)
{
    run("flush");
}

/* Kills: cache.read_only_hit_stores. */
T_TEST(get)
{
    run("get");
}

/* The first use of a thread. */
T_TEST(attach)
{
    run("attach");
}

T_TEST(detach)
{
    run("detach");
}

/* The count of passed buckets must never be too low for an entry that can be seen.
 * Kills: cache.passed_after_publish, cache.passed_not_rebuilt. */
T_TEST(set_past_a_full_bucket)
{
    run("set_past_a_full_bucket");
}

/* Kills: cache.distance_lost. */
T_TEST(set_over_past_a_full_bucket)
{
    run("set_over_past_a_full_bucket");
}

/* Kills: cache.passed_lowered_early. */
T_TEST(delete_past_a_full_bucket)
{
    run("delete_past_a_full_bucket");
}

/* A reader that is overtaken. */

enum { LONG_VALUE = 400 };

/* What the reader found, in shared memory. */
struct reading {
    lk_cache *cache;
    int rc;
    size_t size;
    char value[LONG_VALUE];
};

static void read_k00(void *arg)
{
    struct reading *r = arg;
    r->rc = lk_cache_get(r->cache, "k00", 3, r->value, sizeof r->value, &r->size);
}

static void set_long(lk_cache *c, const char *key, int byte)
{
    char value[LONG_VALUE];
    memset(value, byte, sizeof value);
    T_REQUIRE_RC(lk_cache_set(c, key, 3, value, sizeof value, LK_TTL_NEVER), 0);
}

/* Between two instructions of a reader the value is replaced, and another is written where it
 * was: the reader gets the old one or the new one, whole.
 * Kills: cache.word_not_checked_again. */
T_TEST(a_get_that_is_overtaken_at_any_instruction_is_whole)
{
    struct lk_cache_options options = operation_options(operation_named("get"));
    struct reading *r =
        mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const struct role role = {read_k00, read_k00, r};
    unsigned long n = 0, old = 0;
    bool ended = false;
    T_TIMEOUT(120);
    T_REQUIRE(r != MAP_FAILED);
    T_REQUIRE_RC(lk_cache_open_anonymous(&r->cache, &options), 0);
    for (; !ended; n++) {
        set_long(r->cache, "k00", 'A');
        struct stepped s = step_begin(&role);
        ended = !step_many(&s, n);
        set_long(r->cache, "k00", 'B');
        set_long(r->cache, "k01", 'C');
        step_finish(&s);
        T_REQUIRE_RC(r->rc, 0);
        T_REQUIRE_EQ(r->size, LONG_VALUE);
        for (unsigned i = 0; i < LONG_VALUE; i++) {
            if (r->value[i] != r->value[0] || r->value[i] == 'C')
                T_FAIL("overtaken after %lu instructions: byte 0 is '%c', byte %u is '%c'", n,
                       r->value[0], i, r->value[i]);
        }
        old += r->value[0] == 'A';
    }
    T_LOG("overtaken at each of %lu instructions: %lu times the old value, %lu times the new", n,
          old, n - old);
    T_REQUIRE(old > 0 && old < n);
    lk_cache_close(r->cache);
}

/* After a death. */

/* A child dies inside its section, after so many changes of the segment.  False: it had left
 * before. */
static bool die_inside(lk_cache *c, const struct operation *op, unsigned changes)
{
    struct acted a = {op, c};
    const struct role role = operation_role(&a);
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

/* The second death: whoever repairs, or attaches in the dead one's slot, dies at every
 * instruction of that, after each `stride`-th change of the first. */
static void run_after_death(const char *first_name, const char *second_name, unsigned stride)
{
    const struct operation *first = operation_named(first_name);
    const struct operation *second = operation_named(second_name);
    struct lk_cache_options options = operation_options(second);
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
            operation_pictures(second, &v, c->segment.base, &before, &after);
            struct acted a = {second, c};
            const struct role role = operation_role(&a);
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

static const char evicting[] = "set_of_a_larger_value_in_a_full_cache";

/* Kills: cache.bitmap_not_cleared. */
T_TEST(repair)
{
    run_after_death(evicting, "repair", 40);
}

T_TEST(next_writer_repairs)
{
    run_after_death(evicting, "next_writer", 40);
}

/* One slot: the second thread gets the dead one's and sweeps what it left. */
T_TEST(attach_in_the_slot_of_a_dead_holder)
{
    run_after_death(evicting, "attach_in_the_slot_of_a_dead_holder", 40);
}

/* The lease of one that died while it took it, or had it. */
T_TEST(lease_after_a_death)
{
    run_after_death("lease", "next_leaseholder", 3);
}
