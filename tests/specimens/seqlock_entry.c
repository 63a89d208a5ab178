/* FAILURES.md 2, seqlock_entry: the odd count is a release store, which orders what comes before it and
 * not the data behind it.  Mended: a release fence after the odd count; it pairs with the reader's
 * acquire fence, so who saw any new data sees the odd count too.
 * Shipped: src/lock/seqlock.c, tests/mutants/lock.seqlock_4_no_fence.patch; src/cache/entry.c,
 * tests/mutants/cache.entry_5_no_fence.patch
 * Broken: --deaths 0 finds assert
 * Mended: --deaths 0 */
#include "specimen.h"

static atomic_uint seq;
static atomic_int word[2];

static void *writer(void *arg)
{
    unsigned s = atomic_load_explicit(&seq, memory_order_relaxed);
    if (BROKEN) {
        atomic_store_explicit(&seq, s + 1, memory_order_release);
    } else {
        atomic_store_explicit(&seq, s + 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
    }
    atomic_store_explicit(&word[0], 1, memory_order_relaxed);
    atomic_store_explicit(&word[1], 1, memory_order_relaxed);
    atomic_store_explicit(&seq, s + 2, memory_order_release);
    return arg;
}

static void *reader(void *arg)
{
    unsigned s = atomic_load_explicit(&seq, memory_order_acquire);
    int a = atomic_load_explicit(&word[0], memory_order_relaxed);
    int b = atomic_load_explicit(&word[1], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (s % 2 == 0 && atomic_load_explicit(&seq, memory_order_relaxed) == s)
        assert(a == b);
    return arg;
}

int main(void)
{
    run_two(writer, reader);
    return 0;
}
