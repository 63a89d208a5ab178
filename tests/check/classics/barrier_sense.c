/* Sense-reversing barrier, used twice.
 * Mutant 1 (race): arriving does not release what was done before
 * Mutant 2 (hang,race): opens the barrier before it is ready for the next round  */
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

enum { N = 2 };
static atomic_int left = N, sense;
static int seen[N], stage[N];

static void barrier(int *mine)
{
    *mine = !*mine;
    if (atomic_fetch_sub_explicit(&left, 1, MUTANT == 1 ? RLX : memory_order_acq_rel) == 1) {
#if MUTANT == 2
        atomic_store_explicit(&sense, *mine, REL);
        atomic_store_explicit(&left, N, RLX);
#else
        atomic_store_explicit(&left, N, RLX);
        atomic_store_explicit(&sense, *mine, REL);
#endif
    } else {
        while (atomic_load_explicit(&sense, ACQ) != *mine)
            ;
    }
}

static void *worker(void *arg)
{
    int me = (int)(long)arg, mine = 0;
    stage[me] = 1;
    barrier(&mine);
    seen[me] = stage[1 - me];
    barrier(&mine);
    stage[me] = 2;
    assert(seen[me] == 1);
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, worker, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
