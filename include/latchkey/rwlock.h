/* latchkey/rwlock.h - reader-writer locks: many readers or one writer.
 *
 * lk_rwlock: 16 bytes; all zero bytes are an unlocked one of the kind prefer-reader for the threads
 * of one process.  Who goes first when both wait:
 *
 *   LK_RWLOCK_PREFER_READER     readers enter unless a writer is inside; when a writer leaves, the
 *                               readers that wait go before the next writer.  An endless stream of
 *                               readers can keep writers out.  A thread may read-lock again.
 *   LK_RWLOCK_PREFER_WRITER     readers enter while other readers are inside; else writers that
 *                               wait go first.  A thread may read-lock again.  Both streams can
 *                               keep writers or readers out.
 *   LK_RWLOCK_PREFER_WRITER_NONRECURSIVE
 *                               no reader enters while a writer waits.  An endless stream of
 *                               writers keeps readers out.  A thread that reads must not read-lock
 *                               again: a writer between the two waits for it and it for the writer.
 *   LK_RWLOCK_PHASE_FAIR        no reader enters while a writer waits, and a writer that leaves
 *   lets
 *                               in all readers that wait by then.  So a reader waits for one writer
 *                               at most, a writer for the readers of one phase and the writers
 *                               before it.  No read-locking again.
 *
 * Readers that wait when their turn comes hold the lock from then on, asleep or not; one that has
 * just come counts as inside for a moment before it waits, to prefer-writer and to try.  Writers
 * barge among themselves with bounded hand-off as a mutex's (mutex.h).  Waiting spins for a few
 * microseconds at most, then sleeps; no call spins while a holder runs on, and nobody sleeps on a
 * word that does not say that a wake is owed to him.
 * At most 32,767 read locks and 65,534 waiting writers at a time: EAGAIN, or abort() with a message
 * from the forms that return nothing.
 *
 * fork, signals, memory: as mutex.h says; try and unlock may be called from handlers.
 * Source: POSIX.1-2017 pthread_rwlock_rdlock; B. Brandenburg, J. Anderson, "Spin-Based
 * Reader-Writer Synchronization for Multiprocessor Real-Time Systems", 2010 (phase-fair). */
#ifndef LATCHKEY_RWLOCK_H
#define LATCHKEY_RWLOCK_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/mutex.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

enum lk_rwlock_kind {
    LK_RWLOCK_PREFER_READER = 0,
    LK_RWLOCK_PREFER_WRITER = 1,
    LK_RWLOCK_PREFER_WRITER_NONRECURSIVE = 2,
    LK_RWLOCK_PHASE_FAIR = 3
};

typedef struct lk_rwlock {
    uint64_t state_;
    uint32_t gate_;
    uint32_t kind_;
} lk_rwlock;

/* state_: src/lock/rwlock.c says what each field means. */
#define LK_RWLOCK_READER_ UINT64_C(1)
#define LK_RWLOCK_READERS_ UINT64_C(32767)
#define LK_RWLOCK_WRITER_ (UINT64_C(1) << 32)
#define LK_RWLOCK_SHARED_ 4u

/* LK_RWLOCK_INIT(LK_RWLOCK_PHASE_FAIR), LK_RWLOCK_SHARED_INIT(kind) */
#define LK_RWLOCK_INIT(kind)                                                                       \
    {                                                                                              \
        0, 0, (uint32_t)(kind)                                                                     \
    }
#define LK_RWLOCK_SHARED_INIT(kind)                                                                \
    {                                                                                              \
        0, 0, (uint32_t)(kind) | LK_RWLOCK_SHARED_                                                 \
    }

/* The parts that are not inline; programs call the functions below. */
LK_API void lk_rwlock_rdlock_slowly_(lk_rwlock *l, uint64_t old);
LK_API void lk_rwlock_wrlock_slowly_(lk_rwlock *l, uint64_t seen);
LK_API void lk_rwlock_rdunlock_slowly_(lk_rwlock *l, uint64_t old);
LK_API void lk_rwlock_wrunlock_slowly_(lk_rwlock *l, uint64_t seen);

/* Make *l an unlocked lock of this kind.  flags: 0 or LK_SHARED.
 * Returns 0, EINVAL (no such kind). */
LK_API int lk_rwlock_init(lk_rwlock *l, enum lk_rwlock_kind kind, unsigned flags);

/* Lock *l for reading, sleeping until the kind lets this reader in.
 * Safe from   any thread; any process if it is shared; not from signal handlers. */
static inline void lk_rwlock_rdlock(lk_rwlock *l)
{
    /* [rwlock.1] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.22]: what the last writer wrote.
     * Nothing is loaded first, and no other reader can make it fail: under contention the line
     * comes once, and already for writing. */
    uint64_t old = lk_word_add_acq_u64(&l->state_, LK_RWLOCK_READER_);
    if (!LK_LIKELY(old < LK_RWLOCK_READERS_))
        lk_rwlock_rdlock_slowly_(l, old);
}

/* Lock *l for writing, sleeping until nobody is inside and the kind lets this writer in. */
static inline void lk_rwlock_wrlock(lk_rwlock *l)
{
    uint64_t seen = 0;
    /* [rwlock.3] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.5]: what the last writer wrote,
     * and that the readers before have ended. */
    if (!LK_LIKELY(lk_word_cas_acq_u64(&l->state_, &seen, LK_RWLOCK_WRITER_)))
        lk_rwlock_wrlock_slowly_(l, seen);
}

/* Lock *l if that needs no waiting.  Return 0, EBUSY, or EAGAIN (too many read locks). */
LK_API LK_MUST_USE int lk_rwlock_tryrdlock(lk_rwlock *l);
LK_API LK_MUST_USE int lk_rwlock_trywrlock(lk_rwlock *l);

/* Lock *l, giving up when `deadline` passes (absolute CLOCK_MONOTONIC; NULL = never).
 * Return 0, ETIMEDOUT, EINVAL (no time), EAGAIN (too many read locks or writers). */
LK_API LK_MUST_USE int lk_rwlock_rdlock_until(lk_rwlock *l, const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rwlock_wrlock_until(lk_rwlock *l, const struct timespec *deadline);

/* The same by the clock `clock`: CLOCK_MONOTONIC or CLOCK_REALTIME, else EINVAL. */
LK_API LK_MUST_USE int lk_rwlock_rdlock_clock(lk_rwlock *l, int clock,
                                              const struct timespec *deadline);
LK_API LK_MUST_USE int lk_rwlock_wrlock_clock(lk_rwlock *l, int clock,
                                              const struct timespec *deadline);

/* Give back a read lock. */
static inline void lk_rwlock_rdunlock(lk_rwlock *l)
{
    /* [rwlock.5] release, pairs with [rwlock.3] [rwlock.6] [rwlock.23]: the next writer comes after
     * what this reader read. */
    uint64_t old = lk_word_sub_rel_u64(&l->state_, LK_RWLOCK_READER_);
    if (!LK_LIKELY(old >> 32 == 0))
        lk_rwlock_rdunlock_slowly_(l, old);
}

/* Give back the write lock. */
static inline void lk_rwlock_wrunlock(lk_rwlock *l)
{
    uint64_t seen = LK_RWLOCK_WRITER_;
    /* [rwlock.2] release, pairs with [rwlock.1] [rwlock.3] [rwlock.6] [rwlock.7] [rwlock.16]
     * [rwlock.26] [rwlock.33]: what this writer wrote. */
    if (!LK_LIKELY(lk_word_cas_rel_u64(&l->state_, &seen, 0)))
        lk_rwlock_wrunlock_slowly_(l, seen);
}

/* Give back whichever the caller holds (a writer excludes readers, so the lock knows). */
LK_API void lk_rwlock_unlock(lk_rwlock *l);

/* The caller's read lock becomes the write lock, without a moment in which another writer could
 * get in.  It goes before writers that wait, or both would wait for ever.
 * lk_rwlock_tryupgrade returns 0, or EBUSY if other readers are inside; lk_rwlock_upgrade_until
 * waits for them to leave: 0, ETIMEDOUT, EINVAL, or EDEADLK at once if another reader is waiting
 * for the same.  Held after: the write lock if 0, else the read lock as before. */
LK_API LK_MUST_USE int lk_rwlock_tryupgrade(lk_rwlock *l);
LK_API LK_MUST_USE int lk_rwlock_upgrade_until(lk_rwlock *l, const struct timespec *deadline);

/* The caller's write lock becomes a read lock; readers that wait are let in as the kind says. */
LK_API void lk_rwlock_downgrade(lk_rwlock *l);

/* ---- the read-mostly form ------------------------------------------------------------------ */

/* Readers touch only a cache line of their own (one of LK_BRLOCK_LINES, chosen by thread), so they
 * do not slow each other down; a writer looks at all of them.  All zero bytes are an unlocked one.
 * Fairness: as prefer-writer-nonrecursive; after a writer, readers and writers that wait compete as
 * for a mutex (mutex.h), so neither is kept out.  No read-locking again.  The thread that
 * read-locks must be the one that unlocks.  Source: the Linux kernel's big-reader lock,
 * 1999-2013. */
#ifndef LK_BRLOCK_LINES /* the model tests make it 2, for themselves and the library */
#define LK_BRLOCK_LINES 16
#endif

struct lk_brlock_line {
    uint32_t readers_;
    uint32_t unused_[15];
};

typedef struct lk_brlock {
    lk_mutex writers_; /* held by the writer, and for a moment by a reader that waited */
    uint32_t gate_;
    uint32_t shared_;
    uint32_t unused_[13];
    struct lk_brlock_line line_[LK_BRLOCK_LINES];
} __attribute__((aligned(64))) lk_brlock;

/* Make *l an unlocked lock.  flags: 0 or LK_SHARED. */
LK_API void lk_brlock_init(lk_brlock *l, unsigned flags);

LK_API void lk_brlock_rdlock(lk_brlock *l);
LK_API void lk_brlock_wrlock(lk_brlock *l);

/* 0 or EBUSY. */
LK_API LK_MUST_USE int lk_brlock_tryrdlock(lk_brlock *l);
LK_API LK_MUST_USE int lk_brlock_trywrlock(lk_brlock *l);

/* 0, ETIMEDOUT, EINVAL (absolute CLOCK_MONOTONIC; NULL = never). */
LK_API LK_MUST_USE int lk_brlock_rdlock_until(lk_brlock *l, const struct timespec *deadline);
LK_API LK_MUST_USE int lk_brlock_wrlock_until(lk_brlock *l, const struct timespec *deadline);

LK_API void lk_brlock_rdunlock(lk_brlock *l);
LK_API void lk_brlock_wrunlock(lk_brlock *l);

#ifdef __cplusplus
}
#endif
#endif
