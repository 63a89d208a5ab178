/* Linux-style reader-writer lock: a bias that readers count down and a writer takes whole.
 * Mutant 1 (race): the writer does not release
 * Mutant 2 (race): the reader does not release  */
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

enum { BIAS = 0x100000 };
static atomic_int lock = BIAS;
static int data;

static void *writer(void *arg)
{
    while (atomic_fetch_sub_explicit(&lock, BIAS, ACQ) != BIAS) {
        atomic_fetch_add_explicit(&lock, BIAS, RLX);
        while (atomic_load_explicit(&lock, RLX) != BIAS)
            ;
    }
    data = 1;
    atomic_fetch_add_explicit(&lock, BIAS, MUTANT == 1 ? RLX : REL);
    return arg;
}

static void *reader(void *arg)
{
    while (atomic_fetch_sub_explicit(&lock, 1, ACQ) <= 0) {
        atomic_fetch_add_explicit(&lock, 1, RLX);
        while (atomic_load_explicit(&lock, RLX) <= 0)
            ;
    }
    int seen = data;
    assert(seen == 0 || seen == 1);
    atomic_fetch_add_explicit(&lock, 1, MUTANT == 2 ? RLX : REL);
    return arg;
}

int main(void)
{
    pthread_t w, r;
    pthread_create(&w, NULL, writer, NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_join(w, NULL);
    pthread_join(r, NULL);
    return 0;
}
