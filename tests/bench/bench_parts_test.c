/* The parts of lk bench: crafted keys, the workload, medians, trace files, the plain table. */
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "test.h"

static size_t key_bytes;

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, key_bytes);
}

/* Else the collision measurement would measure random keys twice. */
T_TEST(hostile_keys_are_all_different_and_hash_alike)
{
    for (int kind = 0; kind < BENCH_HOSTILE_N; kind++) {
        size_t size;
        unsigned char *keys = bench_hostile_make((enum bench_hostile)kind, &size);
        T_REQUIRE(keys != NULL);
        uint32_t hash = bench_hostile_hash((enum bench_hostile)kind, keys, size);
        for (size_t i = 1; i < BENCH_HOSTILE_KEYS; i++)
            T_REQUIRE_EQ(bench_hostile_hash((enum bench_hostile)kind, keys + i * size, size), hash);
        key_bytes = size;
        qsort(keys, BENCH_HOSTILE_KEYS, size, compare_keys);
        for (size_t i = 1; i < BENCH_HOSTILE_KEYS; i++)
            T_REQUIRE(memcmp(keys + (i - 1) * size, keys + i * size, size) != 0);
        free(keys);
    }
}

/* Published values: "a" and "foobar" for FNV-1a, "test" for MurmurHash3 and for times 33 and 31. */
T_TEST(hashes_are_the_published_ones)
{
    T_REQUIRE_EQ(bench_hostile_hash(BENCH_FNV1A, (const unsigned char *)"a", 1), 0xe40c292cu);
    T_REQUIRE_EQ(bench_hostile_hash(BENCH_FNV1A, (const unsigned char *)"foobar", 6), 0xbf9cf968u);
    T_REQUIRE_EQ(bench_hostile_hash(BENCH_MURMUR3, (const unsigned char *)"test", 4), 0xba6bd213u);
    T_REQUIRE_EQ(bench_hostile_hash(BENCH_TIMES33, (const unsigned char *)"test", 4), 2090756197u);
    T_REQUIRE_EQ(bench_hostile_hash(BENCH_TIMES31, (const unsigned char *)"test", 4), 3556498u);
}

T_TEST(expected_sums_wrap_around_the_requests)
{
    struct bench_load load;
    T_REQUIRE(bench_load_init(&load, 1000, 100, 0.99));
    static const size_t firsts[] = {0, 1, 777, BENCH_REQUESTS - 1, BENCH_REQUESTS, 3000000};
    static const size_t counts[] = {0, 1, 64, BENCH_REQUESTS, BENCH_REQUESTS + 1, 600000};
    for (size_t f = 0; f < 6; f++) {
        for (size_t c = 0; c < 6; c++) {
            uint64_t sum = 0;
            for (size_t i = 0; i < counts[c]; i++)
                sum += bench_mark(load.ids[(firsts[f] + i) % BENCH_REQUESTS]);
            T_REQUIRE_EQ(bench_expected(&load, firsts[f], counts[c]), sum);
        }
    }
    bench_load_destroy(&load);
}

/* Zipf 0.99 over 1,000: the first has 1 / sum(r^-0.99) = 12.9 % of the requests. */
T_TEST(requests_are_zipf_distributed_and_carry_their_keys)
{
    struct bench_load load;
    T_REQUIRE(bench_load_init(&load, 1000, 8, 0.99));
    size_t counts[1000] = {0}, most = 0, asked = 0;
    for (size_t i = 0; i < BENCH_REQUESTS; i++) {
        T_REQUIRE(load.ids[i] < 1000);
        T_REQUIRE(memcmp(load.asked[i], load.keys[load.ids[i]], BENCH_KEY_SIZE) == 0);
        counts[load.ids[i]]++;
    }
    for (size_t i = 0; i < 1000; i++) {
        most = counts[i] > most ? counts[i] : most;
        asked += counts[i] > 0;
    }
    double share = (double)most / BENCH_REQUESTS;
    T_REQUIRE(share > 0.124 && share < 0.134);
    T_REQUIRE_EQ(asked, 1000);
    bench_load_destroy(&load);
}

T_TEST(quantiles_interpolate)
{
    struct bench_series s = {0};
    double values[] = {5, 1, 4, 2, 3, 6};
    for (size_t i = 0; i < 6; i++)
        bench_add(&s, values[i]);
    T_REQUIRE(bench_median(&s) == 3.5);
    T_REQUIRE(bench_least(&s) == 1 && bench_most(&s) == 6);
    T_REQUIRE(bench_quantile(&s, 0.2) == 2);
    T_REQUIRE(s.values[0] == 5); /* the order of measuring is kept */
}

T_TEST(a_limit_that_was_not_measured_does_not_hold)
{
    struct bench_limits limits = {0};
    bench_limit_at_most(&limits, "a", 1, "x", 1);
    bench_limit_at_least(&limits, "b", 1, "x", 1);
    T_REQUIRE_EQ(bench_limits_code(&limits, true), 0);
    bench_limit_at_most(&limits, "c", 1, "x", 0.0 / 0.0);
    T_REQUIRE_EQ(bench_limits_code(&limits, true), 1);
    T_REQUIRE_EQ(bench_limits_code(&limits, false), 0);
    struct bench_limits over = {0}, under = {0};
    bench_limit_at_most(&over, "d", 1, "x", 1.01);
    bench_limit_at_least(&under, "e", 1, "x", 0.99);
    T_REQUIRE_EQ(bench_limits_code(&over, true), 1);
    T_REQUIRE_EQ(bench_limits_code(&under, true), 1);
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    T_REQUIRE(f != NULL);
    T_REQUIRE_EQ(fwrite(bytes, 1, n, f), n);
    T_REQUIRE_EQ(fclose(f), 0);
}

static void path_of(char *path, size_t capacity, const char *name)
{
    snprintf(path, capacity, "%s/%s", t_tmpdir(), name);
}

/* Larger than one step of the reader, so that growing is met too. */
#define IDS 2000000u

T_TEST(plain_and_compressed_traces_read_alike)
{
    char plain[256], compressed[256];
    size_t size = IDS * sizeof(uint32_t), used = 0, capacity = size + (1u << 20);
    uint32_t *ids = malloc(size), *got;
    uint8_t *out = malloc(capacity);
    T_REQUIRE(ids != NULL && out != NULL);
    for (uint32_t i = 0; i < IDS; i++)
        ids[i] = i % 5003 * 0x10001u;
    T_REQUIRE_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, (uint8_t *)ids, size, out,
                                         &used, capacity),
                 LZMA_OK);
    path_of(plain, sizeof plain, "t.u32");
    path_of(compressed, sizeof compressed, "t.u32.xz");
    write_file(plain, ids, size);
    write_file(compressed, out, used);
    const char *paths[] = {plain, compressed};
    for (int i = 0; i < 2; i++) {
        size_t n = 0;
        T_REQUIRE(bench_trace_read(paths[i], &got, &n));
        T_REQUIRE_EQ(n, IDS);
        T_REQUIRE(memcmp(got, ids, size) == 0);
        free(got);
    }
    write_file(compressed, out, used - 4);
    size_t n = 0;
    T_REQUIRE(!bench_trace_read(compressed, &got, &n));
    write_file(plain, ids, 7);
    T_REQUIRE(!bench_trace_read(plain, &got, &n));
    write_file(plain, ids, 0);
    T_REQUIRE(!bench_trace_read(plain, &got, &n));
    free(ids);
    free(out);
}

/* The yardstick must do what it is said to do: find every key, with the right value. */
T_TEST(the_plain_table_serves_what_was_set)
{
    struct bench_load load;
    struct bench_peer p = bench_peer_plain;
    uint64_t sum = 0;
    T_REQUIRE(bench_load_init(&load, 3000, 64, 0));
    T_REQUIRE_EQ(p.open(&p, &load), 0);
    T_REQUIRE_EQ(p.get(&p, &load, 5, 100000, &sum), 100000);
    T_REQUIRE_EQ(sum, bench_expected(&load, 5, 100000));
    T_REQUIRE_EQ(p.set(&p, &load, 9, 5000), 5000);
    sum = 0;
    T_REQUIRE_EQ(p.get(&p, &load, 0, BENCH_REQUESTS, &sum), BENCH_REQUESTS);
    T_REQUIRE_EQ(sum, bench_expected(&load, 0, BENCH_REQUESTS));
    memset(load.asked[7], 'x', BENCH_KEY_SIZE);
    T_REQUIRE_EQ(p.get(&p, &load, 7, 1, &sum), 0);
    p.close(&p);
    bench_load_destroy(&load);
}
