/* The same after atomic_init, and with calloc.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    atomic_int *p = malloc(sizeof *p), *q = calloc(1, sizeof *q);
    atomic_init(p, 4);
    assert(atomic_load(p) == 4 && atomic_load(q) == 0);
    free(p);
    free(q);
    return 0;
}
