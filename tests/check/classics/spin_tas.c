/* Test-and-set spin lock.
 * Mutant 1 (race): the exchange does not acquire
 * Mutant 2 (race): the unlocking store does not release  */
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

static atomic_int word;

static void lock(int me)
{
    (void)me;
    while (atomic_exchange_explicit(&word, 1, MUTANT == 1 ? RLX : ACQ) != 0)
        ;
}

static void unlock(int me)
{
    (void)me;
    atomic_store_explicit(&word, 0, MUTANT == 2 ? RLX : REL);
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
