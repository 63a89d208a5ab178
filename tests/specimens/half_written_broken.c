/* FAILURES.md 1, half_written: the lock is taken over from the dead;
 * what it guards is not repaired.
 * Options: --deaths 1
 * Expect: assert */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "latchkey/check.h"

static uint32_t word;
static atomic_int data[2];

static void *process(void *arg)
{
    uint32_t me = lk_check_thread() + 1, seen;
    lk_check_mortal(true);
    lk_check_robust_add(&word);
    for (;;) {
        seen = __atomic_load_n(&word, __ATOMIC_RELAXED);
        if ((seen & 0x3fffffffu) == 0 &&
            __atomic_compare_exchange_n(&word, &seen, me, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            break;
    }
    int a = atomic_load_explicit(&data[0], memory_order_relaxed);
    assert(atomic_load_explicit(&data[1], memory_order_relaxed) == a);
    atomic_store_explicit(&data[0], a + 1, memory_order_relaxed);
    atomic_store_explicit(&data[1], a + 1, memory_order_relaxed);
    __atomic_store_n(&word, 0, __ATOMIC_RELEASE);
    lk_check_robust_remove(&word);
    return arg;
}

int main(void)
{
    pthread_t id[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, process, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
