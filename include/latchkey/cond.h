/* latchkey/cond.h - waiting under a lock for a condition that another thread makes true.
 *
 * Eight bytes; all zero bytes are one that nobody waits on, for the threads of one process.  Works
 * with every lock of this library, and with any other through lk_cond_wait_with().  All that wait
 * at one time must use the same lock.
 *
 * A wake that was made after the waiter unlocked is never lost.  A wait may return for no reason:
 * look at the condition again, or use lk_cond_wait_for(), which does.
 * lk_cond_broadcast() wakes one waiter, which wakes the next once it has its lock back, and so on:
 * they all want the same lock, and only one can have it.  Waiters are woken in the kernel's order,
 * which is first come, first served.  Without waiters, both wakes cost one load.
 *
 * Signals: none of the calls may be made from a handler.  fork: the child's copy may count waiters
 * that it does not have, which costs a wake in vain; nobody waits on it.  Memory: as mutex.h.
 * At most 1,048,575 waiters.
 * Source: POSIX.1-2017 pthread_cond_wait. */
#ifndef LATCHKEY_COND_H
#define LATCHKEY_COND_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/mutex.h"
#include "latchkey/rwlock.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_cond {
    uint32_t seq_;
    uint32_t waiters_;
} lk_cond;

#define LK_COND_SHARED_ 0x80000000u

#define LK_COND_INIT                                                                               \
    {                                                                                              \
        0, 0                                                                                       \
    }
#define LK_COND_SHARED_INIT                                                                        \
    {                                                                                              \
        0, LK_COND_SHARED_                                                                         \
    }

/* Make *c one that nobody waits on.  flags: 0 or LK_SHARED. */
LK_API void lk_cond_init(lk_cond *c, unsigned flags);

/* Unlock *m, sleep until woken, lock *m again.  Held before and after, whatever is returned.
 * wait_until returns 0 (woken, or no reason), ETIMEDOUT (absolute CLOCK_MONOTONIC; NULL = never),
 * EINVAL (no time; not waited). */
LK_API void lk_cond_wait(lk_cond *c, lk_mutex *m);
LK_API LK_MUST_USE int lk_cond_wait_until(lk_cond *c, lk_mutex *m, const struct timespec *deadline);
/* The same by the clock `clock`: CLOCK_MONOTONIC or CLOCK_REALTIME, else EINVAL. */
LK_API LK_MUST_USE int lk_cond_wait_clock(lk_cond *c, lk_mutex *m, int clock,
                                          const struct timespec *deadline);

/* The same under a read lock or write lock of *l. */
LK_API LK_MUST_USE int lk_cond_wait_rd_until(lk_cond *c, lk_rwlock *l,
                                             const struct timespec *deadline);
LK_API LK_MUST_USE int lk_cond_wait_wr_until(lk_cond *c, lk_rwlock *l,
                                             const struct timespec *deadline);

/* The same with any lock: unlock(lock) gives it up, relock(lock) takes it again. */
struct lk_cond_lock {
    void *lock;
    void (*unlock)(void *lock);
    void (*relock)(void *lock);
};
LK_API LK_MUST_USE int lk_cond_wait_with(lk_cond *c, const struct lk_cond_lock *lock, int clock,
                                         const struct timespec *deadline);

/* Wait until holds(arg), which is called with *m held.
 * Returns 0 (it holds), ETIMEDOUT (it does not, and the deadline has passed), EINVAL. */
LK_API LK_MUST_USE int lk_cond_wait_for(lk_cond *c, lk_mutex *m, bool (*holds)(void *arg),
                                        void *arg, const struct timespec *deadline);

/* Wake one waiter, or all that wait by now.  With or without the lock held. */
LK_API void lk_cond_signal(lk_cond *c);
LK_API void lk_cond_broadcast(lk_cond *c);

#ifdef __cplusplus
}
#endif
#endif
