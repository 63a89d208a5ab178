/* rwlock.c - the paths of latchkey/rwlock.h that wait.
 *
 * State, 64 bits: {writers waiting:16, FLAGS:16 | readers waiting:16, readers inside:16}.
 *   WRITER         one is inside; then no reader is
 *   CROWDED        a writer sleeps at the gate: who makes the lock free for it clears the bit and
 *                  wakes one
 *   READERS_SLEEP  some of the waiting readers sleep: who lets them in wakes all
 *   UPGRADING      a reader waits for the others to leave (rwlock_change.c)
 *   UPGRADER_SLEEPS  it sleeps: who leaves it alone inside clears the bit and wakes it
 *   HUNGRY         only writers that have slept may enter (hand-off, as in mutex.c)
 *   AWAKE          a writer that waits looks at the lock: those that come later leave it to that
 *   one
 *   PHASE          turned over when waiting readers are let in
 *
 * A reader that comes counts itself inside and then sees whether it may be; if it may not, it
 * leaves as any reader does, and waits.  So a reader inside may stand beside WRITER for a moment, a
 * writer may find one inside that reads nothing, and who leaves last, read or not, owes the wakes.
 *
 * Readers that wait are counted, and *let in* all at once: one step moves their count to the
 * readers inside and turns PHASE over.  A waiting reader sees PHASE turn; it cannot turn twice
 * before it looks, because the reader counts as inside by then.  It sleeps on the upper half of the
 * state, with READERS_SLEEP and its own PHASE in it: a value that says that a wake is owed.
 *
 * Writers that wait are counted, too: that is what keeps readers out, as the kind says.  They sleep
 * on gate_, whose value 1 says: somebody will clear CROWDED and wake one.  Who is about to sleep
 * stores 1, then sets CROWDED by a read-modify-write of a state in which it may not enter; who
 * clears CROWDED stores 0 behind it, then wakes.  If the 1 was stored for a CROWDED that is gone,
 * the 0 follows, and a wake behind it.  A writer that has raised the gate may have been woken in
 * place of others, so it enters with CROWDED if others wait, and if it gives up it passes the wake
 * on.
 *
 * An idle lock is all zero again (`tidy`), so that the fast paths need no load.
 *
 * Source of the published failure that these rules exclude: glibc bug 23861 and 23844 (2018). */
#include "lock/rwlock.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- waking -------------------------------------------------------------------------------- */

void lki_rwlock_wake_readers(lk_rwlock *l)
{
    (void)lki_futex_rouse(lk_high_half(&l->state_), 0x7fffffff, is_shared(l));
}

/* CROWDED was cleared from the state `s`. */
static void wake_writer(lk_rwlock *l, uint64_t s)
{
    do {
        /* [rwlock.9] relaxed: behind the clearing of CROWDED in [rwlock.10] [rwlock.4] [rwlock.11]
         * by their acquire; the kernel's own lock orders it before the wake. */
        lk_store_rlx_u32(&l->gate_, 0);
        if (lki_futex_rouse(&l->gate_, 1, is_shared(l)) > 0 || (s & HUNGRY) == 0)
            return;
        /* [rwlock.11] acquire, pairs with [rwlock.6] [rwlock.14] [rwlock.18]: reserved, and nobody
         * sleeps; not reserved any more.  Who set CROWDED meanwhile, because it was reserved, is
         * owed a wake that no holder will make; as [rwlock.10]. */
        s = lk_and_acq_u64(&l->state_, ~(HUNGRY | CROWDED)) & ~HUNGRY;
    } while (s & CROWDED);
}

/* Raise the gate and set CROWDED, to sleep at it.  *seen: a state in which this writer cannot
 * enter; `add` counts it.  False: the state has changed, to *seen. */
static bool raise_gate(lk_rwlock *l, uint64_t *seen, uint64_t add)
{
    /* [rwlock.20] relaxed: [rwlock.18] carries it. */
    lk_store_rlx_u32(&l->gate_, 1);
    /* [rwlock.18] acq_rel, pairs with [rwlock.10] [rwlock.4] [rwlock.11]: who clears CROWDED stores
     * its 0 behind our 1; a read-modify-write even if the bit is set already. */
    return lk_cas_acqrel_u64(&l->state_, seen, ((*seen & ~AWAKE) | CROWDED) + add);
}

/* ---- readers ------------------------------------------------------------------------------- */

/* A reader that is counted as waiting gives up, unless it has been let in. */
static int stop_waiting(lk_rwlock *l, uint64_t phase)
{
    for (;;) {
        /* [rwlock.12] acquire, pairs with [rwlock.4] [rwlock.22]: let in after all. */
        uint64_t seen = lk_load_acq_u64(&l->state_);
        if ((seen & PHASE) != phase)
            return 0;
        /* [rwlock.13] relaxed: takes back a count; guards nothing. */
        if (lk_cas_rlx_u64(&l->state_, &seen, tidy(seen - ONE_WAITING)))
            return ETIMEDOUT;
    }
}

/* A waiting reader that has not been let in enters by itself, somebody having given up.  False:
 * something has changed. */
static bool enter_from_waiting(lk_rwlock *l, uint64_t now)
{
    uint64_t wanted = tidy(now - ONE_WAITING + LK_RWLOCK_READER_);
    /* [rwlock.26] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.22]: as [rwlock.1]. */
    return lk_cas_acq_u64(&l->state_, &now, wanted);
}

/* Sleep until let in, or something else changes. */
static int sleep_reading(lk_rwlock *l, uint64_t now, const struct lki_deadline *until)
{
    /* [rwlock.15] relaxed: the bit must be in the word before the kernel compares it, and the
     * kernel's own lock orders that. */
    if ((now & READERS_SLEEP) == 0 && !lk_cas_rlx_u64(&l->state_, &now, now | READERS_SLEEP))
        return EAGAIN;
    uint32_t value = (uint32_t)((now | READERS_SLEEP) >> 32);
    return lki_futex_sleep(lk_high_half(&l->state_), value, is_shared(l), until);
}

/* Counted as waiting by the step that made the state `now`. */
static int wait_to_be_let_in(lk_rwlock *l, uint64_t now, unsigned kind, struct lki_spin *spin,
                             const struct lki_deadline *until)
{
    uint64_t phase = now & PHASE;
    while ((now & PHASE) == phase) {
        if (reader_may_enter(now, kind)) {
            if (enter_from_waiting(l, now))
                return 0;
        } else if (!lki_spin_near(spin)) {
            if (until->at != NULL && lki_deadline_passed(until))
                return stop_waiting(l, phase);
            if (sleep_reading(l, now, until) == ETIMEDOUT)
                return stop_waiting(l, phase);
        }
        /* [rwlock.7] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.22]: PHASE turned over
         * behind what the last writer wrote. */
        now = lk_load_acq_u64(&l->state_);
    }
    return 0;
}

/* 0, EAGAIN, or EBUSY: not let in now; *seen, a state that was there, is changed to one that says
 * so. */
static int enter_reading(lk_rwlock *l, uint64_t *seen, unsigned kind)
{
    while (reader_may_enter(*seen, kind)) {
        if ((*seen & INSIDE) >= MOST_READERS)
            return EAGAIN;
        /* [rwlock.16] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.22]: as [rwlock.1]. */
        if (lk_cas_acq_u64(&l->state_, seen, *seen + LK_RWLOCK_READER_))
            return 0;
    }
    return EBUSY;
}

/* A lock of the kind prefer-reader is free, and a writer that waits looks at it: a stream of short
 * sections in another thread's cache would rarely be seen free, so leave the line to it once, as
 * long as to one that is inside: after less it would be in the middle of its own stream. */
static bool makes_way(uint64_t s, unsigned kind)
{
    return kind == LK_RWLOCK_PREFER_READER && (s & (AWAKE | WRITER | INSIDE)) == AWAKE;
}

/* A reader that has counted itself inside a lock of state `old` may be there. */
static bool may_stay(uint64_t old, unsigned kind, bool made_way)
{
    return reader_may_enter(old, kind) && (made_way || !makes_way(old, kind)) &&
           (old & INSIDE) < MOST_READERS;
}

/* Where lines are near: come and look again, a moment apart.  seen: the state without this reader.
 * False: it is not inside. */
static bool enter_reading_soon(lk_rwlock *l, uint64_t seen, unsigned kind)
{
    enum { MAKES_WAY_LOOKS = 4 };
    bool near = lki_line_is_near(), timed = lki_line_is_timed(near);
    for (int i = 0; (near || timed) && i < LKI_SOON_LOOKS; i++) {
        lki_spin_moment(i == 0);
        uint64_t begun_ns = timed ? lki_mono_ns() : 0;
        /* [rwlock.33] acquire, pairs with [rwlock.2] [rwlock.4] [rwlock.22]: as [rwlock.1]. */
        uint64_t old = lk_word_add_acq_u64(&l->state_, LK_RWLOCK_READER_);
        if (timed && old != seen)
            near = lki_line_took(lki_mono_ns() - begun_ns);
        timed = false;
        if (may_stay(old, kind, i >= MAKES_WAY_LOOKS))
            return true;
        lk_rwlock_rdunlock(l);
    }
    return false;
}

static int rdlock(lk_rwlock *l, uint64_t seen, unsigned kind, const struct lki_deadline *until)
{
    if (enter_reading_soon(l, seen, kind))
        return 0;
    struct lki_spin spin;
    bool near = lki_line_is_near(), waited = near || makes_way(seen, kind);
    if (near)
        lki_spin_begin(&spin);
    else if (waited)
        (void)lki_spin_aloof(&spin);
    if (waited)
        seen = look(l);
    int rc = enter_reading(l, &seen, kind);
    if (rc != EBUSY)
        return rc;
    if (!waited && lki_spin_aloof(&spin))
        seen = look(l);
    for (;;) {
        rc = enter_reading(l, &seen, kind);
        if (rc != EBUSY)
            return rc;
        if (((seen & WAITING) >> 16) + (seen & INSIDE) >= MOST_READERS)
            return EAGAIN;
        if (until->at != NULL && lki_deadline_passed(until))
            return ETIMEDOUT;
        uint64_t wanted = (seen + ONE_WAITING) | (lki_spin_more(&spin) ? 0 : READERS_SLEEP);
        /* [rwlock.17] relaxed: counts itself; what it may read comes with [rwlock.7]. */
        if (lk_cas_rlx_u64(&l->state_, &seen, wanted))
            return wait_to_be_let_in(l, wanted, kind, &spin, until);
    }
}

int lk_rwlock_tryrdlock(lk_rwlock *l)
{
    uint64_t seen = look(l);
    return enter_reading(l, &seen, kind_of(l));
}

/* One reader has left a lock of state `old`, in which somebody waits or PHASE is turned over; or a
 * writer is inside, who will see to all that: the reader had just come. */
void lk_rwlock_rdunlock_slowly_(lk_rwlock *l, uint64_t old)
{
    uint64_t inside = old & INSIDE;
    if (inside == 2 && (old & UPGRADER_SLEEPS)) {
        /* [rwlock.29] acquire, pairs with [rwlock.30]: behind the gate that came with the bit. */
        if (lk_and_acq_u64(&l->state_, ~UPGRADER_SLEEPS) & UPGRADER_SLEEPS)
            lki_rwlock_wake_upgrader(l);
        return;
    }
    if (inside != 1 || (old & WRITER))
        return;
    if (old & CROWDED) {
        /* [rwlock.10] acquire, pairs with [rwlock.6] [rwlock.14] [rwlock.18]: behind the gate's 1
         * that came with the bit. */
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

/* How a writer stands: just come, or counted as waiting; and whether it has ever raised the gate,
 * so that it owes others a wake. */
struct writer {
    bool counted, raised;
    int in_vain;
};

static bool writer_may_enter(uint64_t s, const struct writer *me)
{
    uint64_t against = WRITER | INSIDE;
    if (!me->counted)
        against |= AWAKE;
    if (!me->raised)
        against |= HUNGRY;
    return (s & against) == 0;
}

/* Enter if that may be.  *seen, a state that was there, is changed to one that forbids it. */
static bool enter_writing(lk_rwlock *l, uint64_t *seen, const struct writer *me)
{
    while (writer_may_enter(*seen, me)) {
        uint64_t wanted = ((*seen | WRITER) & ~(HUNGRY | AWAKE)) - (me->counted ? ONE_WRITER : 0);
        if (me->raised && (wanted & WRITERS))
            wanted |= CROWDED;
        /* [rwlock.6] acq_rel, pairs with [rwlock.2] [rwlock.4] [rwlock.5] [rwlock.10] [rwlock.11]:
         * as [rwlock.3]; and who clears the CROWDED that is set here stores its 0 behind our 1. */
        if (lk_cas_acqrel_u64(&l->state_, seen, tidy(wanted)))
            return true;
    }
    return false;
}

int lk_rwlock_trywrlock(lk_rwlock *l)
{
    uint64_t seen = look(l);
    return enter_writing(l, &seen, &(struct writer){false, false, 0}) ? 0 : EBUSY;
}

/* The deadline has passed.  Readers that waited only for this writer may enter; a wake that it had
 * goes on. */
static int stop_writing(lk_rwlock *l, const struct writer *me)
{
    uint64_t seen = look(l);
    for (;;) {
        if (enter_writing(l, &seen, me))
            return 0;
        uint64_t left = (seen & ~AWAKE) - (me->counted ? ONE_WRITER : 0);
        left = given_up(left, kind_of(l), me->raised);
        /* [rwlock.14] release, pairs with [rwlock.4] [rwlock.10] [rwlock.11]: the gate's 1 goes
         * before the 0 of who clears CROWDED. */
        if (!lk_cas_rel_u64(&l->state_, &seen, left))
            continue;
        if (seen & ~left & READERS_SLEEP)
            lki_rwlock_wake_readers(l);
        return ETIMEDOUT;
    }
}

/* Count this writer, so that readers make way as the kind says and later writers do; and look on
 * for a while, or a moment.  *seen becomes the state after it, or one that was there instead. */
static void look_on(lk_rwlock *l, uint64_t *seen, struct writer *me, bool moment)
{
    uint64_t wanted = (*seen + (me->counted ? 0 : ONE_WRITER)) | AWAKE;
    /* [rwlock.21] relaxed: guards nothing. */
    if (wanted != *seen && !lk_cas_rlx_u64(&l->state_, seen, wanted))
        return;
    me->counted = true;
    if (moment)
        lki_spin_moment(false);
    else
        lki_spin_pause();
    /* A guess, that only this writer is there: a look would bring the line here for reading, and
     * the moment in which the lock is free would be over before it came for writing. */
    *seen = ONE_WRITER | AWAKE;
}

/* The first step of waiting.  *seen: a state in which this writer may not enter.  True: it is
 * inside. */
static bool enter_writing_soon(lk_rwlock *l, uint64_t *seen, struct writer *me,
                               struct lki_spin *spin)
{
    if (!lki_line_is_near() || lki_writers_meet((*seen & WRITERS) != 0)) {
        if (lki_spin_aloof(spin))
            *seen = look(l);
        return false;
    }
    for (int i = 0; i < LKI_SOON_LOOKS && (me->counted || *seen >> 48 < MOST_WRITERS); i++) {
        look_on(l, seen, me, true);
        if (enter_writing(l, seen, me))
            return true;
    }
    lki_spin_begin(spin);
    return false;
}

static int wrlock(lk_rwlock *l, uint64_t seen, const struct lki_deadline *until)
{
    struct writer me = {false, false, 0};
    struct lki_spin spin;
    if (enter_writing(l, &seen, &me) || enter_writing_soon(l, &seen, &me, &spin))
        return 0;
    while (!enter_writing(l, &seen, &me)) {
        if (!me.counted && seen >> 48 >= MOST_WRITERS)
            return EAGAIN;
        if (until->at != NULL && lki_deadline_passed(until))
            return me.counted || me.raised ? stop_writing(l, &me) : ETIMEDOUT;
        if (!me.raised && lki_spin_more(&spin)) {
            look_on(l, &seen, &me, false);
            continue;
        }
        me.raised = true;
        uint64_t add = (me.counted ? 0 : ONE_WRITER);
        /* Never over a free lock, which only AWAKE keeps from who is not counted: nobody would
         * hand it over. */
        if (me.counted && me.in_vain >= LKI_PATIENCE && (seen & HUNGRY) == 0)
            add |= HUNGRY;
        if (!raise_gate(l, &seen, add))
            continue;
        me.counted = true;
        int rc = lki_futex_sleep(&l->gate_, 1, is_shared(l), until);
        me.in_vain += rc == 0 && me.in_vain < LKI_PATIENCE;
        if (rc == ETIMEDOUT)
            return stop_writing(l, &me);
        seen = look(l);
    }
    return 0;
}

void lk_rwlock_wrunlock_slowly_(lk_rwlock *l, uint64_t seen)
{
    uint64_t after;
    do {
        after = let_in(seen & ~WRITER, kind_of(l));
        if ((after & INSIDE) == 0)
            after &= ~CROWDED;
        /* [rwlock.4] acq_rel, pairs with [rwlock.1] [rwlock.3] [rwlock.6] [rwlock.7] [rwlock.12]
         * [rwlock.14] [rwlock.16] [rwlock.18] [rwlock.26] [rwlock.33]: what this writer wrote; and
         * the gate's 1 that came with CROWDED. */
    } while (!lk_cas_acqrel_u64(&l->state_, &seen, after));
    if (seen & ~after & READERS_SLEEP)
        lki_rwlock_wake_readers(l);
    if ((after & INSIDE) == 0 && (seen & CROWDED))
        wake_writer(l, seen);
}

/* ---- the public faces ---------------------------------------------------------------------- */

static const struct lki_deadline never = {NULL, CLOCK_MONOTONIC};

static void must_be_locked(int rc)
{
    if (rc == 0)
        return;
    (void)fputs("latchkey: lk_rwlock: too many threads inside or waiting\n", stderr);
    abort();
}

/* A reader has counted itself inside, and `old` was there before, which is not nothing. */
void lk_rwlock_rdlock_slowly_(lk_rwlock *l, uint64_t old)
{
    unsigned kind = kind_of(l);
    if (may_stay(old, kind, false))
        return;
    lk_rwlock_rdunlock(l);
    must_be_locked(rdlock(l, old, kind, &never));
}

void lk_rwlock_wrlock_slowly_(lk_rwlock *l, uint64_t seen)
{
    must_be_locked(wrlock(l, seen, &never));
}

int lk_rwlock_rdlock_clock(lk_rwlock *l, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    int rc = lk_rwlock_tryrdlock(l);
    if (rc == EBUSY)
        rc = lki_deadline_check(&until);
    else
        return rc;
    return rc != 0 ? rc : rdlock(l, look(l), kind_of(l), &until);
}

int lk_rwlock_wrlock_clock(lk_rwlock *l, int clock, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, clock};
    if (lk_rwlock_trywrlock(l) == 0)
        return 0;
    int rc = lki_deadline_check(&until);
    return rc != 0 ? rc : wrlock(l, look(l), &until);
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
