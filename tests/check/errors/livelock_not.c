/* One thread polls under a lock, with effects in every lap; to keep the other from ever moving
 * would not be fair: no livelock.  But the executions have no end, and a bound is hit.
 *
 * Options: --executions 300 --loops 60
 * Expect: bound */
#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool done;

static void *poller(void *arg)
{
    for (bool seen = false; !seen;) {
        pthread_mutex_lock(&mutex);
        seen = done;
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

int main(void)
{
    pthread_t t;
    pthread_create(&t, NULL, poller, NULL);
    pthread_mutex_lock(&mutex);
    done = true;
    pthread_mutex_unlock(&mutex);
    pthread_join(t, NULL);
    return 0;
}
