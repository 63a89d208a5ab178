/* Each gives way to the other for ever: both withdraw, both try again, at the same pace.
 * Expect: livelock */
#include <pthread.h>
#include <stdatomic.h>

static atomic_int wants[2];

static void *polite(void *arg)
{
    long me = (long)arg;
    atomic_store(&wants[me], 1);
    while (atomic_load(&wants[1 - me])) {
        atomic_store(&wants[me], 0);
        atomic_store(&wants[me], 1);
    }
    atomic_store(&wants[me], 0);
    return NULL;
}

int main(void)
{
    pthread_t t[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, polite, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    return 0;
}
