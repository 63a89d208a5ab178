/* rrwlock.c - see rrwlock.h for the words and who may change them.
 *
 * What a death leaves, at each step:
 *   reader, hold stored           the token is dead, so the hold is none; the writer that slept for
 *                                 it watched the token
 *   reader, mutex held, dirty 0   the next comer takes the mutex over and nobody is told
 *   writer, waiting for readers   the same
 *   writer, dirty 1               the next comer gets EOWNERDEAD and the mutex, as a writer
 *   repairer                      the same again
 *
 * Source: the reader's half is that of visible readers (distributed reader-writer locks, e.g.
 * B. Brandenburg's survey); ours differs in that the records lie in presence slots, so that the
 * kernel strikes out the dead. */
#include "life/rrwlock.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "base/laps.h"
#include "base/scan4.h"
#include "life/nap.h"

#define INCONSISTENT 0x40000000u
_Static_assert(LKI_RRWLOCK_CLOSED == (LKI_HOLDER_ANY | INCONSISTENT), "all but WAITERS");

enum { SPINS = LKI_LAPS(200), TRIES = LKI_LAPS(99) + 1 };

/* The place of the thread's hold on the lock (of key 0: of a free one), or LKI_HOLDS. */
static unsigned place_of(const struct lki_self *self, uint32_t key)
{
    for (unsigned i = 0; i < LKI_HOLDS; i++) {
        /* [rrwlock.1] relaxed: only this thread changes the key. */
        if ((lk_load_rlx_u32(&self->holds[i]) & LKI_HOLD_KEY) == key)
            return i;
    }
    return LKI_HOLDS;
}

static unsigned own_hold(const struct lki_self *self, uint32_t key)
{
    return self->reading == 0 ? LKI_HOLDS : place_of(self, key);
}

static unsigned free_place(const struct lki_self *self)
{
    return self->reading == 0 ? 0 : place_of(self, 0);
}

void lki_holds_clear(struct lki_self *self)
{
    for (unsigned i = 0; i < LKI_HOLDS; i++) {
        /* [rrwlock.3] relaxed: the slot's last thread is gone and this one has just come; a writer
         * may only add WAITED. */
        if (lk_load_rlx_u32(&self->holds[i]) == 0)
            continue;
        lki_hold_leave(&self->holds[i]);
        lki_count(self, LKI_COUNT_DEAD_READS, 1);
    }
}

static bool enter(const struct lki_rrwlock *l, struct lki_self *self)
{
    unsigned i = free_place(self);
    if (i == LKI_HOLDS || !lki_rrwlock_enter(l->word, l->key, &self->holds[i]))
        return false;
    self->depth[i] = 1;
    self->reading++;
    return true;
}

static bool closed(const struct lki_rrwlock *l)
{
    /* [rrwlock.8] relaxed: a guess; [rrwlock.6] decides. */
    return (lk_load_rlx_u32(l->word) & LKI_RRWLOCK_CLOSED) != 0;
}

static bool is_dirty(const struct lki_rrwlock *l)
{
    /* [rrwlock.9] relaxed: the mutex, which this thread holds, orders it. */
    return lk_load_rlx_u32(l->dirty) != 0;
}

static void set_dirty(const struct lki_rrwlock *l, uint32_t dirty)
{
    /* [rrwlock.10] relaxed: as [rrwlock.9]; after a death, its finder acquires the dead one's
     * token. */
    lk_store_rlx_u32(l->dirty, dirty);
}

/* What locking the mutex says, as the lock's answer: a dead holder that changed nothing is
 * nobody's business. */
static int judge(const struct lki_rrwlock *l, struct lki_self *self, int rc)
{
    if (rc == EOWNERDEAD && !is_dirty(l))
        return lki_rmutex_consistent(l->word, self);
    if (rc == EOWNERDEAD)
        lki_count(self, LKI_COUNT_DEAD_WRITES, 1);
    return rc;
}

/* With the mutex held: store the hold and let the mutex go.  With no place left keep it instead. */
static int pass(const struct lki_rrwlock *l, struct lki_self *self)
{
    unsigned i = free_place(self);
    if (i == LKI_HOLDS)
        return 0;
    /* [rrwlock.11] relaxed: the mutex's unlock publishes it to the next writer. */
    lk_store_rlx_u32(&self->holds[i], l->key);
    self->depth[i] = 1;
    self->reading++;
    return lki_rmutex_unlock(l->word, self);
}

/* One more hold of a lock that the thread reads already. */
static bool again(const struct lki_rrwlock *l, struct lki_self *self)
{
    unsigned i = own_hold(self, l->key);
    if (i < LKI_HOLDS)
        self->depth[i]++;
    return i < LKI_HOLDS;
}

int lki_rrwlock_rdlock(const struct lki_rrwlock *l, struct lki_self *self,
                       const struct timespec *deadline, struct lki_wait *wait)
{
    if (self->reading != 0 && again(l, self))
        return 0;
    if (enter(l, self))
        return 0;
    for (int i = 0; i < SPINS; i++) {
        if (!closed(l) && enter(l, self))
            return 0;
        lk_relax();
    }
    int rc = judge(l, self, lki_rmutex_lock(l->word, self, deadline, wait));
    return rc == 0 ? pass(l, self) : rc;
}

int lki_rrwlock_tryrdlock(const struct lki_rrwlock *l, struct lki_self *self)
{
    if (self->reading != 0 && again(l, self))
        return 0;
    int rc = EBUSY;
    /* Another reader on its way in holds the mutex for some instructions only. */
    for (int i = 0; i < TRIES && rc == EBUSY; i++) {
        if (enter(l, self))
            return 0;
        rc = judge(l, self, lki_rmutex_trylock(l->word, self));
        lk_relax();
    }
    return rc == 0 ? pass(l, self) : rc;
}

static uint32_t look_at(const uint32_t *hold)
{
    /* [rrwlock.5] seq_cst, pairs with [rrwlock.4] [rrwlock.2]: after the mutex was taken; and what
     * a reader that has gone read, it read before. */
    return lk_load_sc_u32(hold);
}

/* Is there a live reader behind the hold?  Its name, or 0. */
static uint32_t reader_of(const struct lki_rrwlock *l, const struct lki_presence *p,
                          const uint32_t *hold, uint32_t slot)
{
    return (look_at(hold) & LKI_HOLD_KEY) == l->key ? lki_slot_holder(p, slot) : 0;
}

/* Sleep until the hold is gone or its thread dead. */
static int await_reader(const struct lki_rrwlock *l, const struct lki_presence *p, uint32_t *hold,
                        uint32_t slot, struct lki_nap *nap)
{
    for (int i = 0; i < SPINS; i++) {
        if (reader_of(l, p, hold, slot) == 0)
            return 0;
        lk_relax();
    }
    for (;;) {
        const uint32_t *token;
        uint32_t token_value;
        uint32_t reader = reader_of(l, p, hold, slot);
        uint32_t seen = l->key;
        if (reader == 0)
            break;
        /* [rrwlock.12] relaxed: the bit must be in the word before the kernel compares it, and the
         * kernel's own lock orders that. */
        (void)lk_cas_rlx_u32(hold, &seen, l->key | LKI_HOLD_WAITED);
        if (!lki_holder_watch(p, reader, &token, &token_value))
            continue;
        int rc = lki_nap(nap, hold, l->key | LKI_HOLD_WAITED, token, token_value);
        if (rc != 0)
            return rc;
    }
    lki_holder_mourn(p, slot + 1);
    lki_nap_end(nap);
    return 0;
}

/* What a slot's holds on the lock mean to the writer that has the mutex.  nap NULL: do not wait,
 * EBUSY. */
static int drain_slot(const struct lki_rrwlock *l, const struct lki_presence *p, uint32_t slot,
                      struct lki_nap *nap)
{
    uint32_t *hold = lki_slot_holds(p, slot);
    int rc = 0;
    for (unsigned i = 0; i < LKI_HOLDS && rc == 0; i++) {
        if ((look_at(&hold[i]) & LKI_HOLD_KEY) != l->key)
            continue;
        if (nap != NULL)
            rc = await_reader(l, p, &hold[i], slot, nap);
        else
            rc = reader_of(l, p, &hold[i], slot) != 0 ? EBUSY : 0;
    }
    return rc;
}

/* Does any slot hold the lock?  One look at each, without dividing and without a branch. */
static bool any_reader(const struct lki_rrwlock *l, const struct lki_presence *p)
{
    const char *page = p->pages;
    size_t place = lki_holds_place(0);
    lki_found4 found = lki_scan4_none();
    for (uint32_t slot = 0, in_page = 0; slot < p->threads; slot++) {
        /* As [rrwlock.5], four words at a time. */
        const uint32_t *hold = (const uint32_t *)(const void *)(page + place);
        found = lki_scan4_or(found, lki_scan4(hold, LKI_HOLD_KEY, l->key));
        if (++in_page == LKI_TOKENS_PER_PAGE) {
            in_page = 0;
            page += p->page_bytes;
        }
        place += LKI_HOLDS_STRIDE;
        if (place == LKI_HOLDS_AT + LKI_HOLDS_PLACES * (size_t)LKI_HOLDS_STRIDE)
            place = LKI_HOLDS_AT;
    }
    return lki_scan4_any(found);
}

/* With the mutex held: wait for the readers that came before. */
static int drain(const struct lki_rrwlock *l, struct lki_self *self, struct lki_nap *nap)
{
    const struct lki_presence *p = self->presence;
    int rc = 0;
    /* [rrwlock.7] seq_cst, pairs with [rrwlock.6]: taking the mutex comes before the looks at the
     * holds in the one order of all seq_cst operations.  Changes nothing. */
    (void)lk_or_sc_u32(l->word, 0);
    if (!any_reader(l, p))
        return 0;
    for (uint32_t slot = 0; slot < p->threads && rc == 0; slot++)
        rc = drain_slot(l, p, slot, nap);
    return rc;
}

/* With the mutex held, `rc` what it said: become the writer. */
static int begin_writing(const struct lki_rrwlock *l, struct lki_self *self, int rc,
                         struct lki_nap *nap)
{
    rc = judge(l, self, rc);
    if (rc != 0)
        return rc;
    rc = drain(l, self, nap);
    if (rc == 0)
        set_dirty(l, 1);
    else
        (void)lki_rmutex_unlock(l->word, self);
    return rc;
}

int lki_rrwlock_wrlock(const struct lki_rrwlock *l, struct lki_self *self,
                       const struct timespec *deadline, struct lki_wait *wait)
{
    struct lki_nap nap;
    int rc = lki_nap_begin(&nap, deadline, wait);
    if (rc != 0)
        return rc;
    if (own_hold(self, l->key) < LKI_HOLDS)
        return EDEADLK;
    return begin_writing(l, self, lki_rmutex_lock(l->word, self, deadline, wait), &nap);
}

int lki_rrwlock_trywrlock(const struct lki_rrwlock *l, struct lki_self *self)
{
    if (own_hold(self, l->key) < LKI_HOLDS)
        return EBUSY;
    return begin_writing(l, self, lki_rmutex_trylock(l->word, self), NULL);
}

/* Of the mutex that this thread holds: told of a death, and not declared consistent since? */
static bool unrepaired(const struct lki_rrwlock *l)
{
    /* [rrwlock.13] relaxed: only the holder changes the bit. */
    return (lk_load_rlx_u32(l->word) & INCONSISTENT) != 0;
}

int lki_rrwlock_consistent(const struct lki_rrwlock *l, struct lki_self *self)
{
    return lki_rmutex_consistent(l->word, self);
}

int lki_rrwlock_downgrade(const struct lki_rrwlock *l, struct lki_self *self)
{
    if (!lki_rmutex_held(l->word, self) || !is_dirty(l))
        return EPERM;
    if (unrepaired(l))
        return EINVAL;
    set_dirty(l, 0);
    return pass(l, self);
}

int lki_rrwlock_unlock(const struct lki_rrwlock *l, struct lki_self *self)
{
    unsigned i = own_hold(self, l->key);
    if (i < LKI_HOLDS) {
        if (--self->depth[i] == 0) {
            self->reading--;
            lki_hold_leave(&self->holds[i]);
        }
        return 0;
    }
    if (!lki_rmutex_held(l->word, self))
        return EPERM;
    /* After EOWNERDEAD and no repair the lock is lost: dirty stays. */
    if (!unrepaired(l))
        set_dirty(l, 0);
    return lki_rmutex_unlock(l->word, self);
}
