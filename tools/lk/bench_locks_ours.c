/* bench_locks_ours.c - the loops over latchkey's locks. */
#include <string.h>

#include "bench_locks.h"
#include "latchkey/latchkey.h"

static void mutex_init(void *lock)
{
    lk_mutex_init(lock, 0);
}

LOCK_LOOPS(mutex, lk_mutex, lk_mutex_lock, lk_mutex_unlock, lk_mutex_lock, lk_mutex_unlock)

#define RWLOCK(NAME, KIND)                                                                         \
    static void NAME##_init(void *lock)                                                            \
    {                                                                                              \
        (void)lk_rwlock_init(lock, KIND, 0);                                                       \
    }                                                                                              \
    LOCK_LOOPS(NAME, lk_rwlock, lk_rwlock_rdlock, lk_rwlock_rdunlock, lk_rwlock_wrlock,            \
               lk_rwlock_wrunlock)

RWLOCK(prefer_reader, LK_RWLOCK_PREFER_READER)
RWLOCK(prefer_writer, LK_RWLOCK_PREFER_WRITER)
RWLOCK(nonrecursive, LK_RWLOCK_PREFER_WRITER_NONRECURSIVE)
RWLOCK(phase_fair, LK_RWLOCK_PHASE_FAIR)

static void brlock_init(void *lock)
{
    lk_brlock_init(lock, 0);
}

LOCK_LOOPS(brlock, lk_brlock, lk_brlock_rdlock, lk_brlock_rdunlock, lk_brlock_wrlock,
           lk_brlock_wrunlock)

const struct lock_peer lock_peers_ours[] = {
    LOCK_PEER(mutex, "lk_mutex", ""),
    LOCK_PEER(prefer_reader, "lk prefer-reader", ""),
    LOCK_PEER(prefer_writer, "lk prefer-writer", ""),
    LOCK_PEER(nonrecursive, "lk prefer-writer-nr", ""),
    LOCK_PEER(phase_fair, "lk phase-fair", ""),
    LOCK_PEER(brlock, "lk_brlock", ""),
    {0},
};

/* ---- sixteen bytes, copied plainly and through a sequence lock
 * ---------------------------------- */

void lock_copy_plain(void *guarded, size_t n)
{
    uint64_t to[2];
    for (size_t i = 0; i < n; i++) {
        memcpy(to, guarded, sizeof to);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
}

void lock_copy_seqlock(void *guarded, size_t n)
{
    static lk_seqlock seqlock;
    uint64_t to[2];
    for (size_t i = 0; i < n; i++) {
        lk_seqlock_load(&seqlock, to, guarded, sizeof to);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
}
