/* FAILURES.md 1, dead_recoverer: who takes over from a dead owner stores a sentinel while it
 * repairs; if it is killed there, the word names nobody.
 * Options: --deaths 2
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

enum { RECOVERING = 99 };
static atomic_int word; /* 0 free, pid of the owner, RECOVERING */

static void lock(int me)
{
    for (;;) {
        int seen = atomic_load_explicit(&word, memory_order_acquire);
        if (seen == RECOVERING)
            continue;
        if (seen == 0) {
            if (atomic_compare_exchange_strong(&word, &seen, me))
                return;
        } else if (kill(seen, 0) != 0 && errno == ESRCH) {
            if (atomic_compare_exchange_strong(&word, &seen, RECOVERING)) {
                atomic_store_explicit(&word, me, memory_order_release);
                return;
            }
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
