/* Lock sets: against a flat model, duplicates by position, built sets of each kind, failures
 * midway, waiting under a whole set, copies, robust members.
 * Kills: key.midway_leaks, key.duplicates_not_seen, key.subset_takes_all. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "latchkey/set.h"
#include "test.h"

enum { LOCKS = 12, MANY = 10000, STEPS = 20000 };

static lk_mutex m[LOCKS];
static lk_rwlock rw[LOCKS];

/* 0 free, -1 held for writing, n read by n. */
static int state_of(size_t i)
{
    if (i < LOCKS)
        return m[i].word_ == 0 ? 0 : -1;
    uint64_t s = rw[i - LOCKS].state_;
    return s & LK_RWLOCK_WRITER_ ? -1 : (int)(s & 0xffff);
}

static lk_member member(size_t i, bool read)
{
    if (i < LOCKS)
        return LK_LOCK(&m[i]);
    return read ? LK_READ(&rw[i - LOCKS]) : LK_LOCK(&rw[i - LOCKS]);
}

static struct timespec past;
static uint32_t seed = 12345;

static uint32_t dice(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* A set as numbers: what the calls must do to the flat model `holds`. */
struct asked {
    size_t lock[6];
    bool read[6];
    size_t n;
};

static struct asked ask(void)
{
    struct asked a = {.n = 1 + dice(6)};
    for (size_t i = 0; i < a.n; i++) {
        a.lock[i] = dice(2 * LOCKS);
        a.read[i] = a.lock[i] >= LOCKS && dice(2);
    }
    return a;
}

static bool asked_twice(const struct asked *a)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < i; j++)
            if (a->lock[i] == a->lock[j])
                return true;
    return false;
}

/* Which one cannot be had? */
static bool is_taken(const struct asked *a, const int *holds)
{
    for (size_t i = 0; i < a->n; i++) {
        int by = holds[a->lock[i]];
        if (by < 0 || (by > 0 && !a->read[i]))
            return true;
    }
    return false;
}

static void change(const struct asked *a, int *holds, int by)
{
    for (size_t i = 0; i < a->n; i++)
        holds[a->lock[i]] += a->read[i] ? by : -by;
}

static int lock_some_way(lk_key key, unsigned k, const struct asked *a, unsigned way)
{
    static lk_member each[2][6];
    lk_member *members = each[k];
    lk_set set;
    struct lk_twice twice;
    for (size_t i = 0; i < a->n; i++)
        members[i] = member(a->lock[i], a->read[i]);
    if (way < 2)
        return way ? lk_set_trylock(key, LK_ARRAY(members, a->n))
                   : lk_set_lock_until(key, LK_ARRAY(members, a->n), &past);
    int rc = way == 2 ? lk_set_init(&set, members, a->n, 6, &twice)
                      : lk_set_init_owned(&set, members, a->n, 6, &twice);
    if (rc != 0) {
        T_REQUIRE(a->lock[twice.first] == a->lock[twice.second] && twice.first < twice.second);
        return rc;
    }
    return lk_set_trylock(key, LK_OF(&set));
}

/* Two keys (fibers of this thread), random sets, by four ways; after each call every lock's own
 * word agrees with the model. */
T_TEST(sets_do_what_a_flat_model_says)
{
    static lk_fiber_key fiber[2];
    lk_key key[2] = {lk_key_of_fiber(&fiber[0]), lk_key_of_fiber(&fiber[1])};
    struct asked has[2] = {{.n = 0}, {.n = 0}};
    int holds[2 * LOCKS] = {0};
    unsigned granted = 0, refused = 0, doubles = 0;
    for (int step = 0; step < STEPS; step++) {
        unsigned k = dice(2), way = dice(4);
        if (has[k].n > 0) {
            (void)lk_set_unlock(key[k]);
            change(&has[k], holds, -1);
            has[k].n = 0;
        } else {
            struct asked a = ask();
            int rc = lock_some_way(key[k], k, &a, way);
            int busy = way == 0 ? ETIMEDOUT : EBUSY;
            if (asked_twice(&a)) {
                doubles++;
                T_REQUIRE(rc == EDEADLK || (rc == busy && is_taken(&a, holds)));
            } else {
                T_REQUIRE_EQ(rc, is_taken(&a, holds) ? busy : 0);
            }
            if (rc == 0) {
                has[k] = a;
                change(&a, holds, 1);
            }
            granted += rc == 0;
            refused += rc == busy;
        }
        for (size_t i = 0; i < (size_t)2 * LOCKS; i++)
            T_REQUIRE_EQ(state_of(i), holds[i]);
    }
    T_LOG("%u granted, %u refused, %u with a double", granted, refused, doubles);
    T_REQUIRE(granted > 1000 && refused > 1000 && doubles > 1000);
}

T_TEST(a_lock_twice_is_refused_with_both_positions)
{
    lk_key key = lk_key_take();
    lk_mutex *same = &m[1];
    struct lk_twice twice;
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&m[0]), LK_LOCK(&m[1]), LK_LOCK(same))), EDEADLK);
    twice = lk_set_twice(key);
    T_REQUIRE_EQ(twice.first, 1);
    T_REQUIRE_EQ(twice.second, 2);
    T_REQUIRE_STR_EQ(lk_error_text(), "one lock is twice in the set, at positions 1 and 2");
    lk_rwlock *reader = &rw[0];
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_READ(&rw[0]), LK_READ(reader))), EDEADLK);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_READ(&rw[0]), LK_LOCK(&rw[0]))), EDEADLK);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK_LEVEL(&m[0], 1), LK_LOCK_LEVEL(&m[0], 2))),
                 EDEADLK);
    /* Through a nested set. */
    lk_member inner[1] = {LK_LOCK(&m[1])};
    lk_set nested;
    lk_set_new(&nested, inner, 1, 1);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&m[1]), LK_NESTED(&nested))), EDEADLK);
    for (size_t i = 0; i < (size_t)2 * LOCKS; i++)
        T_REQUIRE_EQ(state_of(i), 0);
    lk_key_give(key);
}

T_TEST(nested_sets_are_flattened)
{
    lk_key key = lk_key_take();
    lk_member pair[2] = {LK_LOCK(&m[3]), LK_READ(&rw[1])}, all[4] = {LK_LOCK(&m[0])};
    lk_set inner, outer;
    lk_set_new(&inner, pair, 2, 2);
    lk_scope (key, LK_SET(LK_LOCK(&m[0]), LK_NESTED(&inner), LK_LOCK(&m[4])))
        T_REQUIRE_EQ(lk_held(key), 4);
    all[1] = LK_NESTED(&inner);
    T_REQUIRE_RC(lk_set_init(&outer, all, 2, 2, NULL), ENOSPC);
    all[0] = LK_LOCK(&m[0]);
    all[1] = LK_NESTED(&inner);
    T_REQUIRE_RC(lk_set_init(&outer, all, 2, 4, NULL), 0);
    lk_scope (key, LK_OF(&outer))
        T_REQUIRE_EQ(lk_held(key), 3);
    T_REQUIRE_RC(lk_set_add(&outer, LK_NESTED(&inner)), ENOSPC);
    T_REQUIRE_RC(lk_set_remove(&outer, &m[3]), 0);
    T_REQUIRE_RC(lk_set_remove(&outer, &m[3]), ENOENT);
    T_REQUIRE_RC(lk_set_add(&outer, LK_LOCK(&m[0])), EDEADLK);
    T_REQUIRE_RC(lk_set_add(&outer, LK_LOCK(&m[9])), 0);
    T_REQUIRE_RC(lk_set_add(&outer, LK_LOCK(&m[8])), 0);
    T_REQUIRE_RC(lk_set_add(&outer, LK_LOCK(&m[7])), ENOSPC);
    lk_scope (key, LK_OF(&outer)) {
        T_REQUIRE_EQ(lk_held(key), 4);
        T_REQUIRE_EQ(state_of(9), -1);
        T_REQUIRE_EQ(state_of(3), 0);
    }
    lk_key_give(key);
}

T_TEST(the_first_k_of_a_set_alone)
{
    lk_key key = lk_key_take();
    lk_member all[3] = {LK_LOCK(&m[7]), LK_LOCK(&m[2]), LK_LOCK(&m[5])};
    lk_set set;
    lk_set_new(&set, all, 3, 3);
    lk_scope (key, LK_FIRST(&set, 2)) {
        T_REQUIRE_EQ(state_of(7), -1);
        T_REQUIRE_EQ(state_of(2), -1);
        T_REQUIRE_EQ(state_of(5), 0);
        T_REQUIRE_EQ(lk_held(key), 2);
    }
    T_REQUIRE_EQ(state_of(7), 0);
    T_REQUIRE_EQ(state_of(2), 0);
    lk_key_give(key);
}

T_TEST(reading_sets_let_readers_in_and_take_a_double_once)
{
    lk_key key = lk_key_take();
    lk_member all[3] = {LK_LOCK(&rw[2]), LK_READ(&rw[3]), LK_READ(&rw[2])}, mutex[1] = {LK_LOCK(m)};
    lk_set set;
    T_REQUIRE_RC(lk_set_init_reading(&set, mutex, 1, 1), EINVAL);
    T_REQUIRE_RC(lk_set_init_reading(&set, all, 3, 3), 0);
    lk_scope (key, LK_OF(&set)) {
        T_REQUIRE_EQ(state_of(LOCKS + 2), 1);
        T_REQUIRE_EQ(state_of(LOCKS + 3), 1);
    }
    T_REQUIRE_RC(lk_set_read(key, LK_SET(LK_LOCK(&rw[2]), LK_LOCK(&m[0]))), EINVAL);
    T_REQUIRE_RC(lk_set_read(key, LK_SET(LK_LOCK(&rw[2]), LK_LOCK(&rw[3]))), 0);
    T_REQUIRE_EQ(state_of(LOCKS + 2), 1);
    key = lk_set_unlock(key);
    T_REQUIRE_RC(lk_set_tryread(key, LK_SET(LK_LOCK(&rw[2]))), 0);
    key = lk_set_unlock(key);
    T_REQUIRE_EQ(state_of(LOCKS + 2), 0);
    lk_key_give(key);
}

T_TEST(ten_thousand_locks_are_one_set)
{
    static lk_mutex many[MANY];
    static lk_member members[MANY];
    lk_key key = lk_key_take();
    lk_set set;
    for (size_t i = 0; i < MANY; i++)
        members[i] = LK_LOCK(&many[(i * 7919) % MANY]);
    lk_scope (key, LK_ARRAY(members, MANY)) /* as written */
        T_REQUIRE_EQ(lk_held(key), MANY);
    lk_mutex_lock(&many[5000]);
    T_REQUIRE_RC(lk_set_lock_until(key, LK_ARRAY(members, MANY), &past), ETIMEDOUT); /* sorted */
    T_REQUIRE(lk_set_failed(key.k_) < MANY);
    lk_mutex_unlock(&many[5000]);
    T_REQUIRE_RC(lk_set_init(&set, members, MANY, MANY, NULL), 0);
    lk_scope (key, LK_OF(&set))
        T_REQUIRE_EQ(lk_held(key), MANY);
    for (size_t i = 0; i < MANY; i++)
        T_REQUIRE_EQ(many[i].word_, 0);
    lk_key_give(key);
}

/* ---- waiting
 * ------------------------------------------------------------------------------------ */

static lk_cond changed;
static int stock[2];

static bool in_stock(void *arg)
{
    (void)arg;
    return stock[0] > 0 && stock[1] > 0;
}

static void *deliver(void *arg)
{
    lk_key key = lk_key_take();
    (void)arg;
    for (int i = 0; i < 2; i++) {
        (void)usleep(5000);
        lk_scope (key, LK_SET(LK_LOCK(&m[1]), LK_LOCK(&m[0]))) {
            stock[i]++;
            lk_cond_broadcast(&changed);
        }
    }
    lk_key_give(key);
    return NULL;
}

T_TEST(a_wait_gives_up_the_whole_set_and_takes_it_again)
{
    lk_key key = lk_key_take();
    pthread_t id;
    T_REQUIRE_EQ(pthread_create(&id, NULL, deliver, NULL), 0);
    lk_scope (key, LK_SET(LK_LOCK(&m[0]), LK_LOCK(&m[1]), LK_READ(&rw[0]))) {
        T_REQUIRE_RC(lk_set_wait_for(key, &changed, in_stock, NULL, NULL), 0);
        T_REQUIRE(in_stock(NULL));
        T_REQUIRE_EQ(state_of(0), -1);
        T_REQUIRE_EQ(state_of(LOCKS), 1);
        stock[0] = 0;
        T_REQUIRE_RC(lk_set_wait_for(key, &changed, in_stock, NULL, &past), ETIMEDOUT);
        T_REQUIRE_EQ(state_of(1), -1);
    }
    T_REQUIRE_RC(lk_key_join(key, id, NULL), 0);
    lk_key_give(key);
}

T_TEST(copies_lock_and_unlock)
{
    lk_key key = lk_key_take();
    long guarded = 4, mine = 0;
    T_REQUIRE_RC(lk_key_read_copy(key, LK_SET(LK_READ(&rw[0])), &mine, &guarded, sizeof mine), 0);
    T_REQUIRE_EQ(mine, 4);
    mine = 9;
    T_REQUIRE_RC(lk_key_swap(key, LK_SET(LK_LOCK(&m[0])), &guarded, &mine, sizeof mine), 0);
    T_REQUIRE_EQ(mine * 100 + guarded, 409);
    T_REQUIRE_RC(lk_key_take_bytes(key, LK_SET(LK_LOCK(&m[0])), &mine, &guarded, sizeof mine), 0);
    T_REQUIRE_EQ(mine * 100 + guarded, 900);
    T_REQUIRE_EQ(state_of(0), 0);
    lk_key_give(key);
}

/* ---- robust members
 * ------------------------------------------------------------------------------ */

struct shared {
    lk_rmutex r[3];
    lk_rrwlock l;
};

static lk_key key_of_both;

static void die_inside(void *arg)
{
    struct shared *s = arg;
    lk_key key = key_of_both; /* the child has its parent's */
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&s->r[2]), LK_LOCK(&s->l))), 0);
    _exit(0); /* as dead as by a kill */
}

T_TEST(a_death_names_exactly_the_members_that_were_held)
{
    lk_seg *seg = NULL;
    int rc = -1;
    lk_key key = key_of_both = lk_key_take();
    T_REQUIRE_RC(lk_seg_create_anonymous(&seg, 4096, 4), 0);
    struct shared *s = lk_seg_memory(seg);
    T_REQUIRE_EQ(t_wait(t_fork(die_inside, s)), 0);
    lk_scope_rc (key, rc,
                 LK_SET(LK_LOCK(&s->r[0]), LK_LOCK(&s->r[2]), LK_LOCK(&m[0]), LK_READ(&s->l))) {
        T_REQUIRE_EQ(lk_set_dead(key, 0), 1);
        T_REQUIRE_EQ(lk_set_dead(key, 2), 3);
        T_REQUIRE_EQ(lk_set_dead(key, 4), -1);
        T_REQUIRE_RC(lk_rmutex_consistent(&s->r[2]), 0);
        T_REQUIRE_EQ(lk_set_dead(key, 0), 3);
        T_REQUIRE_RC(lk_rrwlock_consistent(&s->l), 0);
    }
    T_REQUIRE_RC(rc, EOWNERDEAD);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&s->r[0]), LK_LOCK(&s->r[2]), LK_LOCK(&s->l))), 0);
    T_REQUIRE_EQ(lk_set_dead(key, 0), -1);
    (void)lk_set_unlock(key);
    /* One that is lost: nothing stays locked, and it is named. */
    T_REQUIRE_EQ(t_wait(t_fork(die_inside, s)), 0);
    T_REQUIRE_RC(lk_rmutex_lock(&s->r[2]), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_unlock(&s->r[2]), 0);
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&m[0]), LK_LOCK(&s->r[2]), LK_LOCK(&s->r[1]))),
                 ENOTRECOVERABLE);
    T_REQUIRE_EQ(lk_set_failed(key.k_), 1);
    T_REQUIRE_EQ(state_of(0), 0);
    T_REQUIRE_RC(lk_rmutex_trylock(&s->r[1]), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(&s->r[1]), 0);
    lk_seg_close(seg);
}
