/* FAILURES.md 1, pid_lies: a corrupt word reaches kill() as a pid, and kill(-1, 0) asks about every
 * process there is.  Mended: nobody is asked; the word names a slot, whose token the kernel marks, and
 * a name of no slot is dead.
 * Shipped: src/life/presence.c (lki_holder_alive)
 * Broken: --deaths 0 finds misuse
 * Mended: --deaths 1 */
#include "specimen.h"

enum { SLOTS = 1 };
static uint32_t token[SLOTS];
static atomic_int word = -1; /* what a scribbler left */

static bool owner_gone(int seen)
{
    if (BROKEN)
        return kill(seen, 0) != 0 && errno == ESRCH;
    if (seen < 1 || seen > SLOTS)
        return true;
    return (__atomic_load_n(&token[seen - 1], __ATOMIC_ACQUIRE) & FUTEX_TID_MASK) == 0;
}

static void *process(void *arg)
{
    int seen = atomic_load_explicit(&word, memory_order_acquire);
    token[0] = lk_check_thread() + 1;
    lk_check_robust_add(&token[0]);
    lk_check_mortal(true);
    while (seen != 0 && !owner_gone(seen))
        seen = atomic_load_explicit(&word, memory_order_acquire);
    atomic_store_explicit(&word, 1, memory_order_release);
    atomic_store_explicit(&word, 0, memory_order_release);
    return arg;
}

int main(void)
{
    run_threads(1, process);
    int left = atomic_load(&word);
    assert(left == 0 || owner_gone(left));
    return 0;
}
