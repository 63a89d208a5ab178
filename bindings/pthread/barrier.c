/* barrier.c - pthread_barrier_* over lk_barrier, pthread_once over lk_once. */
#include <errno.h>

#include "interpose.h"

_Static_assert(sizeof(lk_barrier) <= sizeof(pthread_barrier_t), "fits");
_Static_assert(sizeof(lk_once) <= sizeof(pthread_once_t), "fits");
_Static_assert(PTHREAD_ONCE_INIT == 0, "all zero bytes");

int pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attr,
                         unsigned count)
{
    int shared = PTHREAD_PROCESS_PRIVATE;
    if (!lkp_chosen(LKP_BARRIER))
        return lkp_real()->barrier_init(barrier, attr, count);
    if (attr != NULL)
        (void)pthread_barrierattr_getpshared(attr, &shared);
    return lk_barrier_init((lk_barrier *)(void *)barrier, count,
                           shared == PTHREAD_PROCESS_SHARED ? LK_SHARED : 0);
}

int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
    return lkp_chosen(LKP_BARRIER) ? 0 : lkp_real()->barrier_destroy(barrier);
}

int pthread_barrier_wait(pthread_barrier_t *barrier)
{
    if (!lkp_chosen(LKP_BARRIER))
        return lkp_real()->barrier_wait(barrier);
    int rc = lk_barrier_wait((lk_barrier *)(void *)barrier);
    return rc == LK_BARRIER_LAST ? PTHREAD_BARRIER_SERIAL_THREAD : rc;
}

static int run(void *arg)
{
    void (*initialise)(void);
    __builtin_memcpy(&initialise, arg, sizeof initialise);
    initialise();
    return 0;
}

/* The library inside uses pthread_once() for what lk_once stands on: those go to libc. */
extern char __bss_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));

static bool our_own(const pthread_once_t *control)
{
    const char *at = (const char *)control;
    return at >= __bss_start && at < _end;
}

int pthread_once(pthread_once_t *control, void (*initialise)(void))
{
    if (!lkp_chosen(LKP_ONCE) || our_own(control))
        return lkp_real()->once(control, initialise);
    return lk_once_call((lk_once *)(void *)control, run, &initialise);
}
