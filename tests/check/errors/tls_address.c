/* The address of a thread-local variable is another variable in each thread, and may be handed on.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static _Thread_local atomic_int mine;
static _Atomic(atomic_int *) handed;

static void *other(void *arg)
{
    atomic_store(&mine, 7);
    atomic_int *first = atomic_load(&handed);
    if (first != NULL)
        atomic_store(first, 1);
    assert(atomic_load(&mine) == 7);
    return arg;
}

int main(void)
{
    pthread_t id;
    atomic_store(&handed, &mine);
    pthread_create(&id, NULL, other, NULL);
    pthread_join(id, NULL);
    assert(atomic_load(&mine) == 1);
    return 0;
}
