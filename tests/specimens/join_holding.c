/* FAILURES.md 6, join_holding: a thread joins another while it holds a lock that the other wants.  In
 * the mended form it gives the lock back first.
 * Broken: --deaths 0 finds deadlock
 * Mended: --deaths 0 */
#include "specimen.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int value;

static void *worker(void *arg)
{
    pthread_mutex_lock(&lock);
    value++;
    pthread_mutex_unlock(&lock);
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, worker, NULL);
    pthread_mutex_lock(&lock);
    value++;
    if (!BROKEN)
        pthread_mutex_unlock(&lock);
    pthread_join(id, NULL);
    if (BROKEN)
        pthread_mutex_unlock(&lock);
    assert(value == 2);
    return 0;
}
