/* C11 threads: mutex and condition.
 * Mutant 1 (hang): nobody is told that the turn has changed
 * Mutant 2 (race): looks at the turn without the lock  */
#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <threads.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

static mtx_t mutex;
static cnd_t cond;
static int turn;

static int player(void *arg)
{
    int me = (int)(long)arg;
    mtx_lock(&mutex);
    while (turn != me)
        cnd_wait(&cond, &mutex);
    turn = 1 - me;
#if MUTANT != 1
    cnd_broadcast(&cond);
#endif
    mtx_unlock(&mutex);
#if MUTANT == 2
    turn = turn % 2;
#endif
    return 0;
}

int main(void)
{
    thrd_t a, b;
    mtx_init(&mutex, mtx_plain);
    cnd_init(&cond);
    thrd_create(&a, player, (void *)0);
    thrd_create(&b, player, (void *)1);
    thrd_join(a, NULL);
    thrd_join(b, NULL);
    assert(turn == 0);
    return 0;
}
