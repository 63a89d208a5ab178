/* mutex.c - the paths of latchkey/mutex.h that wait.
 *
 * Word: {SHARED:1, 0:27, AWAKE:1, HUNGRY:1, CROWDED:1, HELD:1}; SHARED never changes.
 *   0                   free
 *   AWAKE               free; a waiting thread looks at it, and those that come later leave it to
 *                       that one
 *   HELD                locked, and nobody relies on a wake
 *   HELD CROWDED        locked; the unlocker must wake one
 *   HELD CROWDED HUNGRY as before; will be reserved when it is unlocked
 *   CROWDED HUNGRY      reserved: free for a thread that has slept; one has been woken for it
 * A thread sleeps only on a value with CROWDED, which says that a wake is owed.  An unlock pays one
 * wake and clears CROWDED, so a thread that slept, and may have been woken in place of others that
 * still sleep, locks with CROWDED, or sets it if it gives up.  AWAKE is cleared by whoever locks or
 * goes to sleep or gives up; others that are awake set it again.
 * Legal: CROWDED with no sleeper (a wasted wake).  Illegal: HELD without CROWDED while others sleep
 * and none that slept is awake (they sleep for ever); reserved while nobody was woken for it.
 *
 * Source: U. Drepper, "Futexes Are Tricky", mutex 3; where we differ: the hand-off. */
#include "latchkey/mutex.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/spin.h"
#include "lock/mutex.h"

#define HELD LK_MUTEX_HELD_
#define CROWDED 2u
#define HUNGRY 4u
#define AWAKE 8u
#define SHARED LK_MUTEX_SHARED_

/* How a thread stands: come just now, waiting awake, or has slept. */
enum standing { NEW, WAITING, SLEPT };

static uint32_t look(const uint32_t *word)
{
    /* [mutex.6] relaxed: a guess; the compare-and-swap decides. */
    return lk_load_rlx_u32(word);
}

static bool may_take(uint32_t seen, enum standing me)
{
    uint32_t against = HELD;
    if (me == NEW)
        against |= AWAKE;
    if (me != SLEPT)
        against |= HUNGRY;
    return (seen & against) == 0;
}

/* Lock if that may be.  *seen, a value that was there, is changed to one that forbids it. */
static bool take(uint32_t *word, uint32_t *seen, enum standing me)
{
    while (may_take(*seen, me)) {
        uint32_t wanted = (*seen & (SHARED | CROWDED)) | HELD | (me == SLEPT ? CROWDED : 0);
        /* [mutex.4] acquire, pairs with [mutex.2] [mutex.5]: what the last holder wrote. */
        if (lk_cas_acq_u32(word, seen, wanted))
            return true;
    }
    return false;
}

int lk_mutex_trylock_slowly_(lk_mutex *m, uint32_t seen)
{
    return take(&m->word_, &seen, NEW) ? 0 : EBUSY;
}

/* The deadline has passed.  A wake that we had may have been owed to others: it goes on. */
static int give_up(uint32_t *word, enum standing me)
{
    uint32_t seen = look(word);
    for (;;) {
        if (take(word, &seen, me))
            return 0;
        uint32_t left = (seen & ~AWAKE) | (me == SLEPT ? CROWDED : 0);
        /* [mutex.7] relaxed: a promise of the holder's to wake; its unlock reads the word. */
        if (left == seen || lk_cas_rlx_u32(word, &seen, left))
            return ETIMEDOUT;
    }
}

/* Look on for a while.  *seen becomes what is there after it. */
static void look_on(uint32_t *word, uint32_t *seen)
{
    /* [mutex.10] relaxed: later comers leave the mutex to us; guards nothing. */
    if ((*seen & AWAKE) == 0 && !lk_cas_rlx_u32(word, seen, *seen | AWAKE))
        return;
    lki_spin_pause();
    *seen = look(word);
}

int lki_mutex_lock(uint32_t *word, uint32_t seen, const struct lki_deadline *until)
{
    enum standing me = NEW;
    int in_vain = 0;
    struct lki_spin spin;
    if (take(word, &seen, NEW))
        return 0;
    if (lki_spin_aloof(&spin))
        seen = look(word);
    while (!take(word, &seen, me)) {
        if (until->at != NULL && lki_deadline_passed(until))
            return me == NEW ? ETIMEDOUT : give_up(word, me);
        if (me != SLEPT && lki_spin_more(&spin)) {
            me = WAITING;
            look_on(word, &seen);
            continue;
        }
        uint32_t hungry = in_vain >= LKI_PATIENCE ? HUNGRY : 0;
        uint32_t wanted = (seen & ~AWAKE) | CROWDED | hungry;
        /* [mutex.8] relaxed: the bit must be in the word before the kernel compares it, and the
         * kernel's own lock orders that. */
        if (seen != wanted && !lk_cas_rlx_u32(word, &seen, wanted))
            continue;
        int rc = lki_futex_sleep(word, wanted, (wanted & SHARED) != 0, until);
        in_vain += rc == 0 && in_vain < LKI_PATIENCE;
        me = SLEPT;
        if (rc == ETIMEDOUT)
            return give_up(word, me);
        seen = look(word);
    }
    return 0;
}

/* A reserved mutex, and nobody sleeps: whoever it was reserved for has given up, or is awake.  A
 * thread that looks on may set AWAKE meanwhile, and then sleep because it is reserved. */
static void unreserve(uint32_t *word, uint32_t reserved)
{
    while ((reserved & (HELD | HUNGRY)) == HUNGRY) {
        /* [mutex.9] relaxed: nothing was written since [mutex.5]; whoever takes it reads that
         * through this one (a release sequence). */
        if (!lk_cas_rlx_u32(word, &reserved, reserved & (SHARED | AWAKE)))
            continue;
        (void)lki_futex_rouse(word, 1, (reserved & SHARED) != 0);
        return;
    }
}

void lk_mutex_unlock_slowly_(lk_mutex *m, uint32_t seen)
{
    uint32_t wanted;
    do {
        wanted = seen & (seen & HUNGRY ? SHARED | CROWDED | HUNGRY | AWAKE : SHARED | AWAKE);
        /* [mutex.5] release, pairs with [mutex.1] [mutex.3] [mutex.4]: as [mutex.2]. */
    } while (!lk_cas_rel_u32(&m->word_, &seen, wanted));
    if ((seen & CROWDED) == 0)
        return;
    if (lki_futex_rouse(&m->word_, 1, (seen & SHARED) != 0) == 0 && (wanted & HUNGRY))
        unreserve(&m->word_, wanted);
}

void lk_mutex_lock_slowly_(lk_mutex *m, uint32_t seen)
{
    (void)lki_mutex_lock(&m->word_, seen, &(struct lki_deadline){NULL, CLOCK_MONOTONIC});
}

int lk_mutex_lock_clock(lk_mutex *m, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    if (lk_mutex_trylock(m) == 0)
        return 0;
    int rc = lki_deadline_check(&until);
    return rc != 0 ? rc : lki_mutex_lock(&m->word_, look(&m->word_), &until);
}

int lk_mutex_lock_until(lk_mutex *m, const struct timespec *deadline)
{
    return lk_mutex_lock_clock(m, CLOCK_MONOTONIC, deadline);
}

void lk_mutex_init(lk_mutex *m, unsigned flags)
{
    m->word_ = flags & LK_SHARED ? SHARED : 0;
}
