/* Store buffering: at least one of two must see the other.
 * Mutant 1 (assert): one store is only a release
 * Mutant 2 (assert): one load is only an acquire  */
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

static atomic_int x, y;
static int a, b;

static void *left(void *arg)
{
    atomic_store_explicit(&x, 1, MUTANT == 1 ? REL : SC);
    a = atomic_load_explicit(&y, SC);
    return arg;
}

static void *right(void *arg)
{
    atomic_store_explicit(&y, 1, SC);
    b = atomic_load_explicit(&x, MUTANT == 2 ? ACQ : SC);
    return arg;
}

int main(void)
{
    pthread_t s, t;
    pthread_create(&s, NULL, left, NULL);
    pthread_create(&t, NULL, right, NULL);
    pthread_join(s, NULL);
    pthread_join(t, NULL);
    assert(a || b);
    return 0;
}
