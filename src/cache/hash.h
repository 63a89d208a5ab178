/* hash.h - SipHash-1-3 of keys, and how a hash is cut up.
 *
 * Keyed with the segment's random key, so nobody can craft keys that collide.
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012; 1 and 3 rounds as
 * in Rust's and Ruby's tables. */
#ifndef LKI_HASH_H
#define LKI_HASH_H

#include <stddef.h>
#include <stdint.h>

struct lki_hasher {
    uint64_t v[4];
    uint64_t tail;
    size_t size;
};

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
