/* Nobody can free it any more.
 * Options: --deaths 0
 * Expect: leak */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *lose(void *arg)
{
    char *p = malloc(16);
    p[0] = 1;
    return arg;
}

int main(void)
{
    pthread_t id;
    pthread_create(&id, NULL, lose, NULL);
    pthread_join(id, NULL);
    return 0;
}
