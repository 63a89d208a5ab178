/* Chase-Lev deque (Le et al. 2013): the owner pushes and takes, a thief steals.
 * Mutant 1 (assert): take without its fence: one item goes to two
 * Mutant 2 (assert): push without its fence: the thief reads an empty cell  */
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

static atomic_long top, bottom;
static atomic_int item[4];
static atomic_int taken[3];

static void got(int v)
{
    assert(v != 0 && atomic_fetch_add_explicit(&taken[v], 1, RLX) == 0);
}

static void push(int v)
{
    long b = atomic_load_explicit(&bottom, RLX);
    atomic_store_explicit(&item[b], v, RLX);
#if MUTANT != 2
    atomic_thread_fence(REL);
#endif
    atomic_store_explicit(&bottom, b + 1, RLX);
}

static void take(void)
{
    long b = atomic_load_explicit(&bottom, RLX) - 1;
    atomic_store_explicit(&bottom, b, RLX);
#if MUTANT != 1
    atomic_thread_fence(SC);
#endif
    long t = atomic_load_explicit(&top, RLX);
    if (t > b) {
        atomic_store_explicit(&bottom, b + 1, RLX);
        return;
    }
    int v = atomic_load_explicit(&item[b], RLX);
    if (t == b) {
        int won = atomic_compare_exchange_strong_explicit(&top, &t, t + 1, SC, RLX);
        atomic_store_explicit(&bottom, b + 1, RLX);
        if (!won)
            return;
    }
    got(v);
}

static void *thief(void *arg)
{
    for (int i = 0; i < 2; i++) {
        long t = atomic_load_explicit(&top, ACQ);
        atomic_thread_fence(SC);
        long b = atomic_load_explicit(&bottom, ACQ);
        if (t >= b)
            continue;
        int v = atomic_load_explicit(&item[t], RLX);
        if (atomic_compare_exchange_strong_explicit(&top, &t, t + 1, SC, RLX))
            got(v);
    }
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, thief, NULL);
    push(1);
    push(2);
    take();
    take();
    pthread_join(id, NULL);
    return 0;
}
