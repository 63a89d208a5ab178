/* CLH queue lock.
 * Mutant 1 (race): the exchange orders nothing: a successor may see the flag as it was before
 * Mutant 2 (race): unlocking does not release  */
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

static atomic_int flag[5]; /* flag[4] belongs to nobody */
static atomic_int tail = 4;
static int before[4];

static void lock(int me)
{
    atomic_store_explicit(&flag[me], 1, RLX);
    int b = atomic_exchange_explicit(&tail, me, MUTANT == 1 ? RLX : memory_order_acq_rel);
    before[me] = b;
    while (atomic_load_explicit(&flag[b], ACQ))
        ;
}

static void unlock(int me)
{
    atomic_store_explicit(&flag[me], 0, MUTANT == 2 ? RLX : REL);
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
