/* claim.c - any order: wait upwards, or give way and lock what is wanted in order.
 *
 * The claimed locks are kept in order, so "behind all that it holds" is a look at the last one.
 * While it lasts the claim is one hold of the key, with no members of its own: the end of the
 * thread finds the claim through the key (lki_claim_abandon). */
#include "latchkey/claim.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "key/key.h"

static bool is_reading(const lk_member *m)
{
    unsigned how = lki_member_how(m);
    return how == LK_HOW_READ_ || how == LK_HOW_RREAD_ || how == LK_HOW_KREAD_;
}

static uint32_t place_of(const lk_claim *c, const lk_member *m)
{
    uint32_t at = c->n_;
    while (at > 0 && lki_member_before(m, &c->claimed_[at - 1].member_))
        at--;
    return at;
}

static struct lk_claimed_ *find(const lk_claim *c, const void *lock)
{
    for (uint32_t i = 0; i < c->n_; i++)
        if (c->claimed_[i].member_.lock_ == lock)
            return &c->claimed_[i];
    return NULL;
}

static void count(lk_claim *c, uint32_t n)
{
    c->n_ = n;
    if (c->k_ != NULL)
        c->k_->claimed_n_ = n;
}

static void insert(lk_claim *c, const lk_member *m)
{
    uint32_t at = place_of(c, m);
    memmove(&c->claimed_[at + 1], &c->claimed_[at], (c->n_ - at) * sizeof *c->claimed_);
    c->claimed_[at] = (struct lk_claimed_){*m, -1};
    count(c, c->n_ + 1);
}

static void drop(lk_claim *c, struct lk_claimed_ *gone)
{
    count(c, c->n_ - 1);
    memmove(gone, gone + 1, (size_t)(c->claimed_ + c->n_ - gone) * sizeof *gone);
}

/* What the counters will say if nobody comes in between: our own hold for writing counts one. */
static void give_all_back(lk_claim *c, bool torn)
{
    for (uint32_t i = c->n_; i-- > 0;) {
        lk_member *m = &c->claimed_[i].member_;
        int64_t now = lki_member_changes(m);
        if (now >= 0 && !is_reading(m))
            now = (now + 1) & 0x3fffffff;
        c->claimed_[i].changes_ = now;
        lki_member_unlock(m, false, torn);
    }
}

/* Lock all that is claimed, in order.  `fresh` was not held before.  On failure nothing is held. */
static int lock_all(lk_claim *c, const void *fresh, const struct timespec *deadline,
                    const char *here)
{
    bool died = false, changed = false;
    for (uint32_t i = 0; i < c->n_; i++) {
        struct lk_claimed_ *one = &c->claimed_[i];
        int rc = lki_member_lock(c->k_, &one->member_, false, here, deadline);
        if (rc != 0 && rc != EOWNERDEAD) {
            while (i-- > 0)
                lki_member_unlock(&c->claimed_[i].member_, false, false);
            count(c, 0);
            return rc;
        }
        died |= rc == EOWNERDEAD;
        int64_t now = lki_member_changes(&one->member_);
        if (one->member_.lock_ != fresh && (now < 0 || now != one->changes_))
            changed = true;
    }
    c->changed_ = changed;
    return died ? EOWNERDEAD : changed ? EAGAIN : 0;
}

static int give_way(lk_claim *c, const void *fresh, const struct timespec *deadline,
                    const char *here)
{
    c->restarts_++;
    return lock_all(c, fresh, deadline, here);
}

static int asked_again(const struct lk_claimed_ *has, const lk_member *m)
{
    if (is_reading(&has->member_) && !is_reading(m))
        return lki_fail(EDEADLK, "held for reading and asked for writing");
    return 0;
}

int lk_claim_trylock(lk_claim *c, lk_member m)
{
    const struct lk_claimed_ *has = find(c, m.lock_);
    if (has != NULL)
        return asked_again(has, &m);
    if (c->k_ == NULL || lki_member_how(&m) == LK_HOW_SET_)
        return EINVAL;
    if (c->n_ == c->room_)
        return ENOSPC;
    int rc = lki_member_try(&m, false);
    if (rc == 0 || rc == EOWNERDEAD)
        insert(c, &m);
    return rc;
}

int lk_claim_lock_until_(lk_claim *c, lk_member m, const struct timespec *deadline,
                         const char *here)
{
    int rc = lk_claim_trylock(c, m);
    if (rc != EBUSY)
        return rc;
    if (deadline != NULL && !lki_timespec_valid(deadline))
        return EINVAL;
    if (place_of(c, &m) == c->n_) { /* behind all: waiting is safe */
        rc = lki_member_lock(c->k_, &m, false, here, deadline);
        if (rc == 0 || rc == EOWNERDEAD)
            insert(c, &m);
        return rc;
    }
    give_all_back(c, false);
    insert(c, &m);
    return give_way(c, m.lock_, deadline, here);
}

int lk_claim_unlock(lk_claim *c, const void *lock)
{
    struct lk_claimed_ *has = find(c, lock);
    if (has == NULL)
        return ENOENT;
    lki_member_unlock(&has->member_, false, c->k_->torn_ != 0);
    drop(c, has);
    return 0;
}

static lk_rwlock *rwlock_of(const lk_member *m)
{
    switch (lki_member_how(m)) {
    case LK_HOW_READ_:
    case LK_HOW_WRITE_:
        return m->lock_;
    case LK_HOW_KREAD_:
    case LK_HOW_KWRITE_:
        return &((lk_krwlock *)m->lock_)->lock_;
    default:
        return NULL;
    }
}

int lk_claim_upgrade_at_(lk_claim *c, const void *lock, const char *here)
{
    struct lk_claimed_ *has = find(c, lock);
    if (has == NULL)
        return ENOENT;
    lk_rwlock *l = rwlock_of(&has->member_);
    if (l == NULL)
        return EINVAL;
    if (!is_reading(&has->member_))
        return 0;
    if (lk_rwlock_tryupgrade(l) == 0) {
        has->member_.what_--; /* the write form */
        return 0;
    }
    give_all_back(c, false);
    has->member_.what_--;
    return give_way(c, NULL, NULL, here);
}

int lk_claim_downgrade(lk_claim *c, const void *lock)
{
    struct lk_claimed_ *has = find(c, lock);
    if (has == NULL)
        return ENOENT;
    lk_rwlock *l = rwlock_of(&has->member_);
    if (l == NULL)
        return EINVAL;
    if (is_reading(&has->member_))
        return 0;
    if (lki_member_how(&has->member_) == LK_HOW_KWRITE_) {
        lk_krwlock *k = has->member_.lock_;
        k->record_ = (k->record_ & ~0x3fffffffu) | ((k->record_ + 1) & 0x3fffffffu);
    }
    has->member_.what_++; /* the read form */
    lk_rwlock_downgrade(l);
    return 0;
}

const void *lk_claim_dead(const lk_claim *c)
{
    for (uint32_t i = 0; i < c->n_; i++)
        if (lki_member_dead(&c->claimed_[i].member_))
            return c->claimed_[i].member_.lock_;
    return NULL;
}

/* ---- begin and end
 * ---------------------------------------------------------------------------- */

LK_TSA_(no_thread_safety_analysis)
int lk_claim_begin_at_(lk_claim *c, lk_key key, const char *here)
{
    static const struct lk_hold_ empty = {.limit_ = LK_LIST_ALL_};
    int rc = lki_key_want(key.k_, here);
    if (rc != 0)
        return rc;
    c->k_ = key.k_;
    c->restarts_ = c->changed_ = 0;
    count(c, 0);
    if (c->room_ <= LK_KEY_MEMBERS)
        c->claimed_ = key.k_->claimed_;
    c->here_ = here;
    key.k_->hold_[0] = empty;
    key.k_->hold_[0].here_ = here;
    key.k_->level_ = LK_LEVEL_MAX + 1;
    key.k_->claim_ = c;
    key.k_->depth_ = 1;
    return 0;
}

void lki_claim_abandon(struct lk_key_ *k, bool torn)
{
    lk_claim *c = k->claim_;
    k->claim_ = NULL;
    give_all_back(c, torn);
    count(c, 0);
    c->k_ = NULL;
}

void lki_claim_end_thread(struct lk_key_ *k)
{
    for (uint32_t i = k->claimed_n_; i-- > 0;)
        lki_member_unlock(&k->claimed_[i].member_, false, true);
    k->claimed_n_ = 0;
    k->claim_ = NULL;
    k->hold_[0].n_ = 0;
}

static void end(lk_claim *c, struct lk_key_ *k)
{
    if (!lki_key_is_here(k) || k->claim_ != c)
        (void)lki_key_stop("ends a claim that its key does not have", "lk_claim_end",
                           k != NULL ? k->taken_at_ : NULL);
    else
        lki_hold_unlock(k, false);
}

LK_TSA_(no_thread_safety_analysis)
void lk_claim_end(lk_claim *c, lk_key key)
{
    end(c, key.k_);
}

LK_TSA_(no_thread_safety_analysis)
struct lk_claim_scope_ lk_claim_scope_begin_(lk_key key, lk_claim *c, const char *here)
{
    int rc = lk_claim_begin_at_(c, key, here);
    return (struct lk_claim_scope_){c, rc == 0 ? key.k_ : NULL};
}

void lk_claim_scope_end_(struct lk_claim_scope_ *s)
{
    if (s->k_ != NULL && s->k_->claim_ == s->c_)
        lki_hold_unlock(s->k_, false);
}
