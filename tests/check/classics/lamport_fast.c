/* Lamport's fast mutex, for two threads.
 * Mutant 1 (race): release and acquire only
 * Mutant 2 (race): does not wait for the other to get out of the way  */
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

static atomic_int x, y, busy[2];
#define SET(v, n) atomic_store_explicit(&(v), n, MUTANT == 1 ? REL : SC)
#define GET(v) atomic_load_explicit(&(v), MUTANT == 1 ? ACQ : SC)

static void lock(int me)
{
    int id = me + 1;
    for (;;) {
        SET(busy[me], 1);
        SET(x, id);
        if (GET(y) != 0) {
            SET(busy[me], 0);
            while (GET(y) != 0)
                ;
            continue;
        }
        SET(y, id);
        if (GET(x) == id)
            return;
        SET(busy[me], 0);
        if (MUTANT != 2)
            while (GET(busy[1 - me]))
                ;
        if (GET(y) == id)
            return;
        while (GET(y) != 0)
            ;
    }
}

static void unlock(int me)
{
    SET(y, 0);
    SET(busy[me], 0);
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
