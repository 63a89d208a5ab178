/* brlock.c - the read-mostly lock of latchkey/rwlock.h.
 *
 * Gate: NOBODY | WRITER (one is inside or waits for readers to leave) | ASLEEP (it sleeps: a reader
 * that leaves makes it WRITER and wakes it).  A reader counts itself in its line, then looks at the
 * gate; a writer shuts the gate, then looks at the lines.  In the one order of these seq_cst
 * operations either the reader sees the gate shut or the writer sees the reader.
 * A reader that finds the gate shut takes itself back and waits for the writers' mutex, under which
 * the gate is open. */
#include "latchkey/rwlock.h"

#include "base/atomic.h"
#include "base/futex.h"
#include "base/spin.h"
#include "lock/mutex.h"

enum { NOBODY, WRITER, ASLEEP };

static const struct lki_deadline never = {NULL, CLOCK_MONOTONIC};

/* The calling thread's line: threads share them evenly. */
static uint32_t *my_count(lk_brlock *l)
{
    static uint32_t threads;
    static __thread uint32_t mine __attribute__((tls_model("initial-exec")));
    if (mine == 0)
        /* [brlock.1] relaxed: any number does. */
        mine = lk_add_rlx_u32(&threads, 1) % LK_BRLOCK_LINES + 1;
    return &l->line_[mine - 1].readers_;
}

/* Count out, and wake a writer that sleeps. */
static void leave(lk_brlock *l, uint32_t *count)
{
    /* [brlock.2] seq_cst, pairs with [brlock.6] [brlock.8] [brlock.14] [brlock.15]: the writer
     * comes after what was read, or its ASLEEP is seen below. */
    (void)lk_sub_sc_u32(count, 1);
    /* [brlock.3] seq_cst, pairs with [brlock.7]: see [brlock.2]. */
    uint32_t gate = lk_load_sc_u32(&l->gate_);
    /* [brlock.4] relaxed: one reader wakes it.  An ASLEEP that is stored behind it comes after
     * [brlock.3] in the one order, so that [brlock.8] sees [brlock.2]. */
    if (gate == ASLEEP && lk_cas_rlx_u32(&l->gate_, &gate, WRITER))
        (void)lki_futex_rouse(&l->gate_, 1, l->shared_ != 0);
}

int lk_brlock_tryrdlock(lk_brlock *l)
{
    uint32_t *count = my_count(l);
    /* [brlock.5] seq_cst, pairs with [brlock.6] [brlock.8] [brlock.14]: the writer waits for us, or
     * its gate is seen shut below. */
    (void)lk_add_sc_u32(count, 1);
    /* [brlock.9] seq_cst, pairs with [brlock.10] [brlock.11] [brlock.13]: what the last writer
     * wrote. */
    if (LK_LIKELY(lk_load_sc_u32(&l->gate_) == NOBODY))
        return 0;
    leave(l, count);
    return EBUSY;
}

static int rdlock_behind_writer(lk_brlock *l, const struct lki_deadline *until)
{
    int rc = lki_deadline_check(until);
    if (rc != 0)
        return rc;
    rc = lk_mutex_lock_clock(&l->writers_, until->clock, until->at);
    if (rc != 0)
        return rc;
    /* [brlock.12] relaxed: the mutex orders it before the next writer's looks, and after the last
     * writer. */
    (void)lk_add_rlx_u32(my_count(l), 1);
    lk_mutex_unlock(&l->writers_);
    return 0;
}

void lk_brlock_rdlock(lk_brlock *l)
{
    if (lk_brlock_tryrdlock(l) != 0)
        (void)rdlock_behind_writer(l, &never);
}

int lk_brlock_rdlock_until(lk_brlock *l, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    return lk_brlock_tryrdlock(l) == 0 ? 0 : rdlock_behind_writer(l, &until);
}

void lk_brlock_rdunlock(lk_brlock *l)
{
    leave(l, my_count(l));
}

/* The gate is shut: wait until this line is empty. */
static int wait_for_line(lk_brlock *l, const uint32_t *count, const struct lki_deadline *until)
{
    struct lki_spin spin = {0};
    for (bool begun = false;; begun = true) {
        /* [brlock.6] seq_cst, pairs with [brlock.2] [brlock.5]: what those who left
         * have read, and those who came before the gate was shut. */
        if (lk_load_sc_u32(count) == 0)
            return 0;
        if (!begun)
            lki_spin_begin(&spin);
        if (lki_spin_near(&spin))
            continue;
        if (until->at != NULL && lki_deadline_passed(until))
            return ETIMEDOUT;
        /* [brlock.7] seq_cst, pairs with [brlock.3]: a reader that leaves from now on wakes us. */
        lk_store_sc_u32(&l->gate_, ASLEEP);
        /* [brlock.8] seq_cst, pairs with [brlock.2] [brlock.5]: or it has left before. */
        if (lk_load_sc_u32(count) == 0)
            return 0;
        if (lki_futex_sleep(&l->gate_, ASLEEP, l->shared_ != 0, until) == ETIMEDOUT) {
            /* [brlock.15] acquire, pairs with [brlock.2]: what those who left have read; no other
             * count than [brlock.8] saw may come before it. */
            return lk_load_acq_u32(count) == 0 ? 0 : ETIMEDOUT;
        }
    }
}

static int shut(lk_brlock *l, const struct lki_deadline *until)
{
    /* [brlock.13] seq_cst, pairs with [brlock.9]: readers that come from now on turn back. */
    lk_store_sc_u32(&l->gate_, WRITER);
    for (int i = 0; i < LK_BRLOCK_LINES; i++) {
        int rc = wait_for_line(l, &l->line_[i].readers_, until);
        if (rc == 0)
            continue;
        lk_brlock_wrunlock(l);
        return rc;
    }
    return 0;
}

void lk_brlock_wrlock(lk_brlock *l)
{
    lk_mutex_lock(&l->writers_);
    (void)shut(l, &never);
}

int lk_brlock_wrlock_until(lk_brlock *l, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    int rc = lki_deadline_check(&until);
    if (rc == 0)
        rc = lk_mutex_lock_until(&l->writers_, deadline);
    return rc != 0 ? rc : shut(l, &until);
}

int lk_brlock_trywrlock(lk_brlock *l)
{
    if (lk_mutex_trylock(&l->writers_) != 0)
        return EBUSY;
    /* [brlock.11] seq_cst, pairs with [brlock.9]: as [brlock.13]. */
    lk_store_sc_u32(&l->gate_, WRITER);
    for (int i = 0; i < LK_BRLOCK_LINES; i++)
        /* [brlock.14] seq_cst, pairs with [brlock.2] [brlock.5]: as [brlock.6]. */
        if (lk_load_sc_u32(&l->line_[i].readers_) != 0) {
            lk_brlock_wrunlock(l);
            return EBUSY;
        }
    return 0;
}

void lk_brlock_wrunlock(lk_brlock *l)
{
    /* [brlock.10] release, pairs with [brlock.9]: what this writer wrote. */
    lk_store_rel_u32(&l->gate_, NOBODY);
    lk_mutex_unlock(&l->writers_);
}

void lk_brlock_init(lk_brlock *l, unsigned flags)
{
    __builtin_memset(l, 0, sizeof *l);
    l->shared_ = flags & LK_SHARED;
    lk_mutex_init(&l->writers_, flags);
}
