/* copy.c - the two forms of copy.h. */
#include "base/copy.h"

#include <stdint.h>
#include <string.h>

#include "base/killpoint.h"

#ifdef LKI_COPY_PORTABLE

static uint64_t load_word(const char *p)
{
    return __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED);
}

static char load_byte(const char *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static bool word_ready(const char *p, size_t n)
{
    return n >= 8 && ((uintptr_t)p & 7) == 0;
}

void lki_copy_out(void *dst, const void *shared, size_t n)
{
    char *d = dst;
    const char *s = shared;
    while (n > 0) {
        size_t step = word_ready(s, n) ? 8 : 1;
        if (step == 8) {
            uint64_t w = load_word(s);
            memcpy(d, &w, 8);
        } else {
            *d = load_byte(s);
        }
        d += step;
        s += step;
        n -= step;
    }
}

void lki_copy_in(void *shared, const void *src, size_t n)
{
    char *d = shared;
    const char *s = src;
    LK_KILLPOINT();
    while (n > 0) {
        size_t step = word_ready(d, n) ? 8 : 1;
        if (step == 8) {
            uint64_t w;
            memcpy(&w, s, 8);
            __atomic_store_n((uint64_t *)(void *)d, w, __ATOMIC_RELAXED);
        } else {
            __atomic_store_n(d, *s, __ATOMIC_RELAXED);
        }
        d += step;
        s += step;
        n -= step;
    }
}

bool lki_copy_equal(const void *shared, const void *src, size_t n)
{
    const char *a = shared;
    const char *b = src;
    while (n > 0) {
        size_t step = word_ready(a, n) ? 8 : 1;
        if (step == 8) {
            uint64_t w;
            memcpy(&w, b, 8);
            if (load_word(a) != w)
                return false;
        } else if (load_byte(a) != *b) {
            return false;
        }
        a += step;
        b += step;
        n -= step;
    }
    return true;
}

#else

/* From here on libc's memcpy is faster than the loop below (measured: 4 KiB from memory 335 ns, rep
 * movsb 418, this loop 553).  Called through a pointer that may be any function, for all the
 * compiler knows, it is as opaque as an instruction of our own. */
static void *(*volatile const libc_move)(void *, const void *, size_t) = memcpy;

static void store8(char *d, uint64_t v)
{
    __asm__ volatile("movq %1, %0" : "=m"(*(lki_8 *)d) : "r"(v));
}

static uint8_t load1(const char *s)
{
    uint8_t v;
    __asm__ volatile("movb %1, %0" : "=q"(v) : "m"(*s));
    return v;
}

/* Both directions are the same instructions; the ends of a piece of 16 bytes or more overlap. */
static void move(char *d, const char *s, size_t n)
{
    if (n > LKI_COPY_INLINE_MAX) {
        (void)libc_move(d, s, n);
        return;
    }
    if (n >= 16) {
        lki_copy_16s(d, s, n);
        return;
    }
    if (n >= 8) {
        uint64_t first = lki_load8(s);
        uint64_t last = lki_load8(s + n - 8);
        store8(d, first);
        store8(d + n - 8, last);
        return;
    }
    for (; n > 0; n--, d++, s++) {
        uint8_t b = load1(s);
        __asm__ volatile("movb %1, %0" : "=m"(*d) : "q"(b));
    }
}

void lki_copy_out(void *dst, const void *shared, size_t n)
{
    move(dst, shared, n);
}

void lki_copy_in(void *shared, const void *src, size_t n)
{
    LK_KILLPOINT();
    move(shared, src, n);
}

bool lki_copy_equal(const void *shared, const void *src, size_t n)
{
    const char *a = shared;
    const char *b = src;
    if (n >= 8)
        return lki_copy_equal_words(a, b, n);
    uint8_t differs = 0;
    for (; n > 0; n--, a++, b++)
        differs |= (uint8_t)(load1(a) ^ (uint8_t)*b);
    return differs == 0;
}

#endif
