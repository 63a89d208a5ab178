/* cache_test.c - the cache at every step at which a kill build can be killed, by SIGKILL: one
 * death, and a second one of whoever repairs after the first. */
#include <stdlib.h>
#include <string.h>

#include "latchkey/latchkey.h"
#include "life/presence.h"
#include "operations.h"
#include "survivor.h"
#include "test.h"

static void perform(void *arg)
{
    const struct role role = operation_role(arg);
    role.prepare(role.arg);
    role.operate(role.arg);
}

/* A furnished cache that the test's own thread is not attached to. */
static lk_cache *furnished(const struct operation *op, const struct lk_cache_options *options)
{
    lk_cache *c;
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, options), 0);
    op->furnish(c);
    lki_detach(c->segment.presence);
    return c;
}

/* Killed at its n-th step.  Returns whether it was, that is, whether it has so many. */
static bool one_death(const struct operation *op, unsigned long n)
{
    const struct lk_cache_options options = operation_options(op);
    bool seen_after[PICTURE_KEYS] = {false};
    struct survivor v;
    struct picture before, after;
    lk_cache *c = furnished(op, &options);
    struct acted a = {op, c};
    survivor_open(&v, op->name, c->segment.size);
    operation_pictures(op, &v, c->segment.base, &before, &after);
    bool died = t_killed_at(n, perform, &a);
    survivor_check(&v, c->segment.base, 0, &before, &after, seen_after, n);
    for (unsigned i = 0; i < PICTURE_KEYS && !died; i++)
        T_REQUIRE(seen_after[i] || before.value[i] == after.value[i]);
    survivor_close(&v);
    lk_cache_close(c);
    return died;
}

T_TEST(death_at_every_step_of_every_operation)
{
    unsigned long all = 0;
    T_TIMEOUT(120);
    for (const struct operation *op = operations; op->name != NULL; op++) {
        unsigned long n = 1;
        if (op->furnish == NULL)
            continue;
        while (one_death(op, n))
            n++;
        T_REQUIRE(n > 1);
        all += n - 1;
    }
    T_LOG("%lu deaths", all);
}

/* The first dies at its n-th step, and who comes after it at its m-th.  Returns whether both
 * did. */
static bool two_deaths(const struct operation *first, unsigned long n,
                       const struct operation *second, unsigned long m, bool *first_died)
{
    const struct lk_cache_options options = operation_options(second);
    bool seen_after[PICTURE_KEYS] = {false};
    struct survivor v;
    struct picture before, after;
    lk_cache *c = furnished(first, &options);
    struct acted a = {first, c}, b = {second, c};
    bool died = false;
    *first_died = t_killed_at(n, perform, &a);
    if (*first_died) {
        survivor_open(&v, second->name, c->segment.size);
        operation_pictures(second, &v, c->segment.base, &before, &after);
        died = t_killed_at(m, perform, &b);
        survivor_check(&v, c->segment.base, 0, &before, &after, seen_after, m);
        survivor_close(&v);
    }
    lk_cache_close(c);
    return died;
}

static void every_second_death(const char *first, const char *second, unsigned long stride)
{
    bool first_died = true;
    unsigned long all = 0;
    T_TIMEOUT(120);
    for (unsigned long n = stride; first_died; n += stride) {
        unsigned long m = 1;
        while (two_deaths(operation_named(first), n, operation_named(second), m, &first_died))
            m++;
        all += m - 1;
    }
    T_LOG("%s: %lu second deaths", second, all);
    T_REQUIRE(all > 10);
}

T_TEST(death_at_every_step_of_a_repair)
{
    every_second_death("set_that_evicts", "repair", 9);
}

T_TEST(death_at_every_step_of_the_next_writer)
{
    every_second_death("set_that_evicts", "next_writer", 14);
}

T_TEST(death_at_every_step_of_attaching_in_a_dead_holders_slot)
{
    every_second_death("set_that_evicts", "attach_in_the_slot_of_a_dead_holder", 14);
}
