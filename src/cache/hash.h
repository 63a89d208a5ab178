/* hash.h - the keyed hash of keys, and how a hash is cut up.
 *
 * Keyed with the segment's random key, so nobody can craft keys that collide.  A hash never leaves
 * the library, so keys cannot be chosen by looking at hashes either.
 *
 * Keys of up to 32 bytes: NH, the universal hash of UMAC, on four words of 64 bits.  Whatever two
 * keys are, its 128 bits are equal for at most one in 2^64 of the random words; one more keyed
 * multiplication folds them.  A hit waits for its hash, and this one takes a quarter of the time
 * of SipHash.  Source: J. Black, S. Halevi, H. Krawczyk, T. Krovetz, P. Rogaway, "UMAC: fast and
 * secure message authentication", 1999.
 *
 * Longer keys, and the random words: SipHash, 1 and 3 rounds as in Rust's and Ruby's tables.
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012. */
#ifndef LKI_HASH_H
#define LKI_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LKI_HASH_SHORT = 32 };

__extension__ typedef unsigned __int128 lki_u128;

/* What a handle keeps of the segment's key. */
struct lki_hash_key {
    uint64_t sip[2];
    uint64_t word[6]; /* 0 to 3 for NH, 4 and 5 for its fold */
};

struct lki_hasher {
    uint64_t v[4];
    uint64_t tail;
    size_t size;
};

static inline __attribute__((always_inline)) uint64_t lki_hash_word(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* NH of four words and the size, folded. */
static inline __attribute__((always_inline)) uint64_t lki_hash_words(const struct lki_hash_key *key,
                                                                     const uint64_t w[4],
                                                                     size_t size)
{
    const uint64_t *k = key->word;
    lki_u128 nh =
        (lki_u128)(w[0] + k[0]) * (w[1] + k[1]) + (lki_u128)(w[2] + k[2]) * (w[3] + k[3]) + size;
    lki_u128 fold = (lki_u128)((uint64_t)nh ^ k[4]) * ((uint64_t)(nh >> 64) ^ k[5]);
    return (uint64_t)fold ^ (uint64_t)(fold >> 64);
}

/* The hash of 8 to LKI_HASH_SHORT bytes.  The words overlap: with the size they say the bytes. */
static inline __attribute__((always_inline)) uint64_t lki_hash_short(const struct lki_hash_key *key,
                                                                     const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    size_t half = size >= 16 ? 8 : 0;
    uint64_t w[4] = {lki_hash_word(p), lki_hash_word(p + half), lki_hash_word(p + size - 8 - half),
                     lki_hash_word(p + size - 8)};
    return lki_hash_words(key, w, size);
}

void lki_hash_key_make(struct lki_hash_key *key, const uint64_t secret[2]);

uint64_t lki_hash(const struct lki_hash_key *key, const void *bytes, size_t size);

/* The hash of a key of more than LKI_HASH_SHORT bytes in pieces. */
void lki_hash_begin(struct lki_hasher *h, const struct lki_hash_key *key);
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
