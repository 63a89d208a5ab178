/* Ring of one producer and one consumer.
 * Mutant 1 (race,assert): off by one: overwrites what is not read yet
 * Mutant 2 (race): the consumer does not release the cell  */
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

enum { SIZE = 2 };
static int ring[SIZE];
static atomic_int in, out;

static void *producer(void *arg)
{
    for (int i = 0; i < 3; i++) {
#if MUTANT == 1
        while (i - atomic_load_explicit(&out, ACQ) > SIZE)
#else
        while (i - atomic_load_explicit(&out, ACQ) >= SIZE)
#endif
            ;
        ring[i % SIZE] = i + 1;
        atomic_store_explicit(&in, i + 1, REL);
    }
    return arg;
}

static void *consumer(void *arg)
{
    for (int i = 0; i < 3; i++) {
        while (atomic_load_explicit(&in, ACQ) <= i)
            ;
        assert(ring[i % SIZE] == i + 1);
        atomic_store_explicit(&out, i + 1, MUTANT == 2 ? RLX : REL);
    }
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, producer, NULL);
    pthread_create(&b, NULL, consumer, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
