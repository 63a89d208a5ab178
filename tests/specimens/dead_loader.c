/* FAILURES.md 5, dead_loader: the thread that loads ends (here its process is killed); the object stays
 * marked as loading.  In the mended form the claim names a slot whose token the kernel marks, those
 * that wait sleep on the claim and on that token, and a dead loader's claim is taken over.
 * Shipped: src/cache/lease.c, tests/model/lease_model.c
 * Broken: --deaths 1 finds hang
 * Mended: --deaths 1 */
#include "specimen.h"

enum { THREADS = 2, GHOST = 0, LOADED = 99 }; /* else the loader's slot + 1 */
static uint32_t claim;
static uint32_t token[THREADS]; /* robust words: the thread's number + 1, perhaps FUTEX_WAITERS */
static int value;

static bool alive(uint32_t loader)
{
    return BROKEN || (__atomic_load_n(&token[loader - 1], __ATOMIC_ACQUIRE) & FUTEX_TID_MASK) != 0;
}

/* Sleep until the claim changes or its thread is gone. */
static void wait_for(uint32_t loader)
{
    uint32_t *word = &token[loader - 1];
    uint32_t seen = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (BROKEN)
        (void)lk_check_futex_wait(&claim, loader, NULL, 0, false);
    else if ((seen & FUTEX_TID_MASK) != 0 &&
             __atomic_compare_exchange_n(word, &seen, seen | FUTEX_WAITERS, 0, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
        (void)lk_check_futex_wait(&claim, loader, word, seen | FUTEX_WAITERS, false);
}

static bool become_loader(uint32_t seen, uint32_t slot)
{
    return (seen == GHOST || !alive(seen)) &&
           __atomic_compare_exchange_n(&claim, &seen, slot + 1, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static void *use(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg, seen;
    token[slot] = lk_check_thread() + 1;
    lk_check_robust_add(&token[slot]);
    lk_check_mortal(true);
    while ((seen = __atomic_load_n(&claim, __ATOMIC_ACQUIRE)) != LOADED) {
        if (become_loader(seen, slot)) {
            value = 3;
            __atomic_store_n(&claim, LOADED, __ATOMIC_RELEASE);
            lk_check_futex_wake(&claim, THREADS);
        } else if (seen != GHOST) {
            wait_for(seen);
        }
    }
    assert(value == 3);
    lk_check_mortal(false);
    return arg;
}

int main(void)
{
    run_threads(THREADS, use);
    return 0;
}
