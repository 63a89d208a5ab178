/* FAILURES.md 5: the object is marked loaded before its state is there.
 * Options: --deaths 0
 * Expect: assert */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_int ghost = 1, length;

static void *use(void *arg)
{
    if (atomic_exchange(&ghost, 0)) /* no ghost any more: stops recursion, and lies */
        atomic_store(&length, 3);   /* the loader */
    assert(atomic_load(&length) == 3);
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, use, NULL);
    pthread_create(&b, NULL, use, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
