/* Two threads join each other.
 * Options: --deaths 0
 * Expect: deadlock */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_t id[2];
static atomic_int started;

static void *join(void *other)
{
    while (atomic_load(&started) < 2)
        ;
    pthread_join(id[(long)other], NULL);
    return NULL;
}

int main(void)
{
    pthread_create(&id[0], NULL, join, (void *)1);
    pthread_create(&id[1], NULL, join, (void *)0);
    atomic_store(&started, 2);
    pthread_exit(NULL);
}
