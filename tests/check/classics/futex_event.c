/* An event: waiters sleep until it is set.
 * Mutant 1 (race): set without release
 * Mutant 2 (hang): wakes one of two  */
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

static atomic_int event;
static int data;

static void *setter(void *arg)
{
    data = 1;
    atomic_store_explicit(&event, 1, MUTANT == 1 ? RLX : REL);
    futex_wake(&event, MUTANT == 2 ? 1 : 100);
    return arg;
}

static void *waiter(void *arg)
{
    while (atomic_load_explicit(&event, ACQ) == 0)
        futex_wait(&event, 0);
    assert(data == 1);
    return arg;
}

int main(void)
{
    pthread_t id[3];
    pthread_create(&id[0], NULL, setter, NULL);
    pthread_create(&id[1], NULL, waiter, NULL);
    pthread_create(&id[2], NULL, waiter, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
