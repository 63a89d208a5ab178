/* Hazard pointer: the reader announces what it looks at, then looks again.
 * Mutant 1 (use-after-free,race): no fence between announcing and looking again
 * Mutant 2 (use-after-free,race): does not look again  */
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

static int *_Atomic current;
static int *_Atomic hazard;

static void *reader(void *arg)
{
    int *p = atomic_load_explicit(&current, ACQ);
    for (;;) {
        atomic_store_explicit(&hazard, p, RLX);
#if MUTANT != 1
        atomic_thread_fence(SC);
#endif
        int *again = atomic_load_explicit(&current, ACQ);
#if MUTANT != 2
        if (again == p)
#endif
            break;
        p = again;
    }
    assert(*p == 1 || *p == 2);
    atomic_store_explicit(&hazard, NULL, REL);
    return arg;
}

static void *updater(void *arg)
{
    int *fresh = malloc(sizeof *fresh);
    *fresh = 2;
    int *old = atomic_exchange_explicit(&current, fresh, memory_order_acq_rel);
    atomic_thread_fence(SC);
    while (atomic_load_explicit(&hazard, ACQ) == old)
        ;
    free(old);
    return arg;
}

int main(void)
{
    pthread_t r, u;
    int *first = malloc(sizeof *first);
    *first = 1;
    atomic_store(&current, first);
    pthread_create(&r, NULL, reader, NULL);
    pthread_create(&u, NULL, updater, NULL);
    pthread_join(r, NULL);
    pthread_join(u, NULL);
    free(atomic_load(&current));
    return 0;
}
