/* Thread-specific data and its destructor.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *p)
{
    free(p);
    atomic_fetch_add(&destroyed, 1);
}

static void *use(void *arg)
{
    pthread_setspecific(key, malloc(8));
    assert(pthread_getspecific(key) != NULL);
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_key_create(&key, destroy);
    pthread_create(&a, NULL, use, NULL);
    pthread_create(&b, NULL, use, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert(atomic_load(&destroyed) == 2);
    return 0;
}
