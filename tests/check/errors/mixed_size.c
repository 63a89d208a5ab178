/* Atomic accesses of two sizes to the same bytes are refused.
 * Options: --deaths 0
 * Expect: mixed-size */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static union {
    _Atomic unsigned whole;
    _Atomic unsigned short half;
} u;

int main(void)
{
    atomic_store(&u.whole, 1);
    return atomic_load(&u.half) == 7;
}
