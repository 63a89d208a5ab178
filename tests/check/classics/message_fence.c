/* Message passing with fences and a relaxed flag.
 * Mutant 1 (race): no release fence
 * Mutant 2 (race): no acquire fence  */
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

static int data;
static atomic_int flag;

static void *sender(void *arg)
{
    data = 42;
#if MUTANT != 1
    atomic_thread_fence(REL);
#endif
    atomic_store_explicit(&flag, 1, RLX);
    return arg;
}

static void *receiver(void *arg)
{
    while (atomic_load_explicit(&flag, RLX) == 0)
        ;
#if MUTANT != 2
    atomic_thread_fence(ACQ);
#endif
    assert(data == 42);
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, sender, NULL);
    pthread_create(&b, NULL, receiver, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
