/* Without the announcement nobody wakes the sleeper.
 * Options: --deaths 1
 * Expect: hang */
#include <pthread.h>
#include <stdatomic.h>

#include <latchkey/check.h>

enum { WAITED_FOR = (int)0x80000002 }; /* by thread 1 */
static _Atomic uint32_t word;

static void *process(void *arg)
{
    lk_check_mortal(true);
    atomic_store(&word, 0);
    lk_check_futex_wake((uint32_t *)&word, 1);
    return arg;
}

int main(void)
{
    pthread_t id;
    word = WAITED_FOR;
    pthread_create(&id, NULL, process, NULL);
    while (atomic_load(&word) == (uint32_t)WAITED_FOR)
        lk_check_futex_wait((uint32_t *)&word, WAITED_FOR, NULL, 0, false);
    pthread_join(id, NULL);
    return 0;
}
