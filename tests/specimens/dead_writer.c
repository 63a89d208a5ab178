/* FAILURES.md 1, dead_writer: the process that holds a spin lock is killed; the others spin for ever.
 * Mended by a robust word: the kernel marks it, the next one takes it over and repairs.
 * Shipped: src/life/rmutex.c, tests/model/rmutex_model.c
 * Broken: --deaths 1 finds hang
 * Mended: --deaths 2 */
#include "specimen.h"

static uint32_t word; /* owner's number + 1, or the kernel's FUTEX_OWNER_DIED */
static atomic_int data[2];

/* True: the last holder died inside. */
static bool lock(void)
{
    uint32_t me = lk_check_thread() + 1;
    for (;;) {
        uint32_t seen = __atomic_load_n(&word, __ATOMIC_RELAXED);
        if ((BROKEN ? seen : seen & FUTEX_TID_MASK) == 0 &&
            __atomic_compare_exchange_n(&word, &seen, me, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return seen != 0;
    }
}

static void *process(void *arg)
{
    lk_check_mortal(true);
    if (!BROKEN)
        lk_check_robust_add(&word);
    bool repair = lock();
    int a = atomic_load_explicit(&data[0], memory_order_relaxed);
    if (repair) /* make both halves equal again */
        atomic_store_explicit(&data[1], a, memory_order_relaxed);
    assert(atomic_load_explicit(&data[1], memory_order_relaxed) == a);
    atomic_store_explicit(&data[0], a + 1, memory_order_relaxed);
    atomic_store_explicit(&data[1], a + 1, memory_order_relaxed);
    __atomic_store_n(&word, 0, __ATOMIC_RELEASE);
    lk_check_robust_remove(&word);
    return arg;
}

int main(void)
{
    run_threads(2, process);
    return 0;
}
