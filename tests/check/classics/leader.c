/* Compare-and-swap elects one leader, who sees what all candidates prepared.
 * Mutant 1 (race): the loser does not acquire
 * Mutant 2 (assert): test, then set: two leaders  */
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

static atomic_int leader;
static int prepared[2];

static void *candidate(void *arg)
{
    int me = (int)(long)arg, nobody = 0;
    prepared[me] = 1;
#if MUTANT == 2
    if (atomic_load_explicit(&leader, ACQ) == 0) {
        atomic_store_explicit(&leader, me + 1, REL);
        return (void *)1;
    }
    return NULL;
#endif
    if (atomic_compare_exchange_strong_explicit(&leader, &nobody, me + 1, REL,
                                                MUTANT == 1 ? RLX : ACQ))
        return (void *)1;
    assert(prepared[nobody - 1] == 1);
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    void *won[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, candidate, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], &won[i]);
    assert((won[0] != NULL) + (won[1] != NULL) == 1);
    return 0;
}
