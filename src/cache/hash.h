/* hash.h - SipHash-1-3 of keys, and how a hash is cut up.
 *
 * Keyed with the segment's random key, so nobody can craft keys that collide.
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012; 1 and 3 rounds
 * as in Rust's and Ruby's tables. */
#ifndef LKI_HASH_H
#define LKI_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lki_hasher {
    uint64_t v[4];
    uint64_t tail;
    size_t size;
};

/* The state, in four registers. */
struct lki_sip {
    uint64_t a, b, c, d;
};

static inline __attribute__((always_inline)) uint64_t lki_sip_rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline __attribute__((always_inline)) struct lki_sip lki_sip_round1(struct lki_sip v)
{
    v.a += v.b;
    v.c += v.d;
    v.b = lki_sip_rotate(v.b, 13) ^ v.a;
    v.d = lki_sip_rotate(v.d, 16) ^ v.c;
    v.a = lki_sip_rotate(v.a, 32);
    v.c += v.b;
    v.a += v.d;
    v.b = lki_sip_rotate(v.b, 17) ^ v.c;
    v.d = lki_sip_rotate(v.d, 21) ^ v.a;
    v.c = lki_sip_rotate(v.c, 32);
    return v;
}

static inline __attribute__((always_inline)) struct lki_sip lki_sip_compress(struct lki_sip v,
                                                                             uint64_t word)
{
    v.d ^= word;
    v = lki_sip_round1(v);
    v.a ^= word;
    return v;
}

static inline __attribute__((always_inline)) struct lki_sip lki_sip_start(const uint64_t key[2])
{
    struct lki_sip v = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                        key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    return v;
}

static inline __attribute__((always_inline)) uint64_t lki_sip_finish(struct lki_sip v,
                                                                     uint64_t tail, size_t size)
{
    v = lki_sip_compress(v, tail | (uint64_t)size << 56);
    v.c ^= 0xff;
    v = lki_sip_round1(lki_sip_round1(lki_sip_round1(v)));
    return v.a ^ v.b ^ v.c ^ v.d;
}

/* The hash of 8 bytes or more, for the one place where a call counts. */
static inline __attribute__((always_inline)) uint64_t lki_hash_inline(const uint64_t key[2],
                                                                      const void *bytes,
                                                                      size_t size)
{
    const unsigned char *p = bytes;
    struct lki_sip v = lki_sip_start(key);
    uint64_t word;
    size_t left = size;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v = lki_sip_compress(v, word);
    }
    /* The last 8 bytes; the first of them are not the tail's. */
    memcpy(&word, p + left - 8, 8);
    word = left > 0 ? word >> (8 * (8 - left)) : 0;
    return lki_sip_finish(v, word, size);
}

uint64_t lki_hash(const uint64_t key[2], const void *bytes, size_t size);

/* The same in pieces. */
void lki_hash_begin(struct lki_hasher *h, const uint64_t key[2]);
void lki_hash_add(struct lki_hasher *h, const void *bytes, size_t size);
uint64_t lki_hash_end(struct lki_hasher *h);

static inline uint32_t lki_hash_shard(uint64_t hash, uint32_t shards)
{
    return (uint32_t)((hash >> 48) * shards >> 16);
}

static inline uint32_t lki_hash_bucket(uint64_t hash, uint32_t buckets)
{
    return (uint32_t)((uint64_t)(uint32_t)hash * buckets >> 32);
}

static inline uint64_t lki_hash_tag(uint64_t hash)
{
    return hash >> 32 & 0xffff;
}

/* 20 bits, never 0. */
static inline uint32_t lki_hash_fingerprint(uint64_t hash)
{
    uint32_t bits = (uint32_t)(hash >> 32) & 0xfffff;
    return bits != 0 ? bits : 1;
}

#endif
