/* FAILURES.md 1, dead_recoverer, mended: the word goes from the dead owner's pid to the
 * recoverer's, so that whoever is inside is always named.
 * Options: --deaths 2
 * Expect: none */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "latchkey/check.h"

static atomic_int word; /* 0 free, or the pid of the owner */

static void lock(int me)
{
    for (;;) {
        int seen = atomic_load_explicit(&word, memory_order_acquire);
        if (seen == 0 || (kill(seen, 0) != 0 && errno == ESRCH)) {
            if (atomic_compare_exchange_strong(&word, &seen, me))
                return;
        }
    }
}

static void *process(void *arg)
{
    lk_check_mortal(true);
    lock(getpid());
    atomic_store_explicit(&word, 0, memory_order_release);
    return arg;
}

int main(void)
{
    pthread_t id[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&id[i], NULL, process, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(id[i], NULL);
    return 0;
}
