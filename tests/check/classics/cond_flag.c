/* Waiting for a flag under a mutex.
 * Mutant 1 (hang): waits without looking at the flag: lost wake-up
 * Mutant 2 (hang): lets go of the lock between looking and waiting  */
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

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int ready;

static void *setter(void *arg)
{
    pthread_mutex_lock(&mutex);
    ready = 1;
    pthread_mutex_unlock(&mutex);
    pthread_cond_signal(&cond);
    return arg;
}

static void *waiter(void *arg)
{
    pthread_mutex_lock(&mutex);
#if MUTANT == 1
    pthread_cond_wait(&cond, &mutex); /* the signal may have come before */
#elif MUTANT == 2
    if (!ready) {
        pthread_mutex_unlock(&mutex);
        pthread_mutex_lock(&mutex);
        pthread_cond_wait(&cond, &mutex);
    }
#else
    while (!ready)
        pthread_cond_wait(&cond, &mutex);
#endif
    assert(ready);
    pthread_mutex_unlock(&mutex);
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, setter, NULL);
    pthread_create(&b, NULL, waiter, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
