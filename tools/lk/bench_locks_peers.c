/* bench_locks_peers.c - the loops over the C library's locks and Concurrency Kit's. */
#include <gnu/libc-version.h>
#include <pthread.h>

#include "bench_locks.h"

static void glibc_mutex_init(void *lock)
{
    (void)pthread_mutex_init(lock, NULL);
}

LOCK_LOOPS(glibc_mutex, pthread_mutex_t, pthread_mutex_lock, pthread_mutex_unlock,
           pthread_mutex_lock, pthread_mutex_unlock)

#define RWLOCK(NAME, KIND)                                                                         \
    static void NAME##_init(void *lock)                                                            \
    {                                                                                              \
        pthread_rwlockattr_t a;                                                                    \
        (void)pthread_rwlockattr_init(&a);                                                         \
        (void)pthread_rwlockattr_setkind_np(&a, KIND);                                             \
        (void)pthread_rwlock_init(lock, &a);                                                       \
        (void)pthread_rwlockattr_destroy(&a);                                                      \
    }                                                                                              \
    LOCK_LOOPS(NAME, pthread_rwlock_t, pthread_rwlock_rdlock, pthread_rwlock_unlock,               \
               pthread_rwlock_wrlock, pthread_rwlock_unlock)

RWLOCK(glibc_default, PTHREAD_RWLOCK_DEFAULT_NP)
RWLOCK(glibc_writer, PTHREAD_RWLOCK_PREFER_WRITER_NP)
RWLOCK(glibc_nonrecursive, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP)

const struct lock_peer lock_peers_glibc[] = {
    LOCK_PEER(glibc_mutex, "glibc mutex", ""),
    LOCK_PEER(glibc_default, "glibc default", ""),
    LOCK_PEER(glibc_writer, "glibc PREFER_WRITER", ""),
    LOCK_PEER(glibc_nonrecursive, "glibc PREFER_W_NR", ""),
    {0},
};
