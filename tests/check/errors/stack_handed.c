/* A variable on main's stack, in one thread's hands at a time.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *add(void *p)
{
    ++*(int *)p;
    return NULL;
}

int main(void)
{
    int sum = 0;
    pthread_t a;
    pthread_create(&a, NULL, add, &sum);
    pthread_join(a, NULL);
    pthread_create(&a, NULL, add, &sum);
    pthread_join(a, NULL);
    assert(sum == 2);
    return 0;
}
