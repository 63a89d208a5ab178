/* FAILURES.md 6, mended: locks are taken in one order.
 * Options: --deaths 0
 * Expect: none */
#include <pthread.h>
#include <stddef.h>

enum { N = 3 };
static pthread_mutex_t fork_[N] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                   PTHREAD_MUTEX_INITIALIZER};

static void *philosopher(void *arg)
{
    int me = (int)(long)arg, first = me, second = (me + 1) % N;
    if (first > second) {
        first = second;
        second = me;
    }
    pthread_mutex_lock(&fork_[first]);
    pthread_mutex_lock(&fork_[second]);
    pthread_mutex_unlock(&fork_[second]);
    pthread_mutex_unlock(&fork_[first]);
    return NULL;
}

int main(void)
{
    pthread_t id[N];
    for (long i = 0; i < N; i++)
        pthread_create(&id[i], NULL, philosopher, (void *)i);
    for (int i = 0; i < N; i++)
        pthread_join(id[i], NULL);
    return 0;
}
