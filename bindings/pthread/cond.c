/* cond.c - pthread_cond_* over lk_cond, with any mutex: ours, its robust form, or libc's.
 *
 * Cancellation: a wait is a cancellation point where it begins; a thread that sleeps already
 * notices a cancellation when it is woken.  docs/PTHREAD.md. */
#include <errno.h>

#include "mutex.h"

/* Over a pthread_cond_t. */
struct lkp_cond {
    lk_cond cond;
    uint32_t clock; /* of pthread_cond_timedwait(): CLOCK_REALTIME is 0 */
};
_Static_assert(sizeof(struct lkp_cond) <= sizeof(pthread_cond_t), "fits");
_Static_assert(CLOCK_REALTIME == 0, "PTHREAD_COND_INITIALIZER is all zero bytes");

static struct lkp_cond *over(pthread_cond_t *c)
{
    return (struct lkp_cond *)(void *)c;
}

int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr)
{
    struct lkp_cond *c = over(cond);
    clockid_t clock = CLOCK_REALTIME;
    int shared = PTHREAD_PROCESS_PRIVATE;
    if (!lkp_chosen(LKP_MUTEX))
        return lkp_real()->cond_init(cond, attr);
    if (attr != NULL) {
        (void)pthread_condattr_getclock(attr, &clock);
        (void)pthread_condattr_getpshared(attr, &shared);
    }
    *c = (struct lkp_cond){.clock = (uint32_t)clock};
    lk_cond_init(&c->cond, shared == PTHREAD_PROCESS_SHARED ? LK_SHARED : 0);
    return 0;
}

int pthread_cond_destroy(pthread_cond_t *cond)
{
    return lkp_chosen(LKP_MUTEX) ? 0 : lkp_real()->cond_destroy(cond);
}

int pthread_cond_signal(pthread_cond_t *cond)
{
    if (!lkp_chosen(LKP_MUTEX))
        return lkp_real()->cond_signal(cond);
    lk_cond_signal(&over(cond)->cond);
    return 0;
}

int pthread_cond_broadcast(pthread_cond_t *cond)
{
    if (!lkp_chosen(LKP_MUTEX))
        return lkp_real()->cond_broadcast(cond);
    lk_cond_broadcast(&over(cond)->cond);
    return 0;
}

/* A mutex that is more than its lock word, given up for the time of a wait. */
struct given_up {
    pthread_mutex_t *mutex;
    uint32_t count;
    int unlocked, relocked; /* what libc's functions said */
};

static void give_up(void *arg)
{
    struct given_up *g = arg;
    struct lkp_mutex *m = lkp_mutex(g->mutex);
    if (!lkp_mutex_ours(m)) {
        g->unlocked = lkp_real()->mutex_unlock(g->mutex);
        return;
    }
    if (lkp_mutex_robust(m)) {
        g->unlocked = lkp_robust_unlock(&m->robust, m->key);
        return;
    }
    g->count = m->count;
    lkp_set_owner(&m->owner, 0);
    lkp_mutex_left(m);
    lk_mutex_unlock(&m->lock);
}

static void take_back(void *arg)
{
    struct given_up *g = arg;
    struct lkp_mutex *m = lkp_mutex(g->mutex);
    if (!lkp_mutex_ours(m)) {
        if (g->unlocked == 0)
            g->relocked = lkp_real()->mutex_lock(g->mutex);
        return;
    }
    if (lkp_mutex_robust(m)) {
        if (g->unlocked == 0)
            g->relocked = lkp_robust_lock(&m->robust, m->key, NULL, false);
        return;
    }
    lkp_mutex_entered(m, true);
    lk_mutex_lock(&m->lock);
    lkp_set_owner(&m->owner, lkp_tid());
    m->count = g->count;
}

static int wait_on(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                   const struct timespec *deadline)
{
    struct lkp_cond *c = over(cond);
    struct lkp_mutex *m = lkp_mutex(mutex);
    if (deadline != NULL && !lkp_time_valid(deadline))
        return EINVAL;
    pthread_testcancel();
    bool plain = lkp_mutex_ours(m) && lkp_mutex_plain(m);
    if (plain && !lkp_mutex_robust(m)) {
        lkp_mutex_left(m);
        int rc = lk_cond_wait_clock(&c->cond, &m->lock, clock, deadline);
        lkp_mutex_entered(m, true);
        return rc;
    }
    if (!plain && lkp_mutex_ours(m) && lkp_owner(&m->owner) != lkp_tid())
        return EPERM;
    struct given_up g = {.mutex = mutex};
    const struct lk_cond_lock lock = {&g, give_up, take_back};
    int rc = lk_cond_wait_with(&c->cond, &lock, clock, deadline);
    if (g.unlocked != 0)
        return g.unlocked;
    return g.relocked != 0 ? g.relocked : rc;
}

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (!lkp_chosen(LKP_MUTEX))
        return lkp_real()->cond_wait(cond, mutex);
    return wait_on(cond, mutex, CLOCK_MONOTONIC, NULL);
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                           const struct timespec *abstime)
{
    if (!lkp_chosen(LKP_MUTEX))
        return lkp_real()->cond_timedwait(cond, mutex, abstime);
    return wait_on(cond, mutex, (clockid_t)over(cond)->clock, abstime);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *abstime)
{
    if (!lkp_chosen(LKP_MUTEX))
        return lkp_real()->cond_clockwait(cond, mutex, clock, abstime);
    return wait_on(cond, mutex, clock, abstime);
}
