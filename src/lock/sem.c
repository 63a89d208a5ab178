/* sem.c - a counting semaphore.
 *
 * State: {SHARED:1, waiters:31, value:32}.  A waiter counts itself before it sleeps on the value
 * being 0; whoever posts while waiters are counted wakes one.  One word, so that a post sees the
 * waiters and adds to the value in one step and touches nothing behind it.
 * Source: glibc's new semaphore (2015), from its description. */
#include "latchkey/sem.h"

#include "base/atomic.h"
#include "base/futex.h"
#include "base/spin.h"

#define VALUE UINT64_C(0xffffffff)
#define ONE_WAITER (UINT64_C(1) << 32)
#define SHARED LK_SEM_SHARED_

static const struct lki_deadline never = {NULL, CLOCK_MONOTONIC};

static uint64_t look(const lk_sem *s)
{
    /* [sem.1] relaxed: a guess; the compare-and-swap decides. */
    return lk_load_rlx_u64(&s->state_);
}

/* Take one if there is one.  `counted`: ONE_WAITER if this thread counted itself. */
static bool take(lk_sem *s, uint64_t counted)
{
    uint64_t seen = look(s);
    while (seen & VALUE) {
        /* [sem.2] acquire, pairs with [sem.3]: what was written before the post. */
        if (lk_cas_acq_u64(&s->state_, &seen, seen - 1 - counted))
            return true;
    }
    return false;
}

static int give_up(lk_sem *s)
{
    uint64_t seen = look(s);
    for (;;) {
        if (take(s, ONE_WAITER))
            return 0;
        seen = look(s);
        /* [sem.4] relaxed: takes back a count, while there is nothing to take. */
        if ((seen & VALUE) == 0 && lk_cas_rlx_u64(&s->state_, &seen, seen - ONE_WAITER))
            return ETIMEDOUT;
    }
}

static int wait(lk_sem *s, const struct lki_deadline *until)
{
    struct lki_spin spin;
    (void)lki_spin_aloof(&spin);
    while (lki_spin_near(&spin))
        if (take(s, 0))
            return 0;
    if (until->at != NULL && lki_deadline_passed(until))
        return take(s, 0) ? 0 : ETIMEDOUT;
    uint64_t seen = look(s);
    /* [sem.5] relaxed: counts itself before it looks at the value again. */
    while (!lk_cas_rlx_u64(&s->state_, &seen, seen + ONE_WAITER))
        ;
    bool shared = (seen & SHARED) != 0;
    while (!take(s, ONE_WAITER))
        if (lki_futex_sleep(lk_low_half(&s->state_), 0, shared, until) == ETIMEDOUT)
            return give_up(s);
    return 0;
}

int lk_sem_post(lk_sem *s)
{
    uint64_t seen = look(s);
    do {
        if ((seen & VALUE) >= LK_SEM_MAX)
            return EOVERFLOW;
        /* [sem.3] release, pairs with [sem.2]: what was written before the post. */
    } while (!lk_cas_rel_u64(&s->state_, &seen, seen + 1));
    if ((seen & ~SHARED) >= ONE_WAITER)
        (void)lki_futex_rouse(lk_low_half(&s->state_), 1, (seen & SHARED) != 0);
    return 0;
}

int lk_sem_trywait(lk_sem *s)
{
    return take(s, 0) ? 0 : EAGAIN;
}

void lk_sem_wait(lk_sem *s)
{
    (void)wait(s, &never);
}

int lk_sem_wait_clock(lk_sem *s, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    if (take(s, 0))
        return 0;
    int rc = lki_deadline_check(&until);
    return rc != 0 ? rc : wait(s, &until);
}

int lk_sem_wait_until(lk_sem *s, const struct timespec *deadline)
{
    return lk_sem_wait_clock(s, CLOCK_MONOTONIC, deadline);
}

uint32_t lk_sem_value(const lk_sem *s)
{
    return (uint32_t)(look(s) & VALUE);
}

int lk_sem_init(lk_sem *s, uint32_t value, unsigned flags)
{
    if (value > LK_SEM_MAX)
        return EINVAL;
    s->state_ = value | (flags & LK_SHARED ? SHARED : 0);
    return 0;
}
