/* A weak compare-and-swap is taken for a strong one.
 * Options: --weak-fails
 * Expect: assert */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int x;

int main(void)
{
    int zero = 0;
    assert(atomic_compare_exchange_weak(&x, &zero, 1));
    return 0;
}
