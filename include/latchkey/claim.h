/* latchkey/claim.h - locks in any order, one after the other, without deadlock.
 *
 * For walks whose next lock is known only when the last one is held.
 *
 *     LK_CLAIM(claim, 8);                             // room for 8 locks, on the stack
 *     lk_scope_claim (key, claim) {
 *         do {
 *             if ((rc = lk_claim_lock(&claim, LK_LOCK(&a->lock))) ...
 *             b = a->next;
 *         } while (lk_claim_lock(&claim, LK_LOCK(&b->lock)) == EAGAIN);   // look again
 *     }
 *
 * A claim waits only for a lock that lies behind all that it holds.  For another one that is taken
 * it gives way: unlocks all, and locks all and the new one again, in order.  So it never waits in a
 * ring with sets, levels or other claims, and it needs no second try: after giving way it holds
 * what it asked for.  What is lost is only that others may have come in between.  The result says
 * whether they have:
 *     0       held; what was read under the other locks still stands
 *     EAGAIN  held; locks were given up meanwhile, and changed, or cannot tell: look again
 * Locks that count their changes (lk_kmutex, lk_krwlock) can tell; others that were given up are
 * taken for changed.  Each call gives way at most once and afterwards holds one lock more: a claim
 * of n locks hears EAGAIN at most n - 1 times, whatever others do (and once for each upgrade).
 * That bound is why this is not wait-die with tickets: docs/KEYS.md. */
#ifndef LATCHKEY_CLAIM_H
#define LATCHKEY_CLAIM_H

#include "latchkey/set.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_claim {
    struct lk_key_ *k_;
    struct lk_claimed_ *claimed_;
    uint32_t n_, room_;
    uint32_t restarts_, changed_;
    const char *here_;
} lk_claim;

/* A claim with room for n locks.  Up to LK_KEY_MEMBERS are kept in the key, so that the end of the
 * thread finds them; a larger one's are beside it. */
#define LK_CLAIM(name, n)                                                                          \
    struct lk_claimed_ name##_room_[(n) > LK_KEY_MEMBERS ? (n) : 1];                               \
    lk_claim name = {NULL, name##_room_, 0, (n), 0, 0, NULL}

/* The claim takes the key until its end, which unlocks all. */
LK_API int lk_claim_begin_at_(lk_claim *c, lk_key key, const char *here)
    LK_TSA_(acquire_capability(key.k_));
LK_API void lk_claim_end(lk_claim *c, lk_key key) LK_TSA_(release_capability(key.k_));
#define lk_claim_begin(c, key) lk_claim_begin_at_(c, key, LK_HERE_)

/* Lock one more.
 * Returns     0, EAGAIN   above; a lock that the claim has already is 0
 *             EOWNERDEAD  held; a holder died inside of one that was just locked (lk_claim_dead);
 *             if
 *                         locks were given up, look again, too
 *             ENOSPC      no room; nothing changed
 *             EDEADLK     it is held for reading and asked for writing: lk_claim_upgrade
 *             ETIMEDOUT, ENOTRECOVERABLE, EINVAL and what else robust locks return: the claim holds
 *                         nothing if it gave way, else what it held before (lk_claim_count) */
LK_API LK_MUST_USE int lk_claim_lock_until_(lk_claim *c, lk_member m,
                                            const struct timespec *deadline, const char *here);
#define lk_claim_lock(c, member) lk_claim_lock_until_(c, member, NULL, LK_HERE_)
#define lk_claim_lock_until(c, member, deadline) lk_claim_lock_until_(c, member, deadline, LK_HERE_)
/* Without waiting and without giving way: 0, EOWNERDEAD, EBUSY. */
LK_API LK_MUST_USE int lk_claim_trylock(lk_claim *c, lk_member m);

/* Give one of them back: 0, ENOENT. */
LK_API int lk_claim_unlock(lk_claim *c, const void *lock);

/* A read lock (lk_rwlock, lk_krwlock) becomes the write lock.  If other readers are inside, the
 * claim gives way as above: 0, EAGAIN, or a failure.  Downgrading never waits.  ENOENT, EINVAL. */
LK_API LK_MUST_USE int lk_claim_upgrade_at_(lk_claim *c, const void *lock, const char *here);
#define lk_claim_upgrade(c, lock) lk_claim_upgrade_at_(c, lock, LK_HERE_)
LK_API LK_MUST_USE int lk_claim_downgrade(lk_claim *c, const void *lock);

/* How many locks it holds; how often it gave way; the lock that somebody died in, or NULL. */
static inline size_t lk_claim_count(const lk_claim *c)
{
    return c->n_;
}
static inline size_t lk_claim_restarts(const lk_claim *c)
{
    return c->restarts_;
}
LK_API const void *lk_claim_dead(const lk_claim *c);

/* lk_scope_claim (key, claim) { ... }: inside, `key` is spent. */
struct lk_claim_scope_ {
    lk_claim *c_;
    struct lk_key_ *k_;
};
LK_API struct lk_claim_scope_ lk_claim_scope_begin_(lk_key key, lk_claim *c, const char *here)
    LK_NEEDS(key);
LK_API void lk_claim_scope_end_(struct lk_claim_scope_ *s);
#define LK_CLAIM_SCOPE_(key, claim, s, once)                                                       \
    LK_UNSHADOW_                                                                                   \
    for (struct lk_claim_scope_ s __attribute__((cleanup(lk_claim_scope_end_))) =                  \
             lk_claim_scope_begin_(key, &(claim), LK_HERE_),                                       \
                                  *once = &s;                                                      \
         once != NULL && s.k_ != NULL; once = NULL)                                                \
        for (lk_spent key __attribute__((unused)) = lk_spend_(s.k_); once != NULL; once = NULL)    \
    _Pragma("GCC diagnostic pop")
#define lk_scope_claim(key, claim)                                                                 \
    LK_CLAIM_SCOPE_(key, claim, LK_JOIN_(lk_scope_of_, __LINE__), LK_JOIN_(lk_once_of_, __LINE__))

#ifdef __cplusplus
}
#endif
#endif
