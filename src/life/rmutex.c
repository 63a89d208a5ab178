/* rmutex.c - a mutex whose word names its holder by presence slot and generation.
 *
 * Word: {WAITERS:1, INCONSISTENT:1, holder name:30} (life/presence.h).
 *   FREE   holder 0, not INCONSISTENT         anybody may take it
 *   HELD   holder alive                       INCONSISTENT: it came by EOWNERDEAD and has not
 *   repaired
 *   DEAD   holder's token is gone             anybody may take it, with EOWNERDEAD
 *   LOST   holder 0, INCONSISTENT             for ever: ENOTRECOVERABLE
 * WAITERS sticks: it is set by a thread before it sleeps and cleared only by an unlocker whose wake
 * found nobody.  That unlocker may be slow, and clear the bit of later sleepers: so a thread that
 * slept takes the mutex with WAITERS.
 * Legal: WAITERS with no sleeper (a wasted wake); a sleeper without WAITERS while a thread that
 * slept is awake and has not taken the mutex.  Illegal: a sleeper without either (it sleeps for
 * ever).
 *
 * A sleeper watches two words, the mutex and the token of the holder that it saw.  An unlock wakes
 * two: one takes the mutex, the other watches the taker, so somebody always watches the present
 * holder. If those two are killed before they run, the backstop timer of the others ends the wait.
 *
 * Source: U. Drepper, "Futexes Are Tricky", mutex 3; where we differ: a name instead of 1, the
 * sticky bit, two watched words. */
#include "life/rmutex.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/laps.h"

#define WAITERS 0x80000000u
#define INCONSISTENT 0x40000000u
#define HOLDER LKI_HOLDER_ANY

/* A section under such a lock is some 100 ns, a sleep and a wake some 10 us: spin a few us
 * first. */
enum { SPINS = LKI_LAPS(200), TRIES = 100 };
enum { BACKSTOP_FIRST_MS = 10, BACKSTOP_LAST_MS = 40, LATE_NS = 1000000 };

static bool take(uint32_t *word, uint32_t seen, uint32_t wanted)
{
    /* [rmutex.1] acq_rel, pairs with [rmutex.2] [rmutex.3] [rmutex.7] and, through [presence.1],
     * with a dead holder's end: what the last holder wrote is visible; and who sees this name sees
     * its token alive, however late the thread attached.  FREE -> HELD, DEAD -> HELD. */
    return lk_cas_acqrel_u32(word, &seen, wanted);
}

static uint32_t look(const uint32_t *word)
{
    /* [rmutex.3] acquire, pairs with [rmutex.1] [rmutex.8]: whoever's name it is, the token that is
     * looked at next is not older than it. */
    return lk_load_acq_u32(word);
}

/* Take the mutex if it is free or its holder is dead.  EBUSY: a live holder has it.  `bits`:
 * WAITERS from a thread that slept, since it may have been woken in place of others that still
 * sleep. */
static int try_once(uint32_t *word, struct lki_self *self, uint32_t seen, uint32_t bits)
{
    uint32_t holder = seen & HOLDER;
    if (holder == 0) {
        if (seen & INCONSISTENT)
            return ENOTRECOVERABLE;
        return take(word, seen, seen | bits | self->holder) ? 0 : EBUSY;
    }
    if (holder == self->holder)
        return EDEADLK;
    if (lki_holder_alive(self->presence, holder))
        return EBUSY;
    lki_holder_mourn(self->presence, holder);
    uint32_t wanted = (seen & WAITERS) | bits | INCONSISTENT | self->holder;
    return take(word, seen, wanted) ? EOWNERDEAD : EBUSY;
}

int lki_rmutex_trylock(uint32_t *word, struct lki_self *self)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t seen = look(word);
        int rc = try_once(word, self, seen, 0);
        if (rc != EBUSY || look(word) == seen)
            return rc;
    }
    return EBUSY; /* taken again and again by others */
}

static int spin(uint32_t *word, struct lki_self *self)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t seen = look(word);
        if ((seen & HOLDER) == 0 && try_once(word, self, seen, 0) == 0)
            return 0;
        lk_relax();
    }
    return EBUSY;
}

/* Sleep until the word or the holder's life changes, or until *until. */
static int sleep_on(uint32_t *word, struct lki_self *self, uint32_t seen,
                    const struct timespec *until)
{
    const uint32_t *token;
    uint32_t token_value;
    /* [rmutex.4] relaxed: the bit must be in the word before the kernel compares it, and the
     * kernel's own lock orders that. */
    if ((seen & WAITERS) == 0 && !lk_cas_rlx_u32(word, &seen, seen | WAITERS))
        return EAGAIN;
    if (!lki_holder_watch(self->presence, seen & HOLDER, &token, &token_value))
        return EAGAIN;
    int rc = lki_futex_wait(word, seen | WAITERS, token, token_value, until);
    lki_holder_watched(self->presence, seen & HOLDER);
    return rc;
}

int lki_rmutex_lock(uint32_t *word, struct lki_self *self, const struct timespec *deadline,
                    struct lki_wait *wait)
{
    if (deadline != NULL && !lki_timespec_valid(deadline))
        return EINVAL;
    uint64_t backstop_ms = BACKSTOP_FIRST_MS;
    bool due = false;   /* the last sleep ended by the backstop */
    uint32_t slept = 0; /* WAITERS once this thread has slept */
    if (look(word) == 0 && lki_rmutex_take_free(word, self))
        return 0;
    if (spin(word, self) == 0)
        return 0;
    for (;;) {
        uint32_t seen = look(word);
        int rc = try_once(word, self, seen, slept);
        if (rc != EBUSY) {
            wait->backstops += due && (rc == 0 || rc == EOWNERDEAD);
            return rc;
        }
        uint64_t now_ns = lki_mono_ns();
        struct timespec until = lki_timespec(now_ns);
        if (deadline != NULL && !lki_timespec_before(&until, deadline))
            return ETIMEDOUT;
        until = lki_timespec(now_ns + backstop_ms * 1000000u);
        bool last = deadline != NULL && lki_timespec_before(deadline, &until);
        rc = sleep_on(word, self, seen, last ? deadline : &until);
        wait->sleeps += rc == 0 || rc == ETIMEDOUT;
        slept = WAITERS;
        /* Scheduled late itself, this thread cannot tell a wake that is missing from one on its
         * way. */
        due = rc == ETIMEDOUT && lki_mono_ns() - now_ns < backstop_ms * 1000000u + LATE_NS;
        if (due && backstop_ms < BACKSTOP_LAST_MS)
            backstop_ms *= 2;
    }
}

int lki_rmutex_consistent(uint32_t *word, struct lki_self *self)
{
    uint32_t seen = look(word);
    while ((seen & HOLDER) == self->holder && (seen & INCONSISTENT)) {
        /* [rmutex.5] relaxed: only the holder clears the bit and only its unlock publishes. */
        if (lk_cas_rlx_u32(word, &seen, seen & ~INCONSISTENT))
            return 0;
    }
    return EINVAL;
}

int lki_rmutex_reclaim(uint32_t *word, struct lki_self *self)
{
    uint32_t seen = look(word);
    if ((seen & HOLDER) != 0 || (seen & INCONSISTENT) == 0)
        return EBUSY;
    return take(word, seen, seen | self->holder) ? EOWNERDEAD : EBUSY;
}

uint32_t lki_rmutex_holder(const uint32_t *word)
{
    return look(word) & HOLDER;
}

bool lki_rmutex_held(const uint32_t *word, const struct lki_self *self)
{
    return (look(word) & HOLDER) == self->holder;
}

int lki_rmutex_unlock(uint32_t *word, struct lki_self *self)
{
    if (!lki_rmutex_held(word, self))
        return EPERM;
    /* [rmutex.2] release, pairs with [rmutex.1] [rmutex.7] [rmutex.8] [rrwlock.6]: the next holder
     * sees this one's writes. HELD -> FREE, or HELD INCONSISTENT -> LOST. */
    uint32_t old = lk_and_rel_u32(word, WAITERS | INCONSISTENT);
    if ((old & WAITERS) == 0)
        return 0;
    int wake = old & INCONSISTENT ? 0x7fffffff : 2;
    if (lki_futex_wake(word, wake) == 0) {
        uint32_t expected = old & (WAITERS | INCONSISTENT);
        /* [rmutex.6] relaxed: nobody sleeps, so nobody is owed a wake; who comes sets it again. */
        (void)lk_cas_rlx_u32(word, &expected, expected & ~WAITERS);
    }
    return 0;
}

enum lki_rmutex_state lki_rmutex_look(const uint32_t *word, const struct lki_presence *p)
{
    /* [rmutex.7] acquire, pairs with [rmutex.1] [rmutex.2] [rmutex.8]: what is read next is not
     * older than this state. */
    uint32_t seen = lk_load_acq_u32(word);
    uint32_t holder = seen & HOLDER;
    if (holder == 0)
        return seen & INCONSISTENT ? LKI_RMUTEX_LOST : LKI_RMUTEX_FREE;
    return lki_holder_alive(p, holder) ? LKI_RMUTEX_HELD : LKI_RMUTEX_DEAD;
}

bool lki_rmutex_left_by_slot(const uint32_t *word, const struct lki_self *self)
{
    uint32_t holder = look(word) & HOLDER;
    return (holder & LKI_HOLDER_SLOT) == self->slot + 1 && holder != self->holder;
}
