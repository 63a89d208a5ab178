/* FAILURES.md 5, evicted_in_use: a flag says "do not evict"; a nested use ends and clears it for the
 * outer one too, and the object goes while it is in use.  Mended: a count.
 * Broken: --deaths 0 finds race
 * Mended: --deaths 0 */
#include "specimen.h"

static atomic_int in_use; /* broken: a flag; mended: how many use it */
static _Atomic(int *) object;

static void begin_use(void)
{
    if (BROKEN)
        atomic_store(&in_use, 1);
    else
        atomic_fetch_add(&in_use, 1);
}

static void end_use(void)
{
    if (BROKEN)
        atomic_store(&in_use, 0);
    else
        atomic_fetch_sub(&in_use, 1);
}

static void *user(void *arg)
{
    begin_use();
    int *p = atomic_load(&object);
    begin_use(); /* a call in between uses it as well */
    end_use();
    if (p != NULL)
        assert(*p == 3);
    end_use();
    return arg;
}

static void *evictor(void *arg)
{
    int *p = atomic_exchange(&object, NULL);
    while (atomic_load(&in_use) != 0)
        continue;
    *p = 0;
    free(p);
    return arg;
}

int main(void)
{
    int *p = malloc(sizeof *p);
    *p = 3;
    atomic_store(&object, p);
    run_two(user, evictor);
    return 0;
}
