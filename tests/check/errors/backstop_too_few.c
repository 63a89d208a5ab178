/* The same, but two must have died before the timer runs out: one death leaves a sleeper for ever.
 * Options: --deaths 1
 * Expect: hang */
#include <pthread.h>
#include <stdatomic.h>

#include "latchkey/check.h"

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
    lk_check_backstop(2);
    pthread_create(&id, NULL, waker, NULL);
    while (atomic_load(&word) == 0)
        (void)lk_check_futex_wait((const uint32_t *)&word, 0, NULL, 0, false);
    pthread_join(id, NULL);
    return 0;
}
