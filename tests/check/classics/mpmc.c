/* Bounded queue of many producers and consumers (Vyukov).
 * Mutant 1 (race): the producer publishes without release
 * Mutant 2 (race): the consumer reads without acquire  */
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
static struct {
    atomic_int seq;
    int value;
} cell[SIZE];
static atomic_int in, out;

static void *producer(void *arg)
{
    int pos = atomic_load_explicit(&in, RLX);
    for (;;) {
        int seq = atomic_load_explicit(&cell[pos % SIZE].seq, ACQ);
        if (seq == pos) {
            if (atomic_compare_exchange_weak_explicit(&in, &pos, pos + 1, RLX, RLX))
                break;
        } else if (seq < pos) {
            return NULL;
        } else {
            pos = atomic_load_explicit(&in, RLX);
        }
    }
    cell[pos % SIZE].value = 1 + (int)(long)arg;
    atomic_store_explicit(&cell[pos % SIZE].seq, pos + 1, MUTANT == 1 ? RLX : REL);
    return NULL;
}

static void *consumer(void *arg)
{
    int pos = atomic_load_explicit(&out, RLX);
    for (;;) {
        int seq = atomic_load_explicit(&cell[pos % SIZE].seq, MUTANT == 2 ? RLX : ACQ);
        if (seq == pos + 1) {
            if (atomic_compare_exchange_weak_explicit(&out, &pos, pos + 1, RLX, RLX))
                break;
        } else if (seq < pos + 1) {
            return arg;
        } else {
            pos = atomic_load_explicit(&out, RLX);
        }
    }
    int v = cell[pos % SIZE].value;
    assert(v == 1 || v == 2);
    atomic_store_explicit(&cell[pos % SIZE].seq, pos + SIZE, REL);
    return arg;
}

int main(void)
{
    pthread_t id[3];
    for (int i = 0; i < SIZE; i++)
        atomic_init(&cell[i].seq, i);
    pthread_create(&id[0], NULL, producer, (void *)0);
    pthread_create(&id[1], NULL, producer, (void *)1);
    pthread_create(&id[2], NULL, consumer, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
