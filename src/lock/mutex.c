/* mutex.c - the paths of latchkey/mutex.h that wait.
 *
 * Word: {SHARED:1, 0:28, HUNGRY:1, CROWDED:1, HELD:1}; SHARED never changes.
 *   0                  free
 *   HELD               locked, and nobody relies on a wake
 *   HELD CROWDED       locked; the unlocker must wake one
 *   HELD CROWDED HUNGRY  as before, and free but for those who have slept once it is unlocked:
 *   CROWDED HUNGRY     reserved: free for a thread that has slept; one has been woken for it
 * A thread sleeps only on a value with CROWDED, which says that a wake is owed.  An unlock pays one
 * wake and clears CROWDED, so a thread that slept, and may have been woken in place of others that
 * still sleep, locks with CROWDED, or sets it if it gives up.
 * Legal: CROWDED with no sleeper (a wasted wake).  Illegal: HELD without CROWDED while others sleep
 * and none that slept is awake (they sleep for ever); reserved while nobody was woken for it.
 *
 * Source: U. Drepper, "Futexes Are Tricky", mutex 3; where we differ: the hand-off. */
#include "latchkey/mutex.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/futex.h"
#include "lock/mutex.h"

#define HELD LK_MUTEX_HELD_
#define CROWDED 2u
#define HUNGRY 4u
#define SHARED LK_MUTEX_SHARED_

/* Sleeping and waking cost some 10 us; the sections that such a lock is made for far less. */
enum { SPINS = LK_SPINS(100) };

static uint32_t look(const uint32_t *word)
{
    /* [mutex.6] relaxed: a guess; the compare-and-swap decides. */
    return lk_load_rlx_u32(word);
}

/* One try, if the word says that it may be taken by a thread that has (not) slept. */
static bool take(uint32_t *word, uint32_t seen, bool slept)
{
    if ((seen & HELD) || (!slept && (seen & HUNGRY)))
        return false;
    uint32_t wanted = (seen & (SHARED | CROWDED)) | HELD | (slept ? CROWDED : 0);
    /* [mutex.4] acquire, pairs with [mutex.2] [mutex.5]: what the last holder wrote. */
    return lk_cas_acq_u32(word, &seen, wanted);
}

int lk_mutex_trylock_slowly_(lk_mutex *m)
{
    uint32_t seen;
    do {
        seen = look(&m->word_);
        if (take(&m->word_, seen, false))
            return 0;
    } while ((seen & (HELD | HUNGRY)) == 0); /* it changed under our hands */
    return EBUSY;
}

static bool spin(uint32_t *word)
{
    for (int i = 0; i < SPINS; i++) {
        if (take(word, look(word), false))
            return true;
        lk_relax();
    }
    return false;
}

/* The deadline has passed.  A wake that we had may have been owed to others: it goes on. */
static int give_up(uint32_t *word)
{
    for (;;) {
        uint32_t seen = look(word);
        if (take(word, seen, true))
            return 0;
        /* [mutex.7] relaxed: a promise of the holder's to wake; its unlock reads the word. */
        if ((seen & HELD) && ((seen & CROWDED) || lk_cas_rlx_u32(word, &seen, seen | CROWDED)))
            return ETIMEDOUT;
    }
}

int lki_mutex_lock(uint32_t *word, const struct lki_deadline *until)
{
    bool slept = false;
    unsigned in_vain = 0;
    if (spin(word))
        return 0;
    for (;;) {
        uint32_t seen = look(word);
        if (take(word, seen, slept))
            return 0;
        if (!slept && (seen & (HELD | HUNGRY)) == 0)
            continue;
        uint32_t wanted = seen | CROWDED | (in_vain >= LK_MUTEX_PATIENCE ? HUNGRY : 0);
        if (slept && (seen & HELD) == 0)
            continue;
        if (until->at != NULL && lki_deadline_passed(until))
            return slept ? give_up(word) : ETIMEDOUT;
        /* [mutex.8] relaxed: the bit must be in the word before the kernel compares it, and the
         * kernel's own lock orders that. */
        if (seen != wanted && !lk_cas_rlx_u32(word, &seen, wanted))
            continue;
        int rc = lki_futex_sleep(word, wanted, (wanted & SHARED) != 0, until);
        in_vain += rc == 0;
        slept = true;
        if (rc == ETIMEDOUT)
            return give_up(word);
    }
}

/* A reserved mutex, and nobody sleeps: whoever it was reserved for has given up, or is awake. */
static void unreserve(uint32_t *word, uint32_t reserved)
{
    /* [mutex.9] relaxed: nothing was written since [mutex.5]; whoever takes it reads that through
     * this one (a release sequence). */
    if (lk_cas_rlx_u32(word, &reserved, reserved & SHARED))
        (void)lki_futex_rouse(word, 1, (reserved & SHARED) != 0);
}

void lk_mutex_unlock_slowly_(lk_mutex *m)
{
    uint32_t seen = look(&m->word_), wanted;
    do {
        wanted = seen & HUNGRY ? seen & ~HELD : seen & SHARED;
        /* [mutex.5] release, pairs with [mutex.1] [mutex.3] [mutex.4]: as [mutex.2]. */
    } while (!lk_cas_rel_u32(&m->word_, &seen, wanted));
    if ((seen & CROWDED) == 0)
        return;
    if (lki_futex_rouse(&m->word_, 1, (seen & SHARED) != 0) == 0 && (wanted & HUNGRY))
        unreserve(&m->word_, wanted);
}

void lk_mutex_lock_slowly_(lk_mutex *m)
{
    (void)lki_mutex_lock(&m->word_, &(struct lki_deadline){NULL, CLOCK_MONOTONIC});
}

int lk_mutex_lock_clock(lk_mutex *m, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    if (lk_mutex_trylock(m) == 0)
        return 0;
    int rc = lki_deadline_check(&until);
    return rc != 0 ? rc : lki_mutex_lock(&m->word_, &until);
}

int lk_mutex_lock_until(lk_mutex *m, const struct timespec *deadline)
{
    return lk_mutex_lock_clock(m, CLOCK_MONOTONIC, deadline);
}

void lk_mutex_init(lk_mutex *m, unsigned flags)
{
    m->word_ = flags & LK_SHARED ? SHARED : 0;
}
