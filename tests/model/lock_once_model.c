/* Once as shipped: run once, what it wrote is seen; an initialiser that fails FAILS times is tried
 * again by the next; recursion is told.  LAZY: the pointer that is made at its first use.
 *
 * Sources: src/lock/once.c
 * Run: -DTHREADS=2 -DFAILS=0
 * Run: -DTHREADS=2 -DFAILS=1
 * Run: -DTHREADS=2 -DFAILS=1 -DRECURSE
 * Run: -DTHREADS=3 -DFAILS=0
 * Run: -DTHREADS=3 -DFAILS=0 -DLAZY
 * Run: -DTHREADS=2 -DFAILS=1 -DLAZY
 * Campaign: -DTHREADS=3 -DFAILS=1
 * Campaign: --states -DTHREADS=3 -DFAILS=1
 */
#include "latchkey/once.h"
#include "lock_seam.h"

#include "base/robust.h"

static lk_once once;
static int runs, done, value;
static uint32_t epoch = 1;
uint32_t *lki_epoch_word = &epoch;

uint32_t lki_fork_epoch_slowly(void)
{
    return 1;
}

uint32_t lki_thread_id(void)
{
    return lk_check_thread() + 1;
}

static int initialise(void *arg)
{
#ifdef RECURSE
    assert(lk_once_call(&once, initialise, arg) == EDEADLK);
#endif
    if (runs++ < FAILS)
        return EIO;
    value = 42;
    done++;
    return 0;
}

static void *caller(void *arg)
{
    int rc = lk_once_call(&once, initialise, arg);
    assert(rc == 0 || rc == EIO);
    if (rc != 0) /* the one that failed tries again */
        rc = lk_once_call(&once, initialise, arg);
    assert(rc == 0 && value == 42);
    return NULL;
}

#ifdef LAZY
static lk_lazy lazy;

static void *make(void *arg)
{
    return initialise(arg) == 0 ? &value : NULL;
}

static void *getter(void *arg)
{
    void *made = NULL;
    int rc = lk_lazy_get(&lazy, make, arg, &made);
    if (rc == ENOMEM)
        rc = lk_lazy_get(&lazy, make, arg, &made);
    assert(rc == 0 && made == &value && value == 42);
    return NULL;
}
#define WORKER getter
#else
#define WORKER caller
#endif

int main(void)
{
    pthread_t id[THREADS];
    (void)caller;
    for (int i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, WORKER, NULL);
    (void)WORKER(NULL);
    for (int i = 1; i < THREADS; i++)
        pthread_join(id[i], NULL);
    assert(done == 1 && runs == FAILS + 1);
    return 0;
}
