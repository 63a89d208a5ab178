/* copy.h - copying bytes that another process may be writing.
 *
 * What is copied is trusted only after a version check, so a torn copy is no error; but C calls a
 * plain racing memcpy undefined.  The portable form moves relaxed atomic words.  On x86-64 the same
 * moves are done by machine instructions that the compiler cannot see through, 16 bytes at a time
 * and without alignment; sanitizer and checker builds use the portable form. */
#ifndef LKI_COPY_H
#define LKI_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LKI_COPY_PORTABLE 1
#endif
#endif
#if !defined(LKI_COPY_PORTABLE) &&                                                                 \
    (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(LK_BUILD_MODEL) ||   \
     !defined(__x86_64__))
#define LKI_COPY_PORTABLE 1
#endif

/* Copy n bytes of shared memory into private memory. */
void lki_copy_out(void *dst, const void *shared, size_t n);

/* Copy n private bytes into shared memory. */
void lki_copy_in(void *shared, const void *src, size_t n);

/* Are n shared bytes equal to n private ones, as far as one look can tell? */
bool lki_copy_equal(const void *shared, const void *src, size_t n);

#ifndef LKI_COPY_PORTABLE
#include <emmintrin.h>

/* Up to so many bytes, our own moves are faster than libc's. */
enum { LKI_COPY_INLINE_MAX = 255 };

typedef char lki_16[16];
typedef char lki_8[8];

static inline __attribute__((always_inline)) void lki_move16(char *d, const char *s)
{
    __asm__ volatile("movdqu %1, %%xmm0\n\tmovdqu %%xmm0, %0"
                     : "=m"(*(lki_16 *)d)
                     : "m"(*(const lki_16 *)s)
                     : "xmm0");
}

static inline __attribute__((always_inline)) void lki_move32(char *d, const char *s)
{
    __asm__ volatile("movdqu %2, %%xmm0\n\tmovdqu %3, %%xmm1\n\t"
                     "movdqu %%xmm0, %0\n\tmovdqu %%xmm1, %1"
                     : "=m"(*(lki_16 *)d), "=m"(*(lki_16 *)(d + 16))
                     : "m"(*(const lki_16 *)s), "m"(*(const lki_16 *)(s + 16))
                     : "xmm0", "xmm1");
}

static inline __attribute__((always_inline)) uint64_t lki_load8(const char *s)
{
    uint64_t v;
    __asm__ volatile("movq %1, %0" : "=r"(v) : "m"(*(const lki_8 *)s));
    return v;
}

/* Which of 16 bytes are equal, a bit each. */
static inline __attribute__((always_inline)) unsigned lki_equal16(const char *a, const char *b)
{
    __m128i x;
    __m128i y;
    __asm__ volatile("movdqu %1, %0" : "=x"(x) : "m"(*(const lki_16 *)a));
    memcpy(&y, b, 16);
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
}

static inline __attribute__((always_inline)) bool lki_equal8(const char *a, const char *b)
{
    uint64_t w;
    memcpy(&w, b, 8);
    return lki_load8(a) == w;
}

/* 16 to LKI_COPY_INLINE_MAX bytes; the ends overlap. */
static inline __attribute__((always_inline)) void lki_copy_16s(char *d, const char *s, size_t n)
{
    char *d_last = d + n - 16;
    const char *s_last = s + n - 16;
    for (; n >= 32; n -= 32, d += 32, s += 32)
        lki_move32(d, s);
    if (n >= 16)
        lki_move16(d, s);
    lki_move16(d_last, s_last);
}

/* 8 bytes or more. */
static inline __attribute__((always_inline)) bool lki_copy_equal_words(const char *a, const char *b,
                                                                       size_t n)
{
    if (n < 16)
        return lki_equal8(a, b) && lki_equal8(a + n - 8, b + n - 8);
    /* Most keys end here: no branch that depends on their size. */
    unsigned ends = lki_equal16(a, b) & lki_equal16(a + n - 16, b + n - 16);
    if (n <= 32)
        return ends == 0xffff;
    for (n -= 16; n > 16; n -= 16) {
        a += 16;
        b += 16;
        ends &= lki_equal16(a, b);
    }
    return ends == 0xffff;
}

/* lki_copy_out() and lki_copy_equal() of 8 bytes or more, for the one place where a call counts. */
static inline __attribute__((always_inline)) void lki_copy_out_inline(char *dst, const char *shared,
                                                                      size_t n)
{
    if (n - 16 <= LKI_COPY_INLINE_MAX - 16)
        lki_copy_16s(dst, shared, n);
    else
        lki_copy_out(dst, shared, n);
}

#else

static inline void lki_copy_out_inline(char *dst, const char *shared, size_t n)
{
    lki_copy_out(dst, shared, n);
}

static inline bool lki_copy_equal_words(const char *a, const char *b, size_t n)
{
    return lki_copy_equal(a, b, n);
}

#endif

#endif
