/* Drepper's third mutex: 0 free, 1 held, 2 held and somebody sleeps.
 * Mutant 1 (hang): does not announce its sleep
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

static atomic_int word;

static void lock(int me)
{
    int c = 0;
    (void)me;
    if (atomic_compare_exchange_strong_explicit(&word, &c, 1, ACQ, RLX))
        return;
#if MUTANT == 1
    while (atomic_exchange_explicit(&word, 1, ACQ) != 0) /* forgets to say that it sleeps */
        futex_wait(&word, 1);
#else
    while (atomic_exchange_explicit(&word, 2, ACQ) != 0)
        futex_wait(&word, 2);
#endif
}

static void unlock(int me)
{
    (void)me;
    if (atomic_exchange_explicit(&word, 0, REL) == 2 && MUTANT != 2)
        futex_wake(&word, 1);
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
