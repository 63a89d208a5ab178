/* random.c - random numbers and keys of the fuzz cases. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

uint64_t fuzz_draw(struct fuzz_random *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    uint64_t z = r->state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t fuzz_below(struct fuzz_random *r, uint32_t n)
{
    return (uint32_t)(fuzz_draw(r) % n);
}

void fuzz_fill(struct fuzz_random *r, void *bytes, size_t n)
{
    unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = fuzz_draw(r);
        memcpy(p + i, &word, n - i < 8 ? n - i : 8);
    }
}

size_t fuzz_key(uint32_t number, char key[FUZZ_KEY_MAX])
{
    int n = snprintf(key, FUZZ_KEY_MAX, "%u", number);
    size_t size = (size_t)n + number * 11 % 40;
    memset(key + n, 'k', size - (size_t)n);
    return size;
}
