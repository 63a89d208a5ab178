/* scan4.h - is a value in one of four words that others may be changing?
 *
 * After a seq_cst operation of the caller's, the look is as four seq_cst loads would be: on x86-64
 * every load is, and one instruction that the compiler cannot see through reads all four (each word
 * whole). */
#ifndef LKI_SCAN4_H
#define LKI_SCAN4_H

#include <stdint.h>

#include "base/atomic.h"
#include "base/copy.h"

#ifndef LKI_COPY_PORTABLE
#include <emmintrin.h>

/* Not 0 in some lane where a word, but for the bits outside `mask`, is `value`. */
typedef __m128i lki_found4;

static inline lki_found4 lki_scan4(const uint32_t *words, uint32_t mask, uint32_t value)
{
    __m128i v;
    __asm__ volatile("movdqa %1, %0"
                     : "=x"(v)
                     : "m"(*(const char(*)[16])(const void *)words)
                     : "memory");
    v = _mm_and_si128(v, _mm_set1_epi32((int)mask));
    return _mm_cmpeq_epi32(v, _mm_set1_epi32((int)value));
}

static inline lki_found4 lki_scan4_none(void)
{
    return _mm_setzero_si128();
}

static inline lki_found4 lki_scan4_or(lki_found4 a, lki_found4 b)
{
    return _mm_or_si128(a, b);
}

static inline int lki_scan4_any(lki_found4 found)
{
    return _mm_movemask_epi8(found) != 0;
}

#else

typedef int lki_found4;

static inline lki_found4 lki_scan4(const uint32_t *words, uint32_t mask, uint32_t value)
{
    int found = 0;
    for (unsigned i = 0; i < 4; i++)
        found |= (lk_load_sc_u32(&words[i]) & mask) == value;
    return found;
}

static inline lki_found4 lki_scan4_none(void)
{
    return 0;
}

static inline lki_found4 lki_scan4_or(lki_found4 a, lki_found4 b)
{
    return a | b;
}

static inline int lki_scan4_any(lki_found4 found)
{
    return found;
}

#endif
#endif
