/* Two processes: one dies inside a lock that is not robust, and the other waits for it for ever.
 * Options: --deaths 1
 * Expect: deadlock */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include <latchkey/check.h>

static pthread_mutex_t inside = PTHREAD_MUTEX_INITIALIZER;
static atomic_int seen;

static void *sister(void *arg)
{
    lk_check_mortal(true);
    pthread_mutex_lock(&inside);
    atomic_fetch_add(&seen, 1);
    pthread_mutex_unlock(&inside);
    return arg;
}

static void *process(void *arg)
{
    pthread_t id;
    lk_check_mortal(true);
    pthread_create(&id, NULL, sister, NULL);
    pthread_mutex_lock(&inside);
    atomic_fetch_add(&seen, 1);
    pthread_mutex_unlock(&inside);
    pthread_join(id, NULL);
    assert(atomic_load(&seen) == 2);
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, process, NULL);
    return 0;
}
