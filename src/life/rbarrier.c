/* rbarrier.c - a barrier whose members may die: latchkey/robust.h.
 *
 *   word      a robust mutex: everything but `round` changes under it, in steps that each leave a
 *             state to go on from, so EOWNERDEAD needs no repair
 *   round     {number:25, members that have left:6, members have died:1}; one store ends a round
 *             and says how.  Nobody's place is taken again, so the 6 bits are enough
 *   member    holder names; 0 nobody yet; GONE: left, or died and was told of
 *   arrived   number + 1 of the round that the member has arrived in (of the round that told of its
 *             death, if it is GONE); 0 none
 * A round ends when every place is GONE, dead or arrived.
 *
 * Who waits watches the token of one member that has not arrived: the round cannot end before that
 * one arrives or dies.  If it arrives, it looks itself and watches the next; if it leaves, it wakes
 * those that wait.  Where there is no such member it watches the first vacant place, which is the
 * one that the next comer takes. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "latchkey/robust.h"
#include "life/find.h"
#include "life/rmutex.h"

#define ONE_LEFT 2u
#define ONE_ROUND 128u
#define GONE UINT32_MAX
#define NONE UINT32_MAX

/* A look at all places. */
struct look {
    uint32_t round;
    bool complete;
    bool deaths;            /* members died in this round */
    uint32_t watch;         /* a live member that has not arrived; 0 none */
    const uint32_t *vacant; /* the first place that nobody has */
};

static uint32_t get(const uint32_t *word)
{
    /* [rbarrier.1] relaxed: under the mutex. */
    return lk_load_rlx_u32(word);
}

static void set(uint32_t *word, uint32_t value)
{
    /* [rbarrier.2] relaxed: under the mutex, or before anybody else is there. */
    lk_store_rlx_u32(word, value);
}

static uint32_t round_now(const lk_rbarrier *b)
{
    /* [rbarrier.3] acquire, pairs with [rbarrier.4] [rbarrier.5]: what all did before the round
     * ended. */
    return lk_load_acq_u32(&b->round_);
}

static uint32_t mark_of(uint32_t round)
{
    return round / ONE_ROUND + 1;
}

static uint32_t parties_of(const lk_rbarrier *b)
{
    uint32_t parties = get(&b->parties_);
    return parties <= LK_RBARRIER_PARTIES_MAX ? parties : 0;
}

static struct look look_at_all(const lk_rbarrier *b, const struct lki_presence *p, uint32_t round)
{
    struct look l = {.round = round, .complete = true};
    for (uint32_t i = 0; i < parties_of(b); i++) {
        uint32_t member = get(&b->member_[i]);
        bool here = get(&b->arrived_[i]) == mark_of(round);
        if (member == GONE) {
            l.deaths |= here;
        } else if (member == 0) {
            l.complete = false;
            l.vacant = l.vacant == NULL ? &b->member_[i] : l.vacant;
        } else if (!lki_holder_alive(p, member)) {
            lki_holder_mourn(p, member);
            l.deaths = true;
        } else if (!here) {
            l.complete = false;
            l.watch = member;
        }
    }
    return l;
}

/* Under the mutex: end the round if it is complete. */
static struct look settle(lk_rbarrier *b, const struct lki_presence *p)
{
    uint32_t round = round_now(b), left = round & (ONE_ROUND - ONE_LEFT);
    struct look l = look_at_all(b, p, round);
    if (!l.complete)
        return l;
    for (uint32_t i = 0; i < parties_of(b); i++) {
        uint32_t member = get(&b->member_[i]);
        if (member == GONE && get(&b->arrived_[i]) != mark_of(round))
            set(&b->arrived_[i], 0); /* the numbers come again some day */
        if (member == GONE || lki_holder_alive(p, member))
            continue;
        set(&b->arrived_[i], mark_of(round));
        set(&b->member_[i], GONE);
        l.deaths = true; /* this one perhaps since the look */
    }
    /* [rbarrier.4] release, pairs with [rbarrier.3]: what all did before they arrived, which the
     * mutex has brought here. */
    lk_store_rel_u32(&b->round_, mark_of(round) * ONE_ROUND | left | l.deaths);
    (void)lki_futex_wake(&b->round_, INT_MAX);
    return l;
}

static int lock(lk_rbarrier *b, struct lki_self *self, const struct timespec *deadline,
                struct lki_wait *wait)
{
    int rc = lki_rmutex_lock(&b->word_, self, deadline, wait);
    if (rc != EOWNERDEAD)
        return rc;
    /* It may have ended the round and died before its wake. */
    (void)lki_futex_wake(&b->round_, INT_MAX);
    return lki_rmutex_consistent(&b->word_, self);
}

/* The thread's place, a free one that it takes, or NONE. */
static uint32_t place_of(lk_rbarrier *b, const struct lki_self *self, bool take)
{
    uint32_t vacant = NONE;
    for (uint32_t i = 0; i < parties_of(b); i++) {
        uint32_t member = get(&b->member_[i]);
        if (member == self->holder)
            return i;
        if (member == 0 && vacant == NONE)
            vacant = i;
    }
    if (!take || vacant == NONE)
        return NONE;
    set(&b->arrived_[vacant], 0);
    set(&b->member_[vacant], self->holder);
    /* Those that wait already have somebody to watch now. */
    (void)lki_futex_wake(&b->member_[vacant], INT_MAX);
    return vacant;
}

/* With no lock: sleep until the round has ended, or the watched member is dead, or there is one, or
 * a member has left. */
static int sleep_in(const lk_rbarrier *b, const struct lki_presence *p, const struct look *l,
                    struct lki_nap *nap)
{
    const uint32_t *word = l->vacant;
    uint32_t value = 0;
    if (l->watch != 0 && !lki_holder_watch(p, l->watch, &word, &value))
        return 0;
    int rc = lki_nap(nap, &b->round_, l->round, word, value);
    lki_holder_watched(p, l->watch);
    return rc;
}

static bool is_over(const lk_rbarrier *b, uint32_t round)
{
    return mark_of(round_now(b)) != mark_of(round);
}

static int ended(const lk_rbarrier *b, const struct lki_nap *nap)
{
    lki_nap_end(nap);
    return round_now(b) & 1 ? EOWNERDEAD : 0;
}

/* The round has ended, as this thread sees without the mutex.  Who ended it may have died before
 * its wake, or may yet, and this thread may be the only one that watched it: so it wakes the
 * others. */
static int ended_unlocked(const lk_rbarrier *b, const struct lki_nap *nap)
{
    (void)lki_futex_wake(&b->round_, INT_MAX);
    return ended(b, nap);
}

/* The deadline has passed: take the arrival back, unless the round has just ended. */
static int give_up(lk_rbarrier *b, struct lki_self *self, uint32_t place, uint32_t round,
                   struct lki_nap *nap)
{
    int rc = lock(b, self, NULL, nap->wait);
    if (rc != 0)
        return rc;
    bool over = is_over(b, round);
    if (!over)
        set(&b->arrived_[place], 0);
    (void)lki_rmutex_unlock(&b->word_, self);
    return over ? ended(b, nap) : ETIMEDOUT;
}

static int wait_with(lk_rbarrier *b, struct lki_self *self, struct lki_nap *nap)
{
    const struct lki_presence *p = self->presence;
    int rc = lock(b, self, nap->deadline, nap->wait);
    if (rc != 0)
        return rc;
    uint32_t place = place_of(b, self, true);
    uint32_t round = round_now(b);
    if (place == NONE) {
        (void)lki_rmutex_unlock(&b->word_, self);
        return EBUSY;
    }
    set(&b->arrived_[place], mark_of(round));
    for (;;) {
        struct look l = settle(b, p);
        (void)lki_rmutex_unlock(&b->word_, self);
        if (l.complete)
            return ended(b, nap);
        rc = sleep_in(b, p, &l, nap);
        if (is_over(b, round))
            return ended_unlocked(b, nap);
        if (rc != 0)
            return give_up(b, self, place, round, nap);
        rc = lock(b, self, NULL, nap->wait);
        if (rc != 0)
            return rc;
        if (is_over(b, round)) {
            (void)lki_rmutex_unlock(&b->word_, self);
            return ended(b, nap);
        }
    }
}

int lk_rbarrier_init(lk_rbarrier *b, unsigned parties)
{
    if (b == NULL || parties == 0 || parties > LK_RBARRIER_PARTIES_MAX)
        return EINVAL;
    *b = (lk_rbarrier){.parties_ = parties};
    return 0;
}

int lk_rbarrier_wait_until(lk_rbarrier *b, const struct timespec *deadline)
{
    struct lki_wait wait = {0, 0};
    struct lki_nap nap;
    struct lki_self *self;
    int rc = lki_nap_begin(&nap, deadline, &wait);
    if (rc == 0)
        rc = lki_find_self(b, sizeof b->word_, &self);
    if (rc == 0 && parties_of(b) == 0)
        rc = EINVAL;
    if (rc != 0)
        return rc;
    rc = wait_with(b, self, &nap);
    lki_count_wait(self, &wait);
    return rc;
}

int lk_rbarrier_wait(lk_rbarrier *b)
{
    return lk_rbarrier_wait_until(b, NULL);
}

int lk_rbarrier_join(lk_rbarrier *b)
{
    struct lki_wait wait = {0, 0};
    struct lki_self *self;
    int rc = lki_find_self(b, sizeof b->word_, &self);
    if (rc == 0)
        rc = lock(b, self, NULL, &wait);
    if (rc != 0)
        return rc;
    uint32_t place = place_of(b, self, true);
    (void)lki_rmutex_unlock(&b->word_, self);
    return place == NONE ? EBUSY : 0;
}

/* A member has left, and the round goes on: those that watch it must watch another, also one that
 * is on its way to sleep. */
static void change_watch(lk_rbarrier *b, struct look l)
{
    if (l.complete)
        return;
    /* [rbarrier.5] release, pairs with [rbarrier.3]: it stands in the place of [rbarrier.4]. */
    lk_store_rel_u32(&b->round_, l.round + ONE_LEFT);
    (void)lki_futex_wake(&b->round_, INT_MAX);
}

void lk_rbarrier_leave(lk_rbarrier *b)
{
    struct lki_wait wait = {0, 0};
    struct lki_self *self;
    if (lki_find_self(b, sizeof b->word_, &self) != 0 || lock(b, self, NULL, &wait) != 0)
        return;
    uint32_t place = place_of(b, self, false);
    if (place != NONE) {
        set(&b->arrived_[place], 0);
        set(&b->member_[place], GONE);
        change_watch(b, settle(b, self->presence));
    }
    (void)lki_rmutex_unlock(&b->word_, self);
}
