/* seqlock.c - the paths of latchkey/seqlock.h that wait, and its writers.
 *
 * Word: {writes:61, SHARED:1, CROWDED:1, HELD:1}.  CROWDED as in mutex.c: the value that a thread
 * sleeps on says that a wake is owed; who slept locks with it.  A reader that has to wait locks the
 * seqlock as a writer does, and lets go without counting a write. */
#include "latchkey/seqlock.h"

#include "base/atomic.h"
#include "base/futex.h"
#include "base/spin.h"

#define HELD LK_SEQLOCK_HELD_
#define CROWDED LK_SEQLOCK_CROWDED_
#define SHARED LK_SEQLOCK_SHARED_

#ifndef LK_MODEL_COPIES /* models say less */
#define LK_MODEL_COPIES 32
#endif
/* Copies that a reader tries before it locks the writers out. */
enum { COPIES = LK_MODEL_COPIES };

static const struct lki_deadline never = {NULL, CLOCK_MONOTONIC};

static uint64_t look(const lk_seqlock *l)
{
    /* [seqlock.7] relaxed: a guess; the compare-and-swap decides. */
    return lk_load_rlx_u64(&l->word_);
}

static bool take(lk_seqlock *l, uint64_t seen, bool slept)
{
    if (seen & HELD)
        return false;
    /* [seqlock.8] acquire, pairs with [seqlock.5]: what the last writer wrote. */
    return lk_cas_acq_u64(&l->word_, &seen, seen | HELD | (slept ? CROWDED : 0));
}

static int give_up(lk_seqlock *l)
{
    for (;;) {
        uint64_t seen = look(l);
        if (take(l, seen, true))
            return 0;
        /* [seqlock.9] relaxed: as [mutex.7], a promise of the holder's to wake. */
        if ((seen & HELD) && lk_cas_rlx_u64(&l->word_, &seen, seen | CROWDED))
            return ETIMEDOUT;
    }
}

static int lock(lk_seqlock *l, const struct lki_deadline *until)
{
    struct lki_spin spin;
    bool slept = false;
    if (take(l, look(l), false))
        return 0;
    (void)lki_spin_aloof(&spin);
    for (;;) {
        uint64_t seen = look(l);
        if (take(l, seen, slept))
            return 0;
        if ((seen & HELD) == 0 || (!slept && lki_spin_near(&spin)))
            continue;
        if (until->at != NULL && lki_deadline_passed(until))
            return slept ? give_up(l) : ETIMEDOUT;
        /* [seqlock.10] relaxed: the bit must be in the word before the kernel compares it, and the
         * kernel's own lock orders that. */
        if ((seen & CROWDED) == 0 && !lk_cas_rlx_u64(&l->word_, &seen, seen | CROWDED))
            continue;
        slept = true;
        if (lki_futex_sleep(lk_low_half(&l->word_), (uint32_t)(seen | CROWDED),
                            (seen & SHARED) != 0, until) == ETIMEDOUT)
            return give_up(l);
    }
}

static void unlock(lk_seqlock *l, uint64_t writes)
{
    uint64_t seen = look(l), after;
    do {
        after = (seen & ~(HELD | CROWDED)) + writes;
        /* [seqlock.5] release, pairs with [seqlock.1] [seqlock.8] [seqlock.12]: what this writer
         * wrote. */
    } while (!lk_cas_rel_u64(&l->word_, &seen, after));
    if (seen & CROWDED)
        (void)lki_futex_rouse(lk_low_half(&l->word_), 1, (seen & SHARED) != 0);
}

/* HELD is in the word: what is written next is not visible before it. */
static void enter(void)
{
    /* [seqlock.4] release, pairs with [seqlock.2]: the fence that a release store in its place
     * cannot replace, since that orders only what comes before it. */
    lk_fence_rel();
}

void lk_seqlock_lock(lk_seqlock *l)
{
    (void)lock(l, &never);
    enter();
}

int lk_seqlock_lock_until(lk_seqlock *l, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    int rc = lki_deadline_check(&until);
    if (rc == 0)
        rc = lock(l, &until);
    if (rc == 0)
        enter();
    return rc;
}

int lk_seqlock_trylock(lk_seqlock *l)
{
    uint64_t seen;
    do {
        seen = look(l);
        if (take(l, seen, false)) {
            enter();
            return 0;
        }
    } while ((seen & HELD) == 0);
    return EBUSY;
}

void lk_seqlock_unlock(lk_seqlock *l)
{
    unlock(l, LK_SEQLOCK_ONE_);
}

void lk_seqlock_store(lk_seqlock *l, void *guarded, const void *from, size_t size)
{
    lk_seqlock_lock(l);
    lk_seqlock_put(guarded, from, size);
    lk_seqlock_unlock(l);
}

uint64_t lk_seqlock_begin_slowly_(lk_seqlock *l)
{
    struct lki_spin spin;
    uint64_t seen;
    (void)lki_spin_aloof(&spin);
    do {
        /* [seqlock.12] acquire, pairs with [seqlock.5]: as [seqlock.1]. */
        seen = lk_load_acq_u64(&l->word_);
        if ((seen & HELD) == 0)
            return seen;
    } while (lki_spin_near(&spin));
    (void)lock(l, &never);
    seen = look(l) & ~(HELD | CROWDED);
    unlock(l, 0);
    return seen;
}

/* One copy failed: a few more, then one with the writers locked out. */
void lk_seqlock_load_slowly_(lk_seqlock *l, void *to, const void *guarded, size_t size)
{
    for (int i = 0; i < COPIES; i++) {
        uint64_t seq = lk_seqlock_begin(l);
        lk_seqlock_get(to, guarded, size);
        if (!lk_seqlock_retry(l, seq))
            return;
    }
    (void)lock(l, &never);
    lk_seqlock_get(to, guarded, size);
    unlock(l, 0);
}

void lk_seqlock_init(lk_seqlock *l, unsigned flags)
{
    l->word_ = flags & LK_SHARED ? SHARED : 0;
}
