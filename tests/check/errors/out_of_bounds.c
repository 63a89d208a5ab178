/* One byte too far.
 * Options: --deaths 0
 * Expect: out-of-bounds */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *p = malloc(8);
    memset(p, 0, 9);
    free(p);
    return 0;
}
