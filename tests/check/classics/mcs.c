/* MCS queue lock (Mellor-Crummey and Scott 1991).
 * Mutant 1 (race): waiting does not acquire
 * Mutant 2 (hang): forgets the successor that has not linked itself yet  */
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
    atomic_int wait;
};
static struct node node[4];
static _Atomic(struct node *) tail;

static void lock(int me)
{
    struct node *n = &node[me];
    atomic_store_explicit(&n->next, NULL, RLX);
    atomic_store_explicit(&n->wait, 1, RLX);
    struct node *before = atomic_exchange_explicit(&tail, n, memory_order_acq_rel);
    if (before == NULL)
        return;
    atomic_store_explicit(&before->next, n, REL);
    while (atomic_load_explicit(&n->wait, MUTANT == 1 ? RLX : ACQ))
        ;
}

static void unlock(int me)
{
    struct node *n = &node[me], *after = atomic_load_explicit(&n->next, ACQ);
    if (after == NULL) {
        struct node *mine = n;
        if (atomic_compare_exchange_strong_explicit(&tail, &mine, NULL, REL, RLX))
            return;
#if MUTANT == 2
        return; /* a successor is about to link itself */
#endif
        while ((after = atomic_load_explicit(&n->next, ACQ)) == NULL)
            ;
    }
    atomic_store_explicit(&after->wait, 0, REL);
}

static int shared;

static void *worker(void *arg)
{
    int me = (int)(long)arg;
    (void)me;
    lock(me);
    shared++;
    unlock(me);
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    assert(shared == 2);
    return 0;
}
