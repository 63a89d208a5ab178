/* A location is initialised anew between two uses by threads.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static struct {
    atomic_int count;
    int plain;
} box;

static void *use(void *arg)
{
    atomic_fetch_add_explicit(&box.count, 1, memory_order_relaxed);
    return arg;
}

int main(void)
{
    for (int round = 0; round < 2; round++) {
        pthread_t a, b;
        memset(&box, 0, sizeof box);
        pthread_create(&a, NULL, use, NULL);
        pthread_create(&b, NULL, use, NULL);
        pthread_join(a, NULL);
        pthread_join(b, NULL);
        assert(atomic_load(&box.count) == 2);
    }
    return 0;
}
