/* rwlock_change.c - a read lock becomes the write lock, and back.
 *
 * The upgrader goes on counting as a reader inside while it waits, so no writer can get in between;
 * UPGRADING keeps new readers out as a waiting writer would.  At most one upgrader waits.  It
 * sleeps on kind_, which has UPGRADER_GATE in it: somebody will clear UPGRADER_SLEEPS and wake it.
 * (Not at the writers' gate: a writer that raises that would make the upgrader sleep that was just
 * woken, and nobody but the upgrader could end the sleep of both.) */
#include "lock/rwlock.h"

void lk_rwlock_downgrade(lk_rwlock *l)
{
    uint64_t seen = WRITER, after;
    do {
        after = let_in(seen - WRITER + LK_RWLOCK_READER_, kind_of(l));
        /* [rwlock.22] release, pairs with [rwlock.1] [rwlock.7] [rwlock.12] [rwlock.16]
         * [rwlock.26] [rwlock.33]: what this writer wrote. */
    } while (!lk_cas_rel_u64(&l->state_, &seen, after));
    if (seen & ~after & READERS_SLEEP)
        lki_rwlock_wake_readers(l);
}

/* Become the writer if this is the only reader.  *seen, a state that was there, is changed to one
 * in which it is not. */
static bool enter_upgraded(lk_rwlock *l, uint64_t *seen, bool announced)
{
    while ((*seen & INSIDE) == 1) {
        uint64_t wanted = (*seen | WRITER) - LK_RWLOCK_READER_;
        if (announced)
            wanted &= ~(UPGRADING | UPGRADER_SLEEPS);
        /* [rwlock.23] acquire, pairs with [rwlock.5]: behind the readers that have left. */
        if (lk_cas_acq_u64(&l->state_, seen, tidy(wanted)))
            return true;
    }
    return false;
}

int lk_rwlock_tryupgrade(lk_rwlock *l)
{
    uint64_t seen = look(l);
    return enter_upgraded(l, &seen, false) ? 0 : EBUSY;
}

void lki_rwlock_wake_upgrader(lk_rwlock *l)
{
    /* [rwlock.31] relaxed: behind the clearing of the bit in [rwlock.29] by its acquire; the
     * kernel's own lock orders it before the wake. */
    uint32_t kind = lk_load_rlx_u32(&l->kind_) & ~UPGRADER_GATE;
    lk_store_rlx_u32(&l->kind_, kind);
    (void)lki_futex_rouse(&l->kind_, 1, is_shared(l));
}

static int stop_upgrading(lk_rwlock *l)
{
    uint64_t seen = look(l);
    for (;;) {
        if (enter_upgraded(l, &seen, true))
            return 0;
        uint64_t left = given_up(seen & ~(UPGRADING | UPGRADER_SLEEPS), kind_of(l), false);
        /* [rwlock.24] relaxed: takes back an announcement; guards nothing. */
        if (!lk_cas_rlx_u64(&l->state_, &seen, left))
            continue;
        if (seen & ~left & READERS_SLEEP)
            lki_rwlock_wake_readers(l);
        return ETIMEDOUT;
    }
}

/* Announced, in a state in which others are inside: sleep until they have left. */
static int sleep_upgrading(lk_rwlock *l, uint64_t seen, const struct lki_deadline *until)
{
    /* [rwlock.32] relaxed: only a waiting upgrader sets the bit and only who wakes it clears it;
     * the others never change. */
    uint32_t kind = lk_load_rlx_u32(&l->kind_) | UPGRADER_GATE;
    lk_store_rlx_u32(&l->kind_, kind);
    /* [rwlock.30] release, pairs with [rwlock.29]: the gate goes before the bit; a
     * read-modify-write even if the bit is set already. */
    if (!lk_cas_rel_u64(&l->state_, &seen, seen | UPGRADER_SLEEPS))
        return EAGAIN;
    return lki_futex_sleep(&l->kind_, kind, is_shared(l), until);
}

int lk_rwlock_upgrade_until(lk_rwlock *l, const struct timespec *deadline)
{
    struct lki_deadline until = {deadline, CLOCK_MONOTONIC};
    bool announced = false;
    struct lki_spin spin;
    uint64_t seen = look(l);
    if (lki_deadline_check(&until) != 0)
        return EINVAL;
    if (enter_upgraded(l, &seen, false))
        return 0;
    if (lki_spin_aloof(&spin))
        seen = look(l);
    while (!enter_upgraded(l, &seen, announced)) {
        if (!announced && (seen & UPGRADING))
            return EDEADLK;
        if (until.at != NULL && lki_deadline_passed(&until))
            return announced ? stop_upgrading(l) : ETIMEDOUT;
        if (!announced) {
            /* [rwlock.25] relaxed: keeps later readers out; guards nothing. */
            announced = lk_cas_rlx_u64(&l->state_, &seen, seen | UPGRADING);
            seen |= announced ? UPGRADING : 0;
            continue;
        }
        if (!lki_spin_near(&spin) && sleep_upgrading(l, seen, &until) == ETIMEDOUT)
            return stop_upgrading(l);
        seen = look(l);
    }
    return 0;
}
