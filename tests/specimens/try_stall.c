/* FAILURES.md 4, trywrlock_stall and tryrdlock_stall (glibc, mended a release after the lost wake), restated
 * on one word: a failed try has changed the phase on its way and puts it back by a plain store; the
 * phase may be another by then, and the flag that it leaves is cleared by nobody, so later lockers
 * sleep.  In the mended form a try is one compare-and-swap, which changes all or nothing.
 * Shipped: src/life/rmutex.c (lki_rmutex_trylock)
 * Broken: --deaths 0 finds hang
 * Broken: --deaths 0 -DREADS=1 finds hang
 * Mended: --deaths 0
 * Mended: --deaths 0 -DREADS=1 */
#include "specimen.h"

#ifndef READS
#define READS 0
#endif

/* FREE, HELD by somebody, CROWDED: held, and its unlock must wake. */
enum { FREE, HELD, CROWDED };
static atomic_int word;

static void lock(void)
{
    int seen = FREE;
    if (atomic_compare_exchange_strong(&word, &seen, HELD))
        return;
    while (atomic_exchange(&word, CROWDED) != FREE)
        futex_wait(&word, CROWDED);
}

static void unlock(void)
{
    if (atomic_exchange(&word, FREE) == CROWDED)
        futex_wake(&word, 1);
}

static bool try_broken(void)
{
    int seen = atomic_exchange(&word, HELD); /* takes it, or hides that it is crowded */
    if (seen == FREE)
        return true;
    if (!READS || seen == HELD)
        atomic_store(&word, seen); /* as it was: but is it still held? */
    return false;
}

static bool try_mended(void)
{
    int seen = FREE;
    return atomic_compare_exchange_strong(&word, &seen, HELD);
}

static void *locker(void *arg)
{
    lock();
    unlock();
    return arg;
}

static void *trier(void *arg)
{
    if (BROKEN ? try_broken() : try_mended())
        unlock();
    return arg;
}

static void *process(void *arg)
{
    return (long)arg == 2 ? trier(arg) : locker(arg);
}

int main(void)
{
    run_threads(3, process);
    return 0;
}
