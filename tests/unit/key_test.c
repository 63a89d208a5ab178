/* The key: taking and giving, what stops the program and what is said then, scopes and every way
 * out of them, waiting with a free key, fibers, cells.
 * Kills: key.spent_not_noticed, key.exit_keeps_locks, key.inline_not_accounted. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "latchkey/claim.h"
#include "latchkey/level.h"
#include "test.h"

static lk_mutex a, b;
static lk_rwlock rw;
static lk_kmutex torn = LK_KMUTEX_POISON_INIT;

static bool is_free(lk_mutex *m)
{
    if (lk_mutex_trylock(m) != 0)
        return false;
    lk_mutex_unlock(m);
    return true;
}

static char said[600];

static void note(const char *text)
{
    (void)snprintf(said, sizeof said, "%s", text);
}

/* "key_test.c:LINE" of a line before this one stands in what was said. */
static void must_say(const char *what, int line, int before)
{
    char here[40], since[40];
    (void)snprintf(here, sizeof here, "key_test.c:%d", line);
    (void)snprintf(since, sizeof since, "key_test.c:%d", before);
    if (strstr(said, what) == NULL || strstr(said, here) == NULL || strstr(said, since) == NULL)
        T_FAIL("said \"%s\", not \"%s\" with %s and %s", said, what, here, since);
}

T_TEST(a_key_is_taken_and_given_back)
{
    for (int i = 0; i < 3; i++) {
        lk_key key = lk_key_take();
        T_REQUIRE_EQ(lk_held(key), 0);
        lk_key_give(key);
    }
}

T_TEST(taking_a_taken_key_is_stopped_and_names_both_places)
{
    lk_key_on_stop(note);
    lk_key key = lk_key_take(), again;
    int taken = __LINE__ - 1;
    (void)lk_key_take();
    must_say("which is taken", __LINE__ - 1, taken);
    T_REQUIRE_RC(lk_key_try_take(&again), EDEADLK);
    T_REQUIRE(strstr(lk_error_text(), "key_test.c:") != NULL);
    lk_key_give(key);
    T_REQUIRE_RC(lk_key_try_take(&again), 0);
    lk_key_give(again);
}

T_TEST(a_stashed_key_is_stopped_and_locks_nothing)
{
    lk_key_on_stop(note);
    lk_key key = lk_key_take(), stashed = key;
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        int since = __LINE__ - 1;
        T_REQUIRE_RC(lk_set_lock(stashed, LK_SET(LK_LOCK(&b))), EDEADLK);
        must_say("spent key", __LINE__ - 1, since);
        T_REQUIRE_RC(lk_key_sem_wait(stashed, NULL, NULL), EDEADLK);
        T_REQUIRE_RC(lk_key_barrier_wait(stashed, NULL, NULL), EDEADLK);
        T_REQUIRE_RC(lk_key_join(stashed, pthread_self(), NULL), EDEADLK);
        T_REQUIRE(is_free(&b));
        lk_key_give(stashed);
        must_say("holds locks", since, since);
        T_REQUIRE_EQ(lk_held(key), 1);
    }
    T_REQUIRE(is_free(&a));
    lk_key_give(key);
}

static void *use(void *key)
{
    return (void *)(intptr_t)lk_set_lock(*(lk_key *)key, LK_SET(LK_LOCK(&a)));
}

T_TEST(another_threads_key_is_stopped)
{
    lk_key_on_stop(note);
    lk_key key = lk_key_take();
    pthread_t id;
    void *rc;
    T_REQUIRE_EQ(pthread_create(&id, NULL, use, &key), 0);
    T_REQUIRE_RC(lk_key_join(key, id, &rc), 0);
    T_REQUIRE_RC((int)(intptr_t)rc, EDEADLK);
    T_REQUIRE(strstr(said, "another thread's key") != NULL);
    T_REQUIRE(is_free(&a));
    lk_key_give(key);
}

static void spend_twice(void *arg)
{
    lk_key key = lk_key_take(), stashed = key;
    (void)arg;
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        lk_scope (stashed, LK_SET(LK_LOCK(&b)))
            T_FAIL("locked");
    }
}

T_TEST(by_default_a_stop_is_abort)
{
    T_REQUIRE_EQ(t_wait(t_fork(spend_twice, NULL)), -6);
}

static int leave(int way)
{
    lk_key key = lk_key_take();
    for (int i = 0; i < 2; i++) {
        lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&rw))) {
            T_REQUIRE(!is_free(&a));
            if (way == 0)
                break; /* of the scope */
            if (way == 1)
                continue; /* to its end */
            if (way == 2)
                goto out;
            if (way == 3) {
                lk_key_unwind(key.k_ != NULL ? (lk_key){.k_ = key.k_} : (lk_key){.k_ = NULL});
                break;
            }
        }
        T_REQUIRE(is_free(&a));
    }
out:
    T_REQUIRE(is_free(&a));
    lk_key_give(key);
    return way;
}

static int leave_by_return(lk_key key)
{
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        return 7;
    return 0;
}

T_TEST(a_scope_unlocks_on_every_way_out)
{
    for (int way = 0; way < 4; way++)
        T_REQUIRE_EQ(leave(way), way);
    lk_key key = lk_key_take();
    T_REQUIRE_EQ(leave_by_return(key), 7);
    T_REQUIRE(is_free(&a));
    T_REQUIRE_EQ(lk_rwlock_trywrlock(&rw), 0);
}

static jmp_buf back;
static lk_key kept;

static void jump(lk_key key)
{
    lk_scope (key, LK_SET(LK_LOCK(&torn), LK_LOCK(&a)))
        longjmp(back, 1);
}

T_TEST(longjmp_out_of_a_scope_unlocks_where_it_is_said_and_poisons)
{
    int rc = -1;
    kept = lk_key_take();
    if (setjmp(back) == 0)
        jump(kept);
    lk_key key = kept;
    lk_key_unwind(key);
    T_REQUIRE(is_free(&a));
    lk_scope_rc (key, rc, LK_SET(LK_LOCK(&a), LK_LOCK(&torn))) {
        T_REQUIRE_EQ(lk_set_dead(key, 0), 1);
        lk_kmutex_clear(&torn);
    }
    T_REQUIRE_RC(rc, EOWNERDEAD);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&torn))), 0);
    lk_poison(key);
    key = lk_set_unlock(key);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&torn))), EOWNERDEAD);
    (void)lk_set_unlock(key);
}

static void *end_inside(void *arg)
{
    lk_key key = lk_key_take();
    if (arg == NULL) {
        lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&torn)))
            pthread_exit(NULL);
    }
    LK_CLAIM(c, 4);
    lk_scope_claim (key, c) {
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&b)), 0);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&a)), 0);
        for (;;)
            (void)sleep(1); /* until cancelled */
    }
    return NULL;
}

T_TEST(the_end_of_a_thread_unlocks_what_it_holds)
{
    pthread_t id;
    T_REQUIRE_EQ(pthread_create(&id, NULL, end_inside, NULL), 0);
    T_REQUIRE_EQ(pthread_join(id, NULL), 0);
    T_REQUIRE(is_free(&a));
    T_REQUIRE((torn.record_ & LK_POISONED_) != 0);
    T_REQUIRE_EQ(pthread_create(&id, NULL, end_inside, &a), 0);
    (void)usleep(20000);
    T_REQUIRE_EQ(pthread_cancel(id), 0);
    T_REQUIRE_EQ(pthread_join(id, NULL), 0);
    T_REQUIRE(is_free(&a) && is_free(&b));
}

/* ---- waiting
 * ------------------------------------------------------------------------------------ */

static lk_once first, second;
static lk_barrier both = LK_BARRIER_INIT(2);

static int nothing(lk_key key, void *arg)
{
    (void)key;
    (void)arg;
    return 0;
}

/* Both are inside before either asks for the other's. */
static int cross(lk_key key, void *other)
{
    static lk_barrier inside = LK_BARRIER_INIT(2);
    (void)lk_barrier_wait(&inside);
    return lk_key_once(key, (lk_once *)other, nothing, NULL);
}

static void *initialise_second(void *arg)
{
    lk_key key = lk_key_take();
    (void)arg;
    int rc = lk_key_once(key, &second, cross, &first);
    lk_key_give(key);
    return (void *)(intptr_t)rc;
}

T_TEST(initialisers_that_want_each_other_hear_edeadlk_at_once)
{
    lk_key key = lk_key_take();
    pthread_t id;
    void *theirs;
    uint64_t begun = t_now_ns();
    T_REQUIRE_EQ(pthread_create(&id, NULL, initialise_second, NULL), 0);
    int rc = lk_key_once(key, &first, cross, &second);
    char text[300];
    (void)snprintf(text, sizeof text, "%s", lk_error_text());
    T_REQUIRE_RC(lk_key_join(key, id, &theirs), 0);
    /* One of them heard it and failed; the other then did the first's work, and succeeded. */
    T_REQUIRE((rc == EDEADLK) != ((intptr_t)theirs == EDEADLK));
    if (rc == EDEADLK)
        T_REQUIRE(strstr(text, "other") != NULL && strstr(text, "first") != NULL);
    T_REQUIRE(t_now_ns() - begun < 1000000000u);
    lk_key_give(key);
}

static int itself(lk_key key, void *o)
{
    return lk_key_once(key, (lk_once *)o, itself, o);
}

T_TEST(an_initialiser_that_wants_itself_hears_edeadlk)
{
    static lk_once o;
    lk_key key = lk_key_take();
    T_REQUIRE_RC(lk_key_once(key, &o, itself, &o), EDEADLK);
    T_REQUIRE_RC(lk_key_once(key, &o, nothing, NULL), 0);
    T_REQUIRE_RC(lk_key_once(key, &o, itself, &o), 0);
    lk_key_give(key);
}

static void *meet(void *arg)
{
    lk_key key = lk_key_take();
    (void)lk_key_barrier_wait(key, &both, NULL);
    lk_key_give(key);
    return arg;
}

T_TEST(barrier_semaphore_and_join_take_a_free_key)
{
    lk_key key = lk_key_take();
    lk_sem s = LK_SEM_INIT(1);
    struct timespec past = {0, 0};
    pthread_t id;
    T_REQUIRE_EQ(pthread_create(&id, NULL, meet, NULL), 0);
    int rc = lk_key_barrier_wait(key, &both, NULL);
    T_REQUIRE(rc == 0 || rc == LK_BARRIER_LAST);
    T_REQUIRE_RC(lk_key_join(key, id, NULL), 0);
    T_REQUIRE_RC(lk_key_sem_wait(key, &s, NULL), 0);
    T_REQUIRE_RC(lk_key_sem_wait(key, &s, &past), ETIMEDOUT);
    lk_key_give(key);
}

T_TEST(two_fibers_of_one_thread_hold_locks_at_once)
{
    static lk_fiber_key one, two;
    lk_key_on_stop(note);
    lk_key k1 = lk_key_of_fiber(&one), k2 = lk_key_of_fiber(&two);
    T_REQUIRE_RC(lk_set_trylock(k1, LK_SET(LK_LOCK(&a))), 0);
    T_REQUIRE_RC(lk_set_trylock(k2, LK_SET(LK_LOCK(&a))), EBUSY);
    T_REQUIRE_RC(lk_set_trylock(k2, LK_SET(LK_LOCK(&b))), 0);
    T_REQUIRE_RC(lk_set_lock(k2, LK_SET(LK_LOCK(&rw))), EDEADLK);
    (void)lk_set_unlock(k1);
    (void)lk_set_unlock(k2);
    lk_key_give(k1);
    lk_key_give(k2);
    (void)lk_key_of_fiber(&one);
    (void)lk_key_of_fiber(&one);
    T_REQUIRE(strstr(said, "the fiber's key") != NULL);
}

T_TEST(cells_need_no_key)
{
    static lk_cell cell;
    static long guarded[2] = {1, 2};
    long mine[2] = {0, 0};
    lk_cell_get(&cell, mine, guarded, sizeof mine);
    T_REQUIRE_EQ(mine[1], 2);
    mine[0] = 5;
    lk_cell_swap(&cell, guarded, mine, sizeof mine);
    T_REQUIRE_EQ(guarded[0], 5);
    T_REQUIRE_EQ(mine[0], 1);
    lk_cell_set(&cell, guarded, mine, sizeof mine);
    T_REQUIRE_EQ(guarded[0], 1);
}

/* ---- levels
 * ------------------------------------------------------------------------------------ */

LK_LEVEL(outer, 10);
LK_LEVEL(inner, 20);
LK_LEVEL_BEFORE(outer, inner);
static lk_mutex_at_outer at_outer;
static lk_rwlock_at_inner at_inner;
static lk_mutex_at_inner at_inner_too;

static int read_inner(lk_at_outer key)
{
    int seen = 0;
    lk_scope_level_read (key, inner, &at_inner)
        seen = 1;
    return seen;
}

T_TEST(levels_ascend_and_release_in_turn)
{
    lk_key key = lk_key_take(), stashed = key;
    lk_key_on_stop(note);
    lk_scope_level (key, outer, &at_outer) {
        T_REQUIRE_EQ(read_inner(key), 1);
        lk_scope_level (key, inner, &at_inner_too) {
            T_REQUIRE_EQ(lk_held(key), 2);
            T_REQUIRE_RC(lk_level_lock(stashed, inner, &at_inner), EDEADLK);
            T_REQUIRE(strstr(said, "not above") != NULL);
            T_REQUIRE_RC(lk_level_lock(stashed, outer, &at_outer), EDEADLK);
        }
        lk_scope_levels (key, inner,
                         LK_SET(LK_LOCK_AT(inner, &at_inner), LK_LOCK_AT(inner, &at_inner_too))) {
            T_REQUIRE_EQ(lk_held(key), 3);
        }
        T_REQUIRE_EQ(lk_held(key), 1);
    }
    T_REQUIRE_RC(lk_level_lock(key, inner, &at_inner_too), 0);
    T_REQUIRE_RC(lk_level_lock(key, outer, &at_outer), EDEADLK);
    lk_level_unlock(key);
    lk_level_unlock(key);
    T_REQUIRE(strstr(said, "holds nothing") != NULL);
    T_REQUIRE(is_free(&at_outer.lock_));
    lk_key_give(key);
}

/* The inline way into a scope leaves the level and the room that it uses to whoever asks.
 * Kills: key.inline_not_accounted. */
T_TEST(levels_above_what_an_inline_scope_holds)
{
    lk_key key = lk_key_take(), stashed = key;
    lk_mutex_at_inner *above = &at_inner_too;
    lk_key_on_stop(note);
    lk_scope (key, LK_SET(LK_LOCK_LEVEL(&a, 15), LK_LOCK_LEVEL(&b, 15))) {
        T_REQUIRE_RC(lk_level_lock(stashed, outer, &at_outer), EDEADLK);
        T_REQUIRE(strstr(said, "not above") != NULL);
        T_REQUIRE_RC(lk_level_lock(stashed, inner, above), 0);
        T_REQUIRE_EQ(lk_held(key), 3);
        lk_key_unwind(stashed);
        T_REQUIRE(is_free(&a) && is_free(&b) && is_free(&above->lock_));
    }
    T_REQUIRE(is_free(&a));
    lk_key_give(key);
}
