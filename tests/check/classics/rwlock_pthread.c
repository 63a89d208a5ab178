/* pthread_rwlock_t.
 * Mutant 1 (deadlock): the writer does not unlock
 * Mutant 2 (race): writes with a read lock  */
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

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static int a, b;

static void *writer(void *arg)
{
    pthread_rwlock_wrlock(&lock);
    a++;
    b++;
#if MUTANT != 1
    pthread_rwlock_unlock(&lock);
#endif
    return arg;
}

static void *reader(void *arg)
{
    pthread_rwlock_rdlock(&lock);
#if MUTANT == 2
    a = b; /* with a read lock only */
#endif
    assert(a == b);
    pthread_rwlock_unlock(&lock);
    return arg;
}

int main(void)
{
    pthread_t id[3];
    pthread_create(&id[0], NULL, writer, NULL);
    pthread_create(&id[1], NULL, reader, NULL);
    pthread_create(&id[2], NULL, reader, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
