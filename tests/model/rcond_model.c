/* The robust condition as shipped: no signal is lost, and a waiter hears of a holder of the mutex
 * that died inside.  A wait without a deadline has no backstop either: a waiter that only the timer
 * would wake is a hang.
 * One process waits, another changes what it waits for and wakes it (BROADCAST, or one
 * signal).  CHANGER_DIES: that one may be killed as soon as it has the mutex; then whoever locks
 * next is told, and does it in its place: the waiter, if it watched the dead one, or a third that
 * comes when it is gone (the change begins when the waiter has counted itself: before that there is
 * nobody to lose).  WAITER_DIES: the waiter may be killed.  TIMED: it has a deadline.
 * TWO: a second waiter; one signal wakes both, so that one of them may be killed before it looks.
 * Kills: robust.signal_not_counted_up.
 *
 * Sources: @life src/life/rcond.c src/life/rmutex_public.c
 * Run:
 * Run: -DBROADCAST
 * Run: -DTIMED
 * Run: --deaths 1 -DWAITER_DIES
 * Run: --deaths 1 -DWAITER_DIES -DTIMED
 * Campaign: --deaths 1 -DCHANGER_DIES
 * Campaign: --states --deaths 1 -DCHANGER_DIES
 * Campaign: --deaths 1 -DCHANGER_DIES -DBROADCAST
 * Campaign: --states --deaths 1 -DCHANGER_DIES -DBROADCAST
 * Campaign: --states --deaths 1 -DCHANGER_DIES -DTIMED
 * Campaign: --states --deaths 2 -DCHANGER_DIES -DWAITER_DIES
 * Campaign: --states -DTWO
 * Campaign: --states -DTWO -DBROADCAST
 * Campaign: --states --deaths 1 -DWAITER_DIES -DTWO
 */
#ifdef TWO
#define THREADS 4
#else
#define THREADS 3
#endif
#include "robust_processes.h"

#include "latchkey/robust.h"

static lk_rmutex mutex;
static lk_rcond cond;
static int ready;
static bool survived; /* the changer, to its end */

static void wake(void)
{
#ifdef BROADCAST
    lk_rcond_broadcast(&cond);
#else
    lk_rcond_signal(&cond);
#endif
}

/* Who is told of a death does what the dead one may not have done. */
static int repaired(int rc)
{
    if (rc != EOWNERDEAD)
        return rc;
#ifdef CHANGER_DIES
    ready = 1;
    wake();
#endif
    assert(lk_rmutex_consistent(&mutex) == 0);
    return 0;
}

static const struct timespec *limit(void)
{
#ifdef TIMED
    return &some_time;
#else
    return NULL;
#endif
}

/* With TWO, only executions in which the waiters have counted themselves one after the other. */
static void come_after(uint32_t waiters)
{
#ifdef TWO
    lk_check_assume(__atomic_load_n(&cond.state_, __ATOMIC_RELAXED) >> 32 == waiters &&
                    __atomic_load_n(&mutex.word_, __ATOMIC_RELAXED) == 0);
#endif
    (void)waiters;
}

static void *waiter(void *arg)
{
    struct lki_self self = become((uint32_t)(uintptr_t)arg);
#ifndef WAITER_DIES
    lk_check_mortal(false);
#endif
    lki_mine = &self;
    come_after((uint32_t)(uintptr_t)arg - 2);
    int rc = repaired(lk_rmutex_lock(&mutex));
    assert(rc == 0);
    while (rc == 0 && !ready) {
        rc = repaired(lk_rcond_wait_until(&cond, &mutex, limit()));
        assert(rc == 0 || (rc == ETIMEDOUT && limit() != NULL));
    }
    assert(lk_rmutex_unlock(&mutex) == 0);
    return NULL;
}

static void *changer(void *arg)
{
    struct lki_self self = become((uint32_t)(uintptr_t)arg);
    lk_check_mortal(false);
    lki_mine = &self;
#if defined CHANGER_DIES && !defined WAITER_DIES
    while (__atomic_load_n(&cond.state_, __ATOMIC_RELAXED) >> 32 < THREADS - 2)
        ;
#endif
    come_after(THREADS - 2);
    assert(repaired(lk_rmutex_lock(&mutex)) == 0);
#ifdef CHANGER_DIES
    lk_check_mortal(true);
#endif
    ready = 1;
    wake();
    assert(lk_rmutex_unlock(&mutex) == 0);
    survived = true;
    return NULL;
}

/* Who comes when the changer is gone. */
static void come_later(void)
{
    struct lki_self self = become(0);
    lk_check_mortal(false);
    lki_mine = &self;
    assert(repaired(lk_rmutex_lock(&mutex)) == 0);
    assert(ready);
    assert(lk_rmutex_unlock(&mutex) == 0);
}

int main(void)
{
    pthread_t id[THREADS];
    attach_all();
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, i == 1 ? changer : waiter, (void *)i);
    pthread_join(id[1], NULL);
    if (!survived)
        come_later();
    for (int i = 2; i < THREADS; i++)
        pthread_join(id[i], NULL);
    return 0;
}
