/* A robust POSIX mutex: whoever locks next hears of the death, repairs, and goes on.
 * Options: --deaths 2
 * Expect: none */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "latchkey/check.h"

static pthread_mutex_t mutex;
static int first, second;

static void *process(void *arg)
{
    lk_check_mortal(true);
    int rc = pthread_mutex_lock(&mutex);
    if (rc == EOWNERDEAD) {
        second = first;
        assert(pthread_mutex_consistent(&mutex) == 0);
    } else {
        assert(rc == 0);
    }
    assert(first == second);
    first++;
    second++;
    pthread_mutex_unlock(&mutex);
    return arg;
}

int main(void)
{
    pthread_t id[3];
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attr);
    for (int i = 0; i < 3; i++)
        pthread_create(&id[i], NULL, process, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
