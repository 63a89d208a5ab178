/* A null pointer.
 * Options: --deaths 0
 * Expect: crash */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static int *volatile nothing;

int main(void)
{
    return *nothing;
}
