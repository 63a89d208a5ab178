/* FAILURES.md 6: a cycle of three, each with one fork in hand.
 * Options: --deaths 0
 * Expect: deadlock */
#include <pthread.h>
#include <stddef.h>

enum { N = 3 };
static pthread_mutex_t fork_[N] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                   PTHREAD_MUTEX_INITIALIZER};

static void *philosopher(void *arg)
{
    int me = (int)(long)arg, first = me, second = (me + 1) % N;
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
