/* key_seam.h - what src/key stands on, for the models of it: locks that are as simple as locks can
 * be (0 free, HELD; who waits looks until it is free, which the checker takes for sleeping: one
 * that looks for ever is a hang), because the shipped ones have models of their own. */
#ifndef MODEL_KEY_SEAM_H
#define MODEL_KEY_SEAM_H

#include <assert.h>
#include <pthread.h>

#include "key_floor.h"
#include "latchkey/check.h"

#ifndef SEED
#define SEED 0
#endif

/* The n-th number of a generator of random ones (SplitMix64). */
static inline uint64_t by_chance(uint64_t n)
{
    uint64_t z = (SEED + n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static unsigned this_thread(void)
{
    return lk_check_thread();
}

int lk_mutex_trylock_slowly_(lk_mutex *m, uint32_t seen)
{
    (void)m;
    (void)seen;
    return EBUSY;
}

int lk_mutex_lock_until(lk_mutex *m, const struct timespec *deadline)
{
    (void)deadline;
    uint32_t seen;
    do
        seen = 0;
    while (!__atomic_compare_exchange_n(&m->word_, &seen, LK_MUTEX_HELD_, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED));
    return 0;
}

void lk_mutex_lock_slowly_(lk_mutex *m, uint32_t seen)
{
    (void)seen;
    assert(lk_mutex_lock_until(m, NULL) == 0);
}

void lk_mutex_unlock_slowly_(lk_mutex *m, uint32_t seen)
{
    (void)m;
    (void)seen;
    assert(!"the word is HELD when its holder unlocks");
}

/* The reader-writer lock: readers counted in the low half, WRITER.  Readers enter past writers that
 * wait. */
int lk_rwlock_tryrdlock(lk_rwlock *l)
{
    uint64_t seen = __atomic_load_n(&l->state_, __ATOMIC_RELAXED);
    while ((seen & LK_RWLOCK_WRITER_) == 0)
        if (__atomic_compare_exchange_n(&l->state_, &seen, seen + 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return 0;
    return EBUSY;
}

int lk_rwlock_trywrlock(lk_rwlock *l)
{
    uint64_t none = 0;
    return __atomic_compare_exchange_n(&l->state_, &none, LK_RWLOCK_WRITER_, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
               ? 0
               : EBUSY;
}

int lk_rwlock_rdlock_until(lk_rwlock *l, const struct timespec *deadline)
{
    (void)deadline;
    do {
        while (__atomic_load_n(&l->state_, __ATOMIC_RELAXED) & LK_RWLOCK_WRITER_)
            ;
    } while (lk_rwlock_tryrdlock(l) != 0);
    return 0;
}

int lk_rwlock_wrlock_until(lk_rwlock *l, const struct timespec *deadline)
{
    (void)deadline;
    do {
        while (__atomic_load_n(&l->state_, __ATOMIC_RELAXED) != 0)
            ;
    } while (lk_rwlock_trywrlock(l) != 0);
    return 0;
}

void lk_rwlock_rdunlock_slowly_(lk_rwlock *l, uint64_t old)
{
    (void)l;
    (void)old;
    assert(!"there is a writer while a reader unlocks");
}

void lk_rwlock_wrunlock_slowly_(lk_rwlock *l, uint64_t seen)
{
    (void)l;
    (void)seen;
    assert(!"there is somebody else while a writer unlocks");
}

int lk_rwlock_tryupgrade(lk_rwlock *l)
{
    uint64_t one = 1;
    return __atomic_compare_exchange_n(&l->state_, &one, LK_RWLOCK_WRITER_, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED)
               ? 0
               : EBUSY;
}

void lk_rwlock_downgrade(lk_rwlock *l)
{
    __atomic_store_n(&l->state_, 1, __ATOMIC_RELEASE);
}

#endif
