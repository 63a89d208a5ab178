/* rwlock.c - the paths of latchkey/rwlock.h that wait.
 *
 * State, 64 bits: {writers waiting:16, FLAGS:16 | readers waiting:16, readers inside:16}.
 *   WRITER         one is inside; then no reader is
 *   CROWDED        a writer (or the upgrader) sleeps at the gate: who makes the lock free for it
 *                  clears the bit and wakes one
 *   READERS_SLEEP  some of the waiting readers sleep: who lets them in wakes all
 *   UPGRADING      a reader waits for the others to leave
 *   HUNGRY         only writers that have slept may enter (hand-off, as in mutex.c)
 *   AWAKE          a writer that waits looks at the lock: those that come later leave it to that one
 *   PHASE          turned over when waiting readers are let in
 *
 * Readers that wait are counted, and *let in* all at once: one step moves their count to the
 * readers inside and turns PHASE over.  A waiting reader sees PHASE turn; it cannot turn twice
 * before it looks, because the reader counts as inside by then.  It sleeps on the upper half of the
 * state, with READERS_SLEEP and its own PHASE in it: a value that says that a wake is owed.
 *
 * Writers that wait are counted, too: that is what keeps readers out, as the kind says.  They sleep
 * on gate_, whose value 1 says: somebody will clear CROWDED and wake one.  Who is about to sleep
 * stores 1, then sets CROWDED by a read-modify-write of a state in which it may not enter; who clears
 * CROWDED stores 0 behind it, then wakes.  If the 1 was stored for a CROWDED that is gone, the 0
 * follows, and a wake behind it.  A writer that has raised the gate may have been woken in place of
 * others, so it enters with CROWDED if others wait, and if it gives up it passes the wake on.
 *
 * An idle lock is all zero again (`tidy`), so that the fast paths need no load.
 *
 * Source of the published failure that these rules exclude: glibc bug 23861 and 23844 (2018). */
#include "latchkey/rwlock.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "base/spin.h"

#define INSIDE UINT64_C(0xffff)
#define WAITING UINT64_C(0xffff0000)
#define ONE_WAITING UINT64_C(0x10000)
#define WRITER LK_RWLOCK_WRITER_
#define READERS_SLEEP (WRITER << 1)
#define CROWDED (WRITER << 2)
#define UPGRADING (WRITER << 3)
#define HUNGRY (WRITER << 4)
#define PHASE (WRITER << 5)
#define AWAKE (WRITER << 6)
#define WRITERS UINT64_C(0xffff000000000000)
#define ONE_WRITER (UINT64_C(1) << 48)
#define MOST 65534u

#define KIND 3u

static uint64_t look(const lk_rwlock *l)
{
    /* [rwlock.8] relaxed: a guess; the compare-and-swap decides. */
    return lk_load_rlx_u64(&l->state_);
}

static bool is_shared(const lk_rwlock *l)
{
    return (l->kind_ & LK_RWLOCK_SHARED_) != 0;
}

static unsigned kind_of(const lk_rwlock *l)
{
    return l->kind_ & KIND;
}

static bool reader_may_enter(uint64_t s, unsigned kind)
{
    if (s & WRITER)
        return false;
    if (kind == LK_RWLOCK_PREFER_READER || (s & (WRITERS | UPGRADING)) == 0)
        return true;
    return kind == LK_RWLOCK_PREFER_WRITER && (s & INSIDE) != 0;
}

/* How a writer stands: come just now, counted as waiting, or counted and has raised the gate. */
enum standing { NEW, COUNTED, RAISED };

static bool writer_may_enter(uint64_t s, enum standing me)
{
    uint64_t against = WRITER | INSIDE;
    if (me == NEW)
        against |= AWAKE;
    if (me != RAISED)
        against |= HUNGRY;
    return (s & against) == 0;
}

/* Nobody is there to whom these bits would say something. */
static uint64_t tidy(uint64_t s)
{
    if ((s & WAITING) == 0)
        s &= ~(s & INSIDE ? READERS_SLEEP : READERS_SLEEP | PHASE);
    if ((s & (WRITERS | UPGRADING)) == 0)
        s &= ~(CROWDED | HUNGRY | AWAKE);
    return s;
}

/* The state after the waiting readers have been let in, if the kind lets them in now. */
static uint64_t let_in(uint64_t s, unsigned kind)
{
    uint64_t waiting = (s & WAITING) >> 16;
    if (waiting == 0)
        return tidy(s);
    bool writers = (s & (WRITERS | UPGRADING)) != 0;
    if (writers && kind != LK_RWLOCK_PREFER_READER && kind != LK_RWLOCK_PHASE_FAIR)
        return tidy(s);
    return tidy(((s & ~(WAITING | READERS_SLEEP)) ^ PHASE) + waiting);
}

/* The state after somebody has given up whom waiting readers may have waited for: if they may enter
 * now, those that sleep must be woken, and enter one by one.  They are not let in: PHASE turns only
 * when a writer leaves, so it cannot turn twice while a reader that was let in has not looked. */
static uint64_t given_up(uint64_t s, unsigned kind, bool raised)
{
    if (raised && (s & WRITERS))
        s |= CROWDED;
    if (reader_may_enter(s, kind))
        s &= ~READERS_SLEEP;
    return tidy(s);
}

/* ---- waking -------------------------------------------------------------------------------- */

static void wake_readers(lk_rwlock *l)
{
    (void)lki_futex_rouse(lk_high_half(&l->state_), 0x7fffffff, is_shared(l));
}

/* CROWDED was cleared, which made `s`. */
static void wake_writer(lk_rwlock *l, uint64_t s)
{
    /* [rwlock.9] relaxed: behind the clearing of CROWDED in [rwlock.10] [rwlock.4] by their
     * acquire; the kernel's own lock orders it before the wake. */
    lk_store_rlx_u32(&l->gate_, 0);
    int n = s & UPGRADING ? 0x7fffffff : 1;
    if (lki_futex_rouse(&l->gate_, n, is_shared(l)) > 0 || (s & HUNGRY) == 0)
        return;
    /* [rwlock.11] relaxed: reserved, and nobody sleeps; not reserved any more. */
    (void)lk_and_rlx_u64(&l->state_, ~HUNGRY);
    (void)lki_futex_rouse(&l->gate_, 1, is_shared(l));
}

/* ---- readers ------------------------------------------------------------------------------- */

/* A reader that is counted as waiting gives up, unless it has been let in. */
static int stop_waiting(lk_rwlock *l, uint64_t phase)
{
    for (;;) {
        /* [rwlock.12] acquire, pairs with [rwlock.4]: let in after all. */
        uint64_t seen = lk_load_acq_u64(&l->state_);
        if ((seen & PHASE) != phase)
            return 0;
        /* [rwlock.13] relaxed: takes back a count; guards nothing. */
        if (lk_cas_rlx_u64(&l->state_, &seen, tidy(seen - ONE_WAITING)))
            return ETIMEDOUT;
    }
}

/* A waiting reader that has not been let in: may it enter by itself, somebody having given up?
 * False: something has changed. */
static bool enter_from_waiting(lk_rwlock *l, uint64_t seen)
{
    uint64_t wanted = tidy(seen - ONE_WAITING + LK_RWLOCK_READER_);
    /* [rwlock.26] acquire, pairs with [rwlock.2] [rwlock.4]: as [rwlock.1]. */
    return lk_cas_acq_u64(&l->state_, &seen, wanted);
}

/* Counted as waiting since the state had this PHASE. */
static int wait_to_be_let_in(lk_rwlock *l, uint64_t phase, struct lki_spin *spin,
                             const struct lki_deadline *until)
{
    for (;;) {
        /* [rwlock.7] acquire, pairs with [rwlock.2] [rwlock.4]: PHASE turned over
         * behind what the last writer wrote. */
        uint64_t seen = lk_load_acq_u64(&l->state_);
        if ((seen & PHASE) != phase)
            return 0;
        if (reader_may_enter(seen, kind_of(l))) {
            if (enter_from_waiting(l, seen))
                return 0;
            continue;
        }
        if (lki_spin_near(spin))
            continue;
        if (until->at != NULL && lki_deadline_passed(until))
            return stop_waiting(l, phase);
        /* [rwlock.15] relaxed: the bit must be in the word before the kernel compares it, and the
         * kernel's own lock orders that. */
        if ((seen & READERS_SLEEP) == 0 && !lk_cas_rlx_u64(&l->state_, &seen, seen | READERS_SLEEP))
            continue;
        uint32_t value = (uint32_t)((seen | READERS_SLEEP) >> 32);
        if (lki_futex_sleep(lk_high_half(&l->state_), value, is_shared(l), until) == ETIMEDOUT)
            return stop_waiting(l, phase);
    }
}

/* 0, EAGAIN, or EBUSY: not let in now; *seen is the state that says so. */
static int enter_reading(lk_rwlock *l, uint64_t *seen)
{
    unsigned kind = kind_of(l);
    *seen = look(l);
    while (reader_may_enter(*seen, kind)) {
        if ((*seen & INSIDE) >= MOST)
            return EAGAIN;
        /* [rwlock.16] acquire, pairs with [rwlock.2] [rwlock.4]: as [rwlock.1]. */
        if (lk_cas_acq_u64(&l->state_, seen, *seen + LK_RWLOCK_READER_))
            return 0;
    }
    return EBUSY;
}

static int rdlock(lk_rwlock *l, const struct lki_deadline *until)
{
    struct lki_spin spin;
    uint64_t seen;
    int rc = enter_reading(l, &seen);
    if (rc != EBUSY)
        return rc;
    lki_spin_aloof(&spin);
    for (;;) {
        rc = enter_reading(l, &seen);
        if (rc != EBUSY)
            return rc;
        if ((seen & WAITING) >> 16 >= MOST - (seen & INSIDE))
            return EAGAIN;
        if (until->at != NULL && lki_deadline_passed(until))
            return ETIMEDOUT;
        /* [rwlock.17] relaxed: counts itself; what it may read comes with [rwlock.7]. */
        if (lk_cas_rlx_u64(&l->state_, &seen, seen + ONE_WAITING))
            return wait_to_be_let_in(l, seen & PHASE, &spin, until);
    }
}

int lk_rwlock_tryrdlock(lk_rwlock *l)
{
    uint64_t seen;
    return enter_reading(l, &seen);
}

/* One reader has left a lock of state `old`, in which somebody waits or PHASE is turned over. */
void lk_rwlock_rdunlock_slowly_(lk_rwlock *l, uint64_t old)
{
    uint64_t inside = old & INSIDE;
    if (inside > 2 || (inside == 2 && (old & UPGRADING) == 0))
        return;
    if (old & CROWDED) {
        /* [rwlock.10] acquire, pairs with [rwlock.18]: behind the gate's 1 that came with the
         * bit. */
        uint64_t before = lk_and_acq_u64(&l->state_, ~CROWDED);
        if (before & CROWDED)
            wake_writer(l, before);
        return;
    }
    uint64_t seen = old - LK_RWLOCK_READER_;
    /* [rwlock.19] relaxed: makes an idle lock all zero again. */
    if (seen == PHASE)
        (void)lk_cas_rlx_u64(&l->state_, &seen, 0);
}

/* ---- writers ------------------------------------------------------------------------------- */

/* One try to enter. */
static bool enter_writing(lk_rwlock *l, uint64_t seen, enum standing me)
{
    if (!writer_may_enter(seen, me))
        return false;
    uint64_t wanted = ((seen | WRITER) & ~(HUNGRY | AWAKE)) - (me != NEW ? ONE_WRITER : 0);
    if (me == RAISED && (wanted & WRITERS))
        wanted |= CROWDED;
    /* [rwlock.6] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.5]: as [rwlock.3]. */
    return lk_cas_acq_u64(&l->state_, &seen, tidy(wanted));
}

int lk_rwlock_trywrlock(lk_rwlock *l)
{
    uint64_t seen;
    do {
        seen = look(l);
        if (enter_writing(l, seen, NEW))
            return 0;
    } while (writer_may_enter(seen, NEW));
    return EBUSY;
}

/* A counted writer's deadline has passed.  Readers that waited only for it go in; a wake that it had
 * goes on. */
static int stop_writing(lk_rwlock *l, enum standing me)
{
    for (;;) {
        uint64_t seen = look(l);
        if (enter_writing(l, seen, me))
            return 0;
        if (writer_may_enter(seen, me))
            continue;
        uint64_t left = given_up((seen & ~AWAKE) - ONE_WRITER, kind_of(l), me == RAISED);
        /* [rwlock.14] relaxed: takes back a count; guards nothing. */
        if (!lk_cas_rlx_u64(&l->state_, &seen, left))
            continue;
        if (seen & ~left & READERS_SLEEP)
            wake_readers(l);
        return ETIMEDOUT;
    }
}

/* Raise the gate and sleep.  `seen`: a state in which this thread cannot enter.  EAGAIN: it has
 * changed. */
static int sleep_at_gate(lk_rwlock *l, uint64_t seen, bool hungry, const struct lki_deadline *until)
{
    /* [rwlock.20] relaxed: [rwlock.18] carries it. */
    lk_store_rlx_u32(&l->gate_, 1);
    /* [rwlock.18] acq_rel, pairs with [rwlock.10] [rwlock.4]: who clears CROWDED stores its 0 behind
     * our 1; a read-modify-write even if the bit is set already. */
    uint64_t wanted = (seen & ~AWAKE) | CROWDED | (hungry ? HUNGRY : 0);
    if (!lk_cas_acqrel_u64(&l->state_, &seen, wanted))
        return EAGAIN;
    return lki_futex_sleep(&l->gate_, 1, is_shared(l), until);
}

/* A new writer that cannot enter counts itself, so that readers make way as the kind says, and later
 * writers do.  0 (counted), EAGAIN (too many), EBUSY: the state has changed. */
static int count_writer(lk_rwlock *l, uint64_t seen)
{
    if (seen >> 48 >= MOST)
        return EAGAIN;
    /* [rwlock.21] relaxed: guards nothing. */
    return lk_cas_rlx_u64(&l->state_, &seen, (seen + ONE_WRITER) | AWAKE) ? 0 : EBUSY;
}

/* A counted writer looks on for a while.  True: look again. */
static bool look_on(lk_rwlock *l, uint64_t seen, struct lki_spin *spin)
{
    if (!lki_spin_more(spin))
        return false;
    if ((seen & AWAKE) == 0)
        /* [rwlock.27] relaxed: another that was awake has entered or sleeps; guards nothing. */
        (void)lk_cas_rlx_u64(&l->state_, &seen, seen | AWAKE);
    lki_spin_pause();
    return true;
}

static int wrlock(lk_rwlock *l, const struct lki_deadline *until)
{
    enum standing me = NEW;
    unsigned in_vain = 0;
    struct lki_spin spin;
    if (enter_writing(l, look(l), NEW))
        return 0;
    lki_spin_aloof(&spin);
    for (;;) {
        uint64_t seen = look(l);
        if (enter_writing(l, seen, me))
            return 0;
        if (writer_may_enter(seen, me))
            continue;
        if (me == COUNTED && look_on(l, seen, &spin))
            continue;
        if (until->at != NULL && lki_deadline_passed(until))
            return me == NEW ? ETIMEDOUT : stop_writing(l, me);
        if (me == NEW) {
            int rc = count_writer(l, seen);
            if (rc == EAGAIN)
                return EAGAIN;
            me = rc == 0 ? COUNTED : NEW;
            continue;
        }
        me = RAISED;
        int rc = sleep_at_gate(l, seen, in_vain >= LK_MUTEX_PATIENCE, until);
        in_vain += rc == 0;
        if (rc == ETIMEDOUT)
            return stop_writing(l, me);
    }
}

void lk_rwlock_wrunlock_slowly_(lk_rwlock *l)
{
    uint64_t seen = look(l), after;
    do {
        after = let_in(seen & ~WRITER, kind_of(l));
        if ((after & INSIDE) == 0)
            after &= ~CROWDED;
        /* [rwlock.4] acq_rel, pairs with [rwlock.1] [rwlock.3] [rwlock.6] [rwlock.7] [rwlock.12]
         * [rwlock.16] [rwlock.18]: what this writer wrote; and the gate's 1 that came with CROWDED. */
    } while (!lk_cas_acqrel_u64(&l->state_, &seen, after));
    if (seen & ~after & READERS_SLEEP)
        wake_readers(l);
    if ((after & INSIDE) == 0 && (seen & CROWDED))
        wake_writer(l, seen);
}

/* ---- changing over ------------------------------------------------------------------------- */

void lk_rwlock_downgrade(lk_rwlock *l)
{
    uint64_t seen = look(l), after;
    do {
        after = let_in(seen - WRITER + LK_RWLOCK_READER_, kind_of(l));
        /* [rwlock.22] release, pairs with [rwlock.1] [rwlock.7] [rwlock.12] [rwlock.16]: what this
         * writer wrote. */
    } while (!lk_cas_rel_u64(&l->state_, &seen, after));
    if (seen & ~after & READERS_SLEEP)
        wake_readers(l);
}

/* One try to become the writer, as the only reader. */
static bool enter_upgraded(lk_rwlock *l, uint64_t seen, bool upgrading, bool raised)
{
    if ((seen & INSIDE) != 1)
        return false;
    uint64_t wanted = (seen | WRITER) - LK_RWLOCK_READER_;
    if (upgrading)
        wanted &= ~UPGRADING;
    if (raised && (wanted & WRITERS))
        wanted |= CROWDED;
    /* [rwlock.23] acquire, pairs with [rwlock.5]: behind the readers that have left. */
    return lk_cas_acq_u64(&l->state_, &seen, tidy(wanted));
}

int lk_rwlock_tryupgrade(lk_rwlock *l)
{
    uint64_t seen;
    do {
        seen = look(l);
        if ((seen & UPGRADING) == 0 && enter_upgraded(l, seen, false, false))
            return 0;
    } while ((seen & INSIDE) == 1);
    return EBUSY;
}

static int stop_upgrading(lk_rwlock *l, bool raised)
{
    for (;;) {
        uint64_t seen = look(l);
        if (enter_upgraded(l, seen, true, raised))
            return 0;
        if ((seen & INSIDE) == 1)
            continue;
        uint64_t left = given_up(seen & ~UPGRADING, kind_of(l), raised);
        /* [rwlock.24] relaxed: as [rwlock.14]. */
        if (!lk_cas_rlx_u64(&l->state_, &seen, left))
            continue;
        if (seen & ~left & READERS_SLEEP)
            wake_readers(l);
        return ETIMEDOUT;
    }
}

int lk_rwlock_upgrade_until(lk_rwlock *l, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    bool upgrading = false, raised = false;
    if (lki_deadline_check(&until) != 0)
        return EINVAL;
    if (lk_rwlock_tryupgrade(l) == 0)
        return 0;
    struct lki_spin spin;
    lki_spin_aloof(&spin);
    for (;;) {
        uint64_t seen = look(l);
        if (!upgrading && (seen & UPGRADING))
            return EDEADLK;
        if (enter_upgraded(l, seen, upgrading, raised))
            return 0;
        if ((seen & INSIDE) == 1)
            continue;
        if (!upgrading) {
            if (until.at != NULL && lki_deadline_passed(&until))
                return ETIMEDOUT;
            /* [rwlock.25] relaxed: asks the readers to wake it; they read the state. */
            upgrading = lk_cas_rlx_u64(&l->state_, &seen, seen | UPGRADING);
            continue;
        }
        if (!raised && lki_spin_near(&spin))
            continue;
        if (until.at != NULL && lki_deadline_passed(&until))
            return stop_upgrading(l, raised);
        raised = true;
        if (sleep_at_gate(l, seen, false, &until) == ETIMEDOUT)
            return stop_upgrading(l, raised);
    }
}

/* ---- the public faces ---------------------------------------------------------------------- */

static const struct lki_deadline never = {NULL, CLOCK_MONOTONIC};

static void must_be_locked(int rc)
{
    if (rc == 0)
        return;
    (void)fputs("latchkey: lk_rwlock: more than 65,534 threads inside or waiting\n", stderr);
    abort();
}

void lk_rwlock_rdlock_slowly_(lk_rwlock *l)
{
    must_be_locked(rdlock(l, &never));
}

void lk_rwlock_wrlock_slowly_(lk_rwlock *l)
{
    must_be_locked(wrlock(l, &never));
}

int lk_rwlock_rdlock_clock(lk_rwlock *l, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    int rc = lk_rwlock_tryrdlock(l);
    if (rc == EBUSY)
        rc = lki_deadline_check(&until);
    else
        return rc;
    return rc != 0 ? rc : rdlock(l, &until);
}

int lk_rwlock_wrlock_clock(lk_rwlock *l, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    if (lk_rwlock_trywrlock(l) == 0)
        return 0;
    int rc = lki_deadline_check(&until);
    return rc != 0 ? rc : wrlock(l, &until);
}

int lk_rwlock_rdlock_until(lk_rwlock *l, const struct timespec *deadline)
{
    return lk_rwlock_rdlock_clock(l, CLOCK_MONOTONIC, deadline);
}

int lk_rwlock_wrlock_until(lk_rwlock *l, const struct timespec *deadline)
{
    return lk_rwlock_wrlock_clock(l, CLOCK_MONOTONIC, deadline);
}

void lk_rwlock_unlock(lk_rwlock *l)
{
    if (look(l) & WRITER)
        lk_rwlock_wrunlock(l);
    else
        lk_rwlock_rdunlock(l);
}

int lk_rwlock_init(lk_rwlock *l, enum lk_rwlock_kind kind, unsigned flags)
{
    if ((unsigned)kind > LK_RWLOCK_PHASE_FAIR)
        return EINVAL;
    l->state_ = 0;
    l->gate_ = 0;
    l->kind_ = (uint32_t)kind | (flags & LK_SHARED ? LK_RWLOCK_SHARED_ : 0);
    return 0;
}
