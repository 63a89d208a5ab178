/* bench_hostile.c - many keys of one hash value, as an attacker makes them who knows the hash.
 *
 * A hash without a key that works through its input block by block falls to a chain of small
 * collisions: find two blocks that take one state to the same next state, and again from there;
 * 14 pairs give 2^14 inputs.  For times 33 and times 31 two letters are block enough, at any
 * width of the state; for FNV-1a and MurmurHash3 (32 bits) a birthday search over 8 letters
 * takes about 2^16 tries.
 * Source: A. Joux, "Multicollisions in Iterated Hash Functions", CRYPTO 2004; S. Crosby, D.
 * Wallach, "Denial of Service via Algorithmic Complexity Attacks", USENIX Security 2003. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

#define PAIRS 14u
#define BLOCK_MAX 8u
#define TABLE (1u << 19) /* of the birthday search: far more than the tries it takes */

_Static_assert(1u << PAIRS == BENCH_HOSTILE_KEYS, "each pair doubles the keys");

const char *const bench_hostile_names[BENCH_HOSTILE_N] = {
    [BENCH_TIMES33] = "times 33 (djb2, PHP)",
    [BENCH_TIMES31] = "times 31 (Java)",
    [BENCH_FNV1A] = "FNV-1a, 32 bits",
    [BENCH_MURMUR3] = "MurmurHash3, 32 bits",
};

static uint32_t times(uint32_t factor, uint32_t h, const unsigned char *key, size_t size)
{
    for (size_t i = 0; i < size; i++)
        h = h * factor + key[i];
    return h;
}

static uint32_t fnv1a(const unsigned char *key, size_t size)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < size; i++)
        h = (h ^ key[i]) * 16777619u;
    return h;
}

/* MurmurHash3_x86_32 with seed 0, for sizes that are a multiple of 4. */
static uint32_t murmur3(const unsigned char *key, size_t size)
{
    uint32_t h = 0;
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t k;
        memcpy(&k, key + i, sizeof k);
        k *= 0xcc9e2d51u;
        k = k << 15 | k >> 17;
        h ^= k * 0x1b873593u;
        h = h << 13 | h >> 19;
        h = h * 5 + 0xe6546b64u;
    }
    h ^= (uint32_t)size;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

uint32_t bench_hostile_hash(enum bench_hostile kind, const unsigned char *key, size_t size)
{
    switch (kind) {
    case BENCH_TIMES33:
        return times(33, 5381, key, size);
    case BENCH_TIMES31:
        return times(31, 0, key, size);
    case BENCH_FNV1A:
        return fnv1a(key, size);
    case BENCH_MURMUR3:
    default:
        return murmur3(key, size);
    }
}

/* The i-th candidate for a block: 8 printable characters. */
static void candidate(uint32_t i, unsigned char block[BLOCK_MAX])
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t state = i, x = bench_random(&state);
    for (size_t k = 0; k < BLOCK_MAX; k++, x >>= 6)
        block[k] = (unsigned char)letters[x & 63];
}

/* Two blocks that behind `prefix` (which has room for one) give the same hash. */
static bool find_pair(enum bench_hostile kind, unsigned char *prefix, size_t size,
                      unsigned char pair[2][BLOCK_MAX])
{
    uint32_t *hashes = calloc(TABLE, sizeof *hashes), *tries = calloc(TABLE, sizeof *tries);
    bool found = false;
    for (uint32_t i = 1; hashes != NULL && tries != NULL && i < TABLE / 2 && !found; i++) {
        candidate(i, prefix + size);
        uint32_t h = bench_hostile_hash(kind, prefix, size + BLOCK_MAX);
        uint32_t at = h % TABLE;
        while (tries[at] != 0 && hashes[at] != h)
            at = (at + 1) % TABLE;
        if (tries[at] == 0) {
            tries[at] = i;
            hashes[at] = h;
            continue;
        }
        candidate(tries[at], pair[0]);
        candidate(i, pair[1]);
        found = memcmp(pair[0], pair[1], BLOCK_MAX) != 0;
    }
    free(hashes);
    free(tries);
    return found;
}

static bool find_pairs(enum bench_hostile kind, unsigned char pairs[PAIRS][2][BLOCK_MAX],
                       size_t *block)
{
    unsigned char prefix[(PAIRS + 1) * BLOCK_MAX];
    *block = kind == BENCH_FNV1A || kind == BENCH_MURMUR3 ? BLOCK_MAX : 2;
    for (size_t i = 0; i < PAIRS; i++) {
        if (*block == 2) {
            memcpy(pairs[i][0], kind == BENCH_TIMES33 ? "Ez" : "Aa", 2);
            memcpy(pairs[i][1], kind == BENCH_TIMES33 ? "FY" : "BB", 2);
        } else if (!find_pair(kind, prefix, i * BLOCK_MAX, pairs[i])) {
            return false;
        }
        memcpy(prefix + i * *block, pairs[i][0], *block);
    }
    return true;
}

unsigned char *bench_hostile_make(enum bench_hostile kind, size_t *key_size)
{
    unsigned char pairs[PAIRS][2][BLOCK_MAX];
    size_t block;
    if (!find_pairs(kind, pairs, &block))
        return NULL;
    *key_size = PAIRS * block;
    unsigned char *keys = malloc(BENCH_HOSTILE_KEYS * *key_size);
    for (size_t k = 0; keys != NULL && k < BENCH_HOSTILE_KEYS; k++)
        for (size_t i = 0; i < PAIRS; i++)
            memcpy(keys + k * *key_size + i * block, pairs[i][k >> i & 1], block);
    return keys;
}
