/* Two threads wait for each other's word by exchanging the same again and again: no effect, no end.
 *
 * Options: --walks 0
 * Expect: hang */
#include <pthread.h>
#include <stdatomic.h>

static atomic_int word;

static void *wait_for_it(void *arg)
{
    while (atomic_exchange(&word, 0) == 0)
        ;
    return arg;
}

int main(void)
{
    pthread_t t;
    pthread_create(&t, NULL, wait_for_it, NULL);
    (void)wait_for_it(NULL);
    pthread_join(t, NULL);
    return 0;
}
