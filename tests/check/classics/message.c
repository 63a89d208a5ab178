/* Message passing.
 * Mutant 1 (race): the flag is stored relaxed
 * Mutant 2 (race): the flag is loaded relaxed  */
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
    atomic_store_explicit(&flag, 1, MUTANT == 1 ? RLX : REL);
    return arg;
}

static void *receiver(void *arg)
{
    while (atomic_load_explicit(&flag, MUTANT == 2 ? RLX : ACQ) == 0)
        ;
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
