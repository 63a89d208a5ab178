/* A sleeper whom nobody wakes, with a timer that one death allows: the process that should have
 * woken it dies before.  It looks again then, and has nothing to wait for.
 * Options: --deaths 1
 * Expect: none */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "latchkey/check.h"

#ifndef DEATHS
#define DEATHS 1
#endif

static _Atomic uint32_t word;

static void *waker(void *unused)
{
    atomic_store(&word, 1);
    lk_check_mortal(true);
    (void)lk_check_futex_wake((const uint32_t *)&word, 1);
    lk_check_mortal(false);
    return unused;
}

int main(void)
{
    pthread_t id;
    lk_check_backstop(DEATHS);
    pthread_create(&id, NULL, waker, NULL);
    while (atomic_load(&word) == 0) {
        int rc = lk_check_futex_wait((const uint32_t *)&word, 0, NULL, 0, false);
        if (rc == ETIMEDOUT)
            assert(atomic_load(&word) == 1 && lk_check_dead(1));
    }
    pthread_join(id, NULL);
    return 0;
}
