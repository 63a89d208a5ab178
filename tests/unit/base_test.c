/* The floor under everything: hash, checksum, copying, in the form that this build uses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/copy.h"
#include "base/crc32c.h"
#include "base/line.h"
#include "base/scan.h"
#include "cache/hash.h"
#include "latchkey/err.h"
#include "test.h"

/* SipHash as the paper has it, byte by byte, with any number of rounds. */
static void sip_round(uint64_t v[4])
{
    static const int turns[4] = {13, 16, 21, 17};
    v[0] += v[1];
    v[2] += v[3];
    v[1] = (v[1] << turns[0] | v[1] >> (64 - turns[0])) ^ v[0];
    v[3] = (v[3] << turns[1] | v[3] >> (64 - turns[1])) ^ v[2];
    v[0] = v[0] << 32 | v[0] >> 32;
    v[2] += v[1];
    v[0] += v[3];
    v[1] = (v[1] << turns[3] | v[1] >> (64 - turns[3])) ^ v[2];
    v[3] = (v[3] << turns[2] | v[3] >> (64 - turns[2])) ^ v[0];
    v[2] = v[2] << 32 | v[2] >> 32;
}

static uint64_t siphash(int c, int d, const uint64_t key[2], const unsigned char *in, size_t n)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    for (size_t block = 0; block <= n / 8; block++) {
        uint64_t m = 0;
        for (size_t i = 0; i < 8; i++) {
            size_t at = block * 8 + i;
            uint64_t byte = at < n ? in[at] : block == n / 8 && i == 7 ? n & 0xff : 0;
            m |= byte << (8 * i);
        }
        v[3] ^= m;
        for (int i = 0; i < c; i++)
            sip_round(v);
        v[0] ^= m;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < d; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const uint64_t paper_key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void require_hash(uint64_t got, uint64_t want, size_t size)
{
    if (got != want)
        T_FAIL("hash of %zu bytes is %016llx, expected %016llx", size, (unsigned long long)got,
               (unsigned long long)want);
}

/* The reference above against the vector of the paper's appendix A (2 and 4 rounds), then the
 * library, for long keys, against the reference (1 and 3 rounds). */
T_TEST(hash_of_a_long_key_is_siphash_1_3)
{
    unsigned char in[700];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)i;
    require_hash(siphash(2, 4, paper_key, in, 15), 0xa129ca6149be45e5u, 15);
    struct lki_hash_key key;
    lki_hash_key_make(&key, paper_key);
    for (size_t n = LKI_HASH_SHORT + 1; n < sizeof in - 8; n++) {
        for (size_t shift = 0; shift < 8; shift++)
            require_hash(lki_hash(&key, in + shift, n), siphash(1, 3, paper_key, in + shift, n), n);
    }
}

/* NH as the paper has it, with words of 64 bits and sums of 128, written out in halves of 32 bits;
 * then the fold. */
struct wide {
    uint64_t low, high;
};

static struct wide wide_product(uint64_t a, uint64_t b)
{
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    uint64_t carry = (uint32_t)middle + a0 * b1;
    return (struct wide){a * b, a1 * b1 + (middle >> 32) + (carry >> 32)};
}

static struct wide wide_sum(struct wide a, struct wide b)
{
    uint64_t low = a.low + b.low;
    return (struct wide){low, a.high + b.high + (low < a.low)};
}

static uint64_t short_hash(const struct lki_hash_key *key, const unsigned char *in, size_t n)
{
    unsigned char bytes[LKI_HASH_SHORT] = {0};
    uint64_t w[4] = {0};
    if (n >= 16) {
        memcpy(bytes, in, 16);
        memcpy(bytes + 16, in + n - 16, 16);
    } else if (n >= 8) {
        for (size_t i = 0; i < 4; i++)
            memcpy(bytes + 8 * i, i < 2 ? in : in + n - 8, 8);
    } else {
        memcpy(bytes, in, n);
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        w[i / 8] |= (uint64_t)bytes[i] << 8 * (i % 8);
    struct wide nh = wide_sum(wide_product(w[0] + key->word[0], w[1] + key->word[1]),
                              wide_product(w[2] + key->word[2], w[3] + key->word[3]));
    nh = wide_sum(nh, (struct wide){n, 0});
    struct wide fold = wide_product(nh.low ^ key->word[4], nh.high ^ key->word[5]);
    return fold.low ^ fold.high;
}

T_TEST(hash_of_a_short_key_is_nh_folded)
{
    struct lki_hash_key key;
    unsigned char in[LKI_HASH_SHORT + 8];
    lki_hash_key_make(&key, paper_key);
    for (unsigned char i = 0; i < 6; i++)
        require_hash(key.word[i], siphash(1, 3, paper_key, &i, 1), 1);
    for (unsigned round = 0; round < 50; round++) {
        for (size_t i = 0; i < sizeof in; i++)
            in[i] = (unsigned char)(round == 0 ? 0xff : i * 37 + round * 101);
        for (size_t n = 0; n <= LKI_HASH_SHORT; n++)
            require_hash(lki_hash(&key, in + round % 8, n), short_hash(&key, in + round % 8, n), n);
    }
}

/* Keys as people make them spread like random ones: of 2^16 buckets that get 2^16 keys, 36.8 % stay
 * empty, within six deviations, and no tag or shard is preferred. */
static void require_spread(const char *format, uint64_t step)
{
    enum { KEYS = 1 << 16 };
    static unsigned char bucket[KEYS], tag[KEYS];
    unsigned shard[64] = {0}, empty = 0, tags_empty = 0;
    struct lki_hash_key key;
    memset(bucket, 0, sizeof bucket);
    memset(tag, 0, sizeof tag);
    lki_hash_key_make(&key, paper_key);
    for (uint64_t i = 0; i < KEYS; i++) {
        char text[40];
        int n = snprintf(text, sizeof text, format, (unsigned long long)(i * step));
        T_REQUIRE(n > 0 && n <= LKI_HASH_SHORT);
        uint64_t hash = lki_hash(&key, text, (size_t)n);
        bucket[lki_hash_bucket(hash, KEYS)] = 1;
        tag[lki_hash_tag(hash)] = 1;
        shard[lki_hash_shard(hash, 64)]++;
    }
    for (size_t i = 0; i < KEYS; i++) {
        empty += bucket[i] == 0;
        tags_empty += tag[i] == 0;
    }
    T_REQUIRE(empty > 24109 - 600 && empty < 24109 + 600);
    T_REQUIRE(tags_empty > 24109 - 600 && tags_empty < 24109 + 600);
    for (size_t i = 0; i < 64; i++)
        T_REQUIRE(shard[i] > 1024 - 192 && shard[i] < 1024 + 192);
}

T_TEST(hashes_of_similar_keys_spread)
{
    require_spread("%llu", 1);
    require_spread("key:%016llx", 1);
    require_spread("%016llx", (uint64_t)1 << 32);
    require_spread("user:%08llu:session", 10);
    require_spread("a/b/c/%020llu.html", 1);
}

/* In pieces, however cut. */
T_TEST(hash_in_pieces_is_the_hash_of_the_whole)
{
    struct lki_hash_key key;
    unsigned char in[70];
    lki_hash_key_make(&key, paper_key);
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (unsigned char)(i * 37);
    for (size_t n = LKI_HASH_SHORT + 1; n <= sizeof in; n++) {
        uint64_t want = lki_hash(&key, in, n);
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b++) {
                struct lki_hasher h;
                lki_hash_begin(&h, &key);
                lki_hash_add(&h, in, a);
                lki_hash_add(&h, in + a, b - a);
                lki_hash_add(&h, in + b, n - b);
                require_hash(lki_hash_end(&h), want, n);
            }
        }
    }
}

/* A key is never read beyond its end. */
T_TEST(hash_reads_nothing_beyond_the_key)
{
    struct lki_hash_key key;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *two =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(two != MAP_FAILED);
    T_REQUIRE_EQ(mprotect(two + page, page, PROT_NONE), 0);
    lki_hash_key_make(&key, paper_key);
    for (size_t n = 0; n < 100; n++)
        require_hash(lki_hash(&key, two + page - n, n),
                     n > LKI_HASH_SHORT ? siphash(1, 3, paper_key, two + page - n, n)
                                        : short_hash(&key, two + page - n, n),
                     n);
}

/* Parts of a hash lie within their ranges, at the ends too. */
T_TEST(parts_of_a_hash_are_in_range)
{
    static const uint64_t hashes[] = {0, UINT64_MAX, 0xffff, UINT32_MAX, 0xffff000000000000u, 1};
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {
        for (uint32_t n = 1; n < 2000; n += 7) {
            T_REQUIRE(n > 1024 || lki_hash_shard(hashes[i], n) < n);
            T_REQUIRE(lki_hash_bucket(hashes[i], n) < n);
        }
        T_REQUIRE(lki_hash_bucket(hashes[i], 1u << 28) < 1u << 28);
        T_REQUIRE(lki_hash_tag(hashes[i]) <= 0xffff);
        uint32_t fingerprint = lki_hash_fingerprint(hashes[i]);
        T_REQUIRE(fingerprint > 0 && fingerprint < 1u << 20);
    }
}

/* RFC 3720, B.4. */
T_TEST(checksum_is_crc32c)
{
    unsigned char in[64];
    memset(in, 0, sizeof in);
    T_REQUIRE_EQ(lki_crc32c(in, 32), 0x8a9136aa);
    memset(in, 0xff, sizeof in);
    T_REQUIRE_EQ(lki_crc32c(in, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        in[i] = (unsigned char)i;
    T_REQUIRE_EQ(lki_crc32c(in, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        in[i] = (unsigned char)(31 - i);
    T_REQUIRE_EQ(lki_crc32c(in, 32), 0x113fdb5c);
    T_REQUIRE_EQ(lki_crc32c("123456789", 9), 0xe3069283);
    T_REQUIRE_EQ(lki_crc32c("", 0), 0);
}

enum { SIZES = 2000, SHIFTS = 17, ROOM = SIZES + 2 * SHIFTS + 64 };

/* All sizes, all alignments of both sides; not a byte beside. */
T_TEST(copying_moves_exactly_the_bytes)
{
    static char from[ROOM], to[ROOM], clean[ROOM];
    for (size_t i = 0; i < ROOM; i++) {
        from[i] = (char)(i * 31 + 7);
        clean[i] = (char)0xee;
    }
    for (size_t n = 0; n <= SIZES; n++) {
        size_t a = n % SHIFTS, b = n * 7 % SHIFTS;
        for (size_t turn = 0; turn < (n < 100 ? SHIFTS : 3); turn++) {
            size_t at = (a + turn) % SHIFTS + 16, src = (b + turn * 3) % SHIFTS;
            memcpy(to, clean, ROOM);
            if (turn % 2)
                lki_copy_out(to + at, from + src, n);
            else
                lki_copy_in(to + at, from + src, n);
            T_REQUIRE(memcmp(to + at, from + src, n) == 0);
            T_REQUIRE(memcmp(to, clean, at) == 0);
            T_REQUIRE(memcmp(to + at + n, clean, ROOM - at - n) == 0);
        }
    }
}

/* One differing byte anywhere is seen, a differing byte outside is not. */
T_TEST(comparing_sees_every_byte)
{
    static char a[ROOM], b[ROOM];
    for (size_t i = 0; i < ROOM; i++)
        a[i] = (char)(i * 13);
    for (size_t n = 0; n <= 300; n++) {
        size_t x = n % SHIFTS + 1, y = n * 5 % SHIFTS + 1;
        memcpy(b + y, a + x, n);
        T_REQUIRE(lki_copy_equal(a + x, b + y, n));
        b[y - 1] ^= 1;
        b[y + n] ^= 1;
        T_REQUIRE(lki_copy_equal(a + x, b + y, n));
        for (size_t i = 0; i < n; i++) {
            b[y + i] ^= (char)0x80;
            T_REQUIRE(!lki_copy_equal(a + x, b + y, n));
            b[y + i] ^= (char)0x80;
        }
    }
}

/* Neither reads nor writes beyond the last byte. */
T_TEST(copying_stays_inside)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static char other[4096];
    T_REQUIRE(two != MAP_FAILED);
    T_REQUIRE_EQ(mprotect(two, page, PROT_NONE), 0);
    T_REQUIRE_EQ(mprotect(two + 2 * page, page, PROT_NONE), 0);
    for (size_t n = 0; n <= 1500; n++) {
        lki_copy_out(other, two + 2 * page - n, n);
        lki_copy_out_inline(other, two + 2 * page - n, n);
        lki_copy_out_inline(two + page, other, n);
        T_REQUIRE(n < 8 || lki_copy_equal_words(two + 2 * page - n, other, n));
        T_REQUIRE(n < 8 || lki_copy_equal_words(two + page, other, n));
        lki_copy_in(two + 2 * page - n, other, n);
        lki_copy_out(two + page, other, n);
        T_REQUIRE(lki_copy_equal(two + 2 * page - n, other, n));
        lki_copy_in(other, two + page, n);
    }
}

/* Which of seven words have a tag. */
T_TEST(scanning_finds_each_tag)
{
    _Alignas(64) uint64_t words[8];
    for (unsigned mask = 0; mask < 128; mask++) {
        for (uint64_t tag = 0; tag <= 0xffff; tag += 0x1111) {
            for (unsigned i = 0; i < 8; i++)
                words[i] = (mask >> i & 1 || i == 7 ? tag : tag ^ 1u << (i * 2)) << 48 |
                           0x0000fedcba987654u;
            uint32_t found = lki_scan(words, tag);
            for (unsigned left = mask; left != 0; left &= left - 1, found &= found - 1) {
                T_REQUIRE(found != 0);
                T_REQUIRE_EQ(lki_scan_first(found), (unsigned)__builtin_ctz(left));
            }
            T_REQUIRE_EQ(found, 0);
        }
    }
}

T_TEST(clocks_go_forward_and_convert)
{
    uint64_t last_boot = 0, last_mono = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t boot = lki_boot_ns(), mono = lki_mono_ns();
        T_REQUIRE(boot >= last_boot && mono >= last_mono);
        last_boot = boot;
        last_mono = mono;
    }
    struct timespec a = lki_timespec(1999999999), b = lki_timespec(2000000000);
    T_REQUIRE(a.tv_sec == 1 && a.tv_nsec == 999999999);
    T_REQUIRE(b.tv_sec == 2 && b.tv_nsec == 0);
    T_REQUIRE(lki_timespec_before(&a, &b));
    T_REQUIRE(!lki_timespec_before(&b, &a) && !lki_timespec_before(&a, &a));
    T_REQUIRE(lki_timespec_valid(&a));
    T_REQUIRE(!lki_timespec_valid(&(struct timespec){0, -1}));
    T_REQUIRE(!lki_timespec_valid(&(struct timespec){0, 1000000000}));
}

/* A process of its own for each test: the guess begins with far. */
T_TEST(four_near_looks_in_a_row_make_lines_near_and_one_slow_look_is_forgiven)
{
    enum { NEAR_NS = 60, FAR_NS = 170 };
    for (int i = 0; i < 3; i++)
        T_REQUIRE(lki_line_took(NEAR_NS));
    T_REQUIRE(!lki_line_took(FAR_NS));
    T_REQUIRE(lki_line_took(NEAR_NS));
    T_REQUIRE(!lki_line_is_near());
    for (int i = 0; i < 100; i++)
        (void)lki_line_took(NEAR_NS);
    T_REQUIRE(lki_line_is_near());
    (void)lki_line_took(FAR_NS);
    T_REQUIRE(lki_line_is_near());
    for (int i = 0; i < 100; i++)
        (void)lki_line_took(FAR_NS);
    T_REQUIRE(!lki_line_is_near());
}

T_TEST(one_wait_in_64_is_timed_and_one_in_16_where_lines_are_near)
{
    int far = 0, near = 0;
    for (int i = 0; i < 640; i++)
        far += lki_line_is_timed(false);
    for (int i = 0; i < 640; i++)
        near += lki_line_is_timed(true);
    T_REQUIRE_EQ(far, 10);
    T_REQUIRE_EQ(near, 40);
}

T_TEST(writers_meet_when_two_in_a_row_found_another)
{
    T_REQUIRE(!lki_writers_meet(false) && !lki_writers_meet(true));
    T_REQUIRE(lki_writers_meet(true) && lki_writers_meet(true));
    T_REQUIRE(!lki_writers_meet(false) && !lki_writers_meet(true));
}

/* Every code has a text of its own; other numbers have one too. */
T_TEST(every_error_has_words)
{
    for (int a = LK_EBOOT; a < 0; a++) {
        T_REQUIRE(strlen(lk_strerror(a)) > 5);
        for (int b = LK_EBOOT; b < a; b++)
            T_REQUIRE(strcmp(lk_strerror(a), lk_strerror(b)) != 0);
    }
    T_REQUIRE_STR_EQ(lk_strerror(0), "success");
    static const int odd[] = {-17, -1000, 1 << 30, -2147483647 - 1, 2147483647};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        T_REQUIRE_STR_EQ(lk_strerror(odd[i]), "unknown error");
    T_REQUIRE_STR_EQ(lk_strerror(2), "No such file or directory");
    T_REQUIRE_STR_EQ(lk_error_text(), "");
    unsigned major, minor, patch;
    T_REQUIRE_EQ(sscanf(lk_version(), "%u.%u.%u", &major, &minor, &patch), 3);
}
