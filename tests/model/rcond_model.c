/* The robust condition as shipped: no signal is lost, and a waiter hears of a holder of the mutex
 * that died inside.  A wait without a deadline and without the backstop: a waiter that only the
 * timer would wake is a hang.
 * Kills: robust.signal_not_counted_up.
 *
 * Sources: @life src/life/rcond.c src/life/rmutex_public.c
 * Run: -DTHREADS=2
 */
#include "robust_processes.h"

#include "latchkey/robust.h"

static lk_rmutex mutex;
static lk_rcond cond;
static int ready;

static void wait_for_it(void)
{
    assert(lk_rmutex_lock(&mutex) == 0);
    while (!ready)
        assert(lk_rcond_wait(&cond, &mutex) == 0);
    assert(lk_rmutex_unlock(&mutex) == 0);
}

static void make_it(void)
{
    assert(lk_rmutex_lock(&mutex) == 0);
    ready = 1;
    lk_rcond_signal(&cond);
    assert(lk_rmutex_unlock(&mutex) == 0);
}

static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = become(slot);
    lki_mine = &self;
    if (slot == 0)
        make_it();
    else
        wait_for_it();
    return NULL;
}

int main(void)
{
    run_all(process);
    return 0;
}
