/* pthread_mutex_t.
 * Mutant 1 (race): one thread does not lock
 * Mutant 2 (misuse): unlocks twice  */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(int me)
{
    if (MUTANT != 1 || me != 0)
        pthread_mutex_lock(&mutex);
}

static void unlock(int me)
{
    if (MUTANT != 1 || me != 0)
        pthread_mutex_unlock(&mutex);
    if (MUTANT == 2)
        pthread_mutex_unlock(&mutex);
}

static int shared;

static void *worker(void *arg)
{
    int me = (int)(long)arg;
    (void)me;
    lock(me);
    shared++;
    unlock(me);
    return NULL;
}

int main(void)
{
    pthread_t id[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    assert(shared == 3);
    return 0;
}
