/* Szymanski's algorithm for two threads.
 * Mutant 1 (race): the flags are stored with release only
 * Mutant 2 (race): the second does not let the first go first  */
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

static atomic_int flag[2];

static int at(int i)
{
    return atomic_load_explicit(&flag[i], SC);
}
static void set(int i, int v)
{
    atomic_store_explicit(&flag[i], v, MUTANT == 1 ? REL : SC);
}

static void lock(int me)
{
    int other = 1 - me;
    set(me, 1);
    while (at(other) >= 3)
        ;
    set(me, 3);
    if (at(other) == 1) {
        set(me, 2);
        while (at(other) != 4)
            ;
    }
    set(me, 4);
    if (me == 1 && MUTANT != 2)
        while (at(0) >= 2)
            ;
}

static void unlock(int me)
{
    if (me == 0)
        for (int other = 2; other == 2 || other == 3;)
            other = at(1); /* one look for both: 3 may become 2 between two looks */
    set(me, 0);
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
