/* A POSIX mutex that is not robust: its holder dies and the others wait for ever.  A robust one: whoever
 * locks next hears of the death, repairs, and goes on.
 * Broken: --deaths 2 finds deadlock
 * Mended: --deaths 2 */
#include "specimen.h"

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
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, BROKEN ? PTHREAD_MUTEX_STALLED : PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attr);
    run_threads(3, process);
    return 0;
}
