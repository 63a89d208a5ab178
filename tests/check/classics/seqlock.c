/* Sequence lock: a reader that validates has seen one state.
 * Mutant 1 (assert): no release fence after the odd count
 * Mutant 2 (assert): no acquire fence before the second look  */
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

static atomic_int seq, word[2];

static void *writer(void *arg)
{
    int s = atomic_load_explicit(&seq, RLX);
    atomic_store_explicit(&seq, s + 1, RLX);
#if MUTANT == 1
    /* a release store orders what comes before it, not this */
#else
    atomic_thread_fence(REL);
#endif
    atomic_store_explicit(&word[0], 1, RLX);
    atomic_store_explicit(&word[1], 1, RLX);
    atomic_store_explicit(&seq, s + 2, REL);
    return arg;
}

static void *reader(void *arg)
{
    int before = atomic_load_explicit(&seq, ACQ);
    int a = atomic_load_explicit(&word[0], RLX), b = atomic_load_explicit(&word[1], RLX);
#if MUTANT != 2
    atomic_thread_fence(ACQ);
#endif
    if (before % 2 == 0 && atomic_load_explicit(&seq, RLX) == before)
        assert(a == b);
    return arg;
}

int main(void)
{
    pthread_t w, r;
    pthread_create(&w, NULL, writer, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_join(w, NULL);
    pthread_join(r, NULL);
    return 0;
}
