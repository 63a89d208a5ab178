/* Test and test-and-set spin lock.
 * Mutant 1 (race): test, then set: two steps
 * Mutant 2 (hang): nobody unlocks  */
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
    for (;;) {
        while (atomic_load_explicit(&word, RLX) != 0)
            ;
#if MUTANT == 1
        atomic_store_explicit(&word, 1, REL); /* not atomic with the test */
        return;
#else
        if (atomic_exchange_explicit(&word, 1, ACQ) == 0)
            return;
#endif
    }
}

static void unlock(int me)
{
    (void)me;
    if (MUTANT != 2)
        atomic_store_explicit(&word, 0, REL);
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
