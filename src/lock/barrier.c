/* barrier.c - a number of threads meet.
 *
 * State: {meetings:32, arrived:32} in one word, so that the last arrival and the end of the meeting
 * are one step, and a thread that gives up knows whether it was counted.  Sleepers of meeting k
 * sleep on the upper half while it is k; it does not become k again before they have left, since
 * they are wanted for the next one (or 2^32 others were). */
#include "latchkey/barrier.h"

#include "base/atomic.h"
#include "base/futex.h"
#include "base/spin.h"

#define MEETING (UINT64_C(1) << 32)

static int give_up(lk_barrier *b, uint64_t meeting)
{
    for (;;) {
        /* [barrier.1] acquire, pairs with [barrier.3]: the others came after all. */
        uint64_t seen = lk_load_acq_u64(&b->state_);
        if (seen / MEETING != meeting)
            return 0;
        /* [barrier.2] relaxed: takes back a count. */
        if (lk_cas_rlx_u64(&b->state_, &seen, seen - 1))
            return ETIMEDOUT;
    }
}

static int wait_for_others(lk_barrier *b, uint64_t meeting, const struct lki_deadline *until)
{
    struct lki_spin spin;
    (void)lki_spin_aloof(&spin); /* and no longer: the others need the processors */
    for (;;) {
        /* [barrier.4] acquire, pairs with [barrier.3]: what the others wrote before they came. */
        if (lk_load_acq_u64(&b->state_) / MEETING != meeting)
            return 0;
        if (lki_futex_sleep(lk_high_half(&b->state_), (uint32_t)meeting, b->shared_ != 0, until) ==
            ETIMEDOUT)
            return give_up(b, meeting);
    }
}

int lk_barrier_wait_until(lk_barrier *b, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    /* [barrier.5] relaxed: a guess; the compare-and-swap decides. */
    uint64_t seen = lk_load_rlx_u64(&b->state_), after;
    if (lki_deadline_check(&until) != 0)
        return EINVAL;
    bool last, shared = b->shared_ != 0;
    do {
        last = (uint32_t)seen + 1 == b->threads_;
        after = last ? (seen / MEETING + 1) * MEETING : seen + 1;
        /* [barrier.3] acq_rel, pairs with [barrier.1] [barrier.4]: what each wrote before it came
         * is visible to the last, and through it to all. */
    } while (!lk_cas_acqrel_u64(&b->state_, &seen, after));
    if (!last)
        return wait_for_others(b, seen / MEETING, &until);
    (void)lki_futex_rouse(lk_high_half(&b->state_), 0x7fffffff, shared);
    return LK_BARRIER_LAST;
}

int lk_barrier_wait(lk_barrier *b)
{
    return lk_barrier_wait_until(b, NULL);
}

int lk_barrier_init(lk_barrier *b, unsigned threads, unsigned flags)
{
    if (threads == 0)
        return EINVAL;
    b->state_ = 0;
    b->threads_ = threads;
    b->shared_ = flags & LK_SHARED;
    return 0;
}
