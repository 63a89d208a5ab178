/* FAILURES.md 4, rwlock_lost_wake (the same library): between the look at the flag and the call of the
 * kernel a writer comes and goes, clears RWAITING and wakes; by the time of the call the state is what
 * the reader compares with again, so it sleeps, and nobody owes it a wake.  Mended as rwlock_spin.
 * Broken: --deaths 0 -DLAP_ONCE=1 finds hang within 5
 * Mended: --deaths 0 */
#include "rwlock.h"

static void *readers(void *arg)
{
    for (int i = 0; i < (BROKEN ? 2 : 1); i++) {
        rdlock();
        rdunlock();
    }
    return arg;
}

static void *writers(void *arg)
{
    for (int i = 0; i < (BROKEN ? 2 : 1); i++) {
        wrlock();
        wrunlock();
    }
    return arg;
}

static void *late_reader(void *arg)
{
    rdlock();
    rdunlock();
    return arg;
}

static void *process(void *arg)
{
    switch ((long)arg) {
    case 0:
        return readers(arg);
    case 1:
        return writers(arg);
    default:
        return late_reader(arg);
    }
}

int main(void)
{
    run_threads(3, process);
    return 0;
}
