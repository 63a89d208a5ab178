/* FAILURES.md 3, dead_seqlock_reader_spin: a reader waits until the count is even; the writer that made
 * it odd is dead.  Mended: nobody waits for a writer.  The data are written where no reader looks and
 * published by one store; a read that a later write spoils fails its check and looks anew.
 * Shipped: src/cache/entry.h, tests/model/cache_death_model.c
 * Broken: --deaths 1 finds hang
 * Mended: --deaths 1 */
#include "specimen.h"

static atomic_int seq; /* broken: odd while the data are written; mended: which copy is good */
static atomic_int copy_[2][2]; /* mended: two copies, the good one is never written */

static void *writer(void *arg)
{
    lk_check_mortal(true);
    int s = atomic_load_explicit(&seq, memory_order_relaxed);
    int to = BROKEN ? 0 : (s + 1) % 2;
    if (BROKEN) {
        atomic_store_explicit(&seq, s + 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
    }
    atomic_store_explicit(&copy_[to][0], 1, memory_order_relaxed);
    atomic_store_explicit(&copy_[to][1], 1, memory_order_relaxed);
    atomic_store_explicit(&seq, s + (BROKEN ? 2 : 1), memory_order_release);
    return arg;
}

static void *reader(void *arg)
{
    for (;;) {
        int s = atomic_load_explicit(&seq, memory_order_acquire);
        if (BROKEN && s % 2 != 0)
            continue;
        int from = BROKEN ? 0 : s % 2;
        int a = atomic_load_explicit(&copy_[from][0], memory_order_relaxed);
        int b = atomic_load_explicit(&copy_[from][1], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&seq, memory_order_relaxed) != s)
            continue;
        assert(a == b);
        return arg;
    }
}

int main(void)
{
    run_two(writer, reader);
    return 0;
}
