/* pthread_once.
 * Mutant 1 (race,assert): one thread goes past the once
 * Mutant 2 (race): writes what it should only read  */
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

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int value;

static void init(void)
{
    value++;
}

static void *user(void *arg)
{
#if MUTANT == 1
    if (arg == NULL)
        init();
    else
#endif
        pthread_once(&once, init);
#if MUTANT == 2
    value = 1;
#endif
    assert(value == 1);
    return arg;
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
