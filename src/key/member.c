/* member.c - one lock by its kind; sorting members. */
#include "base/atomic.h"
#include "key/key.h"

/* Bit 30 of a robust lock's word: its last holder died (src/life/rmutex.c, rrwlock.c). */
#define INCONSISTENT 0x40000000u
#define COUNT 0x3fffffffu

_Static_assert(LK_HOW_READ_ == LK_HOW_WRITE_ + 1 && LK_HOW_RREAD_ == LK_HOW_RWRITE_ + 1 &&
                   LK_HOW_KREAD_ == LK_HOW_KWRITE_ + 1,
               "set.h");

static enum lk_how_ how_of(const lk_member *m, bool reading)
{
    unsigned how = lki_member_how(m);
    if (reading && (how == LK_HOW_WRITE_ || how == LK_HOW_RWRITE_ || how == LK_HOW_KWRITE_))
        how++;
    return (enum lk_how_)how;
}

/* The record of a lock that remembers, just locked. */
static int locked(uint32_t record)
{
    return record & LK_POISONED_ ? EOWNERDEAD : 0;
}

static int try_remembering(void *lock, enum lk_how_ how)
{
    lk_kmutex *m = lock;
    lk_krwlock *l = lock;
    if (how == LK_HOW_KMUTEX_)
        return lk_mutex_trylock(&m->lock_) == 0 ? locked(m->record_) : EBUSY;
    int rc = how == LK_HOW_KREAD_ ? lk_rwlock_tryrdlock(&l->lock_) : lk_rwlock_trywrlock(&l->lock_);
    return rc == 0 ? locked(l->record_) : rc;
}

int lki_member_try(const lk_member *m, bool reading)
{
    enum lk_how_ how = how_of(m, reading);
    switch (how) {
    case LK_HOW_MUTEX_:
        return lk_mutex_trylock(m->lock_);
    case LK_HOW_WRITE_:
        return lk_rwlock_trywrlock(m->lock_);
    case LK_HOW_READ_:
        return lk_rwlock_tryrdlock(m->lock_);
    case LK_HOW_RMUTEX_:
        return lk_rmutex_trylock(m->lock_);
    case LK_HOW_RWRITE_:
        return lk_rrwlock_trywrlock(m->lock_);
    case LK_HOW_RREAD_:
        return lk_rrwlock_tryrdlock(m->lock_);
    case LK_HOW_SET_:
        return EINVAL;
    default:
        return try_remembering(m->lock_, how);
    }
}

static int wait_remembering(void *lock, enum lk_how_ how, const struct timespec *deadline)
{
    lk_kmutex *m = lock;
    lk_krwlock *l = lock;
    if (how == LK_HOW_KMUTEX_) {
        int rc = lk_mutex_lock_until(&m->lock_, deadline);
        return rc == 0 ? locked(m->record_) : rc;
    }
    int rc = how == LK_HOW_KREAD_ ? lk_rwlock_rdlock_until(&l->lock_, deadline)
                                  : lk_rwlock_wrlock_until(&l->lock_, deadline);
    return rc == 0 ? locked(l->record_) : rc;
}

static int wait_for(const lk_member *m, bool reading, const struct timespec *deadline)
{
    enum lk_how_ how = how_of(m, reading);
    switch (how) {
    case LK_HOW_MUTEX_:
        return lk_mutex_lock_until(m->lock_, deadline);
    case LK_HOW_WRITE_:
        return lk_rwlock_wrlock_until(m->lock_, deadline);
    case LK_HOW_READ_:
        return lk_rwlock_rdlock_until(m->lock_, deadline);
    case LK_HOW_RMUTEX_:
        return lk_rmutex_lock_until(m->lock_, deadline);
    case LK_HOW_RWRITE_:
        return lk_rrwlock_wrlock_until(m->lock_, deadline);
    case LK_HOW_RREAD_:
        return lk_rrwlock_rdlock_until(m->lock_, deadline);
    case LK_HOW_SET_:
        return EINVAL;
    default:
        return wait_remembering(m->lock_, how, deadline);
    }
}

int lki_member_lock(struct lk_key_ *k, const lk_member *m, bool reading, const char *here,
                    const struct timespec *deadline)
{
    int rc = lki_member_try(m, reading);
    if (rc != EBUSY)
        return rc;
    /* [member.1] release, pairs with [picture.3]: the wait before, at another place, is over. */
    lk_store_rel_ptr(&k->waits_at_, (void *)(uintptr_t)here);
    /* [member.2] release, pairs with [picture.1]: the place is there. */
    lk_store_rel_ptr(&k->waits_for_, m->lock_);
    rc = wait_for(m, reading, deadline);
    /* [member.5] relaxed: carried by the next [member.1]. */
    lk_store_rlx_u64((uint64_t *)(void *)&k->waits_for_, 0);
    return rc;
}

/* What is recorded when a hold for writing ends. */
static uint32_t after(uint32_t record, bool torn)
{
    record = (record & ~COUNT) | ((record + 1) & COUNT);
    return torn && (record & LK_CAN_POISON_) ? record | LK_POISONED_ : record;
}

void lki_member_unlock(const lk_member *m, bool reading, bool torn)
{
    lk_kmutex *km = m->lock_;
    lk_krwlock *kl = m->lock_;
    switch (how_of(m, reading)) {
    case LK_HOW_MUTEX_:
        lk_mutex_unlock(m->lock_);
        break;
    case LK_HOW_WRITE_:
        lk_rwlock_wrunlock(m->lock_);
        break;
    case LK_HOW_READ_:
        lk_rwlock_rdunlock(m->lock_);
        break;
    case LK_HOW_RMUTEX_:
        (void)lk_rmutex_unlock(m->lock_);
        break;
    case LK_HOW_RWRITE_:
    case LK_HOW_RREAD_:
        (void)lk_rrwlock_unlock(m->lock_);
        break;
    case LK_HOW_KMUTEX_:
        km->record_ = after(km->record_, torn);
        lk_mutex_unlock(&km->lock_);
        break;
    case LK_HOW_KWRITE_:
        kl->record_ = after(kl->record_, torn);
        lk_rwlock_wrunlock(&kl->lock_);
        break;
    case LK_HOW_KREAD_:
        lk_rwlock_rdunlock(&kl->lock_);
        break;
    case LK_HOW_SET_:
        break;
    }
}

bool lki_member_dead(const lk_member *m)
{
    const lk_kmutex *km = m->lock_;
    const lk_krwlock *kl = m->lock_;
    const lk_rrwlock *l = m->lock_;
    switch (lki_member_how(m)) {
    case LK_HOW_RMUTEX_:
        /* [member.3] relaxed: this thread holds it, so the bit is what locking found. */
        return (lk_load_rlx_u32(&((const lk_rmutex *)m->lock_)->word_) & INCONSISTENT) != 0;
    case LK_HOW_RWRITE_:
    case LK_HOW_RREAD_:
        /* [member.4] relaxed: as above; a reader finds no dirt, as there is no writer. */
        return lk_load_rlx_u32(&l->dirty_) != 0 && (lk_load_rlx_u32(&l->word_) & INCONSISTENT);
    case LK_HOW_KMUTEX_:
        return (km->record_ & LK_POISONED_) != 0;
    case LK_HOW_KWRITE_:
    case LK_HOW_KREAD_:
        return (kl->record_ & LK_POISONED_) != 0;
    default:
        return false;
    }
}

int64_t lki_member_changes(const lk_member *m)
{
    switch (lki_member_how(m)) {
    case LK_HOW_KMUTEX_:
        return ((const lk_kmutex *)m->lock_)->record_ & COUNT;
    case LK_HOW_KWRITE_:
    case LK_HOW_KREAD_:
        return ((const lk_krwlock *)m->lock_)->record_ & COUNT;
    default:
        return -1;
    }
}

/* ---- sorting: by hand, because qsort() may allocate
 * -------------------------------------------- */

static bool declared_before(const lk_member *a, const lk_member *b)
{
    return lki_member_at(a) < lki_member_at(b);
}

static void sift(lk_member *m, size_t at, size_t n,
                 bool (*before)(const lk_member *, const lk_member *))
{
    lk_member moved = m[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && before(&m[child], &m[child + 1]))
            child++;
        if (!before(&moved, &m[child]))
            break;
        m[at] = m[child];
    }
    m[at] = moved;
}

/* Insertion while it is short, else a heap. */
static void sort(lk_member *m, size_t n, bool (*before)(const lk_member *, const lk_member *))
{
    if (n <= 24) {
        for (size_t i = 1; i < n; i++) {
            lk_member moved = m[i];
            size_t j = i;
            for (; j > 0 && before(&moved, &m[j - 1]); j--)
                m[j] = m[j - 1];
            m[j] = moved;
        }
        return;
    }
    for (size_t i = n / 2; i-- > 0;)
        sift(m, i, n, before);
    while (n-- > 1) {
        lk_member last = m[n];
        m[n] = m[0];
        m[0] = last;
        sift(m, 0, n, before);
    }
}

static bool in_order(const lk_member *a, const lk_member *b)
{
    return lki_member_before(a, b);
}

void lki_members_sort(lk_member *m, size_t n)
{
    sort(m, n, in_order);
}

void lki_members_sort_declared(lk_member *m, size_t n)
{
    sort(m, n, declared_before);
}

bool lki_members_twice(const lk_member *m, size_t n, struct lk_twice *twice)
{
    for (size_t i = 1; i < n; i++) {
        if (m[i].lock_ != m[i - 1].lock_)
            continue;
        size_t a = lki_member_at(&m[i - 1]), b = lki_member_at(&m[i]);
        *twice = (struct lk_twice){a < b ? a : b, a < b ? b : a};
        return true;
    }
    return false;
}
