/* set.c - locking a list: at once if it can be, else in turns, else in order.
 *
 * The rule that all disciplines keep, and that makes their mixture safe: a thread sleeps for a lock
 * only if every lock that it holds lies before it in the order (level, address).  Who waits for
 * whom then always points upwards, and a cycle cannot.
 *   at once   try all, in the order in which they are written.  Nothing sleeps, so the rule does
 *             not apply; if one is taken, all are given back.
 *   in turns  by who holds nothing else: sleep for the one that was taken, then try the others; if
 *             one of them is taken, give all back and sleep for that one.  Who sleeps holds
 *             nothing, so the rule holds, and nobody is kept waiting by a sleeper.
 *   in order  lock one after the other, holding those before it.
 * Turns alone could go on for ever; so there are TURNS of them at most.  Order alone is slow
 * where many sets overlap: those who sleep hold what their neighbours want, and whole chains wait
 * for one that runs (lk bench keys: 50 philosophers). */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "key/key.h"

#ifndef LK_MODEL_TURNS /* models say less */
#define LK_MODEL_TURNS 8
#endif
enum { TURNS = LK_MODEL_TURNS };

static bool is_reading(const struct lk_hold_ *h)
{
    return (h->limit_ & LK_LIST_READ_) != 0;
}

/* Give back the first n of a hold's members, but for the one at `but`. */
static void give_back_but(const struct lk_hold_ *h, size_t n, size_t but, bool torn)
{
    while (n-- > 0)
        if (n != but && lki_hold_has(h, &h->member_[n]))
            lki_member_unlock(&h->member_[n], is_reading(h), torn);
}

static void give_back(const struct lk_hold_ *h, size_t n, bool torn)
{
    give_back_but(h, n, SIZE_MAX, torn);
}

static int twice(struct lk_key_ *k, size_t first, size_t second)
{
    k->failed_ = (uint32_t)second;
    k->twice_ = (uint32_t)first;
    return lki_fail(EDEADLK, "one lock is twice in the set, at positions %zu and %zu", first,
                    second);
}

/* Does the key hold this lock already, among the first n of its innermost hold or below?  Then
 * sleeping would be for ever.  Asked only before a sleep. */
static int own(struct lk_key_ *k, size_t n, const lk_member *m)
{
    const struct lk_hold_ *h = lki_hold_top(k);
    for (size_t i = 0; i < n; i++)
        if (h->member_[i].lock_ == m->lock_ && lki_hold_has(h, &h->member_[i]))
            return twice(k, lki_member_at(&h->member_[i]), lki_member_at(m));
    for (uint32_t d = 0; d + 1 < k->depth_; d++)
        for (uint32_t i = 0; i < k->hold_[d].n_; i++)
            if (k->hold_[d].member_[i].lock_ == m->lock_) {
                k->failed_ = lki_member_at(m);
                return lki_fail(EDEADLK, "held since %s", k->hold_[d].here_);
            }
    return 0;
}

static int lock_one(struct lk_key_ *k, size_t n, const lk_member *m, bool try_only,
                    const struct timespec *deadline)
{
    bool reading = is_reading(lki_hold_top(k));
    int rc = lki_member_try(m, reading);
    if (rc == 0 || rc == EOWNERDEAD)
        return rc;
    int mine = own(k, n, m);
    if (mine != 0 || rc != EBUSY || try_only)
        return mine != 0 ? mine : rc;
    return lki_member_lock(k, m, reading, lki_hold_top(k)->here_, deadline);
}

/* The innermost hold's members are in order: lock them. */
static int lock_in_order(struct lk_key_ *k, bool try_only, const struct timespec *deadline)
{
    struct lk_hold_ *h = lki_hold_top(k);
    bool died = false;
    for (size_t i = 0; i < h->n_; i++) {
        const lk_member *m = &h->member_[i];
        if (!lki_hold_has(h, m))
            continue;
        int rc = lock_one(k, i, m, try_only, deadline);
        died |= rc == EOWNERDEAD;
        if (rc == 0 || rc == EOWNERDEAD)
            continue;
        if (rc != EDEADLK)
            k->failed_ = lki_member_at(m);
        give_back(h, i, false);
        return rc;
    }
    return died ? EOWNERDEAD : 0;
}

/* Two of the members that are read may be the same lock without anybody having noticed. */
static int reads_twice(struct lk_key_ *k, const struct lk_hold_ *h)
{
    for (size_t i = 1; i < h->n_; i++)
        for (size_t j = 0; j < i; j++)
            if (h->member_[i].lock_ == h->member_[j].lock_)
                return twice(k, lki_member_at(&h->member_[j]), lki_member_at(&h->member_[i]));
    return 0;
}

static bool is_read(const lk_member *m)
{
    unsigned how = lki_member_how(m);
    return how == LK_HOW_READ_ || how == LK_HOW_RREAD_ || how == LK_HOW_KREAD_;
}

/* Try all but the one at `have`, which is held (SIZE_MAX: none).  EBUSY: the one at *busy is taken;
 * on any failure what was locked here is given back. */
static int try_others(struct lk_key_ *k, const struct lk_hold_ *h, size_t have, size_t *busy)
{
    bool died = false;
    unsigned reads = 0;
    for (size_t i = 0; i < h->n_; i++) {
        const lk_member *m = &h->member_[i];
        reads += is_read(m) || is_reading(h);
        if (i == have || !lki_hold_has(h, m))
            continue;
        int rc = lki_member_try(m, is_reading(h));
        died |= rc == EOWNERDEAD;
        if (rc == 0 || rc == EOWNERDEAD)
            continue;
        give_back_but(h, i, have, false);
        *busy = i;
        if (rc == EBUSY || rc == EDEADLK)
            return EBUSY;
        k->failed_ = lki_member_at(m);
        return rc;
    }
    int rc = reads > 1 && (h->limit_ & LK_LIST_BUILT_) == 0 ? reads_twice(k, h) : 0;
    if (rc != 0)
        give_back_but(h, h->n_, have, false);
    return rc == 0 && died ? EOWNERDEAD : rc;
}

/* Sleep for the one that was found taken, holding nothing; then try the others.  EBUSY: enough of
 * that, nothing is held. */
static int lock_in_turns(struct lk_key_ *k, size_t busy, const struct timespec *deadline)
{
    const struct lk_hold_ *h = lki_hold_top(k);
    for (int turn = 0; turn < TURNS; turn++) {
        const size_t have = busy;
        const lk_member *m = &h->member_[have];
        int rc = lki_member_lock(k, m, is_reading(h), h->here_, deadline);
        if (rc != 0 && rc != EOWNERDEAD) {
            k->failed_ = lki_member_at(m);
            return rc;
        }
        int others = try_others(k, h, have, &busy);
        if (others == 0 || others == EOWNERDEAD)
            return others == 0 ? rc : others;
        lki_member_unlock(m, is_reading(h), false);
        if (others != EBUSY)
            return others;
    }
    return EBUSY;
}

/* ---- what a list brings
 * ----------------------------------------------------------------------- */

/* Copy nested sets' members into the key.  The number, or 0: too many. */
static size_t flatten(const lk_list *list, lk_member *room, size_t n_room)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n_; i++) {
        const lk_member *m = &list->member_[i];
        const lk_set *nested = m->lock_;
        bool is_set = lki_member_how(m) == LK_HOW_SET_;
        size_t more = is_set ? nested->n_ : 1;
        if (more > n_room - n)
            return 0;
        memcpy(&room[n], is_set ? nested->member_ : m, more * sizeof *room);
        n += more;
    }
    for (size_t i = 0; i < n; i++)
        lki_member_number(&room[i], i);
    return n;
}

static bool has_mutex(const lk_list *list)
{
    for (size_t i = 0; i < list->n_; i++) {
        unsigned how = lki_member_how(&list->member_[i]);
        if (how == LK_HOW_MUTEX_ || how == LK_HOW_RMUTEX_ || how == LK_HOW_KMUTEX_)
            return true;
    }
    return false;
}

static bool has_nested(const lk_list *list)
{
    for (size_t i = 0; i < list->n_; i++)
        if (lki_member_how(&list->member_[i]) == LK_HOW_SET_)
            return true;
    return false;
}

/* Put the list's members where the hold can keep them. */
static int settle(struct lk_key_ *k, struct lk_hold_ *h, const lk_list *list)
{
    *h = (struct lk_hold_){list->member_, NULL, list->n_, list->limit_, k->level_, k->used_};
    if (is_reading(h) && has_mutex(list))
        return EINVAL;
    if (list->limit_ & LK_LIST_BUILT_)
        return 0;
    size_t left = LK_KEY_MEMBERS - k->used_;
    if (list->n_ > left || has_nested(list)) {
        size_t n = list->n_;
        if (has_nested(list) && (n = flatten(list, &k->member_[k->used_], left)) == 0)
            return E2BIG;
        if (n > left) { /* sorted where it is */
            for (size_t i = 0; i < n; i++)
                lki_member_number(&list->member_[i], i);
            return 0;
        }
        h->n_ = (uint32_t)n;
    } else {
        for (uint32_t i = 0; i < list->n_; i++) {
            k->member_[k->used_ + i] = list->member_[i];
            lki_member_number(&k->member_[k->used_ + i], i);
        }
    }
    h->member_ = &k->member_[k->used_];
    k->used_ += h->n_;
    return 0;
}

/* The highest level among the members; `least` the lowest. */
static uint32_t levels_of(const struct lk_hold_ *h, uint32_t *least)
{
    uint32_t most = 0;
    *least = UINT32_MAX;
    for (size_t i = 0; i < h->n_; i++) {
        uint32_t level = lki_member_level(&h->member_[i]);
        most = level > most ? level : most;
        *least = level < *least ? level : *least;
    }
    return most;
}

/* Into the order; *busy is where the member that was there is now. */
static int put_in_order(struct lk_key_ *k, struct lk_hold_ *h, size_t *busy)
{
    struct lk_twice same;
    lk_member *own_copy = (lk_member *)h->member_;
    const void *lock = own_copy[*busy].lock_;
    lki_members_sort(own_copy, h->n_);
    if (lki_members_twice(own_copy, h->n_, &same))
        return twice(k, same.first, same.second);
    for (*busy = 0; own_copy[*busy].lock_ != lock;)
        ++*busy;
    return 0;
}

static int lock_settled(struct lk_key_ *k, struct lk_hold_ *h, const struct timespec *deadline,
                        bool try_only)
{
    size_t busy = 0;
    int rc = try_others(k, h, SIZE_MAX, &busy);
    if (rc == EBUSY && (h->limit_ & LK_LIST_BUILT_) == 0) {
        rc = put_in_order(k, h, &busy);
        rc = rc == 0 ? EBUSY : rc;
    }
    if (rc == EBUSY && !try_only && k->depth_ == 1 && h->n_ > 1)
        rc = lock_in_turns(k, busy, deadline);
    return rc == EBUSY ? lock_in_order(k, try_only, deadline) : rc;
}

void lki_key_account(struct lk_key_ *k)
{
    const struct lk_hold_ *h = &k->hold_[0];
    uint32_t least;
    if (k->depth_ == 0) {
        k->level_ = k->used_ = 0;
    } else if (k->depth_ == 1 && k->claim_ == NULL) {
        k->level_ = levels_of(h, &least);
        k->used_ = h->member_ == k->member_ ? h->n_ : 0;
    }
}

int lki_hold_lock(struct lk_key_ *k, const lk_list *list, const struct timespec *deadline,
                  bool try_only, const char *here)
{
    struct lk_hold_ *h = &k->hold_[k->depth_];
    uint32_t least = 0, most = 0;
    int rc = EINVAL;
    lki_key_account(k);
    if (k->depth_ == LK_KEY_DEPTH)
        return E2BIG;
    if (deadline != NULL && !lki_timespec_valid(deadline))
        return EINVAL;
    rc = settle(k, h, list);
    h->here_ = here;
    k->depth_++;
    if (rc == 0)
        most = levels_of(h, &least);
    if (rc == 0 && k->depth_ > 1 && least <= k->level_ && h->n_ > 0)
        rc = lki_key_stop("locks at a level that is not above what it holds", here,
                          k->hold_[k->depth_ - 2].here_);
    if (rc == 0)
        rc = lock_settled(k, h, deadline, try_only);
    if (rc == 0 || rc == EOWNERDEAD) {
        k->level_ = most;
        return rc;
    }
    k->used_ = h->used_before_;
    k->depth_--;
    return rc;
}

void lki_hold_unlock(struct lk_key_ *k, bool torn)
{
    struct lk_hold_ *h = lki_hold_top(k);
    if (k->claim_ != NULL)
        lki_claim_abandon(k, torn || k->torn_ != 0);
    else
        give_back(h, h->n_, torn || k->torn_ != 0);
    k->level_ = h->level_before_;
    k->used_ = h->used_before_;
    if (--k->depth_ == 0)
        k->torn_ = 0;
}

void lki_hold_release(struct lk_key_ *k)
{
    struct lk_hold_ *h = lki_hold_top(k);
    give_back(h, h->n_, k->torn_ != 0);
}

int lki_hold_relock(struct lk_key_ *k)
{
    struct lk_hold_ *h = lki_hold_top(k);
    if ((h->limit_ & LK_LIST_BUILT_) == 0)
        lki_members_sort((lk_member *)h->member_, h->n_);
    int rc = lock_in_order(k, false, NULL);
    if (rc != 0 && rc != EOWNERDEAD) {
        k->level_ = h->level_before_;
        k->used_ = h->used_before_;
        k->depth_--;
    }
    return rc;
}

/* ---- the public faces
 * ------------------------------------------------------------------------- */

static inline bool take_free(void *lock, unsigned how)
{
    if (how == LK_HOW_MUTEX_)
        return lk_mutex_trylock(lock) == 0;
    return how == LK_HOW_WRITE_ && lk_rwlock_trywrlock(lock) == 0;
}

/* Lock the first hold's members.  If one of them is not free, none is. */
static inline bool take_free_all(struct lk_key_ *k, uint32_t n)
{
    const lk_member *m = k->hold_[0].member_;
    for (uint32_t i = 0; i < n; i++)
        if (__builtin_expect(!take_free(m[i].lock_, lki_member_how(&m[i])), 0)) {
            give_back(&k->hold_[0], i, false);
            return false;
        }
    lk_hold_begin_(k);
    return true;
}

/* Into the key, field by field: they have just been written so, and a wider load would have to wait
 * for that. */
static inline void copy_members(lk_member *to, const lk_list *list)
{
    for (uint32_t i = 0; i < list->n_; i++) {
        to[i].lock_ = list->member_[i].lock_;
        to[i].what_ = (list->member_[i].what_ & 0xffffffffu) | (uint64_t)i << 32;
    }
}

/* The common case without the rest: mutexes and write locks, none of which is taken. */
static inline bool lock_at_once(struct lk_key_ *k, const lk_list *list, const char *here)
{
    const lk_member *m = list->member_;
    const uint32_t n = list->n_;
    if (list->limit_ != LK_LIST_EVERY_) {
        if (list->limit_ != LK_LIST_ALL_ || n > LK_KEY_MEMBERS)
            return false;
        copy_members(k->member_, list);
        m = k->member_;
    }
    lk_hold_(k, m, n, list->limit_, here);
    return take_free_all(k, n);
}

static inline int lock_list(lk_key key, const lk_list *list, const struct timespec *deadline,
                            bool try_only, const char *here)
{
    struct lk_key_ *k = key.k_;
    int rc = lki_key_want(k, here);
    if (rc != 0)
        return rc;
    if (__builtin_expect(deadline == NULL && lock_at_once(k, list, here), 1))
        return 0;
    return lki_hold_lock(k, list, deadline, try_only, here);
}

LK_TSA_(no_thread_safety_analysis)
int lk_set_lock_at_(lk_key key, lk_list list, const char *here)
{
    return lock_list(key, &list, NULL, false, here);
}

int lk_set_until_at_(lk_key key, lk_list list, const struct timespec *deadline, const char *here)
{
    return lock_list(key, &list, deadline, false, here);
}

int lk_set_trylock_at_(lk_key key, lk_list list, const char *here)
{
    return lock_list(key, &list, NULL, true, here);
}

static void unlock_top(struct lk_key_ *k)
{
    struct lk_hold_ *h = &k->hold_[0];
    if (k->depth_ != 1 || k->torn_ != 0 || k->claim_ != NULL ||
        (h->limit_ | LK_LIST_BUILT_) != LK_LIST_EVERY_) {
        lki_hold_unlock(k, false);
        return;
    }
    const lk_member *first = h->member_;
    for (const lk_member *m = first + h->n_; m-- != first;) {
        if (lki_member_how(m) == LK_HOW_MUTEX_)
            lk_mutex_unlock(m->lock_);
        else
            lki_member_unlock(m, false, false);
    }
    k->depth_ = 0;
}

LK_TSA_(no_thread_safety_analysis)
lk_key lk_set_unlock(lk_key key)
{
    if (!lki_key_is_here(key.k_) || key.k_->depth_ == 0)
        (void)lki_key_stop("unlocks with a key that holds nothing, or that is another thread's",
                           "lk_set_unlock", key.k_ != NULL ? key.k_->taken_at_ : NULL);
    else
        unlock_top(key.k_);
    return key;
}

/* ---- scopes
 * ----------------------------------------------------------------------------------- */

static struct lk_scope_ begun(lk_key key, int rc)
{
    return (struct lk_scope_){rc == 0 || rc == EOWNERDEAD ? key.k_ : NULL};
}

struct lk_scope_ lk_scope_slowly_(lk_key key, lk_list list, const char *here)
{
    int rc = lock_list(key, &list, NULL, false, here);
    if (__builtin_expect(rc != 0, 0) && rc != EOWNERDEAD)
        (void)lki_key_stop(rc == EDEADLK ? lk_error_text() : lk_strerror(rc), here, NULL);
    return begun(key, rc);
}

struct lk_scope_ lk_scope_there_(lk_key key, uint32_t n, uint32_t got, const char *here)
{
    struct lk_key_ *k = key.k_;
    if (__builtin_expect(n > LK_FEW_ && take_free_all(k, n), 1))
        return (struct lk_scope_){k};
    give_back(&k->hold_[0], got, false);
    lk_member copy[LK_KEY_MEMBERS];
    memcpy(copy, k->member_, n * sizeof *copy);
    return lk_scope_slowly_(key, (lk_list){copy, n, LK_LIST_ALL_}, here);
}

struct lk_scope_ lk_scope_rc_(lk_key key, int *rc, lk_list list, const char *here)
{
    *rc = lock_list(key, &list, NULL, false, here);
    return begun(key, *rc);
}

struct lk_scope_ lk_scope_try_(lk_key key, int *rc, lk_list list, const char *here)
{
    *rc = lock_list(key, &list, NULL, true, here);
    return begun(key, *rc);
}

struct lk_scope_ lk_scope_until_(lk_key key, int *rc, lk_list list, const struct timespec *deadline,
                                 const char *here)
{
    *rc = lock_list(key, &list, deadline, false, here);
    return begun(key, *rc);
}

void lk_scope_end_(struct lk_scope_ *s)
{
    if (s->k_ != NULL && s->k_->depth_ != 0)
        unlock_top(s->k_);
}

/* ---- after a failure
 * -------------------------------------------------------------------------- */

size_t lk_set_failed(const struct lk_key_ *k)
{
    return k->failed_;
}

struct lk_twice lk_set_twice_(const struct lk_key_ *k)
{
    return (struct lk_twice){k->twice_, k->failed_};
}

long lk_set_dead_(const struct lk_key_ *k, size_t from)
{
    long found = -1;
    if (k->depth_ == 0)
        return -1;
    const struct lk_hold_ *h = &k->hold_[k->depth_ - 1];
    for (size_t i = 0; i < h->n_; i++) {
        const lk_member *m = &h->member_[i];
        size_t at = lki_member_at(m);
        if (at >= from && lki_hold_has(h, m) && (found < 0 || at < (size_t)found) &&
            lki_member_dead(m))
            found = (long)at;
    }
    return found;
}
