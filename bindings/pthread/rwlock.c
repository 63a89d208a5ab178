/* rwlock.c - pthread_rwlock_*: over lk_rwlock, and process-shared ones, if $LK_PTHREAD_ROBUST says
 * so, over the robust form. */
#include <errno.h>

#include "order.h"
#include "robust.h"

/* Over a pthread_rwlock_t. */
struct lkp_rwlock {
    lk_rwlock lock;
    lk_rrwlock robust;
    uint32_t writer; /* thread id of the writer, 0 none; not of a robust one */
    uint32_t shared;
    uint32_t key;   /* of a robust one; 0: it is none */
    uint32_t order; /* its number in the order graph, 0 none yet */
    uint32_t unused[2];
    uint32_t kind; /* glibc's place and values */
};
_Static_assert(sizeof(struct lkp_rwlock) <= sizeof(pthread_rwlock_t), "fits");
_Static_assert(offsetof(struct lkp_rwlock, kind) == offsetof(pthread_rwlock_t, __data.__flags),
               "static initialisers write the kind");

static struct lkp_rwlock *over(pthread_rwlock_t *l)
{
    struct lkp_rwlock *r = (struct lkp_rwlock *)(void *)l;
    /* A static initialiser knows glibc's place for the kind only. */
    if (__builtin_expect(r->kind != 0 && (r->lock.kind_ & 3) == 0, 0))
        __atomic_fetch_or(&r->lock.kind_, r->kind & 3, __ATOMIC_RELAXED);
    return r;
}

/* For the order graph, which is of one process. */
#define entered(r, waits)                                                                          \
    do {                                                                                           \
        if (!(r)->shared)                                                                          \
            lkp_order_enter(&(r)->order, r, "rwlock", waits);                                      \
    } while (0)

static bool is_robust(const struct lkp_rwlock *r)
{
    return __builtin_expect(r->key != 0, 0) && lkp_have_segment();
}

static int robust_rdlock(struct lkp_rwlock *r, const struct timespec *deadline, bool tries)
{
    struct lk_rrwlock_place at = lkp_place(r->key);
    int rc;
    do {
        rc = tries ? lk_rrwlock_tryrdlock_at(&r->robust, &at)
                   : lk_rrwlock_rdlock_at(&r->robust, &at, deadline);
        if (rc != EOWNERDEAD)
            return tries && rc == EDEADLK ? EBUSY : rc;
        rc = lk_rrwlock_consistent_at(&r->robust, &at);
        if (rc == 0)
            rc = lk_rrwlock_unlock_at(&r->robust, &at);
    } while (rc == 0);
    return rc;
}

/* ---- the calls ------------------------------------------------------------------------------ */

int pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attr)
{
    struct lkp_rwlock *r = (struct lkp_rwlock *)(void *)lock;
    int shared = PTHREAD_PROCESS_PRIVATE;
    int kind = PTHREAD_RWLOCK_DEFAULT_NP;
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_init(lock, attr);
    if (attr != NULL) {
        (void)pthread_rwlockattr_getpshared(attr, &shared);
        (void)pthread_rwlockattr_getkind_np(attr, &kind);
    }
    bool is_shared = shared == PTHREAD_PROCESS_SHARED;
    *r = (struct lkp_rwlock){.shared = is_shared, .kind = (uint32_t)kind};
    if (is_shared && lkp_have_segment())
        r->key = lkp_new_key();
    return lk_rwlock_init(&r->lock, (enum lk_rwlock_kind)kind, is_shared ? LK_SHARED : 0);
}

int pthread_rwlock_destroy(pthread_rwlock_t *lock)
{
    return lkp_chosen(LKP_RWLOCK) ? 0 : lkp_real()->rwlock_destroy(lock);
}

static uint32_t writer_of(const struct lkp_rwlock *r)
{
    return __atomic_load_n(&r->writer, __ATOMIC_RELAXED);
}

static void set_writer(struct lkp_rwlock *r, uint32_t tid)
{
    __atomic_store_n(&r->writer, tid, __ATOMIC_RELAXED);
}

static int wrote(struct lkp_rwlock *r, int rc)
{
    if (rc == 0)
        set_writer(r, lkp_tid());
    return rc;
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_rdlock(lock);
    struct lkp_rwlock *r = over(lock);
    if (is_robust(r))
        return robust_rdlock(r, NULL, false);
    if (__builtin_expect(writer_of(r) == lkp_tid(), 0))
        return EDEADLK;
    entered(r, true);
    lk_rwlock_rdlock(&r->lock);
    return 0;
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *lock)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_tryrdlock(lock);
    struct lkp_rwlock *r = over(lock);
    if (is_robust(r))
        return robust_rdlock(r, NULL, true);
    int rc = lk_rwlock_tryrdlock(&r->lock);
    if (rc == 0)
        entered(r, false);
    return rc;
}

static int rdlock_clock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *t)
{
    struct lkp_rwlock *r = over(lock);
    struct timespec deadline;
    if (!lkp_time_valid(t))
        return EINVAL;
    if (is_robust(r)) {
        lkp_to_monotonic(clock, t, &deadline);
        return robust_rdlock(r, &deadline, false);
    }
    if (writer_of(r) == lkp_tid())
        return EDEADLK;
    int rc = lk_rwlock_rdlock_clock(&r->lock, clock, t);
    if (rc == 0)
        entered(r, false);
    return rc;
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *lock, const struct timespec *abstime)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_timedrdlock(lock, abstime);
    return rdlock_clock(lock, CLOCK_REALTIME, abstime);
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t *lock, clockid_t clock,
                               const struct timespec *abstime)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_clockrdlock(lock, clock, abstime);
    return rdlock_clock(lock, clock, abstime);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_wrlock(lock);
    struct lkp_rwlock *r = over(lock);
    if (is_robust(r))
        return lkp_robust_lock(&r->robust, r->key, NULL, false);
    if (__builtin_expect(writer_of(r) == lkp_tid(), 0))
        return EDEADLK;
    entered(r, true);
    lk_rwlock_wrlock(&r->lock);
    return wrote(r, 0);
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_trywrlock(lock);
    struct lkp_rwlock *r = over(lock);
    if (is_robust(r))
        return lkp_robust_lock(&r->robust, r->key, NULL, true);
    int rc = lk_rwlock_trywrlock(&r->lock);
    if (rc == 0)
        entered(r, false);
    return wrote(r, rc);
}

static int wrlock_clock(pthread_rwlock_t *lock, clockid_t clock, const struct timespec *t)
{
    struct lkp_rwlock *r = over(lock);
    struct timespec deadline;
    if (!lkp_time_valid(t))
        return EINVAL;
    if (is_robust(r)) {
        lkp_to_monotonic(clock, t, &deadline);
        return lkp_robust_lock(&r->robust, r->key, &deadline, false);
    }
    if (writer_of(r) == lkp_tid())
        return EDEADLK;
    int rc = lk_rwlock_wrlock_clock(&r->lock, clock, t);
    if (rc == 0)
        entered(r, false);
    return wrote(r, rc);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *lock, const struct timespec *abstime)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_timedwrlock(lock, abstime);
    return wrlock_clock(lock, CLOCK_REALTIME, abstime);
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t *lock, clockid_t clock,
                               const struct timespec *abstime)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_clockwrlock(lock, clock, abstime);
    return wrlock_clock(lock, clock, abstime);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
    if (!lkp_chosen(LKP_RWLOCK))
        return lkp_real()->rwlock_unlock(lock);
    struct lkp_rwlock *r = over(lock);
    if (is_robust(r))
        return lkp_robust_unlock(&r->robust, r->key);
    lkp_order_leave(&r->order);
    if (writer_of(r) != 0) { /* a reader never finds one here */
        set_writer(r, 0);
        lk_rwlock_wrunlock(&r->lock);
    } else {
        lk_rwlock_rdunlock(&r->lock);
    }
    return 0;
}
