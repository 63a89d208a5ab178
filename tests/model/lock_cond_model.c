/* The condition as shipped: waiters of one predicate, woken by signals or a broadcast, with or
 * without the lock held; none sleeps for ever.  TIMED: the first waiter has a deadline.
 * RELAY: the second waiter waits for what the first one does when it was woken, and both wake all;
 * so a wake that the kernel gives to a waiter that came behind it must not be lost.
 * ANY: the lock is one of the checker's (a condition goes with any lock), so that only the steps of
 * the condition are explored, not those of lk_mutex, which lock_mutex_model.c has.
 *
 * Sources: src/lock/cond.c src/lock/mutex.c src/lock/rwlock.c src/lock/rwlock_change.c
 * Run: -DSLEEPERS=1
 * Run: -DSLEEPERS=1 -DOUTSIDE
 * Run: -DSLEEPERS=1 -DTIMED
 * Run: -DSLEEPERS=2 -DANY
 * Run: -DSLEEPERS=2 -DANY -DOUTSIDE
 * Run: -DSLEEPERS=2 -DANY -DBROADCAST
 * Run: -DSLEEPERS=2 -DANY -DBROADCAST -DOUTSIDE
 * Run: -DSLEEPERS=2 -DANY -DTIMED
 * Run: -DSLEEPERS=2 -DANY -DTIMED -DBROADCAST
 * Run: -DSLEEPERS=2 -DANY -DBROADCAST -DOUTSIDE -DRELAY
 * Campaign: -DSLEEPERS=3 -DANY
 * Run: -DSLEEPERS=3 -DANY -DBROADCAST
 * Campaign: --states -DSLEEPERS=2
 * Campaign: --states -DSLEEPERS=2 -DBROADCAST
 * Campaign: --states -DSLEEPERS=2 -DBROADCAST -DOUTSIDE
 * Campaign: --states -DSLEEPERS=2 -DTIMED
 */
#include "latchkey/cond.h"
#include "lock_seam.h"

static lk_cond cond;
static int tokens, taken;

static bool have_token(void *arg)
{
    (void)arg;
    return tokens > 0;
}

#ifdef ANY
#undef pthread_mutex_lock
#undef pthread_mutex_unlock
int pthread_mutex_lock(pthread_mutex_t *m);
int pthread_mutex_unlock(pthread_mutex_t *m);
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void *m)
{
    pthread_mutex_lock(m);
}

static void unlock(void *m)
{
    pthread_mutex_unlock(m);
}

static int wait_for_token(void *arg, const struct timespec *until)
{
    const struct lk_cond_lock with = {&mutex, unlock, lock};
    int rc = 0;
    while (rc == 0 && !have_token(arg))
        rc = lk_cond_wait_with(&cond, &with, CLOCK_MONOTONIC, until);
    return have_token(arg) ? 0 : rc;
}
#else
static lk_mutex mutex;

static void lock(void *m)
{
    lk_mutex_lock(m);
}

static void unlock(void *m)
{
    lk_mutex_unlock(m);
}

static int wait_for_token(void *arg, const struct timespec *until)
{
    return lk_cond_wait_for(&cond, &mutex, have_token, arg, until);
}
#endif

static void wake(void)
{
#ifdef BROADCAST
    lk_cond_broadcast(&cond);
#else
    for (int i = 0; i < SLEEPERS; i++)
        lk_cond_signal(&cond);
#endif
}

static void *waiter(void *arg)
{
    bool timed = false;
#ifdef TIMED
    timed = arg == NULL;
#endif
    lock(&mutex);
    int rc = wait_for_token(arg, timed ? &some_time : NULL);
    assert(rc == 0 || (timed && rc == ETIMEDOUT));
    assert(rc != 0 || tokens > 0);
    if (rc == 0) {
        tokens--;
        taken++;
    }
    unlock(&mutex);
    return NULL;
}

#ifdef RELAY
static void *runner(void *arg)
{
    const struct lk_cond_lock with = {&mutex, unlock, lock};
    int me = (int)(uintptr_t)arg;
    lock(&mutex);
    while (tokens <= me)
        (void)!lk_cond_wait_with(&cond, &with, CLOCK_MONOTONIC, NULL);
    tokens = me + 2;
    taken--;
    unlock(&mutex);
    wake();
    return NULL;
}
enum { FIRST = 1 };
#else
static void *runner(void *arg)
{
    return waiter(arg);
}
enum { FIRST = SLEEPERS };
#endif

int main(void)
{
    pthread_t id[SLEEPERS];
    for (uintptr_t i = 0; i < SLEEPERS; i++)
        pthread_create(&id[i], NULL, runner, (void *)i);
    lock(&mutex);
    tokens = FIRST;
#ifdef OUTSIDE
    unlock(&mutex);
    wake();
#else
    wake();
    unlock(&mutex);
#endif
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(id[i], NULL);
    assert(taken + tokens == FIRST);
    (void)waiter;
    assert((cond.waiters_ & 0xfffff) == 0);
    return 0;
}
