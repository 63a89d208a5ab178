/* Lamport's bakery.
 * Mutant 1 (race): release and acquire only
 * Mutant 2 (race): a number is drawn without saying so  */
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

static atomic_int choosing[2], number[2];
#define ORDER(o) (MUTANT == 1 ? o : SC)

static void lock(int me)
{
    int other = 1 - me;
    if (MUTANT != 2)
        atomic_store_explicit(&choosing[me], 1, ORDER(REL));
    int n = atomic_load_explicit(&number[other], ORDER(ACQ)) + 1;
    atomic_store_explicit(&number[me], n, ORDER(REL));
    atomic_store_explicit(&choosing[me], 0, ORDER(REL));
    while (atomic_load_explicit(&choosing[other], ORDER(ACQ)))
        ;
    for (;;) {
        int o = atomic_load_explicit(&number[other], ORDER(ACQ));
        if (o == 0 || n < o || (n == o && me < other))
            break;
    }
}

static void unlock(int me)
{
    atomic_store_explicit(&number[me], 0, ORDER(REL));
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
