/* Spin lock that stores its owner.
 * Mutant 1 (race): does not acquire
 * Mutant 2 (race): compares with the owner that it saw: takes over a held lock  */
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
    int free_ = 0;
    while (
        !atomic_compare_exchange_weak_explicit(&word, &free_, me + 1, MUTANT == 1 ? RLX : ACQ, RLX))
        free_ = MUTANT == 2 ? free_ : 0;
}

static void unlock(int me)
{
    (void)me;
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
