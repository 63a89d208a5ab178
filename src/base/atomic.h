/* atomic.h - every atomic operation of the library, with its memory order in its name.
 *
 * lk_<op>_<rlx|acq|rel|acqrel|sc>_<u8|u32|u64>.  There is no default order and no plain access to a
 * shared word.  cas is strong: on failure *expected is what was found (relaxed).
 * Only this file, copy.h and latchkey/word.h name a compiler builtin. */
#ifndef LKI_ATOMIC_H
#define LKI_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/killpoint.h"

#define LKI_LOAD(T, S, O, M)                                                                       \
    static inline T lk_load_##O##_##S(const T *p)                                                  \
    {                                                                                              \
        return __atomic_load_n(p, M);                                                              \
    }
#define LKI_STORE(T, S, O, M)                                                                      \
    static inline void lk_store_##O##_##S(T *p, T v)                                               \
    {                                                                                              \
        LK_KILLPOINT();                                                                            \
        __atomic_store_n(p, v, M);                                                                 \
    }
#define LKI_CAS(T, S, O, M)                                                                        \
    static inline bool lk_cas_##O##_##S(T *p, T *expected, T v)                                    \
    {                                                                                              \
        LK_KILLPOINT();                                                                            \
        return __atomic_compare_exchange_n(p, expected, v, false, M, __ATOMIC_RELAXED);            \
    }
#define LKI_RMW(NAME, BUILTIN, T, S, O, M)                                                         \
    static inline T lk_##NAME##_##O##_##S(T *p, T v)                                               \
    {                                                                                              \
        LK_KILLPOINT();                                                                            \
        return BUILTIN(p, v, M);                                                                   \
    }

LKI_LOAD(uint8_t, u8, rlx, __ATOMIC_RELAXED)
LKI_STORE(uint8_t, u8, rlx, __ATOMIC_RELAXED)
LKI_LOAD(uint32_t, u32, rlx, __ATOMIC_RELAXED)
LKI_LOAD(uint32_t, u32, acq, __ATOMIC_ACQUIRE)
LKI_STORE(uint32_t, u32, rlx, __ATOMIC_RELAXED)
LKI_STORE(uint32_t, u32, rel, __ATOMIC_RELEASE)
LKI_LOAD(uint64_t, u64, rlx, __ATOMIC_RELAXED)
LKI_LOAD(uint64_t, u64, acq, __ATOMIC_ACQUIRE)
LKI_STORE(uint64_t, u64, rlx, __ATOMIC_RELAXED)
LKI_STORE(uint64_t, u64, rel, __ATOMIC_RELEASE)
LKI_CAS(uint32_t, u32, rlx, __ATOMIC_RELAXED)
LKI_CAS(uint32_t, u32, acq, __ATOMIC_ACQUIRE)
LKI_CAS(uint32_t, u32, acqrel, __ATOMIC_ACQ_REL)
LKI_CAS(uint64_t, u64, rlx, __ATOMIC_RELAXED)
LKI_CAS(uint64_t, u64, acqrel, __ATOMIC_ACQ_REL)
LKI_LOAD(uint32_t, u32, sc, __ATOMIC_SEQ_CST)
LKI_STORE(uint32_t, u32, sc, __ATOMIC_SEQ_CST)
LKI_CAS(uint32_t, u32, rel, __ATOMIC_RELEASE)
LKI_CAS(uint32_t, u32, sc, __ATOMIC_SEQ_CST)
LKI_CAS(uint64_t, u64, acq, __ATOMIC_ACQUIRE)
LKI_CAS(uint64_t, u64, rel, __ATOMIC_RELEASE)
LKI_RMW(and, __atomic_fetch_and, uint32_t, u32, rel, __ATOMIC_RELEASE)
LKI_RMW(and, __atomic_fetch_and, uint64_t, u64, rlx, __ATOMIC_RELAXED)
LKI_RMW(and, __atomic_fetch_and, uint64_t, u64, acq, __ATOMIC_ACQUIRE)
LKI_RMW(add, __atomic_fetch_add, uint32_t, u32, rlx, __ATOMIC_RELAXED)
LKI_RMW(add, __atomic_fetch_add, uint32_t, u32, acq, __ATOMIC_ACQUIRE)
LKI_RMW(add, __atomic_fetch_add, uint32_t, u32, sc, __ATOMIC_SEQ_CST)
LKI_RMW(sub, __atomic_fetch_sub, uint32_t, u32, rlx, __ATOMIC_RELAXED)
LKI_RMW(sub, __atomic_fetch_sub, uint32_t, u32, sc, __ATOMIC_SEQ_CST)
LKI_RMW(xchg, __atomic_exchange_n, uint32_t, u32, rel, __ATOMIC_RELEASE)
LKI_RMW(or, __atomic_fetch_or, uint32_t, u32, sc, __ATOMIC_SEQ_CST)

/* A pointer to a word, made once. */
static inline uint32_t *lk_load_acq_pu32(uint32_t *const *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void lk_store_rel_pu32(uint32_t **p, uint32_t *v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void lk_fence_acq(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void lk_fence_rel(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void lk_store_rel_ptr(void **p, void *v)
{
    LK_KILLPOINT();
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* The half of a 64-bit word that holds its bits 32 to 63, or 0 to 31: to sleep on. */
static inline const uint32_t *lk_high_half(const uint64_t *p)
{
    return (const uint32_t *)(const void *)p + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

static inline const uint32_t *lk_low_half(const uint64_t *p)
{
    return (const uint32_t *)(const void *)p + (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__);
}

/* A hint to the processor inside a bounded spin. */
static inline void lk_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Ask for the cache line of p ahead of a read. */
static inline void lk_prefetch(const void *p)
{
    __builtin_prefetch(p, 0, 3);
}

/* The same ahead of a write. */
static inline void lk_prefetch_write(const void *p)
{
    __builtin_prefetch(p, 1, 3);
}

#endif
