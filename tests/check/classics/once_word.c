/* A once flag by hand: 0 new, 1 running, 2 done.
 * Mutant 1 (race): done is stored without release
 * Mutant 2 (hang): never says done  */
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

static atomic_int state;
static int value;

static void once(void)
{
    int expected = 0;
    if (atomic_compare_exchange_strong_explicit(&state, &expected, 1, ACQ, ACQ)) {
        value = 7;
        atomic_store_explicit(&state, MUTANT == 2 ? 1 : 2, MUTANT == 1 ? RLX : REL);
        return;
    }
    while (atomic_load_explicit(&state, ACQ) != 2)
        ;
}

static void *user(void *arg)
{
    (void)arg;
    once();
    assert(value == 7);
    return NULL;
}

int main(void)
{
    pthread_t id[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&id[i], NULL, user, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
