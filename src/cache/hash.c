/* hash.c - SipHash-1-3, and NH for short keys. */
#include "cache/hash.h"

#include <string.h>

/* The state, in four registers. */
struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t sip_rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline struct sip sip_round1(struct sip v)
{
    v.a += v.b;
    v.c += v.d;
    v.b = sip_rotate(v.b, 13) ^ v.a;
    v.d = sip_rotate(v.d, 16) ^ v.c;
    v.a = sip_rotate(v.a, 32);
    v.c += v.b;
    v.a += v.d;
    v.b = sip_rotate(v.b, 17) ^ v.c;
    v.d = sip_rotate(v.d, 21) ^ v.a;
    v.c = sip_rotate(v.c, 32);
    return v;
}

static inline struct sip sip_compress(struct sip v, uint64_t word)
{
    v.d ^= word;
    v = sip_round1(v);
    v.a ^= word;
    return v;
}

static inline struct sip sip_start(const uint64_t key[2])
{
    struct sip v = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                    key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    return v;
}

static inline uint64_t sip_finish(struct sip v, uint64_t tail, size_t size)
{
    v = sip_compress(v, tail | (uint64_t)size << 56);
    v.c ^= 0xff;
    v = sip_round1(sip_round1(sip_round1(v)));
    return v.a ^ v.b ^ v.c ^ v.d;
}

static inline uint64_t few_bytes(const unsigned char *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static uint64_t siphash(const uint64_t key[2], const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    struct sip v = sip_start(key);
    size_t left = size;
    for (; left >= 8; left -= 8, p += 8)
        v = sip_compress(v, lki_hash_word(p));
    return sip_finish(v, few_bytes(p, left), size);
}

void lki_hash_key_make(struct lki_hash_key *key, const uint64_t secret[2])
{
    memcpy(key->sip, secret, sizeof key->sip);
    for (unsigned char i = 0; i < 6; i++)
        key->word[i] = siphash(secret, &i, 1);
}

uint64_t lki_hash(const struct lki_hash_key *key, const void *bytes, size_t size)
{
    if (size > LKI_HASH_SHORT)
        return siphash(key->sip, bytes, size);
    if (size >= 8)
        return lki_hash_short(key, bytes, size);
    const uint64_t w[4] = {few_bytes(bytes, size)};
    return lki_hash_words(key, w, size);
}

void lki_hash_begin(struct lki_hasher *h, const struct lki_hash_key *key)
{
    struct sip v = sip_start(key->sip);
    *h = (struct lki_hasher){.v = {v.a, v.b, v.c, v.d}};
}

void lki_hash_add(struct lki_hasher *h, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    struct sip v = {h->v[0], h->v[1], h->v[2], h->v[3]};
    for (size_t i = 0; i < size; i++) {
        h->tail |= (uint64_t)p[i] << (8 * (h->size % 8));
        if (++h->size % 8 == 0) {
            v = sip_compress(v, h->tail);
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
    struct sip v = {h->v[0], h->v[1], h->v[2], h->v[3]};
    return sip_finish(v, h->tail, h->size);
}
