/* FAILURES.md 6, read_behind_writer: a thread that reads asks for the same lock once more, for reading;
 * a writer has come in between and goes first.  In the mended form the read lock is handed down instead
 * of asked for again.
 * Broken: --deaths 0 finds hang
 * Mended: --deaths 0 */
#define PUBLISHED 0
#include "rwlock.h"

static int value;

static int inner(bool held)
{
    if (!held)
        rdlock();
    int seen = value;
    if (!held)
        rdunlock();
    return seen;
}

static void *reader(void *arg)
{
    rdlock();
    int first = value;
    assert(inner(!BROKEN) == first);
    rdunlock();
    return arg;
}

static void *writer(void *arg)
{
    wrlock();
    value++;
    wrunlock();
    return arg;
}

int main(void)
{
    run_two(reader, writer);
    return 0;
}
