/* Each thread has an errno of its own.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_int turn;

static void *other(void *arg)
{
    errno = EBADF;
    atomic_store(&turn, 1);
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, other, NULL);
    errno = EPERM;
    while (atomic_load(&turn) == 0)
        ;
    assert(errno == EPERM);
    pthread_join(id, NULL);
    return 0;
}
