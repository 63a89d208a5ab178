/* hash.c - SipHash-1-3. */
#include "cache/hash.h"

#include <string.h>

/* The state, in four registers. */
struct state {
    uint64_t a, b, c, d;
};

static inline __attribute__((always_inline)) uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline __attribute__((always_inline)) struct state round1(struct state v)
{
    v.a += v.b;
    v.c += v.d;
    v.b = rotate(v.b, 13) ^ v.a;
    v.d = rotate(v.d, 16) ^ v.c;
    v.a = rotate(v.a, 32);
    v.c += v.b;
    v.a += v.d;
    v.b = rotate(v.b, 17) ^ v.c;
    v.d = rotate(v.d, 21) ^ v.a;
    v.c = rotate(v.c, 32);
    return v;
}

static inline __attribute__((always_inline)) struct state compress(struct state v, uint64_t word)
{
    v.d ^= word;
    v = round1(v);
    v.a ^= word;
    return v;
}

static inline __attribute__((always_inline)) struct state start(const uint64_t key[2])
{
    struct state v = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                      key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    return v;
}

static inline __attribute__((always_inline)) uint64_t finish(struct state v, uint64_t tail,
                                                             size_t size)
{
    v = compress(v, tail | (uint64_t)size << 56);
    v.c ^= 0xff;
    v = round1(round1(round1(v)));
    return v.a ^ v.b ^ v.c ^ v.d;
}

static inline uint64_t few_bytes(const unsigned char *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

uint64_t lki_hash(const uint64_t key[2], const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    struct state v = start(key);
    uint64_t word;
    size_t left = size;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v = compress(v, word);
    }
    if (size >= 8 && left > 0) {
        memcpy(&word, p + left - 8, 8); /* the last 8 bytes; the first of them are not the tail's */
        word >>= 8 * (8 - left);
    } else {
        word = few_bytes(p, left);
    }
    return finish(v, word, size);
}

void lki_hash_begin(struct lki_hasher *h, const uint64_t key[2])
{
    struct state v = start(key);
    *h = (struct lki_hasher){.v = {v.a, v.b, v.c, v.d}};
}

void lki_hash_add(struct lki_hasher *h, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    struct state v = {h->v[0], h->v[1], h->v[2], h->v[3]};
    for (size_t i = 0; i < size; i++) {
        h->tail |= (uint64_t)p[i] << (8 * (h->size % 8));
        if (++h->size % 8 == 0) {
            v = compress(v, h->tail);
            h->tail = 0;
        }
    }
    h->v[0] = v.a;
    h->v[1] = v.b;
    h->v[2] = v.c;
    h->v[3] = v.d;
}

uint64_t lki_hash_end(struct lki_hasher *h)
{
    struct state v = {h->v[0], h->v[1], h->v[2], h->v[3]};
    return finish(v, h->tail, h->size);
}
