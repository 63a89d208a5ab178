/* latchkey/barrier.h - a number of threads meet; none goes on before all are there.
 *
 * Sixteen bytes; LK_BARRIER_INIT(n) or lk_barrier_init() says how many.  It can be used again at
 * once: a thread that is slow to leave is not counted in the next meeting.  Who comes last wakes
 * the others.  A thread that gives up (lk_barrier_wait_until) is not counted; the others go on
 * waiting for one more.
 *
 * Signals: not from handlers.  fork: as mutex.h.
 * Source: POSIX.1-2017 pthread_barrier_wait. */
#ifndef LATCHKEY_BARRIER_H
#define LATCHKEY_BARRIER_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_barrier {
    uint64_t state_; /* low half: arrived; high half: meetings held */
    uint32_t threads_;
    uint32_t shared_;
} lk_barrier;

#define LK_BARRIER_INIT(threads)                                                                   \
    {                                                                                              \
        0, (threads), 0                                                                            \
    }
#define LK_BARRIER_SHARED_INIT(threads)                                                            \
    {                                                                                              \
        0, (threads), LK_SHARED                                                                    \
    }

/* What lk_barrier_wait() returns to one of the threads of each meeting. */
#define LK_BARRIER_LAST 1

/* Make *b a barrier for `threads` threads.  flags: 0 or LK_SHARED.  Returns 0, EINVAL (0
 * threads). */
LK_API int lk_barrier_init(lk_barrier *b, unsigned threads, unsigned flags);

/* Arrive and sleep until all are there.  Returns 0, and LK_BARRIER_LAST to the one that came
 * last. */
LK_API int lk_barrier_wait(lk_barrier *b);

/* The same; ETIMEDOUT (this thread is not counted any more), EINVAL (no time; not counted) if the
 * deadline passes first (absolute CLOCK_MONOTONIC; NULL = never). */
LK_API LK_MUST_USE int lk_barrier_wait_until(lk_barrier *b, const struct timespec *deadline);

#ifdef __cplusplus
}
#endif
#endif
