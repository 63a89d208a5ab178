/* mutex.c - pthread_mutex_*: normal, recursive, error-checking and adaptive ones over lk_mutex, and
 * process-shared normal ones, if $LK_PTHREAD_ROBUST says so, over the robust form; robust and
 * priority ones go on to libc. */
#include "mutex.h"

#include <errno.h>

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr)
{
    struct lkp_mutex *m = lkp_mutex(mutex);
    int type = PTHREAD_MUTEX_DEFAULT;
    int shared = PTHREAD_PROCESS_PRIVATE;
    int robust = PTHREAD_MUTEX_STALLED;
    int protocol = PTHREAD_PRIO_NONE;
    if (attr != NULL) {
        (void)pthread_mutexattr_gettype(attr, &type);
        (void)pthread_mutexattr_getpshared(attr, &shared);
        (void)pthread_mutexattr_getrobust(attr, &robust);
        (void)pthread_mutexattr_getprotocol(attr, &protocol);
    }
    if (!lkp_chosen(LKP_MUTEX) || robust != PTHREAD_MUTEX_STALLED || protocol != PTHREAD_PRIO_NONE)
        return lkp_real()->mutex_init(mutex, attr);
    bool is_shared = shared == PTHREAD_PROCESS_SHARED;
    *m = (struct lkp_mutex){.kind = (uint32_t)type | (is_shared ? LKP_KIND_SHARED : 0)};
    lk_mutex_init(&m->lock, is_shared ? LK_SHARED : 0);
    if (is_shared && lkp_mutex_plain(m) && lkp_have_segment())
        m->key = lkp_new_key();
    return 0;
}

int pthread_mutex_destroy(pthread_mutex_t *mutex)
{
    struct lkp_mutex *m = lkp_mutex(mutex);
    if (!lkp_mutex_ours(m))
        return lkp_real()->mutex_destroy(mutex);
    if (lkp_mutex_robust(m)) {
        int rc = lkp_robust_lock(&m->robust, m->key, NULL, true);
        return rc != 0 ? rc : lkp_robust_unlock(&m->robust, m->key);
    }
    if (lk_mutex_trylock(&m->lock) != 0)
        return EBUSY;
    lk_mutex_unlock(&m->lock);
    return 0;
}

/* A recursive or error-checking one: does the thread hold it already?  0 = no, go on; EALREADY =
 * one level deeper; else the answer. */
static int own_already(struct lkp_mutex *m, bool tries)
{
    if (lkp_owner(&m->owner) != lkp_tid())
        return 0;
    if ((m->kind & LKP_KIND_TYPE) == PTHREAD_MUTEX_ERRORCHECK)
        return tries ? EBUSY : EDEADLK;
    if (m->count == UINT32_MAX)
        return EAGAIN;
    m->count++;
    return EALREADY;
}

static int owned(struct lkp_mutex *m)
{
    lkp_set_owner(&m->owner, lkp_tid());
    m->count = 1;
    return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    struct lkp_mutex *m = lkp_mutex(mutex);
    if (!lkp_mutex_ours(m))
        return lkp_real()->mutex_lock(mutex);
    if (!lkp_mutex_plain(m)) {
        int rc = own_already(m, false);
        if (rc != 0)
            return rc == EALREADY ? 0 : rc;
    } else if (lkp_mutex_robust(m)) {
        return lkp_robust_lock(&m->robust, m->key, NULL, false);
    }
    lkp_mutex_entered(m, true); /* before it may wait for ever */
    lk_mutex_lock(&m->lock);
    return lkp_mutex_plain(m) ? 0 : owned(m);
}

int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    struct lkp_mutex *m = lkp_mutex(mutex);
    if (!lkp_mutex_ours(m))
        return lkp_real()->mutex_trylock(mutex);
    if (lkp_mutex_robust(m))
        return lkp_robust_lock(&m->robust, m->key, NULL, true);
    int rc = lkp_mutex_plain(m) ? 0 : own_already(m, true);
    if (rc != 0)
        return rc == EALREADY ? 0 : rc;
    rc = lk_mutex_trylock(&m->lock);
    if (rc == 0)
        lkp_mutex_entered(m, false);
    return rc == 0 && !lkp_mutex_plain(m) ? owned(m) : rc;
}

static int robust_lock_clock(struct lkp_mutex *m, clockid_t clock, const struct timespec *abstime)
{
    struct timespec deadline;
    int rc = lkp_robust_lock(&m->robust, m->key, NULL, true);
    if (rc != EBUSY)
        return rc;
    if (!lkp_time_valid(abstime))
        return EINVAL;
    lkp_to_monotonic(clock, abstime, &deadline);
    return lkp_robust_lock(&m->robust, m->key, &deadline, false);
}

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *abstime)
{
    struct lkp_mutex *m = lkp_mutex(mutex);
    if (!lkp_mutex_ours(m))
        return lkp_real()->mutex_clocklock(mutex, clock, abstime);
    if (lkp_mutex_robust(m))
        return robust_lock_clock(m, clock, abstime);
    int rc = lkp_mutex_plain(m) ? 0 : own_already(m, false);
    if (rc != 0)
        return rc == EALREADY ? 0 : rc;
    rc = lk_mutex_lock_clock(&m->lock, clock, abstime);
    if (rc == 0)
        lkp_mutex_entered(m, false); /* who waits with a deadline waits not for ever */
    return rc == 0 && !lkp_mutex_plain(m) ? owned(m) : rc;
}

int pthread_mutex_timedlock(pthread_mutex_t *mutex, const struct timespec *abstime)
{
    if (!lkp_mutex_ours(lkp_mutex(mutex)))
        return lkp_real()->mutex_timedlock(mutex, abstime);
    return pthread_mutex_clocklock(mutex, CLOCK_REALTIME, abstime);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    struct lkp_mutex *m = lkp_mutex(mutex);
    if (!lkp_mutex_ours(m))
        return lkp_real()->mutex_unlock(mutex);
    if (lkp_mutex_robust(m))
        return lkp_robust_unlock(&m->robust, m->key);
    if (!lkp_mutex_plain(m)) {
        if (lkp_owner(&m->owner) != lkp_tid())
            return EPERM;
        if (--m->count != 0)
            return 0;
        lkp_set_owner(&m->owner, 0);
    }
    lkp_mutex_left(m);
    lk_mutex_unlock(&m->lock);
    return 0;
}
