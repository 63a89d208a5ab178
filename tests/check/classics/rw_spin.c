/* Reader-writer spin lock: readers are counted below a writer's bit.
 * Mutant 1 (race): the writer does not acquire
 * Mutant 2 (race): readers enter beside a writer  */
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

enum { WRITER = 1 << 16 };
static atomic_int word;
static int a, b;

static void *writer(void *arg)
{
    int free_ = 0;
    while (!atomic_compare_exchange_strong_explicit(&word, &free_, WRITER, MUTANT == 1 ? RLX : ACQ,
                                                    RLX))
        free_ = 0;
    a++;
    b++;
    atomic_fetch_sub_explicit(&word, WRITER, REL);
    return arg;
}

static void *reader(void *arg)
{
#if MUTANT == 2
    atomic_fetch_add_explicit(&word, 1, ACQ); /* and does not look for a writer */
#else
    for (;;) {
        int w = atomic_load_explicit(&word, RLX);
        if (w < WRITER && atomic_compare_exchange_strong_explicit(&word, &w, w + 1, ACQ, RLX))
            break;
    }
#endif
    assert(a == b);
    atomic_fetch_sub_explicit(&word, 1, REL);
    return arg;
}

int main(void)
{
    pthread_t w, r[2];
    pthread_create(&w, NULL, writer, NULL);
    for (int i = 0; i < 2; i++)
        pthread_create(&r[i], NULL, reader, NULL);
    pthread_join(w, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(r[i], NULL);
    return 0;
}
