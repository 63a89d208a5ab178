/* hash.c - SipHash-1-3. */
#include "cache/hash.h"

#include <string.h>

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void round1(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static inline void compress(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    round1(v);
    v[0] ^= word;
}

static inline void start(uint64_t v[4], const uint64_t key[2])
{
    v[0] = key[0] ^ 0x736f6d6570736575u;
    v[1] = key[1] ^ 0x646f72616e646f6du;
    v[2] = key[0] ^ 0x6c7967656e657261u;
    v[3] = key[1] ^ 0x7465646279746573u;
}

static inline uint64_t finish(uint64_t v[4], uint64_t tail, size_t size)
{
    compress(v, tail | (uint64_t)size << 56);
    v[2] ^= 0xff;
    round1(v);
    round1(v);
    round1(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
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
    uint64_t v[4];
    uint64_t word;
    size_t left = size;
    start(v, key);
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        compress(v, word);
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
    start(h->v, key);
    h->tail = 0;
    h->size = 0;
}

void lki_hash_add(struct lki_hasher *h, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < size; i++) {
        h->tail |= (uint64_t)p[i] << (8 * (h->size % 8));
        if (++h->size % 8 == 0) {
            compress(h->v, h->tail);
            h->tail = 0;
        }
    }
}

uint64_t lki_hash_end(struct lki_hasher *h)
{
    return finish(h->v, h->tail, h->size);
}
