/* FAILURES.md 1, dead_recoverer: who takes over from a dead owner stores a sentinel while it repairs;
 * if it is killed there, the word names nobody.  Mended: the word goes from the dead owner's id to the
 * recoverer's, so that whoever is inside is always named.
 * Shipped: src/life/rmutex.c, tests/model/rmutex_model.c (deaths 2)
 * Broken: --deaths 2 finds hang within 1
 * Mended: --deaths 2 */
#include "specimen.h"

enum { RECOVERING = 99 };
static atomic_int word; /* 0 free, pid of the owner, RECOVERING */

static bool gone(int pid)
{
    return pid != 0 && kill(pid, 0) != 0 && errno == ESRCH;
}

static void lock(int me)
{
    for (;;) {
        int seen = atomic_load_explicit(&word, memory_order_acquire);
        if (seen == RECOVERING || (seen != 0 && !gone(seen)))
            continue;
        if (seen == 0 || !BROKEN) {
            if (atomic_compare_exchange_strong(&word, &seen, me))
                return;
        } else if (atomic_compare_exchange_strong(&word, &seen, RECOVERING)) {
            atomic_store_explicit(&word, me, memory_order_release);
            return;
        }
    }
}

static void *process(void *arg)
{
    lk_check_mortal(true);
    lock(getpid());
    atomic_store_explicit(&word, 0, memory_order_release);
    return arg;
}

int main(void)
{
    run_threads(3, process);
    return 0;
}
