/* Threads of one process die together, which is one death: none of them joins a dead sister, and
 * the lock that she held inside the process hangs nobody outside.
 * Options: --deaths 1
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include <latchkey/check.h>

static pthread_mutex_t inside = PTHREAD_MUTEX_INITIALIZER;
static atomic_int seen;

static void *sister(void *arg)
{
    lk_check_process(1);
    lk_check_mortal(true);
    pthread_mutex_lock(&inside);
    atomic_fetch_add(&seen, 1);
    pthread_mutex_unlock(&inside);
    return arg;
}

static void *process(void *arg)
{
    pthread_t id;
    lk_check_process(1);
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
