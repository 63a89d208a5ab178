/* latchkey/rmutex.h - a process-shared mutex that says so when its holder dies.
 *
 * It lives in a segment (seg.h).  All zero bytes are an unlocked one.  When a holder ends by any
 * way (SIGKILL, exit, exec, thread exit) the kernel marks its presence, and the next comer,
 * sleeping or new, locks the mutex with EOWNERDEAD: the guarded state may be half changed.  Repair
 * it and call lk_rmutex_consistent(), then unlock; unlocking without that makes the mutex
 * ENOTRECOVERABLE for all.  A repairer may itself be killed at any instruction: the next comer gets
 * EOWNERDEAD again.
 *
 * The word names its holder by presence slot and generation, never by pid: no reused pid and no pid
 * namespace can make a live holder look dead or a dead one alive.
 *
 * Fairness: barging.  A thread that comes while the mutex is free takes it before those that sleep;
 * a woken sleeper tries again.  Cost: one locked instruction to lock, one to unlock.
 * Recursive locking is EDEADLK.  A child of fork holds none of its parent's mutexes.
 *
 * Source: POSIX.1-2017 pthread_mutex_lock, robust mutexes; U. Drepper, "Futexes Are Tricky". */
#ifndef LATCHKEY_RMUTEX_H
#define LATCHKEY_RMUTEX_H

#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_rmutex {
    uint32_t word_;
} lk_rmutex;

/* Lock *m, sleeping until it is free, its holder dies, or `deadline` passes (absolute
 * CLOCK_MONOTONIC; NULL = never).
 * Returns     0           locked
 *             EOWNERDEAD  locked; the last holder died, so the guarded state may be half written:
 *                         repair it, then call lk_rmutex_consistent()
 *             ETIMEDOUT, ENOTRECOVERABLE, EDEADLK (this thread holds it)     not locked
 *             EINVAL      m lies in no segment that this process has attached; bad deadline
 *             LK_ETHREADS, ENOTSUP (no robust list in this thread), EROFS, ENOMEM
 *                         the thread could not be attached to the segment; not locked
 * Held after  0 and EOWNERDEAD only.
 * Safe from   any thread of any process that maps *m; not from signal handlers. */
LK_API LK_MUST_USE int lk_rmutex_lock_until(lk_rmutex *m, const struct timespec *deadline);

/* lk_rmutex_lock_until(m, NULL). */
LK_API LK_MUST_USE int lk_rmutex_lock(lk_rmutex *m);

/* Lock *m if that needs no waiting.  Returns as lk_rmutex_lock_until(), EBUSY instead of
 * ETIMEDOUT. */
LK_API LK_MUST_USE int lk_rmutex_trylock(lk_rmutex *m);

/* Declare the state that *m guards repaired, after EOWNERDEAD.
 * Returns     0, EINVAL (the calling thread does not hold *m, or it is not inconsistent). */
LK_API LK_MUST_USE int lk_rmutex_consistent(lk_rmutex *m);

/* Unlock *m.  If the caller got EOWNERDEAD and never declared it consistent, *m is ENOTRECOVERABLE
 * from now on.
 * Returns     0, EPERM (the calling thread does not hold *m; nothing changed). */
LK_API int lk_rmutex_unlock(lk_rmutex *m);

#ifdef __cplusplus
}
#endif
#endif
