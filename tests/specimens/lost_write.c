/* FAILURES.md 5, lost_write: a writer meets an object that is being loaded, takes the mark for "changed
 * and registered", and writes; the loader then overwrites its change.  Mended: a change is a new
 * complete state put in place of the one that was read, so a loader that comes late finds no ghost.
 * Broken: --deaths 0 finds assert
 * Mended: --deaths 0 */
#include "specimen.h"

enum { GHOST, CHANGED };
static atomic_int mark = GHOST, value; /* broken */

struct state {
    int value;
};
static const struct state stored = {1};
static const struct state changed = {2};
static _Atomic(const struct state *) object;

static void load(void)
{
    const struct state *none = NULL;
    if (!BROKEN)
        atomic_compare_exchange_strong(&object, &none, &stored);
    else if (atomic_exchange(&mark, CHANGED) == GHOST)
        atomic_store(&value, stored.value);
}

static void *reader(void *arg)
{
    load();
    return arg;
}

static void *writer(void *arg)
{
    load();
    if (BROKEN)
        atomic_store(&value, changed.value);
    else
        atomic_store(&object, &changed);
    return arg;
}

int main(void)
{
    run_two(reader, writer);
    assert((BROKEN ? atomic_load(&value) : atomic_load(&object)->value) == changed.value);
    return 0;
}
