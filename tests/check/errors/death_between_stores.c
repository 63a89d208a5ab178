/* Plain stores are effects too: a process dies between two of them, and what they leave is torn.
 * Options: --deaths 1
 * Expect: assert */
#include <assert.h>
#include <pthread.h>

#include <latchkey/check.h>

static pthread_mutex_t mutex;
static int first, second;

static void *process(void *arg)
{
    lk_check_mortal(true);
    (void)pthread_mutex_lock(&mutex);
    assert(first == second);
    first++;
    second++;
    pthread_mutex_unlock(&mutex);
    return arg;
}

int main(void)
{
    pthread_t id[2];
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attr);
    for (int i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, process, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
