/* pthread_barrier_t between two phases.
 * Mutant 1 (hang,race): one thread does not come
 * Mutant 2 (race): changes its part while the other reads it  */
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

static pthread_barrier_t barrier;
static int part[2];

static void *worker(void *arg)
{
    int me = (int)(long)arg;
    part[me] = 1;
#if MUTANT == 1
    if (me == 0)
#endif
        pthread_barrier_wait(&barrier);
#if MUTANT == 2
    part[me] = 2;
#endif
    assert(part[1 - me] == 1);
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    pthread_barrier_init(&barrier, NULL, 2);
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
