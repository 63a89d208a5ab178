/* built.c - sets that are built beforehand, and copies under a lock. */
#include <string.h>

#include "base/error.h"
#include "key/key.h"

/* Put the members of nested sets in their places, and number all. */
static int unnest(lk_set *s)
{
    for (size_t i = 0; i < s->n_;) {
        if (lki_member_how(&s->member_[i]) != LK_HOW_SET_) {
            lki_member_number(&s->member_[i], i);
            i++;
            continue;
        }
        const lk_set *nested = s->member_[i].lock_;
        if (s->n_ - 1 + nested->n_ > s->room_)
            return ENOSPC;
        memmove(&s->member_[i + nested->n_], &s->member_[i + 1],
                (s->n_ - i - 1) * sizeof *s->member_);
        memcpy(&s->member_[i], nested->member_, nested->n_ * sizeof *s->member_);
        s->n_ += nested->n_ - 1;
    }
    return 0;
}

static int begin(lk_set *s, lk_member *members, size_t n, size_t room)
{
    if (n > room || room >= UINT32_MAX)
        return EINVAL;
    *s = (lk_set){members, (uint32_t)n, (uint32_t)room, 0};
    int rc = unnest(s);
    if (rc != 0)
        s->n_ = 0;
    return rc;
}

static int refuse(lk_set *s, struct lk_twice found, struct lk_twice *twice)
{
    s->n_ = 0;
    if (twice != NULL)
        *twice = found;
    return lki_fail(EDEADLK, "one lock is twice in the set, at positions %zu and %zu", found.first,
                    found.second);
}

int lk_set_init(lk_set *s, lk_member *members, size_t n, size_t room, struct lk_twice *twice)
{
    struct lk_twice found;
    int rc = begin(s, members, n, room);
    if (rc != 0)
        return rc;
    lki_members_sort(s->member_, s->n_);
    return lki_members_twice(s->member_, s->n_, &found) ? refuse(s, found, twice) : 0;
}

void lk_set_new(lk_set *s, lk_member *members, size_t n, size_t room)
{
    int rc = lk_set_init(s, members, n, room, NULL);
    if (rc != 0)
        (void)lki_key_stop(rc == EDEADLK ? lk_error_text() : lk_strerror(rc), "lk_set_new", NULL);
}

int lk_set_init_owned(lk_set *s, lk_member *members, size_t n, size_t room, struct lk_twice *twice)
{
    int rc = lk_set_init(s, members, n, room, twice);
    if (rc == 0)
        lki_members_sort_declared(s->member_, s->n_);
    return rc;
}

void lk_set_init_unchecked(lk_set *s, lk_member *members, size_t n, size_t room)
{
    *s = (lk_set){members, (uint32_t)n, (uint32_t)room, 0};
    for (size_t i = 0; i < n; i++)
        lki_member_number(&members[i], i);
}

int lk_set_init_reading(lk_set *s, lk_member *members, size_t n, size_t room)
{
    int rc = begin(s, members, n, room);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < s->n_; i++) {
        unsigned how = lki_member_how(&members[i]);
        if (how == LK_HOW_MUTEX_ || how == LK_HOW_RMUTEX_ || how == LK_HOW_KMUTEX_) {
            s->n_ = 0;
            return EINVAL;
        }
        if (how == LK_HOW_WRITE_ || how == LK_HOW_RWRITE_ || how == LK_HOW_KWRITE_)
            members[i].what_++;
    }
    lki_members_sort(members, s->n_);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->n_; i++)
        if (kept == 0 || members[kept - 1].lock_ != members[i].lock_)
            members[kept++] = members[i];
    s->n_ = kept;
    s->flags_ = LK_LIST_READ_;
    return 0;
}

static int take_out(lk_set *s, const void *lock)
{
    for (uint32_t i = 0; i < s->n_; i++) {
        if (s->member_[i].lock_ != lock)
            continue;
        s->n_--;
        memmove(&s->member_[i], &s->member_[i + 1], (s->n_ - i) * sizeof *s->member_);
        return 0;
    }
    return ENOENT;
}

int lk_set_add_member_(lk_set *s, const lk_member *m)
{
    uint32_t at = 0, next = 0;
    if (lki_member_how(m) == LK_HOW_SET_) {
        const lk_set *nested = m->lock_;
        if (nested->n_ > s->room_ - s->n_)
            return ENOSPC;
        for (uint32_t i = 0; i < nested->n_; i++) {
            int rc = lk_set_add_member_(s, &nested->member_[i]);
            if (rc != 0) { /* all or nothing */
                while (i-- > 0)
                    take_out(s, nested->member_[i].lock_);
                return rc;
            }
        }
        return 0;
    }
    for (uint32_t i = 0; i < s->n_; i++) {
        if (s->member_[i].lock_ == m->lock_)
            return lki_fail(EDEADLK, "the lock is in the set already, at position %u",
                            lki_member_at(&s->member_[i]));
        if (lki_member_at(&s->member_[i]) >= next)
            next = lki_member_at(&s->member_[i]) + 1;
        if (lki_member_before(&s->member_[i], m))
            at = i + 1;
    }
    if (s->n_ == s->room_)
        return ENOSPC;
    memmove(&s->member_[at + 1], &s->member_[at], (s->n_ - at) * sizeof *m);
    s->member_[at] = *m;
    lki_member_number(&s->member_[at], next);
    s->n_++;
    return 0;
}

int lk_set_remove(lk_set *s, const void *lock)
{
    return take_out(s, lock);
}

/* ---- copies
 * ----------------------------------------------------------------------------------- */

static int lock_for_copy(lk_key key, const lk_list *list, const char *here)
{
    int rc = lki_key_want(key.k_, here);
    return rc != 0 ? rc : lki_hold_lock(key.k_, list, NULL, false, here);
}

int lk_key_read_copy_at_(lk_key key, lk_list list, void *to, const void *guarded, size_t size,
                         const char *here)
{
    int rc = lock_for_copy(key, &list, here);
    if (rc == 0)
        memcpy(to, guarded, size);
    if (rc == 0 || rc == EOWNERDEAD)
        lki_hold_unlock(key.k_, false);
    return rc;
}

static void exchange(unsigned char *a, unsigned char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = a[i];
        a[i] = b[i];
        b[i] = c;
    }
}

int lk_key_swap_at_(lk_key key, lk_list list, void *guarded, void *with, size_t size,
                    const char *here)
{
    int rc = lock_for_copy(key, &list, here);
    if (rc == 0)
        exchange(guarded, with, size);
    if (rc == 0 || rc == EOWNERDEAD)
        lki_hold_unlock(key.k_, false);
    return rc;
}

int lk_key_take_bytes_at_(lk_key key, lk_list list, void *to, void *guarded, size_t size,
                          const char *here)
{
    int rc = lock_for_copy(key, &list, here);
    if (rc == 0) {
        memcpy(to, guarded, size);
        memset(guarded, 0, size);
    }
    if (rc == 0 || rc == EOWNERDEAD)
        lki_hold_unlock(key.k_, false);
    return rc;
}

void lk_cell_swap(lk_cell *c, void *guarded, void *with, size_t size)
{
    lk_mutex_lock(&c->lock_);
    exchange(guarded, with, size);
    lk_mutex_unlock(&c->lock_);
}
