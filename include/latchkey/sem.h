/* latchkey/sem.h - a counting semaphore.
 *
 * Eight bytes; all zero bytes are one of value 0 for the threads of one process.  lk_sem_post() may
 * be called from a signal handler, and by a thread that never waited.  Fairness: barging; who comes
 * while the value is above 0 takes one before those that sleep, who are woken first come, first
 * served.  fork, memory: as mutex.h.
 * Source: E. W. Dijkstra, 1962; POSIX.1-2017 sem_wait. */
#ifndef LATCHKEY_SEM_H
#define LATCHKEY_SEM_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_sem {
    uint64_t state_; /* low half: the value; high half: LK_SEM_SHARED_ and the number of waiters */
} lk_sem;

#define LK_SEM_MAX 0x7fffffffu
#define LK_SEM_SHARED_ (UINT64_C(1) << 63)

#define LK_SEM_INIT(value)                                                                         \
    {                                                                                              \
        (uint64_t)(value)                                                                          \
    }
#define LK_SEM_SHARED_INIT(value)                                                                  \
    {                                                                                              \
        (uint64_t)(value) | LK_SEM_SHARED_                                                         \
    }

/* Make *s a semaphore of this value.  flags: 0 or LK_SHARED.  Returns 0, EINVAL (over
 * LK_SEM_MAX). */
LK_API int lk_sem_init(lk_sem *s, uint32_t value, unsigned flags);

/* Wait until the value is above 0, and take one.  trywait: 0, EAGAIN.  wait_until: 0, ETIMEDOUT
 * (absolute CLOCK_MONOTONIC; NULL = never), EINVAL (no time). */
LK_API void lk_sem_wait(lk_sem *s);
LK_API LK_MUST_USE int lk_sem_trywait(lk_sem *s);
LK_API LK_MUST_USE int lk_sem_wait_until(lk_sem *s, const struct timespec *deadline);
/* The same by the clock `clock`: CLOCK_MONOTONIC or CLOCK_REALTIME, else EINVAL. */
LK_API LK_MUST_USE int lk_sem_wait_clock(lk_sem *s, int clock, const struct timespec *deadline);

/* Add one, and wake a waiter.  Returns 0, EOVERFLOW (at LK_SEM_MAX; nothing changed).
 * Safe from   any thread, signal handlers. */
LK_API int lk_sem_post(lk_sem *s);

/* The value by now; waiters are not counted below 0. */
LK_API uint32_t lk_sem_value(const lk_sem *s);

#ifdef __cplusplus
}
#endif
#endif
