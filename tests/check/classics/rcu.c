/* RCU in little: readers publish that they read, the updater waits for them and frees.
 * Mutant 1 (use-after-free,race): frees at once
 * Mutant 2 (race): publishes without release  */
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
static atomic_int reading;

static void *reader(void *arg)
{
    atomic_store_explicit(&reading, 1, RLX);
    atomic_thread_fence(SC);
    int *p = atomic_load_explicit(&current, ACQ);
    assert(*p == 1 || *p == 2);
    atomic_store_explicit(&reading, 0, REL);
    return arg;
}

static void *updater(void *arg)
{
    int *old = atomic_load_explicit(&current, RLX), *fresh = malloc(sizeof *fresh);
    *fresh = 2;
    atomic_store_explicit(&current, fresh, MUTANT == 2 ? RLX : REL);
    atomic_thread_fence(SC);
#if MUTANT != 1
    while (atomic_load_explicit(&reading, ACQ))
        ;
#endif
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
