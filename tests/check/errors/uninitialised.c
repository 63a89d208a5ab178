/* An atomic read of memory that nobody wrote.
 * Options: --deaths 0
 * Expect: uninitialised */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    atomic_int *p = malloc(sizeof *p);
    int v = atomic_load(p);
    free(p);
    return v != 0;
}
