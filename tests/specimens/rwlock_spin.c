/* FAILURES.md 4, rwlock_spin (glibc 2.25 to 2.28, prefer-writer-nonrecursive): after setting RWAITING the
 * reader still has the state without it, asks the kernel to compare with that, and so goes round and
 * round until the holders leave.  Mended: it compares with the value that has the flag, so that to
 * sleep is to be owed a wake.
 * Broken: --deaths 0 finds busy-wait
 * Mended: --deaths 0 -DTHREADS=2 */
#include "rwlock.h"

#ifndef THREADS
#define THREADS 3
#endif

static void *reader(void *arg)
{
    rdlock();
    rdunlock();
    return arg;
}

static void *writer(void *arg)
{
    wrlock();
    wrunlock();
    return arg;
}

static void *process(void *arg)
{
    return (long)arg == 1 ? writer(arg) : reader(arg);
}

int main(void)
{
    run_threads(THREADS, process);
    return 0;
}
