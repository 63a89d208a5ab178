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

/* Two words' tags to the low halves of 64 bits; the low half of four such to one register. */
static inline __m128i lki_scan_tags(const uint64_t *words)
{
    __m128 a = _mm_castsi128_ps(_mm_srli_epi64(lki_scan_load(words), 48));
    __m128 b = _mm_castsi128_ps(_mm_srli_epi64(lki_scan_load(words + 2), 48));
    return _mm_castps_si128(_mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)));
}

/* Bit i: words[i] has the tag.  `words` is the begin of a cache line. */
static inline uint32_t lki_scan(const uint64_t *words, uint64_t tag)
{
    __m128i wanted = _mm_set1_epi32((int)tag);
    __m128i low = _mm_cmpeq_epi32(lki_scan_tags(words), wanted);
    __m128i high = _mm_cmpeq_epi32(lki_scan_tags(words + 4), wanted);
    __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
    return (uint32_t)_mm_movemask_epi8(bytes) & 0x7f;
}

#else

static inline uint32_t lki_scan(const uint64_t *words, uint64_t tag)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < 7; i++)
        mask |= (uint32_t)(__atomic_load_n(&words[i], __ATOMIC_RELAXED) >> 48 == tag) << i;
    return mask;
}

#endif
#endif
