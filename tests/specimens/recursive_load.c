/* FAILURES.md 5, recursive_load: the loader touches the object that it loads.  With a mark it sees an
 * empty object and goes on without an error; if it waits for the load to end, it waits for itself.  In
 * the mended form a claim names its thread, and whoever meets its own gets EDEADLK.
 * Broken: --deaths 0 finds assert
 * Broken: --deaths 0 -DWAITS=1 finds hang
 * Mended: --deaths 0 */
#include "specimen.h"

#ifndef WAITS
#define WAITS 0
#endif

enum { GHOST = 0, LOADED = -1 }; /* else the loading thread's number + 1 */
static atomic_int state;
static int length;

static int touch(int *seen);

static int load(void)
{
    int self_length = 0;
    int rc = touch(&self_length); /* a reference to itself */
    if (rc == 0)
        assert(self_length == 3);
    length = 3;
    return rc == EDEADLK ? 0 : rc;
}

static int touch(int *seen)
{
    int me = (int)lk_check_thread() + 1, found = GHOST;
    if (atomic_compare_exchange_strong(&state, &found, me)) {
        int rc = load();
        atomic_store(&state, LOADED);
        *seen = length;
        return rc;
    }
    if (!BROKEN && found == me)
        return EDEADLK;
    while ((!BROKEN || WAITS) && found != LOADED)
        found = atomic_load(&state);
    *seen = length;
    return 0;
}

static void *use(void *arg)
{
    int seen = 0;
    assert(touch(&seen) == 0);
    return arg;
}

int main(void)
{
    run_threads(BROKEN ? 1 : 2, use);
    return 0;
}
