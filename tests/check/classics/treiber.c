/* Treiber's stack, nodes never reused.
 * Mutant 1 (race): push does not release the node
 * Mutant 2 (assert): push overwrites the top: a node is lost  */
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
    struct node *next;
    int value;
};
static _Atomic(struct node *) top;
static struct node node[2];

static void *push(void *arg)
{
    struct node *n = &node[(long)arg];
    n->value = 10 + (int)(long)arg;
    n->next = atomic_load_explicit(&top, RLX);
#if MUTANT == 1
    while (!atomic_compare_exchange_weak_explicit(&top, &n->next, n, RLX, RLX))
        ;
#elif MUTANT == 2
    atomic_store_explicit(&top, n, REL);
#else
    while (!atomic_compare_exchange_weak_explicit(&top, &n->next, n, REL, RLX))
        ;
#endif
    return NULL;
}

static void *pop(void *arg)
{
    struct node *n = atomic_load_explicit(&top, ACQ);
    while (n != NULL && !atomic_compare_exchange_weak_explicit(&top, &n, n->next, ACQ, ACQ))
        ;
    if (n != NULL)
        assert(n->value >= 10);
    return n != NULL ? (void *)1 : arg;
}

int main(void)
{
    pthread_t id[3];
    void *popped;
    pthread_create(&id[0], NULL, push, (void *)0);
    pthread_create(&id[1], NULL, push, (void *)1);
    pthread_create(&id[2], NULL, pop, NULL);
    pthread_join(id[0], NULL);
    pthread_join(id[1], NULL);
    pthread_join(id[2], &popped);
    int left = 0;
    for (struct node *n = atomic_load_explicit(&top, RLX); n != NULL; n = n->next)
        left++;
    assert(left == (popped != NULL ? 1 : 2));
    return 0;
}
