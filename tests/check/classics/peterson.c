/* Peterson's algorithm.
 * Mutant 1 (race): release and acquire do not order a store before a later load
 * Mutant 2 (race,hang): waits for the wrong turn  */
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

static atomic_int want[2], turn;

static void lock(int me)
{
    atomic_store_explicit(&want[me], 1, MUTANT == 1 ? RLX : SC);
    atomic_store_explicit(&turn, 1 - me, MUTANT == 1 ? REL : SC);
    while (atomic_load_explicit(&want[1 - me], MUTANT == 1 ? ACQ : SC) &&
           atomic_load_explicit(&turn, MUTANT == 1 ? ACQ : SC) == (MUTANT == 2 ? me : 1 - me))
        ;
}

static void unlock(int me)
{
    atomic_store_explicit(&want[me], 0, SC);
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
    pthread_t id[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    assert(shared == 2);
    return 0;
}
