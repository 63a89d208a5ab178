/* Still reachable at the end: no leak.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

char *kept; /* not static: the compiler would drop it */

static void *keep(void *arg)
{
    kept = malloc(16);
    kept[0] = 1;
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, keep, NULL);
    pthread_join(id, NULL);
    return 0;
}
