/* Two readers agree on the order of two independent stores.
 * Mutant 1 (assert): acquire loads may disagree
 * Mutant 2 (assert): release stores have no common order  */
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
static int r[4];
#define LOAD (MUTANT == 1 ? ACQ : SC)

static void *set(void *v)
{
    atomic_store_explicit((atomic_int *)v, 1, MUTANT == 2 ? REL : SC);
    return NULL;
}

static void *xy(void *arg)
{
    r[0] = atomic_load_explicit(&x, LOAD);
    r[1] = atomic_load_explicit(&y, LOAD);
    return arg;
}

static void *yx(void *arg)
{
    r[2] = atomic_load_explicit(&y, LOAD);
    r[3] = atomic_load_explicit(&x, LOAD);
    return arg;
}

int main(void)
{
    pthread_t id[4];
    pthread_create(&id[0], NULL, set, &x);
    pthread_create(&id[1], NULL, set, &y);
    pthread_create(&id[2], NULL, xy, NULL);
    pthread_create(&id[3], NULL, yx, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(id[i], NULL);
    assert(!(r[0] && !r[1] && r[2] && !r[3]));
    return 0;
}
