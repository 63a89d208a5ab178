/* The condition as shipped: waiters of one predicate, woken by signals or a broadcast, with or
 * without the lock held; none sleeps for ever.  TIMED: the first waiter has a deadline.
 *
 * Sources: src/lock/cond.c src/lock/mutex.c src/lock/rwlock.c src/lock/rwlock_change.c
 * Run: -DSLEEPERS=1
 * Run: -DSLEEPERS=1 -DOUTSIDE
 * Run: -DSLEEPERS=1 -DTIMED
 * Campaign: -DSLEEPERS=2
 * Campaign: -DSLEEPERS=2 -DBROADCAST
 * Campaign: -DSLEEPERS=2 -DBROADCAST -DOUTSIDE
 * Campaign: -DSLEEPERS=2 -DTIMED
 */
#include "latchkey/cond.h"
#include "lock_seam.h"

static lk_mutex mutex;
static lk_cond cond;
static int tokens, taken;

static bool have_token(void *arg)
{
    (void)arg;
    return tokens > 0;
}

static void *waiter(void *arg)
{
    bool timed = false;
#ifdef TIMED
    timed = arg == NULL;
#endif
    lk_mutex_lock(&mutex);
    int rc = lk_cond_wait_for(&cond, &mutex, have_token, arg, timed ? &some_time : NULL);
    assert(rc == 0 || (timed && rc == ETIMEDOUT));
    assert(rc != 0 || tokens > 0);
    if (rc == 0) {
        tokens--;
        taken++;
    }
    lk_mutex_unlock(&mutex);
    return NULL;
}

static void wake(void)
{
#ifdef BROADCAST
    lk_cond_broadcast(&cond);
#else
    for (int i = 0; i < SLEEPERS; i++)
        lk_cond_signal(&cond);
#endif
}

int main(void)
{
    pthread_t id[SLEEPERS];
    for (uintptr_t i = 0; i < SLEEPERS; i++)
        pthread_create(&id[i], NULL, waiter, (void *)i);
    lk_mutex_lock(&mutex);
    tokens = SLEEPERS;
#ifdef OUTSIDE
    lk_mutex_unlock(&mutex);
    wake();
#else
    wake();
    lk_mutex_unlock(&mutex);
#endif
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(id[i], NULL);
    assert(taken + tokens == SLEEPERS);
    assert((cond.waiters_ & 0xfffff) == 0);
    return 0;
}
