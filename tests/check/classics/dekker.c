/* Dekker's algorithm.
 * Mutant 1 (race): store buffering: both see the other's flag down
 * Mutant 2 (hang): does not step back: both wait for ever  */
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
    atomic_store_explicit(&want[me], 1, MUTANT == 1 ? REL : SC);
    while (atomic_load_explicit(&want[1 - me], MUTANT == 1 ? ACQ : SC)) {
        if (atomic_load_explicit(&turn, SC) == me)
            continue;
        if (MUTANT != 2)
            atomic_store_explicit(&want[me], 0, SC);
        while (atomic_load_explicit(&turn, SC) != me)
            ;
        atomic_store_explicit(&want[me], 1, SC);
    }
}

static void unlock(int me)
{
    atomic_store_explicit(&turn, 1 - me, SC);
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
