/* Michael and Scott's queue, nodes never reused.
 * Mutant 1 (race): the new node is not released
 * Mutant 2 (assert): a store where a compare-and-swap must be: nodes get lost  */
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

struct node {
    _Atomic(struct node *) next;
    int value;
};
static struct node dummy, node[2];
static _Atomic(struct node *) head = &dummy, tail = &dummy;

static void *enqueue(void *arg)
{
    struct node *n = &node[(long)arg];
    n->value = 1 + (int)(long)arg;
    for (;;) {
        struct node *t = atomic_load_explicit(&tail, ACQ);
        struct node *next = atomic_load_explicit(&t->next, ACQ);
        if (next != NULL) {
            atomic_compare_exchange_strong_explicit(&tail, &t, next, REL, RLX);
            continue;
        }
#if MUTANT == 2
        atomic_store_explicit(&t->next, n, REL);
#else
        if (!atomic_compare_exchange_strong_explicit(&t->next, &next, n, MUTANT == 1 ? RLX : REL,
                                                     RLX))
            continue;
#endif
        atomic_compare_exchange_strong_explicit(&tail, &t, n, MUTANT == 1 ? RLX : REL, RLX);
        return NULL;
    }
}

static int dequeue(void)
{
    for (;;) {
        struct node *h = atomic_load_explicit(&head, ACQ);
        struct node *next = atomic_load_explicit(&h->next, ACQ);
        if (next == NULL)
            return 0;
        int value = next->value;
        if (atomic_compare_exchange_strong_explicit(&head, &h, next, REL, RLX))
            return value;
    }
}

static void *taker(void *arg)
{
    (void)arg;
    return (void *)(long)dequeue();
}

int main(void)
{
    pthread_t id[3];
    void *got;
    pthread_create(&id[0], NULL, enqueue, (void *)0);
    pthread_create(&id[1], NULL, enqueue, (void *)1);
    pthread_create(&id[2], NULL, taker, NULL);
    pthread_join(id[0], NULL);
    pthread_join(id[1], NULL);
    pthread_join(id[2], &got);
    int sum = (int)(long)got, v;
    while ((v = dequeue()) != 0)
        sum += v;
    assert(sum == 3);
    return 0;
}
