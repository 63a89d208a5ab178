/* interpose.h - what the files of liblatchkey-pthread share: which families the user chose, libc's
 * own functions, the calling thread's id.
 *
 * A pthread object keeps glibc's size and glibc's static initialisers: all bytes zero but for a
 * kind at glibc's place.  Everything else in it is ours, so a program must use one object through
 * this library everywhere or nowhere; glibc's own use of its own objects does not matter. */
#ifndef LKP_INTERPOSE_H
#define LKP_INTERPOSE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/latchkey.h"

/* Families, as $LK_PTHREAD names them; conditions go with their mutexes. */
enum lkp_family { LKP_MUTEX = 1, LKP_RWLOCK = 2, LKP_BARRIER = 4, LKP_ONCE = 8 };

/* Did the user choose this family?  Without $LK_PTHREAD, all are chosen. */
bool lkp_chosen(enum lkp_family family);

/* $LK_PTHREAD_ROBUST: the name of the segment whose presence slots make process-shared
 * reader-writer locks robust; NULL = they are not to be. */
const char *lkp_robust_name(void);

/* libc's own functions, for what is not chosen and for robust and priority mutexes. */
struct lkp_real {
    int (*mutex_init)(pthread_mutex_t *, const pthread_mutexattr_t *);
    int (*mutex_destroy)(pthread_mutex_t *);
    int (*mutex_lock)(pthread_mutex_t *);
    int (*mutex_trylock)(pthread_mutex_t *);
    int (*mutex_timedlock)(pthread_mutex_t *, const struct timespec *);
    int (*mutex_clocklock)(pthread_mutex_t *, clockid_t, const struct timespec *);
    int (*mutex_unlock)(pthread_mutex_t *);
    int (*cond_init)(pthread_cond_t *, const pthread_condattr_t *);
    int (*cond_destroy)(pthread_cond_t *);
    int (*cond_wait)(pthread_cond_t *, pthread_mutex_t *);
    int (*cond_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    int (*cond_clockwait)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    int (*cond_signal)(pthread_cond_t *);
    int (*cond_broadcast)(pthread_cond_t *);
    int (*rwlock_init)(pthread_rwlock_t *, const pthread_rwlockattr_t *);
    int (*rwlock_destroy)(pthread_rwlock_t *);
    int (*rwlock_rdlock)(pthread_rwlock_t *);
    int (*rwlock_tryrdlock)(pthread_rwlock_t *);
    int (*rwlock_timedrdlock)(pthread_rwlock_t *, const struct timespec *);
    int (*rwlock_clockrdlock)(pthread_rwlock_t *, clockid_t, const struct timespec *);
    int (*rwlock_wrlock)(pthread_rwlock_t *);
    int (*rwlock_trywrlock)(pthread_rwlock_t *);
    int (*rwlock_timedwrlock)(pthread_rwlock_t *, const struct timespec *);
    int (*rwlock_clockwrlock)(pthread_rwlock_t *, clockid_t, const struct timespec *);
    int (*rwlock_unlock)(pthread_rwlock_t *);
    int (*barrier_init)(pthread_barrier_t *, const pthread_barrierattr_t *, unsigned);
    int (*barrier_destroy)(pthread_barrier_t *);
    int (*barrier_wait)(pthread_barrier_t *);
    int (*once)(pthread_once_t *, void (*)(void));
    void *(*dlopen)(const char *, int);
};
const struct lkp_real *lkp_real(void);

/* The calling thread's id, never 0. */
extern __thread uint32_t lkp_tid_cache __attribute__((tls_model("initial-exec")));
uint32_t lkp_tid_slowly(void);

static inline uint32_t lkp_tid(void)
{
    uint32_t tid = lkp_tid_cache;
    return __builtin_expect(tid != 0, 1) ? tid : lkp_tid_slowly();
}

static inline bool lkp_time_valid(const struct timespec *t)
{
    return t->tv_nsec >= 0 && t->tv_nsec < 1000000000;
}

#endif
