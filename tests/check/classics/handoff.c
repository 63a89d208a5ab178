/* A heap node is handed over and freed by the receiver.
 * Mutant 1 (race,use-after-free,assert): the sender writes after handing over
 * Mutant 2 (bad-free): freed twice  */
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

static int *_Atomic mailbox;

static void *sender(void *arg)
{
    int *p = malloc(sizeof *p);
    *p = 5;
    atomic_store_explicit(&mailbox, p, REL);
#if MUTANT == 1
    *p = 6;
#endif
    return arg;
}

static void *receiver(void *arg)
{
    int *p;
    while ((p = atomic_load_explicit(&mailbox, ACQ)) == NULL)
        ;
    assert(*p == 5);
    free(p);
#if MUTANT == 2
    free(p);
#endif
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
