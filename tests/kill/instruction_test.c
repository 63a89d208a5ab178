/* instruction_test.c - killed at every instruction: each operation is single-stepped, and whenever an
 * instruction has changed the segment, a copy of it is opened as a survivor would find it.
 * Runs in: dev */
#include <stdlib.h>
#include <string.h>

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

/* Kills: cache.publish_before_write, cache.passed_after_publish. */
T_TEST(set_of_a_new_key)
{
    run("set_of_a_new_key");
}

/* Kills: cache.free_old_before_publish. */
T_TEST(set_over_an_old_value)
{
    run("set_over_an_old_value");
}

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

/* Kills: cache.bitmap_not_cleared. */
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

/* Kills: cache.dead_lease_kept. */
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

T_TEST(flush)
{
    run("flush");
}

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

/* After a death.  */

/* A child dies inside its section, after so many changes of the segment.  False: it had left before. */
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

/* The second death: whoever repairs, or attaches in the dead one's slot, dies at every instruction of
 * that, after each `stride`-th change of the first. */
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
