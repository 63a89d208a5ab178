/* scan.h - which of seven words in a cache line carry a tag in their top 16 bits.
 *
 * An answer is a guess that the caller checks word by word: others may be changing the words.  As
 * in copy.h, the form for x86-64 loads by instructions that the compiler cannot see through. */
#ifndef LKI_SCAN_H
#define LKI_SCAN_H

#include <stdint.h>

#include "base/copy.h"

#ifndef LKI_COPY_PORTABLE
#include <emmintrin.h>

static inline __m128i lki_scan_load(const uint64_t *pair)
{
    __m128i v;
    __asm__("movdqa %1, %0" : "=x"(v) : "m"(*(const char(*)[16])(const void *)pair));
    return v;
}

/* Which of four words' 16 halves are the tag, a bit each; the top one of each word counts. */
static inline uint32_t lki_scan_half(const uint64_t *words, __m128i tag)
{
    __m128i a = _mm_cmpeq_epi16(lki_scan_load(words), tag);
    __m128i b = _mm_cmpeq_epi16(lki_scan_load(words + 2), tag);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b));
}

/* Bit 4 i + 3: words[i] has the tag.  `words` is the begin of a cache line. */
static inline uint32_t lki_scan(const uint64_t *words, uint64_t tag)
{
    __m128i wanted = _mm_set1_epi16((short)tag);
    return (lki_scan_half(words, wanted) | lki_scan_half(words + 4, wanted) << 16) & 0x08888888;
}

#else

static inline uint32_t lki_scan(const uint64_t *words, uint64_t tag)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < 7; i++)
        mask |= (uint32_t)(__atomic_load_n(&words[i], __ATOMIC_RELAXED) >> 48 == tag)
                << (4 * i + 3);
    return mask;
}

#endif

/* The first word in a mask that is not 0; mask & (mask - 1) has the others. */
static inline uint32_t lki_scan_first(uint32_t mask)
{
    return (uint32_t)__builtin_ctz(mask) >> 2;
}
#endif
