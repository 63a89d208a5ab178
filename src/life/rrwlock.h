/* rrwlock.h - the robust reader-writer lock inside the library.  The public face is
 * latchkey/robust.h.
 *
 * Two words, the lock's, and four for each presence slot:
 *   word   a robust mutex (rmutex.c).  Who holds it writes, is about to write and waits for the
 *   last
 *          readers, or is a reader on its way in.
 *   dirty  1 while a writer may have changed something; only the mutex's holder touches it.  A dead
 *          holder that left 0 has changed nothing: nobody needs to hear of it.
 *   hold   in the reader's presence slot: {WAITED:1, key of the lock:31}; 0 none.  The only record
 *          of a read hold.  A slot whose token is dead or vacant holds nothing, whatever it says.
 * WAITED: a writer sleeps until this hold is gone; who takes the hold away must wake it.
 *
 * A reader stores its hold and then looks at the mutex; a writer takes the mutex and then looks at
 * the holds.  All four are seq_cst, so at least one of them sees the other: a reader that sees a
 * holder takes its hold back and goes in line for the mutex, under which it stores it again.
 * A thread with LKI_HOLDS read holds keeps the mutex itself, with dirty 0, in place of a fifth. */
#ifndef LKI_RRWLOCK_H
#define LKI_RRWLOCK_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "life/presence.h"
#include "life/rmutex.h"

#define LKI_HOLD_WAITED 0x80000000u
#define LKI_HOLD_KEY 0x7fffffffu

/* The lock as the functions see it. */
struct lki_rrwlock {
    uint32_t *word;
    uint32_t *dirty;
    uint32_t key; /* 1..LKI_HOLD_KEY, another one for each lock that uses the same presence */
};

/* What a reader must not see in the mutex: a holder, or LOST. */
#define LKI_RRWLOCK_CLOSED 0x7fffffffu

static inline void lki_hold_leave(uint32_t *hold)
{
    /* [rrwlock.2] release, pairs with [rrwlock.5]: the writer that finds the hold gone comes after
     * what was read under it. */
    if (__builtin_expect((lk_xchg_rel_u32(hold, 0) & LKI_HOLD_WAITED) != 0, 0))
        (void)lki_futex_wake(hold, INT_MAX);
}

/* Store the hold in a free place and look whether that was in time; if not, take it back. */
static inline bool lki_rrwlock_enter(const uint32_t *word, uint32_t key, uint32_t *hold)
{
    /* [rrwlock.4] seq_cst, pairs with [rrwlock.5]: before the look at the mutex, in the
     * one order in which the writer takes the mutex before it looks here. */
    lk_store_sc_u32(hold, key);
    /* [rrwlock.6] seq_cst, pairs with [rrwlock.7] [rmutex.2]: see [rrwlock.4]; and if the mutex is
     * free, what the last writer wrote is visible. */
    uint32_t seen = lk_load_sc_u32(word);
    if (__builtin_expect((seen & LKI_RRWLOCK_CLOSED) == 0, 1))
        return true;
    lki_hold_leave(hold);
    return false;
}

/* As the public calls; *wait is added to. */
int lki_rrwlock_rdlock(const struct lki_rrwlock *l, struct lki_self *self,
                       const struct timespec *deadline, struct lki_wait *wait);
int lki_rrwlock_tryrdlock(const struct lki_rrwlock *l, struct lki_self *self);
int lki_rrwlock_wrlock(const struct lki_rrwlock *l, struct lki_self *self,
                       const struct timespec *deadline, struct lki_wait *wait);
int lki_rrwlock_trywrlock(const struct lki_rrwlock *l, struct lki_self *self);
int lki_rrwlock_consistent(const struct lki_rrwlock *l, struct lki_self *self);
int lki_rrwlock_downgrade(const struct lki_rrwlock *l, struct lki_self *self);
int lki_rrwlock_unlock(const struct lki_rrwlock *l, struct lki_self *self);

#endif
