/* latchkey/word.h - the atomic operations that the locks' inline fast paths are made of.
 *
 * Not for programs: the names end in the order and the type, lk_word_<op>_<order>_<u32|u64>, and
 * every use says with which other it pairs (docs/ORDERING.md).  This is the one public header that
 * names a compiler builtin, so that all of them compile as C11 and as C++17. */
#ifndef LATCHKEY_WORD_H
#define LATCHKEY_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define LK_LIKELY(x) __builtin_expect(!!(x), 1)
#else
#error "latchkey's inline locks need the __atomic builtins of gcc or clang"
#endif

/* Flags of the initialisers. */
#define LK_SHARED 1u /* for threads of several processes that map the lock; else of one */

static inline uint32_t lk_word_load_rlx_u32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t lk_word_load_acq_u32(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint64_t lk_word_load_rlx_u64(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint64_t lk_word_load_acq_u64(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void *lk_word_load_acq_ptr(void *const *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

/* Strong: false leaves what was found in *expected (relaxed). */
static inline bool lk_word_cas_acq_u32(uint32_t *p, uint32_t *expected, uint32_t v)
{
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline bool lk_word_cas_rel_u32(uint32_t *p, uint32_t *expected, uint32_t v)
{
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static inline bool lk_word_cas_acq_u64(uint64_t *p, uint64_t *expected, uint64_t v)
{
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline bool lk_word_cas_rel_u64(uint64_t *p, uint64_t *expected, uint64_t v)
{
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static inline uint64_t lk_word_add_acq_u64(uint64_t *p, uint64_t v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_ACQUIRE);
}

static inline uint64_t lk_word_sub_rel_u64(uint64_t *p, uint64_t v)
{
    return __atomic_fetch_sub(p, v, __ATOMIC_RELEASE);
}

/* gcc's thread sanitizer does not know fences and says so: what the only one here guards is relaxed
 * atomic words, about which it has nothing to say. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static inline void lk_word_fence_acq(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/* Copies of memory that another thread may be writing, as relaxed atomic words where both sides are
 * aligned to 8 bytes, else bytes.  One location is always accessed in one of the two ways if all
 * that copy it give the same guarded address and size. */
typedef uint64_t lk_word_any_u64_ __attribute__((may_alias));
typedef unsigned char lk_word_any_u8_ __attribute__((may_alias));

static inline void lk_word_copy_out(void *to, const void *guarded, size_t size)
{
    size_t at = 0;
    if (LK_LIKELY(((uintptr_t)guarded & 7) == 0)) {
#pragma GCC unroll 4
        for (; size - at >= 8; at += 8) {
            const lk_word_any_u64_ *from = (const lk_word_any_u64_ *)guarded + at / 8;
            uint64_t v = __atomic_load_n(from, __ATOMIC_RELAXED);
            __builtin_memcpy((char *)to + at, &v, 8);
        }
    }
    for (; at < size; at++)
        ((unsigned char *)to)[at] =
            __atomic_load_n((const lk_word_any_u8_ *)guarded + at, __ATOMIC_RELAXED);
}

static inline void lk_word_copy_in(void *guarded, const void *from, size_t size)
{
    size_t at = 0;
    if (LK_LIKELY(((uintptr_t)guarded & 7) == 0)) {
#pragma GCC unroll 4
        for (; size - at >= 8; at += 8) {
            uint64_t v;
            __builtin_memcpy(&v, (const char *)from + at, 8);
            __atomic_store_n((lk_word_any_u64_ *)guarded + at / 8, v, __ATOMIC_RELAXED);
        }
    }
    for (; at < size; at++)
        __atomic_store_n((lk_word_any_u8_ *)guarded + at, ((const unsigned char *)from)[at],
                         __ATOMIC_RELAXED);
}

#endif
