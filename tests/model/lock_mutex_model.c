/* The mutex as shipped: exclusion, publication, no lost wake, no spin; with deadlines, trylock, and
 * with the hand-off (PATIENCE=0: every sleeper is hungry).
 * TIMED, TRY: how many of the threads lock with a deadline or by trylock.  HELD: the last one has
 * the mutex already when the others come.
 *
 * Sources: src/lock/mutex.c
 * Run: -DTHREADS=3
 * Run: -DTHREADS=2 -DROUNDS=2
 * Run: -DTHREADS=2 -DROUNDS=2 -DLK_MODEL_PATIENCE=0
 * Run: -DTHREADS=2 -DLK_MODEL_SPINS=1
 * Run: -DTHREADS=3 -DTIMED=1
 * Run: -DTHREADS=3 -DTRY=1
 * Run: -DTHREADS=3 -DHELD -DTIMED=1 -DLK_MODEL_PATIENCE=0
 * Campaign: --states -DTHREADS=3 -DTIMED=1 -DROUNDS=2
 * Campaign: -DTHREADS=3 -DLK_MODEL_PATIENCE=0
 * Campaign: -DTHREADS=3 -DTIMED=1 -DLK_MODEL_PATIENCE=0
 * Campaign: -DTHREADS=3 -DTIMED=2
 * Campaign: -DTHREADS=3 -DLK_MODEL_SPINS=1
 * Campaign: --states -DTHREADS=4
 * Campaign: -DTHREADS=3 -DHELD -DTIMED=1 -DLK_MODEL_PATIENCE=0 -DLK_MODEL_SPINS=1
 * Campaign: --states -DTHREADS=3 -DHELD -DTIMED=1 -DLK_MODEL_PATIENCE=0 -DLK_MODEL_SPINS=1
 */
#include "latchkey/mutex.h"
#include "lock_seam.h"

#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef TIMED
#define TIMED 0
#endif
#ifndef TRY
#define TRY 0
#endif

static lk_mutex mutex;
static int first, second; /* equal but inside */
static unsigned got[THREADS];

static void section(unsigned me)
{
    assert(first == second);
    first++;
    second++;
    got[me]++;
    lk_mutex_unlock(&mutex);
}

static void *worker(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int rc = 0;
        if (me < TIMED)
            rc = lk_mutex_lock_until(&mutex, &some_time);
        else if (me < TIMED + TRY)
            rc = lk_mutex_trylock(&mutex);
        else
            lk_mutex_lock(&mutex);
        assert(rc == 0 || (me < TIMED && rc == ETIMEDOUT) || (me >= TIMED && rc == EBUSY));
        if (rc == 0)
            section(me);
    }
    return NULL;
}

int main(void)
{
    pthread_t id[THREADS];
#ifdef HELD
    lk_mutex_lock(&mutex);
#endif
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, worker, (void *)(i - 1));
#ifdef HELD
    section(THREADS - 1);
#else
    (void)worker((void *)(uintptr_t)(THREADS - 1));
#endif
    unsigned sum = got[THREADS - 1];
    for (int i = 1; i < THREADS; i++) {
        pthread_join(id[i], NULL);
        sum += got[i - 1];
    }
    assert(first == (int)sum && second == (int)sum);
    /* Nobody is there: it can be locked, whatever stands in it. */
    assert(lk_mutex_trylock(&mutex) == 0);
    return 0;
}
