/* FAILURES.md 6, philosophers: a cycle of three, each with one fork in hand.  In the mended form the
 * lower fork is taken first.
 * Broken: --deaths 0 finds deadlock
 * Mended: --deaths 0 */
#include "specimen.h"

enum { N = 3 };
static pthread_mutex_t fork_[N] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
                                   PTHREAD_MUTEX_INITIALIZER};

static void *philosopher(void *arg)
{
    int first = (int)(long)arg, second = (first + 1) % N;
    if (!BROKEN && first > second) {
        first = second;
        second = (int)(long)arg;
    }
    pthread_mutex_lock(&fork_[first]);
    pthread_mutex_lock(&fork_[second]);
    pthread_mutex_unlock(&fork_[second]);
    pthread_mutex_unlock(&fork_[first]);
    return NULL;
}

int main(void)
{
    run_threads(N, philosopher);
    return 0;
}
