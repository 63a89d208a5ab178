/* Event count: sleep only if nothing has changed since the look.
 * Mutant 1 (hang): takes the key after the look
 * Mutant 2 (hang): does not wake  */
#define _GNU_SOURCE
#include <assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

static void futex_wait(atomic_int *word, int value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_int *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

static atomic_int epoch, items;

static void *producer(void *arg)
{
    atomic_fetch_add_explicit(&items, 1, REL);
    atomic_fetch_add_explicit(&epoch, 1, SC);
#if MUTANT != 2
    futex_wake(&epoch, 1);
#endif
    return arg;
}

static void *consumer(void *arg)
{
    for (;;) {
        int key = atomic_load_explicit(&epoch, SC);
        if (atomic_load_explicit(&items, ACQ) > 0)
            return arg;
#if MUTANT == 1
        key = atomic_load_explicit(&epoch, SC); /* too late */
#endif
        futex_wait(&epoch, key);
    }
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, producer, NULL);
    pthread_create(&b, NULL, consumer, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
