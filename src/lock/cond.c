/* cond.c - waiting for a condition.
 *
 * seq_ is what waiters sleep on: every wake changes it, so a waiter that has unlocked and not yet
 * slept does not.  waiters_: {SHARED:1, CHAIN:11, WAITERS:20}.  CHAIN counts the wakes that a
 * broadcast has not made yet: each waiter that returns, for whatever reason, takes one and makes
 * it, behind its own relocking.  So at most one of them contends for the lock at a time.
 * seq_ is only changed while somebody waits, and a waiter of seq_ == s would have to miss 2^32
 * wakes between its unlock and its sleep.
 *
 * A wake is for those that waited before it.  Should the kernel wake another (it wakes first come,
 * first served, but by priority), that one finds seq_ as it was when it came, and passes the
 * wake on. */
#include "latchkey/cond.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "lock/mutex.h"

#define SHARED LK_COND_SHARED_
#define WAITERS 0xfffffu
#define ONE_LINK 0x100000u
#define CHAIN 0x7ff00000u
#define MOST_LINKS (CHAIN / ONE_LINK)

static uint32_t look(const lk_cond *c)
{
    /* [cond.1] relaxed: a waiter that the caller must wake counted itself under the lock under
     * which the caller changed the condition. */
    return lk_load_rlx_u32(&c->waiters_);
}

/* Make the next wake of a broadcast. */
static void pass_on(lk_cond *c)
{
    uint32_t seen = look(c);
    while (seen & CHAIN) {
        /* [cond.2] relaxed: a count; the kernel's own lock orders the wakes. */
        if (!lk_cas_rlx_u32(&c->waiters_, &seen, seen - ONE_LINK))
            continue;
        if (lki_futex_rouse(&c->seq_, 1, (seen & SHARED) != 0) > 0)
            return;
        /* That one was awake already, and passes on what is left. */
        seen = look(c);
    }
}

static void begin_waiting(lk_cond *c)
{
    /* [cond.3] acquire, pairs with [cond.9]: a waiter that no broadcast has counted sees the seq_
     * of that broadcast, or it could take a wake from one that was counted.  Made visible by the
     * unlock behind it. */
    uint32_t before = lk_add_acq_u32(&c->waiters_, 1);
    if (LK_LIKELY((before & WAITERS) < WAITERS))
        return;
    (void)fputs("latchkey: lk_cond: more than 1,048,575 waiters\n", stderr);
    abort();
}

/* Sleep until a wake that was made since seq_ was `seq`. */
static int sleep_since(lk_cond *c, uint32_t seq, bool shared, const struct lki_deadline *until)
{
    for (;;) {
        int rc = lki_futex_sleep(&c->seq_, seq, shared, until);
        /* [cond.4] relaxed: only whether it has changed. */
        if (rc != 0 || lk_load_rlx_u32(&c->seq_) != seq)
            return rc == ETIMEDOUT ? ETIMEDOUT : 0;
        (void)lki_futex_rouse(&c->seq_, 1, shared);
    }
}

static int wait(lk_cond *c, const struct lk_cond_lock *lock, const struct lki_deadline *until)
{
    int rc = lki_deadline_check(until);
    if (rc != 0)
        return rc;
    begin_waiting(c);
    /* [cond.5] relaxed: read under the lock; a wake that follows the unlock changes it later. */
    uint32_t seq = lk_load_rlx_u32(&c->seq_);
    bool shared = (look(c) & SHARED) != 0;
    lock->unlock(lock->lock);
    rc = sleep_since(c, seq, shared, until);
    /* [cond.6] relaxed: a count. */
    (void)lk_sub_rlx_u32(&c->waiters_, 1);
    lock->relock(lock->lock);
    pass_on(c);
    return rc;
}

void lk_cond_signal(lk_cond *c)
{
    uint32_t seen = look(c);
    if ((seen & WAITERS) == 0)
        return;
    /* [cond.7] relaxed: changes what waiters that are not yet asleep compare. */
    (void)lk_add_rlx_u32(&c->seq_, 1);
    (void)lki_futex_rouse(&c->seq_, 1, (seen & SHARED) != 0);
}

void lk_cond_broadcast(lk_cond *c)
{
    uint32_t seen = look(c), links;
    if ((seen & WAITERS) == 0)
        return;
    /* [cond.8] relaxed: as [cond.7]. */
    (void)lk_add_rlx_u32(&c->seq_, 1);
    do {
        uint32_t more = (seen & WAITERS) == 0 ? 0 : (seen & WAITERS) - 1;
        links = (seen & CHAIN) / ONE_LINK;
        if (links < more)
            links = more < MOST_LINKS ? more : MOST_LINKS;
        /* [cond.9] release, pairs with [cond.3]: who is not counted here sees [cond.8]. */
    } while (!lk_cas_rel_u32(&c->waiters_, &seen, (seen & ~CHAIN) | links * ONE_LINK));
    uint32_t waiters = seen & WAITERS;
    int first = waiters > links ? (int)(waiters - links) : 1;
    if (lki_futex_rouse(&c->seq_, first, (seen & SHARED) != 0) == 0)
        pass_on(c);
}

/* ---- the public faces ---------------------------------------------------------------------- */

static void unlock_mutex(void *m)
{
    lk_mutex_unlock(m);
}

static void relock_mutex(void *m)
{
    lk_mutex_lock(m);
}

static void unlock_read(void *l)
{
    lk_rwlock_rdunlock(l);
}

static void relock_read(void *l)
{
    lk_rwlock_rdlock(l);
}

static void unlock_write(void *l)
{
    lk_rwlock_wrunlock(l);
}

static void relock_write(void *l)
{
    lk_rwlock_wrlock(l);
}

int lk_cond_wait_with(lk_cond *c, const struct lk_cond_lock *lock, int clock,
                      const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    return wait(c, lock, &until);
}

int lk_cond_wait_clock(lk_cond *c, lk_mutex *m, int clock, const struct timespec *deadline)
{
    struct lk_cond_lock lock = {m, unlock_mutex, relock_mutex};
    return lk_cond_wait_with(c, &lock, clock, deadline);
}

int lk_cond_wait_until(lk_cond *c, lk_mutex *m, const struct timespec *deadline)
{
    return lk_cond_wait_clock(c, m, CLOCK_MONOTONIC, deadline);
}

void lk_cond_wait(lk_cond *c, lk_mutex *m)
{
    struct lk_cond_lock lock = {m, unlock_mutex, relock_mutex};
    (void)wait(c, &lock, &(struct lki_deadline){NULL, CLOCK_MONOTONIC});
}

int lk_cond_wait_rd_until(lk_cond *c, lk_rwlock *l, const struct timespec *deadline)
{
    struct lk_cond_lock lock = {l, unlock_read, relock_read};
    return lk_cond_wait_with(c, &lock, CLOCK_MONOTONIC, deadline);
}

int lk_cond_wait_wr_until(lk_cond *c, lk_rwlock *l, const struct timespec *deadline)
{
    struct lk_cond_lock lock = {l, unlock_write, relock_write};
    return lk_cond_wait_with(c, &lock, CLOCK_MONOTONIC, deadline);
}

int lk_cond_wait_for(lk_cond *c, lk_mutex *m, bool (*holds)(void *arg), void *arg,
                     const struct timespec *deadline)
{
    int rc = 0;
    while (!holds(arg)) {
        if (rc != 0)
            return rc;
        rc = lk_cond_wait_until(c, m, deadline);
    }
    return 0;
}

void lk_cond_init(lk_cond *c, unsigned flags)
{
    c->seq_ = 0;
    c->waiters_ = flags & LK_SHARED ? SHARED : 0;
}
