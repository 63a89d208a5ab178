/* FAILURES.md 1, dead_writer: the process that holds a spin lock is killed;
 * the others spin for ever.
 * Options: --deaths 1
 * Expect: hang */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "latchkey/check.h"

static atomic_int word;

static void *process(void *arg)
{
    lk_check_mortal(true);
    while (atomic_exchange_explicit(&word, 1, memory_order_acquire) != 0)
        ;
    atomic_store_explicit(&word, 0, memory_order_release);
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
