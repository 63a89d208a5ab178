/* FAILURES.md 5, lying_ghost: an object is marked loaded before its state is there, to stop recursion;
 * another thread sees "no ghost" and reads nothing.  Mended: one pointer to a complete state; NULL is a
 * ghost.
 * Broken: --deaths 0 finds assert
 * Mended: --deaths 0 */
#include "specimen.h"

struct state {
    int length;
};
static atomic_int ghost = 1, length; /* broken */
static _Atomic(const struct state *) object;
static struct state loaded[2];
static atomic_int loaders;

static int use_broken(void)
{
    if (atomic_exchange(&ghost, 0)) /* no ghost any more: stops recursion, and lies */
        atomic_store(&length, 3);   /* the loader */
    return atomic_load(&length);
}

static const struct state *load(void)
{
    struct state *mine = &loaded[atomic_fetch_add_explicit(&loaders, 1, memory_order_relaxed)];
    const struct state *none = NULL;
    mine->length = 3;
    if (atomic_compare_exchange_strong_explicit(&object, &none, mine, memory_order_acq_rel,
                                                memory_order_acquire))
        return mine;
    return none;
}

static int use_mended(void)
{
    const struct state *s = atomic_load_explicit(&object, memory_order_acquire);
    return (s != NULL ? s : load())->length;
}

static void *use(void *arg)
{
    assert((BROKEN ? use_broken() : use_mended()) == 3);
    return arg;
}

int main(void)
{
    run_threads(2, use);
    return 0;
}
