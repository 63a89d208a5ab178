/* latchkey/once.h - something that is done once, by whichever thread comes first.
 *
 * lk_once: four bytes; all zero bytes are one that has not been done.  The initialiser may fail:
 * its error is returned to the thread that ran it, and the next comer, asleep or new, tries again.
 * Its thread may end inside it (pthread_exit, cancellation, a C++ exception): the same.  It may ask
 * for the same once again: EDEADLK, not a deadlock.  A child of fork() whose parent had another
 * thread inside the initialiser begins anew.
 * For the threads of one process.  Signals: not from handlers, unless it is known to be done.
 * When it is done, lk_once_call() is one inline load.
 *
 * lk_lazy: a pointer that is made once in the same way.
 * Source: POSIX.1-2017 pthread_once, which says nothing about failure. */
#ifndef LATCHKEY_ONCE_H
#define LATCHKEY_ONCE_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_once {
    uint32_t word_;
} lk_once;

#define LK_ONCE_DONE_ 1u

#define LK_ONCE_INIT                                                                               \
    {                                                                                              \
        0                                                                                          \
    }

/* The part that is not inline; programs call lk_once_call_until(). */
LK_API int lk_once_call_slowly_(lk_once *o, int (*fn)(void *arg), void *arg,
                                const struct timespec *deadline);

/* Run fn(arg) unless it has been done.  fn returns 0 = done, anything else = failed.
 * Returns     0          it is done, and what fn wrote is visible
 *             EDEADLK    this thread is inside fn for *o
 *             ETIMEDOUT  another thread was inside until the deadline (absolute CLOCK_MONOTONIC;
 *                        NULL = never), EINVAL (no time)
 *             else       what fn returned in this thread */
static inline LK_MUST_USE int lk_once_call_until(lk_once *o, int (*fn)(void *arg), void *arg,
                                                 const struct timespec *deadline)
{
    /* [once.1] acquire, pairs with [once.4]: what the initialiser wrote. */
    if (LK_LIKELY(lk_word_load_acq_u32(&o->word_) == LK_ONCE_DONE_))
        return 0;
    return lk_once_call_slowly_(o, fn, arg, deadline);
}

static inline LK_MUST_USE int lk_once_call(lk_once *o, int (*fn)(void *arg), void *arg)
{
    return lk_once_call_until(o, fn, arg, NULL);
}

/* A pointer that is made at its first use.  All zero bytes: not made. */
typedef struct lk_lazy {
    void *pointer_;
    lk_once once_;
    uint32_t unused_;
} lk_lazy;

#define LK_LAZY_INIT                                                                               \
    {                                                                                              \
        NULL, LK_ONCE_INIT, 0                                                                      \
    }

LK_API int lk_lazy_get_slowly_(lk_lazy *z, void *(*make)(void *arg), void *arg, void **made);

/* *made = the pointer, from make(arg) if nobody has made it.  make returns NULL = failed.
 * Returns 0, EDEADLK (as above), ENOMEM (make failed in this thread; *made untouched). */
static inline LK_MUST_USE int lk_lazy_get(lk_lazy *z, void *(*make)(void *arg), void *arg,
                                          void **made)
{
    /* [once.2] acquire, pairs with [once.3]: what the pointer points to. */
    void *there = lk_word_load_acq_ptr(&z->pointer_);
    if (LK_LIKELY(there != NULL)) {
        *made = there;
        return 0;
    }
    return lk_lazy_get_slowly_(z, make, arg, made);
}

#ifdef __cplusplus
}
#endif
#endif
