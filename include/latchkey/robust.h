/* latchkey/robust.h - a reader-writer lock, a sequence lock, a condition and a barrier whose users
 * may die at any instruction.
 *
 * All of them live in a segment (seg.h); all zero bytes are an idle one (the barrier needs
 * lk_rbarrier_init).  Whoever calls is attached to the segment by itself.  "Dies" means by any way:
 * SIGKILL, exit, exec, the end of the thread; the kernel tells, never a pid.  The robust mutex is
 * in rmutex.h.
 *
 * Every call also returns, when the thread cannot be attached: EINVAL (the lock lies in no segment
 * that this process has attached), LK_ETHREADS, ENOTSUP, EROFS, ENOMEM; nothing is locked then.
 * A bad deadline is EINVAL.  Deadlines are absolute CLOCK_MONOTONIC; NULL is never.
 * Safe from any thread of any process that maps the segment; not from signal handlers.  A child of
 * fork holds nothing of its parent's; exec gives everything back, as a death does. */
#ifndef LATCHKEY_ROBUST_H
#define LATCHKEY_ROBUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/rmutex.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reader-writer lock --------------------------------------------------------------------
 *
 * Readers are recorded in their own presence slots, never in the lock: a reader that dies is no
 * reader any more and nobody is told.  A writer that dies inside leaves EOWNERDEAD to the next
 * comer, reader or writer, who gets the lock *for writing*: repair, lk_rrwlock_consistent(), unlock
 * or downgrade.  Unlocking without that makes it ENOTRECOVERABLE for all.
 *
 * Fairness: a waiting writer keeps new readers out and waits for those inside.  Readers that meet a
 * writer wait in one line with the writers, and the line is barging: neither side can shut the
 * other out by numbers, but no order is promised.  A thread that reads the lock already may lock it
 * for reading again at any time (up to 4 locks of one segment at once; a fifth is read by keeping
 * others out, and not recursively).
 * Cost: one locked instruction to lock for reading and one to unlock, on a cache line of the
 * thread's own; a writer looks at every presence slot of the segment. */
typedef struct lk_rrwlock {
    uint32_t word_;
    uint32_t dirty_;
} lk_rrwlock;

/* Lock *l for reading, waiting at most until `deadline`.
 * Returns     0           locked for reading
 *             EOWNERDEAD  locked for WRITING: the last writer died inside
 *             ETIMEDOUT, ENOTRECOVERABLE, EDEADLK (this thread writes)     not locked */
LK_API LK_MUST_USE int lk_rrwlock_rdlock_until(lk_rrwlock *l, const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rrwlock_rdlock(lk_rrwlock *l);
/* Without waiting: EBUSY in place of ETIMEDOUT, also while a writer waits. */
LK_API LK_MUST_USE int lk_rrwlock_tryrdlock(lk_rrwlock *l);

/* Lock *l for writing.
 * Returns     0           locked
 *             EOWNERDEAD  locked; the last writer died inside
 *             ETIMEDOUT, ENOTRECOVERABLE, EDEADLK (this thread reads or writes)  not locked */
LK_API LK_MUST_USE int lk_rrwlock_wrlock_until(lk_rrwlock *l, const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rrwlock_wrlock(lk_rrwlock *l);
LK_API LK_MUST_USE int lk_rrwlock_trywrlock(lk_rrwlock *l);

/* After EOWNERDEAD: what the lock guards is repaired.
 * Returns     0, EINVAL (this thread does not write, or was not told of a death). */
LK_API LK_MUST_USE int lk_rrwlock_consistent(lk_rrwlock *l);

/* From writing to reading, with no other writer in between.
 * Returns     0, EPERM (this thread does not write), EINVAL (after EOWNERDEAD: not consistent). */
LK_API LK_MUST_USE int lk_rrwlock_downgrade(lk_rrwlock *l);

/* Give back one hold, of whichever kind.  Returns 0 or EPERM (this thread has none). */
LK_API int lk_rrwlock_unlock(lk_rrwlock *l);

/* The same for a lock that lies outside the segment, in any memory that the processes share:
 * `memory` is any address in the segment (lk_seg_memory()) whose presence slots it uses, `key` a
 * number 1..LK_RRWLOCK_KEY_MAX that no other such lock has. */
#define LK_RRWLOCK_KEY_MAX 0x3fffffffu
struct lk_rrwlock_place {
    const void *memory;
    uint32_t key;
};
LK_API LK_MUST_USE int lk_rrwlock_rdlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at,
                                            const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rrwlock_wrlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at,
                                            const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rrwlock_tryrdlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at);
LK_API LK_MUST_USE int lk_rrwlock_trywrlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at);
LK_API LK_MUST_USE int lk_rrwlock_consistent_at(lk_rrwlock *l, const struct lk_rrwlock_place *at);
LK_API int lk_rrwlock_unlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at);

/* ---- sequence lock --------------------------------------------------------------------------
 *
 * Readers copy the payload out and look whether a writer was at it meanwhile; they write nothing.
 * Writers exclude each other.  A writer that dies half-way is mended by whoever comes next, reader
 * or writer, before it goes on; if that one dies too, by the one after it.
 *
 * Fairness: a reader that writers have upset some hundred times goes in line with them and reads
 * under the writers' lock, so no reader waits for ever.  Cost of a read: two loads and the copy. */
typedef struct lk_rseqlock {
    uint32_t word_;
    uint32_t reserved_;
    uint64_t seq_;
} lk_rseqlock;

/* How a half-written payload is made whole: from a copy that the library saves before every change
 * (`copy` not NULL: as many bytes, in the same segment, for nobody else), or by the caller's
 * `repair`, which changes the payload with lk_rseqlock_put() alone and can be begun anew at any
 * time.  Every user of one lock must say the same. */
struct lk_rseqlock_mend {
    void *copy;
    void (*repair)(lk_rseqlock *l, void *payload, size_t bytes, void *arg);
    void *arg;
};

/* Copy the payload to `to`.  `mend` NULL: nothing can be mended.
 * Returns     0           *to is one state that existed
 *             EOWNERDEAD  a writer died half-way and `mend` is NULL; *to is anything
 *             ETIMEDOUT   only where a writer was inside all the time
 *             and, where a live writer was in the way or a dead one left work, as attaching does */
LK_API LK_MUST_USE int lk_rseqlock_read(lk_rseqlock *l, void *to, const void *payload, size_t bytes,
                                        const struct lk_rseqlock_mend *mend,
                                        const struct timespec *deadline);

/* Replace the payload.  Returns 0, ETIMEDOUT, EDEADLK; EOWNERDEAD, if `mend` is NULL and the last
 * writer died half-way: replaced all the same, and whole. */
LK_API LK_MUST_USE int lk_rseqlock_write(lk_rseqlock *l, void *payload, const void *from,
                                         size_t bytes, const struct lk_rseqlock_mend *mend,
                                         const struct timespec *deadline);

/* Change it in place: begin, any number of puts, end.
 * Returns     0           begun
 *             EOWNERDEAD  begun; the last writer died half-way and `mend` is NULL: put the whole
 *                         payload right before the end
 *             ETIMEDOUT, EDEADLK (this thread writes)   not begun */
LK_API LK_MUST_USE int lk_rseqlock_write_begin(lk_rseqlock *l, void *payload, size_t bytes,
                                               const struct lk_rseqlock_mend *mend,
                                               const struct timespec *deadline);
LK_API void lk_rseqlock_put(void *to, const void *from, size_t bytes);
/* Returns 0 or EPERM (this thread has not begun). */
LK_API int lk_rseqlock_write_end(lk_rseqlock *l);

/* ---- condition ------------------------------------------------------------------------------
 *
 * For state under an lk_rmutex.  A waiter that dies takes no signal with it.  Signal with the mutex
 * locked: then a signaller that dies before it signals has died with the mutex, and the waiters
 * hear of it (EOWNERDEAD) even if nobody else comes: at once from a holder that was inside when
 * they fell asleep, else within 40 ms.  Waits may end for no reason: wait in a loop. */
typedef struct lk_rcond {
    uint64_t state_;
} lk_rcond;

/* Unlock *m, which this thread holds, sleep, lock *m again.
 * Returns     0           signalled, or for no reason
 *             ETIMEDOUT   the deadline has passed
 *             EOWNERDEAD  a holder of *m died: repair and lk_rmutex_consistent()
 *             ENOTRECOVERABLE
 *             EPERM       this thread did not hold *m: nothing was done
 * Held after  all but ENOTRECOVERABLE and EPERM. */
LK_API LK_MUST_USE int lk_rcond_wait_until(lk_rcond *c, lk_rmutex *m,
                                           const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rcond_wait(lk_rcond *c, lk_rmutex *m);

/* Wake at least one waiter, or all; cheap when there are none. */
LK_API void lk_rcond_signal(lk_rcond *c);
LK_API void lk_rcond_broadcast(lk_rcond *c);

/* ---- barrier --------------------------------------------------------------------------------
 *
 * `parties` threads meet in rounds.  A thread becomes a member by its first wait, or before by
 * joining: from then on its death is noticed, whether it has arrived or not.  The round in which
 * members have died ends without them as soon as all others have arrived; every survivor gets
 * EOWNERDEAD from it, and later rounds are for the survivors. */
#define LK_RBARRIER_PARTIES_MAX 62u
typedef struct lk_rbarrier {
    uint32_t word_;
    uint32_t parties_;
    uint32_t round_;
    uint32_t reserved_;
    uint32_t member_[LK_RBARRIER_PARTIES_MAX];
    uint32_t arrived_[LK_RBARRIER_PARTIES_MAX];
} lk_rbarrier;

/* Before anybody else uses it.  Returns 0 or EINVAL (parties is not 1..LK_RBARRIER_PARTIES_MAX). */
LK_API LK_MUST_USE int lk_rbarrier_init(lk_rbarrier *b, unsigned parties);

/* Become a member.  Returns 0 (also if it is one) or EBUSY (all parties are there). */
LK_API LK_MUST_USE int lk_rbarrier_join(lk_rbarrier *b);

/* Stop being one: later rounds, and this one, do without. */
LK_API void lk_rbarrier_leave(lk_rbarrier *b);

/* Wait for the others.
 * Returns     0           all have arrived
 *             EOWNERDEAD  all that live have arrived
 *             ETIMEDOUT   not; this thread is as if it had not come
 *             EBUSY       it is no member and all parties are there */
LK_API LK_MUST_USE int lk_rbarrier_wait_until(lk_rbarrier *b, const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rbarrier_wait(lk_rbarrier *b);

/* ---- what waiting has cost ------------------------------------------------------------------ */

/* Sums over all threads that are or were attached to the segment of plain memory that `memory` lies
 * in, the dead ones too. */
struct lk_robust_counts {
    uint64_t sleeps;      /* times that a thread slept */
    uint64_t backstops;   /* sleeps that only the backstop timer ended though a wake was due */
    uint64_t dead_reads;  /* read holds that dead threads left */
    uint64_t dead_writes; /* EOWNERDEAD answers of reader-writer and sequence locks */
};

/* Returns 0 or EINVAL (no such segment). */
LK_API LK_MUST_USE int lk_robust_count(const void *memory, struct lk_robust_counts *out);

#ifdef __cplusplus
}
#endif
#endif
