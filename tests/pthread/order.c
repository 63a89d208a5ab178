/* order.c - a program that knows nothing of latchkey: two threads, one after the other, take two
 * mutexes in two orders ("reversed"), in one ("same"), or a reader-writer lock and a mutex that is
 * waited with in two orders ("rwlock").  It never blocks. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t third = PTHREAD_RWLOCK_INITIALIZER;

static void *forward(void *arg)
{
    pthread_mutex_lock(&first);
    pthread_mutex_lock(&second);
    pthread_mutex_unlock(&second);
    pthread_mutex_unlock(&first);
    return arg;
}

static void *backward(void *arg)
{
    pthread_mutex_lock(&second);
    pthread_mutex_lock(&first);
    pthread_mutex_unlock(&first);
    pthread_mutex_unlock(&second);
    return arg;
}

static void *mutex_then_rwlock(void *arg)
{
    pthread_mutex_lock(&first);
    pthread_rwlock_wrlock(&third);
    pthread_rwlock_unlock(&third);
    pthread_mutex_unlock(&first);
    return arg;
}

static void *rwlock_then_mutex(void *arg)
{
    pthread_rwlock_rdlock(&third);
    pthread_mutex_lock(&first);
    pthread_mutex_unlock(&first);
    pthread_rwlock_unlock(&third);
    return arg;
}

/* Tries are no order, and neither is what is unlocked before. */
static void *harmless(void *arg)
{
    pthread_mutex_lock(&second);
    if (pthread_mutex_trylock(&first) == 0)
        pthread_mutex_unlock(&first);
    pthread_mutex_unlock(&second);
    pthread_mutex_lock(&first);
    pthread_mutex_unlock(&first);
    return arg;
}

static void run(void *(*fn)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, fn, NULL) == 0)
        pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "rwlock") == 0) {
        run(mutex_then_rwlock);
        run(rwlock_then_mutex);
    } else {
        run(forward);
        run(strcmp(what, "reversed") == 0 ? backward : harmless);
        run(forward);
    }
    return puts("done") < 0;
}
