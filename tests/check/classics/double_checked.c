/* Double-checked locking.
 * Mutant 1 (race): the first look does not acquire
 * Mutant 2 (assert,race): does not look again under the lock  */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(int *) instance;
static int storage, built;

static int *get(void)
{
    int *p = atomic_load_explicit(&instance, MUTANT == 1 ? RLX : ACQ);
    if (p != NULL)
        return p;
    pthread_mutex_lock(&mutex);
#if MUTANT != 2
    p = atomic_load_explicit(&instance, RLX);
#endif
    if (p == NULL) {
        storage = 42;
        assert(built++ == 0);
        p = &storage;
        atomic_store_explicit(&instance, p, REL);
    }
    pthread_mutex_unlock(&mutex);
    return p;
}

static void *user(void *arg)
{
    (void)arg;
    assert(*get() == 42);
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, user, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
