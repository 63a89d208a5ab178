/* bench_load.c - the workload: keys, values and a Zipf-distributed sequence of requests. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

/* splitmix64.  Source: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t bench_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(*state);
}

uint64_t bench_mark(uint32_t id)
{
    return mix(id + UINT64_C(0x9e3779b97f4a7c15));
}

/* Entry ids in random order: the popular ones must not lie beside each other. */
static void shuffle(uint32_t *ids, size_t n, uint64_t *random)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(bench_random(random) % i);
        uint32_t t = ids[i - 1];
        ids[i - 1] = ids[j];
        ids[j] = t;
    }
}

/* The smallest rank whose cumulated weight exceeds x. */
static size_t rank_of(const double *cumulated, size_t n, double x)
{
    size_t low = 0, high = n - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cumulated[middle] > x)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Requests drawn by the exact distribution: P(rank r) ~ 1 / (r + 1)^skew. */
static bool draw(struct bench_load *load, double skew)
{
    double *cumulated = calloc(load->entries, sizeof *cumulated);
    uint32_t *ids = calloc(load->entries, sizeof *ids);
    bool done = cumulated != NULL && ids != NULL;
    if (done) {
        uint64_t random = 1;
        double total = 0;
        for (size_t r = 0; r < load->entries; r++)
            cumulated[r] = total += pow((double)(r + 1), -skew);
        shuffle(ids, load->entries, &random);
        for (size_t i = 0; i < BENCH_REQUESTS; i++) {
            double x = (double)(bench_random(&random) >> 11) * 0x1p-53 * total;
            uint32_t id = ids[rank_of(cumulated, load->entries, x)];
            load->ids[i] = id;
            memcpy(load->asked[i], load->keys[id], BENCH_KEY_SIZE);
            load->sums[i + 1] = load->sums[i] + bench_mark(id);
        }
    }
    free(cumulated);
    free(ids);
    return done;
}

bool bench_load_init(struct bench_load *load, size_t entries, size_t value_size, double skew)
{
    *load = (struct bench_load){.entries = entries, .value_size = value_size};
    load->keys = calloc(entries, sizeof *load->keys);
    load->asked = calloc(BENCH_REQUESTS, sizeof *load->asked);
    load->ids = calloc(BENCH_REQUESTS, sizeof *load->ids);
    load->sums = calloc(BENCH_REQUESTS + 1, sizeof *load->sums);
    load->value = malloc(value_size);
    if (load->keys == NULL || load->asked == NULL || load->ids == NULL || load->sums == NULL ||
        load->value == NULL)
        goto failed;
    for (size_t i = 0; i < entries; i++) {
        char text[BENCH_KEY_SIZE + 1];
        snprintf(text, sizeof text, "key:%016" PRIx64, mix(i + 1));
        memcpy(load->keys[i], text, BENCH_KEY_SIZE);
    }
    for (size_t i = 0; i < value_size; i++)
        load->value[i] = (char)('a' + i % 26);
    if (draw(load, skew))
        return true;
failed:
    bench_load_destroy(load);
    cli_fail(CLI_CANNOT, "no memory for %zu keys", entries);
    return false;
}

void bench_load_destroy(struct bench_load *load)
{
    free(load->keys);
    free(load->asked);
    free(load->ids);
    free(load->sums);
    free(load->value);
    *load = (struct bench_load){0};
}

uint64_t bench_expected(const struct bench_load *load, size_t first, size_t n)
{
    uint64_t whole = n / BENCH_REQUESTS * load->sums[BENCH_REQUESTS];
    size_t begin = first % BENCH_REQUESTS, end = begin + n % BENCH_REQUESTS;
    if (end <= BENCH_REQUESTS)
        return whole + load->sums[end] - load->sums[begin];
    return whole + load->sums[BENCH_REQUESTS] - load->sums[begin] +
           load->sums[end - BENCH_REQUESTS];
}
