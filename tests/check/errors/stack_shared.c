/* Two threads share a variable on main's stack.
 * Options: --deaths 0
 * Expect: race */
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
    pthread_t a, b;
    pthread_create(&a, NULL, add, &sum);
    pthread_create(&b, NULL, add, &sum);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
