/* latchkey/seqlock.h - data that is read without a lock, copied and checked.
 *
 * Eight bytes: a count of writes and the writers' own mutex in one word; all zero bytes are an idle
 * one for the threads of one process.  A reader copies the data and looks whether a writer came in
 * between; then it copies again.  Readers write nothing and never keep a writer out.  A reader that
 * meets a writer again and again locks the writers out for one copy, so no call spins while a
 * writer runs on or sleeps inside.  The count has 61 bits and does not come round.
 *
 * What is guarded must be plain bytes without pointers that a reader follows, and is written only
 * by lk_seqlock_store() or, between lk_seqlock_lock() and lk_seqlock_unlock(), by
 * lk_seqlock_put(): these move relaxed atomic words, so that a race is no undefined behaviour.
 *
 * Fairness among writers: as mutex.h, without the hand-off.  fork, signals, memory: as mutex.h;
 * reading is safe in a signal handler unless it interrupted a writer of the same thread.
 * If a writer is killed inside, readers and writers wait for ever (latchkey/robust.h is the form
 * that is repaired).
 * Source: W. Bauer et al., Linux seqlock_t; H. Boehm, "Can Seqlocks Get Along With Programming
 * Language Memory Models?", 2012 (the fences). */
#ifndef LATCHKEY_SEQLOCK_H
#define LATCHKEY_SEQLOCK_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_seqlock {
    uint64_t word_;
} lk_seqlock;

#define LK_SEQLOCK_HELD_ UINT64_C(1)
#define LK_SEQLOCK_CROWDED_ UINT64_C(2)
#define LK_SEQLOCK_SHARED_ UINT64_C(4)
#define LK_SEQLOCK_ONE_ UINT64_C(8)

#define LK_SEQLOCK_INIT                                                                            \
    {                                                                                              \
        0                                                                                          \
    }
#define LK_SEQLOCK_SHARED_INIT                                                                     \
    {                                                                                              \
        LK_SEQLOCK_SHARED_                                                                         \
    }

/* The parts that are not inline; programs call the functions below. */
LK_API uint64_t lk_seqlock_begin_slowly_(lk_seqlock *l);
LK_API void lk_seqlock_load_slowly_(lk_seqlock *l, void *to, const void *guarded, size_t size);

/* Make *l an idle one.  flags: 0 or LK_SHARED. */
LK_API void lk_seqlock_init(lk_seqlock *l, unsigned flags);

/* Copy `size` bytes between guarded and private memory, in no order and without any check. */
static inline void lk_seqlock_get(void *to, const void *guarded, size_t size)
{
    lk_word_copy_out(to, guarded, size);
}

static inline void lk_seqlock_put(void *guarded, const void *from, size_t size)
{
    lk_word_copy_in(guarded, from, size);
}

/* Read by hand:   do { seq = lk_seqlock_begin(&l); lk_seqlock_get(...); } while
 *                 (lk_seqlock_retry(&l, seq));
 * begin waits while a writer is inside. */
static inline uint64_t lk_seqlock_begin(lk_seqlock *l)
{
    /* [seqlock.1] acquire, pairs with [seqlock.5]: the data of this count. */
    uint64_t seen = lk_word_load_acq_u64(&l->word_);
    return LK_LIKELY((seen & LK_SEQLOCK_HELD_) == 0) ? seen : lk_seqlock_begin_slowly_(l);
}

/* Has a writer come since begin, so that what was copied may be torn? */
static inline bool lk_seqlock_retry(const lk_seqlock *l, uint64_t seq)
{
    /* [seqlock.2] acquire, pairs with [seqlock.4]: a copy that saw any of a writer's bytes sees its
     * HELD too. */
    lk_word_fence_acq();
    /* [seqlock.3] relaxed: the fence above orders it behind the copy. */
    return lk_word_load_rlx_u64(&l->word_) != seq;
}

/* Copy the guarded `size` bytes to private memory: one state that really was there.
 * Safe from   any thread; any process if it is shared.  Blocks while a writer is inside. */
static inline void lk_seqlock_load(lk_seqlock *l, void *to, const void *guarded, size_t size)
{
    uint64_t seq = lk_seqlock_begin(l);
    lk_seqlock_get(to, guarded, size);
    if (!LK_LIKELY(!lk_seqlock_retry(l, seq)))
        lk_seqlock_load_slowly_(l, to, guarded, size);
}

/* Keep other writers out and make readers wait.  lock_until: 0, ETIMEDOUT, EINVAL (absolute
 * CLOCK_MONOTONIC; NULL = never); trylock: 0, EBUSY. */
LK_API void lk_seqlock_lock(lk_seqlock *l);
LK_API LK_MUST_USE int lk_seqlock_trylock(lk_seqlock *l);
LK_API LK_MUST_USE int lk_seqlock_lock_until(lk_seqlock *l, const struct timespec *deadline);
LK_API void lk_seqlock_unlock(lk_seqlock *l);

/* Lock, copy `size` private bytes to the guarded ones, unlock. */
LK_API void lk_seqlock_store(lk_seqlock *l, void *guarded, const void *from, size_t size);

#ifdef __cplusplus
}
#endif
#endif
