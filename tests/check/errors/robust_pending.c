/* Who has freed the word that it announced and is killed before its own wake still wakes one.
 * Options: --deaths 1
 * Expect: none */
#include <pthread.h>
#include <stdatomic.h>

#include <latchkey/check.h>

enum { WAITED_FOR = (int)0x80000002 }; /* by thread 1 */
static _Atomic uint32_t word;

static void *process(void *arg)
{
    lk_check_mortal(true);
    lk_check_robust_pending((uint32_t *)&word);
    atomic_store(&word, 0);
    lk_check_futex_wake((uint32_t *)&word, 1);
    lk_check_robust_pending(NULL);
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
