/* pthread_spinlock_t.
 * Mutant 1 (assert): gives up when the lock is held
 * Mutant 2 (deadlock): does not unlock  */
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

static pthread_spinlock_t spin;
static int shared;

static void *worker(void *arg)
{
#if MUTANT == 1
    if (pthread_spin_trylock(&spin) != 0)
        return arg; /* and nobody counts it */
#else
    pthread_spin_lock(&spin);
#endif
    shared++;
#if MUTANT != 2
    pthread_spin_unlock(&spin);
#endif
    return arg;
}

int main(void)
{
    pthread_t id[2];
    pthread_spin_init(&spin, 0);
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, worker, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    assert(shared == 2);
    return 0;
}
