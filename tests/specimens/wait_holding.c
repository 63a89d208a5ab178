/* FAILURES.md 6, wait_holding: a thread waits on a condition while it holds a second lock, which who is
 * to signal needs first.  In the mended form the wait gives back all that the thread holds.
 * Broken: --deaths 0 finds hang
 * Mended: --deaths 0 */
#include "specimen.h"

static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool ready;

static void *waiter(void *arg)
{
    pthread_mutex_lock(&outer);
    pthread_mutex_lock(&inner);
    while (!ready) {
        if (!BROKEN)
            pthread_mutex_unlock(&outer);
        pthread_cond_wait(&changed, &inner);
        if (!BROKEN) { /* in order again */
            pthread_mutex_unlock(&inner);
            pthread_mutex_lock(&outer);
            pthread_mutex_lock(&inner);
        }
    }
    pthread_mutex_unlock(&inner);
    pthread_mutex_unlock(&outer);
    return arg;
}

static void *signaller(void *arg)
{
    pthread_mutex_lock(&outer);
    pthread_mutex_lock(&inner);
    ready = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&inner);
    pthread_mutex_unlock(&outer);
    return arg;
}

int main(void)
{
    run_two(waiter, signaller);
    return 0;
}
