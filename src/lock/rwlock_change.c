/* rwlock_change.c - a read lock becomes the write lock, and back.
 *
 * The upgrader goes on counting as a reader inside while it waits, so no writer can get in between;
 * UPGRADING keeps new readers out as a waiting writer would.  It sleeps at the writers' gate, with
 * their rules: at most one upgrader waits, and who wakes it wakes all that sleep there. */
#include "lock/rwlock.h"

void lk_rwlock_downgrade(lk_rwlock *l)
{
    uint64_t seen = WRITER, after;
    do {
        after = let_in(seen - WRITER + LK_RWLOCK_READER_, kind_of(l));
        /* [rwlock.22] release, pairs with [rwlock.1] [rwlock.7] [rwlock.12] [rwlock.16]
         * [rwlock.26]: what this writer wrote. */
    } while (!lk_cas_rel_u64(&l->state_, &seen, after));
    if (seen & ~after & READERS_SLEEP)
        lki_rwlock_wake_readers(l);
}

struct upgrader {
    bool announced, raised;
};

/* Become the writer if this is the only reader.  *seen, a state that was there, is changed to one in
 * which it is not. */
static bool enter_upgraded(lk_rwlock *l, uint64_t *seen, const struct upgrader *me)
{
    while ((*seen & INSIDE) == 1) {
        uint64_t wanted = (*seen | WRITER) - LK_RWLOCK_READER_;
        if (me->announced)
            wanted &= ~UPGRADING;
        if (me->raised && (wanted & WRITERS))
            wanted |= CROWDED;
        /* [rwlock.23] acq_rel, pairs with [rwlock.4] [rwlock.5] [rwlock.10]: behind the readers that have
         * left; and the gate's 1 goes before the 0 of who clears CROWDED. */
        if (lk_cas_acqrel_u64(&l->state_, seen, tidy(wanted)))
            return true;
    }
    return false;
}

int lk_rwlock_tryupgrade(lk_rwlock *l)
{
    uint64_t seen = look(l);
    return enter_upgraded(l, &seen, &(struct upgrader){false, false}) ? 0 : EBUSY;
}

static int stop_upgrading(lk_rwlock *l, const struct upgrader *me)
{
    uint64_t seen = look(l);
    for (;;) {
        if (enter_upgraded(l, &seen, me))
            return 0;
        uint64_t left = me->announced ? seen & ~UPGRADING : seen;
        left = given_up(left, kind_of(l), me->raised);
        /* [rwlock.24] release, pairs with [rwlock.4] [rwlock.10]: as [rwlock.14]. */
        if (!lk_cas_rel_u64(&l->state_, &seen, left))
            continue;
        if (seen & ~left & READERS_SLEEP)
            lki_rwlock_wake_readers(l);
        return ETIMEDOUT;
    }
}

int lk_rwlock_upgrade_until(lk_rwlock *l, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    struct upgrader me = {false, false};
    struct lki_spin spin;
    uint64_t seen = look(l);
    if (lki_deadline_check(&until) != 0)
        return EINVAL;
    if (enter_upgraded(l, &seen, &me))
        return 0;
    if (lki_spin_aloof(&spin))
        seen = look(l);
    while (!enter_upgraded(l, &seen, &me)) {
        if (!me.announced && (seen & UPGRADING))
            return EDEADLK;
        if (until.at != NULL && lki_deadline_passed(&until))
            return stop_upgrading(l, &me);
        if (!me.announced) {
            /* [rwlock.25] relaxed: asks the readers to wake it; they read the state. */
            me.announced = lk_cas_rlx_u64(&l->state_, &seen, seen | UPGRADING);
            seen |= me.announced ? UPGRADING : 0;
        } else if (!me.raised && lki_spin_near(&spin)) {
            seen = look(l);
        } else {
            me.raised = true;
            if (!lki_rwlock_raise(l, &seen, 0))
                continue;
            if (lki_futex_sleep(&l->gate_, 1, is_shared(l), &until) == ETIMEDOUT)
                return stop_upgrading(l, &me);
            seen = look(l);
        }
    }
    return 0;
}
