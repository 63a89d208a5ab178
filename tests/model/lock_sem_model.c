/* The semaphore as shipped: at most VALUE inside, every post wakes one that sleeps.
 *
 * Sources: src/lock/sem.c
 * Run: -DTHREADS=2
 * Run: -DTHREADS=2 -DTIMED=1
 * Campaign: -DTHREADS=3
 * Campaign: --states -DTHREADS=3
 */
#include "latchkey/sem.h"
#include "lock_seam.h"

#ifndef TIMED
#define TIMED 0
#endif

static lk_sem sem = LK_SEM_INIT(1);
static int first, second;

static void *worker(void *arg)
{
    int rc = 0;
    if ((uintptr_t)arg < TIMED)
        rc = lk_sem_wait_until(&sem, &some_time);
    else
        lk_sem_wait(&sem);
    assert(rc == 0 || rc == ETIMEDOUT);
    if (rc != 0)
        return NULL;
    assert(first == second);
    first++;
    second++;
    assert(lk_sem_post(&sem) == 0);
    return NULL;
}

int main(void)
{
    pthread_t id[THREADS];
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    (void)worker(NULL);
    for (int i = 1; i < THREADS; i++)
        pthread_join(id[i], NULL);
    assert(sem.state_ == 1);
    return 0;
}
