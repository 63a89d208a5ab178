/* FAILURES.md 1, unwound_writer: an error path leaves the critical section without unlocking; here the
 * thread ends inside.  Mended: the lock is given back by a cleanup that every way out runs.
 * Broken: --deaths 0 finds deadlock
 * Mended: --deaths 0 */
#include "specimen.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int value;

static void leave(pthread_mutex_t **held)
{
    if (*held != NULL)
        pthread_mutex_unlock(*held);
}

static int parse(int number)
{
    return number < 0 ? EINVAL : 0;
}

static void *writer(void *arg)
{
    pthread_mutex_t *held __attribute__((cleanup(leave))) = BROKEN ? NULL : &mutex;
    int number = 0 - (int)(long)arg;
    pthread_mutex_lock(&mutex);
    if (parse(number) != 0)
        return NULL; /* the error path */
    value = number;
    if (BROKEN)
        pthread_mutex_unlock(&mutex);
    return NULL;
}

int main(void)
{
    run_threads(2, writer);
    return 0;
}
