/* Ticket lock with a waiting array (Dice and Kogan 2019): far waiters watch a slot.
 * Mutant 1 (hang): nobody tells the far waiter that its turn comes near
 * Mutant 2 (race): the near waiter does not acquire  */
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

enum { SLOTS = 2 };
static atomic_int next, serving, slot[SLOTS];

static void lock(int me)
{
    (void)me;
    int mine = atomic_fetch_add_explicit(&next, 1, RLX);
    int now = atomic_load_explicit(&serving, ACQ);
    if (mine - now > 1) {
        for (;;) {
            int seen = atomic_load_explicit(&slot[mine % SLOTS], ACQ);
            now = atomic_load_explicit(&serving, ACQ);
            if (mine - now <= 1)
                break;
            while (atomic_load_explicit(&slot[mine % SLOTS], ACQ) == seen)
                ;
        }
    }
    while (atomic_load_explicit(&serving, MUTANT == 2 ? RLX : ACQ) != mine)
        ;
}

static void unlock(int me)
{
    (void)me;
    int now = atomic_load_explicit(&serving, RLX) + 1;
    atomic_store_explicit(&serving, now, REL);
#if MUTANT != 1
    atomic_fetch_add_explicit(&slot[(now + 1) % SLOTS], 1, REL);
#endif
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
    pthread_t id[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    assert(shared == 3);
    return 0;
}
