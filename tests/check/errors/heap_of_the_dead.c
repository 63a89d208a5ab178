/* A process that is killed leaks nothing: its heap goes with it.
 * Options: --deaths 1
 * Expect: none */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <latchkey/check.h>

static atomic_int x;

static void *process(void *arg)
{
    lk_check_mortal(true);
    void *p = malloc(1);
    atomic_store(&x, 1);
    free(p);
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, process, NULL);
    pthread_join(id, NULL);
    return 0;
}
