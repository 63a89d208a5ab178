/* Claims, sets and levels of several threads over the same locks: nobody hangs, sums come out
 * right, restarts stay below their bound.
 * Kills: key.claim_stale_is_fresh. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "latchkey/claim.h"
#include "latchkey/level.h"
#include "test.h"

enum { CELLS = 6, THREADS = 4, ROUNDS = 4000 };

static lk_kmutex lock[CELLS];
static long value[CELLS];
static lk_krwlock rw[2];
static lk_rwlock plain;

T_TEST(a_claim_takes_locks_in_any_order)
{
    lk_key key = lk_key_take();
    LK_CLAIM(c, 4);
    lk_scope_claim (key, c) {
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[3])), 0);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[1])), 0);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[3])), 0);
        T_REQUIRE_EQ(lk_claim_count(&c), 2);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_READ(&rw[0])), 0);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&rw[0])), EDEADLK);
        T_REQUIRE_RC(lk_claim_upgrade(&c, &rw[0]), 0);
        T_REQUIRE_RC(lk_claim_downgrade(&c, &rw[0]), 0);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[2])), 0);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[0])), ENOSPC);
        T_REQUIRE_RC(lk_claim_unlock(&c, &lock[3]), 0);
        T_REQUIRE_RC(lk_claim_unlock(&c, &lock[3]), ENOENT);
        T_REQUIRE_RC(lk_claim_upgrade(&c, &lock[3]), ENOENT);
        T_REQUIRE_RC(lk_claim_upgrade(&c, &lock[1]), EINVAL);
        T_REQUIRE_EQ(lk_claim_restarts(&c), 0);
    }
    lk_scope (key, LK_SET(LK_LOCK(&lock[0]), LK_LOCK(&lock[1]), LK_LOCK(&lock[2]), LK_LOCK(&rw[0])))
        T_REQUIRE_EQ(lk_held(key), 4);
    lk_key_give(key);
}

/* A third party holds lock[0], and lets go of it when the claim has given way, which it knows by
 * lock[1]; it changes that one if it is to. */
static lk_barrier ready = LK_BARRIER_INIT(2), claimed = LK_BARRIER_INIT(2);

static void *in_the_way(void *change)
{
    lk_key key = lk_key_take();
    T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&lock[0]))), 0);
    (void)lk_barrier_wait(&ready);
    (void)lk_barrier_wait(&claimed);
    while (lk_mutex_trylock(&lock[1].lock_) == EBUSY)
        (void)sched_yield();
    lock[1].record_ += *(bool *)change; /* as a holder for writing would */
    lk_mutex_unlock(&lock[1].lock_);
    key = lk_set_unlock(key);
    lk_key_give(key);
    return NULL;
}

static void meet_in_the_way(bool change, int expected)
{
    lk_key key = lk_key_take();
    pthread_t id;
    T_REQUIRE_EQ(pthread_create(&id, NULL, in_the_way, &change), 0);
    LK_CLAIM(c, 2);
    (void)lk_barrier_wait(&ready);
    lk_scope_claim (key, c) {
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[1])), 0);
        (void)lk_barrier_wait(&claimed);
        T_REQUIRE_RC(lk_claim_lock(&c, LK_LOCK(&lock[0])), expected);
        T_REQUIRE_EQ(lk_claim_restarts(&c), 1);
        T_REQUIRE_EQ(lk_claim_count(&c), 2);
    }
    T_REQUIRE_RC(lk_key_join(key, id, NULL), 0);
    lk_key_give(key);
}

T_TEST(after_giving_way_the_counters_say_whether_it_still_stands)
{
    meet_in_the_way(false, 0);
    meet_in_the_way(true, EAGAIN);
}

/* ---- all three disciplines at once
 * --------------------------------------------------------------- */

static size_t most_restarts;
static lk_mutex most_lock;

static void move(size_t from, size_t to)
{
    value[from]--;
    value[to]++;
}

static void claim_some(lk_key key, const size_t *cell)
{
    LK_CLAIM(c, 4);
    lk_scope_claim (key, c) {
        for (int i = 0; i < 3; i++) {
            int rc = lk_claim_lock(&c, LK_LOCK(&lock[cell[i]]));
            T_REQUIRE(rc == 0 || rc == EAGAIN);
        }
        move(cell[0], cell[2]);
        T_REQUIRE(lk_claim_restarts(&c) <= 2);
        lk_mutex_lock(&most_lock);
        if (lk_claim_restarts(&c) > most_restarts)
            most_restarts = lk_claim_restarts(&c);
        lk_mutex_unlock(&most_lock);
    }
}

static void upgrade_one(lk_key key)
{
    LK_CLAIM(c, 2);
    lk_scope_claim (key, c) {
        int rc = lk_claim_lock(&c, LK_READ(&plain));
        T_REQUIRE(rc == 0);
        rc = lk_claim_upgrade(&c, &plain);
        T_REQUIRE(rc == 0 || rc == EAGAIN);
        T_REQUIRE(lk_claim_restarts(&c) <= 1);
    }
}

static void *work(void *arg)
{
    lk_key key = lk_key_take();
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int round = 0; round < ROUNDS; round++) {
        size_t cell[3] = {(size_t)rand_r(&seed) % CELLS, 0, 0};
        cell[1] = (cell[0] + 1 + (size_t)rand_r(&seed) % (CELLS - 1)) % CELLS;
        cell[2] = (size_t)rand_r(&seed) % CELLS;
        if (round % 3 == 0) {
            claim_some(key, cell);
        } else if (round % 3 == 1) {
            lk_scope (key, LK_SET(LK_LOCK(&lock[cell[1]]), LK_LOCK(&lock[cell[0]])))
                move(cell[0], cell[1]);
        } else {
            upgrade_one(key);
        }
    }
    lk_key_give(key);
    return NULL;
}

T_TEST(sets_and_claims_together_end_and_lose_nothing)
{
    pthread_t id[THREADS];
    long sum = 0;
    for (uintptr_t t = 0; t < THREADS; t++)
        T_REQUIRE_EQ(pthread_create(&id[t], NULL, work, (void *)(t + 1)), 0);
    for (int t = 0; t < THREADS; t++)
        T_REQUIRE_EQ(pthread_join(id[t], NULL), 0);
    for (int i = 0; i < CELLS; i++)
        sum += value[i];
    T_REQUIRE_EQ(sum, 0);
    T_LOG("most restarts of a claim of 3 locks: %zu", most_restarts);
}
