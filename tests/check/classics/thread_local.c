/* Thread-local data belongs to one thread.
 * Mutant 1 (race): not thread-local after all
 * Mutant 2 (race): the total without its lock  */
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

#if MUTANT == 1
static int counter;
#else
static _Thread_local int counter;
#endif
static int total;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *worker(void *arg)
{
    counter += 2;
#if MUTANT != 2
    pthread_mutex_lock(&mutex);
#endif
    total += counter;
#if MUTANT != 2
    pthread_mutex_unlock(&mutex);
#endif
    return arg;
}

int main(void)
{
    pthread_t id[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    assert(total == 4);
    return 0;
}
