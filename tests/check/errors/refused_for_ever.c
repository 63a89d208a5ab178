/* A sleeper watches two words, but the kernel never finds the second as expected: it enters the
 * first one's queue, leaves it and is refused, again and again.  That it notes each time that no
 * deadline has passed changes nothing.
 * Expect: busy-wait */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "latchkey/check.h"

static _Atomic uint32_t lock = 1, token = 5;
static _Thread_local bool late;
static bool refused;

static void *sleeper(void *p)
{
    while (atomic_load(&lock) == 1) {
        int rc =
            lk_check_futex_wait((const uint32_t *)&lock, 1, (const uint32_t *)&token, 7, false);
        late |= rc == ETIMEDOUT;
        refused = rc == EAGAIN;
    }
    return p;
}

int main(void)
{
    pthread_t t;
    pthread_create(&t, NULL, sleeper, NULL);
    pthread_join(t, NULL);
    return 0;
}
