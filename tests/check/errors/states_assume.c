/* What is of no interest is no hang either: the other thread would wait for ever only there.
 *
 * Options: --states
 * Expect: none */
#include <pthread.h>
#include <stdatomic.h>

#include <latchkey/check.h>

static atomic_int word;

static void *wait_for_it(void *arg)
{
    while (atomic_load(&word) == 0)
        ;
    return arg;
}

int main(void)
{
    pthread_t t;
    pthread_create(&t, NULL, wait_for_it, NULL);
    lk_check_assume(lk_check_choose(2) == 0);
    atomic_store(&word, 1);
    pthread_join(t, NULL);
    return 0;
}
