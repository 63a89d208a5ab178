/* Dining philosophers with mutexes.
 * Mutant 1 (deadlock): everybody takes the left fork first
 * Mutant 2 (deadlock): nobody puts the first fork back  */
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

enum { N = 3 };
static pthread_mutex_t fork_[N] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                   PTHREAD_MUTEX_INITIALIZER};
static int meals[N];

static void *philosopher(void *arg)
{
    int me = (int)(long)arg, left = me, right = (me + 1) % N;
#if MUTANT != 1
    if (left > right) {
        left = right;
        right = me;
    }
#endif
    pthread_mutex_lock(&fork_[left]);
    pthread_mutex_lock(&fork_[right]);
    meals[left]++;
    meals[right]++;
    pthread_mutex_unlock(&fork_[right]);
#if MUTANT != 2
    pthread_mutex_unlock(&fork_[left]);
#endif
    return NULL;
}

int main(void)
{
    pthread_t id[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&id[i], NULL, philosopher, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
