/* latchkey/mutex.h - a mutual exclusion lock of four bytes.
 *
 * All zero bytes are an unlocked one, for the threads of one process; LK_MUTEX_SHARED_INIT or
 * lk_mutex_init(m, LK_SHARED) makes one for every process that maps it.  It does not know its
 * holder: locking it twice waits for ever, and if its holder is killed it stays locked
 * (latchkey/rmutex.h is the form that hears of deaths).
 *
 * Fairness: barging with bounded hand-off.  Who comes while the mutex is free takes it before those
 * that sleep; a sleeper that was woken four times in vain has it handed over: until it
 * or another sleeper has it, nobody who has not slept can take it.  Sleepers are woken in the
 * kernel's order, which is first come, first served.
 * Cost: one locked instruction to lock, one to unlock, both inline; no memory, no system call
 * unless somebody sleeps.  Waiting spins for a few microseconds at most, then sleeps.
 *
 * fork: a lock that another thread held is held for ever in the child; lock before fork() and
 * unlock on both sides (pthread_atfork), or initialise anew in the child.  A shared one is not
 * copied: whichever process holds it goes on holding it.
 * Signals: lk_mutex_trylock() and lk_mutex_unlock() may be called from a handler; lk_mutex_lock()
 * in a handler that interrupted the holder would wait for ever.
 * Memory: when lk_mutex_unlock() has let go it may still make one wake call with the mutex's
 * address, and reads or writes nothing there: the memory may be freed or used otherwise by whoever
 * locked last.
 *
 * Source: U. Drepper, "Futexes Are Tricky", mutex 3; POSIX.1-2017 pthread_mutex_lock. */
#ifndef LATCHKEY_MUTEX_H
#define LATCHKEY_MUTEX_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_mutex {
    uint32_t word_;
} lk_mutex;

#define LK_MUTEX_HELD_ 1u
#define LK_MUTEX_SHARED_ 0x80000000u

#define LK_MUTEX_INIT                                                                              \
    {                                                                                              \
        0                                                                                          \
    }
#define LK_MUTEX_SHARED_INIT                                                                       \
    {                                                                                              \
        LK_MUTEX_SHARED_                                                                           \
    }

/* The parts that are not inline; programs call the functions below. */
LK_API void lk_mutex_lock_slowly_(lk_mutex *m, uint32_t seen);
LK_API int lk_mutex_trylock_slowly_(lk_mutex *m, uint32_t seen);
LK_API void lk_mutex_unlock_slowly_(lk_mutex *m, uint32_t seen);

/* Make *m an unlocked mutex.  flags: 0 or LK_SHARED.  Nobody may use *m meanwhile. */
LK_API void lk_mutex_init(lk_mutex *m, unsigned flags);

/* Lock *m, sleeping until it is free.
 * Safe from   any thread; any process if it is shared; not from signal handlers. */
static inline void lk_mutex_lock(lk_mutex *m)
{
    uint32_t seen = 0;
    /* [mutex.1] acquire, pairs with [mutex.2] [mutex.5]: what the last holder wrote.  0 -> HELD. */
    if (!LK_LIKELY(lk_word_cas_acq_u32(&m->word_, &seen, LK_MUTEX_HELD_)))
        lk_mutex_lock_slowly_(m, seen);
}

/* Lock *m if that needs no waiting.  Returns 0 (locked) or EBUSY.
 * Safe from   any thread; signal handlers. */
static inline LK_MUST_USE int lk_mutex_trylock(lk_mutex *m)
{
    uint32_t seen = 0;
    /* [mutex.3] acquire, pairs with [mutex.2] [mutex.5]: as [mutex.1]. */
    if (LK_LIKELY(lk_word_cas_acq_u32(&m->word_, &seen, LK_MUTEX_HELD_)))
        return 0;
    return lk_mutex_trylock_slowly_(m, seen);
}

/* Lock *m, giving up when `deadline` passes (absolute CLOCK_MONOTONIC; NULL = never).
 * Returns 0 (locked), ETIMEDOUT, or EINVAL (no time); a free mutex is locked whatever the deadline.
 */
LK_API LK_MUST_USE int lk_mutex_lock_until(lk_mutex *m, const struct timespec *deadline);

/* The same by the clock `clock`: CLOCK_MONOTONIC or CLOCK_REALTIME, else EINVAL. */
LK_API LK_MUST_USE int lk_mutex_lock_clock(lk_mutex *m, int clock, const struct timespec *deadline);

/* Unlock *m.  Only the thread that locked it may do so (not checked).
 * Safe from   that thread; its signal handlers if they locked it by trylock. */
static inline void lk_mutex_unlock(lk_mutex *m)
{
    uint32_t seen = LK_MUTEX_HELD_;
    /* [mutex.2] release, pairs with [mutex.1] [mutex.3] [mutex.4]: the next holder sees what this
     * one wrote.  HELD -> 0. */
    if (!LK_LIKELY(lk_word_cas_rel_u32(&m->word_, &seen, 0)))
        lk_mutex_unlock_slowly_(m, seen);
}

#ifdef __cplusplus
}
#endif
#endif
