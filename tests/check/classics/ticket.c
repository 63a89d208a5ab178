/* Ticket lock.
 * Mutant 1 (race,hang): drawing a ticket is two steps
 * Mutant 2 (race): waiting does not acquire  */
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

static atomic_int next, serving;

static void lock(int me)
{
    (void)me;
#if MUTANT == 1
    int mine = atomic_load_explicit(&next, RLX);
    atomic_store_explicit(&next, mine + 1, RLX);
#else
    int mine = atomic_fetch_add_explicit(&next, 1, RLX);
#endif
    while (atomic_load_explicit(&serving, MUTANT == 2 ? RLX : ACQ) != mine)
        ;
}

static void unlock(int me)
{
    (void)me;
    atomic_store_explicit(&serving, atomic_load_explicit(&serving, RLX) + 1, REL);
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
