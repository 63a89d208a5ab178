/* crc32c.c - by instructions on x86-64, else bit by bit. */
#include "base/crc32c.h"

#include <string.h>
#ifdef __x86_64__
#include <wmmintrin.h>
#endif

static uint32_t by_bits(const unsigned char *p, size_t size)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1u)));
    }
    return ~crc;
}

#ifdef __x86_64__
#define TARGET __attribute__((target("sse4.2,pclmul")))
static const size_t part = 256;
/* x^(8 part - 33) and x^(16 part - 33) modulo the polynomial, bits reversed. */
static const uint32_t one_part = 0xb9e02b86, two_parts = 0xdd7e3b0c;

static inline uint64_t word_at(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* Both without carry; 33 bits of the shift are made by the instruction that this is given to. */
TARGET static inline uint64_t product(uint64_t crc, uint32_t factor)
{
    __m128i a = _mm_cvtsi64_si128((long long)crc), b = _mm_cvtsi64_si128(factor);
    return (uint64_t)_mm_cvtsi128_si64(_mm_clmulepi64_si128(a, b, 0));
}

/* An instruction begins with each cycle but takes three, and needs the last one's result: three
 * parts side by side, put together by shifts (V. Gopal et al., Fast CRC computation for iSCSI
 * polynomial using CRC32 instruction, Intel 2011). */
TARGET static uint32_t by_instruction(const unsigned char *p, size_t size)
{
    uint64_t crc = 0xffffffffu;
    for (; size >= 3 * part; size -= 3 * part, p += 3 * part) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < part; i += 8) {
            crc = __builtin_ia32_crc32di(crc, word_at(p + i));
            second = __builtin_ia32_crc32di(second, word_at(p + part + i));
            third = __builtin_ia32_crc32di(third, word_at(p + 2 * part + i));
        }
        uint64_t shifted = product(crc, two_parts) ^ product(second, one_part);
        crc = __builtin_ia32_crc32di(0, shifted) ^ third;
    }
    for (; size >= 8; size -= 8, p += 8)
        crc = __builtin_ia32_crc32di(crc, word_at(p));
    uint32_t rest = (uint32_t)crc;
    for (; size > 0; size--, p++)
        rest = __builtin_ia32_crc32qi(rest, *p);
    return ~rest;
}
#endif

uint32_t lki_crc32c(const void *bytes, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return by_instruction(bytes, size);
#endif
    return by_bits(bytes, size);
}
