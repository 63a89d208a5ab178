/* realloc keeps what was there.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    int *p = malloc(2 * sizeof *p);
    p[0] = 1;
    p[1] = 2;
    p = realloc(p, 100 * sizeof *p);
    assert(p[0] == 1 && p[1] == 2);
    free(p);
    return 0;
}
