/* FAILURES.md 5, failed_load: the store gives an error; the loader returns it, and the object stays
 * marked as loading: whoever waits for it waits for ever.  Mended: a failed load leaves a ghost, and
 * those that wait hear of it and may try themselves.
 * Broken: --deaths 0 finds hang
 * Mended: --deaths 0 */
#include "specimen.h"

enum { GHOST, LOADING, LOADED };
static atomic_int state;
static atomic_int reads; /* of the store; the first one fails */

static int load(void)
{
    if (atomic_fetch_add(&reads, 1) == 0) {
        if (!BROKEN) {
            atomic_store(&state, GHOST);
            futex_wake(&state, 100);
        }
        return EIO;
    }
    atomic_store(&state, LOADED);
    futex_wake(&state, 100);
    return 0;
}

static void *use(void *arg)
{
    for (;;) {
        int found = GHOST;
        if (atomic_compare_exchange_strong(&state, &found, LOADING))
            return load() == 0 ? arg : NULL;
        if (found == LOADED)
            return arg;
        futex_wait(&state, LOADING);
    }
}

int main(void)
{
    run_threads(2, use);
    return 0;
}
