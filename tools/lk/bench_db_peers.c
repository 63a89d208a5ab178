/* bench_db_peers.c - the keys of lk db bench, its peers, and one timed call of one. */
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench_db_peers.h"

int db_peer_failed(struct db_peer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->why, sizeof p->why, format, args);
    va_end(args);
    return -1;
}

/* ---- keys ----------------------------------------------------------------------------------- */

bool db_load_init(struct db_load *load, uint64_t n)
{
    static char place[64];
    uint64_t seed = 1, *shuffled = calloc(n, sizeof *shuffled);
    int64_t *asked = calloc(DB_ASKED, sizeof *asked);
    *load = (struct db_load){n, shuffled, asked, place, bench_cpu(0)};
    if (shuffled == NULL || asked == NULL || !bench_directory_make(place)) {
        free(shuffled);
        free(asked);
        return false;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t j = bench_random(&seed) % (i + 1);
        shuffled[i] = shuffled[j];
        shuffled[j] = i;
    }
    for (size_t i = 0; i < DB_ASKED; i++)
        asked[i] = (int64_t)(bench_random(&seed) % n);
    return true;
}

void db_load_destroy(struct db_load *load)
{
    char place[64];
    snprintf(place, sizeof place, "%s", load->place);
    bench_directory_remove(place);
    free((void *)(uintptr_t)load->shuffled);
    free((void *)(uintptr_t)load->asked);
}

uint64_t db_sum_gets(const struct db_load *load, uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += db_value((uint64_t)load->asked[i]);
    return sum;
}

uint64_t db_sum_all(const struct db_load *load)
{
    uint64_t sum = 0;
    for (uint64_t k = 0; k < load->n; k++)
        sum += db_value(k);
    return sum;
}

uint64_t db_sum_ranges(const struct db_load *load, uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t first = (uint64_t)load->asked[i];
        for (uint64_t k = first; k < first + DB_RANGE && k < load->n; k++)
            sum += db_value(k);
    }
    return sum;
}

/* ---- peers ---------------------------------------------------------------------------------- */

static void try_peer(struct db_peer *peers, size_t *n, const struct db_peer *peer,
                     const struct db_load *load, const char *without)
{
    if (peer == NULL) {
        (void)fprintf(stderr, "not measured: %s\n", without);
        return;
    }
    peers[*n] = *peer;
    if (peer->reset(&peers[*n], load) == 0) {
        (*n)++;
        return;
    }
    (void)fprintf(stderr, "not measured: %s: %s\n", peer->name, peers[*n].why);
    peer->close(&peers[*n]);
}

size_t db_peers_open(struct db_peer peers[DB_PEERS_MAX], const struct db_load *load, bool python)
{
    size_t n = 0;
    try_peer(peers, &n, &db_peer_ours, load, "");
    try_peer(peers, &n, bench_beside("lk-bench-absl.so", "db_peer_absl"), load,
             "absl::btree_map (install g++ and libabsl-dev, and build again)");
    try_peer(peers, &n, &db_peer_lmdb, load, "");
    if (python)
        try_peer(peers, &n, &db_peer_btrees, load, "");
    return n;
}

void db_peers_close(struct db_peer *peers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        peers[i].close(&peers[i]);
}

double db_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

uint64_t db_heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* ---- one call ------------------------------------------------------------------------------- */

static int call(struct db_peer *p, const struct db_load *load, enum db_work work, uint64_t n,
                uint64_t *sum)
{
    switch (work) {
    case DB_INSERT:
        return p->fill(p, load, false);
    case DB_APPEND:
        return p->fill(p, load, true);
    case DB_GET:
        return p->get(p, load, n, sum);
    case DB_SCAN:
        return p->scan(p, load, sum);
    case DB_RANGES:
        return p->range(p, load, n, sum);
    default:
        return p->commit(p, load, n);
    }
}

static uint64_t expected(const struct db_load *load, enum db_work work, uint64_t n)
{
    return work == DB_GET      ? db_sum_gets(load, n)
           : work == DB_SCAN   ? db_sum_all(load)
           : work == DB_RANGES ? db_sum_ranges(load, n)
                               : 0;
}

struct db_timed db_run(struct db_peer *p, const struct db_load *load, enum db_work work, uint64_t n)
{
    uint64_t sum = 0;
    p->own_ns = 0;
    snprintf(p->why, sizeof p->why, "a key is missing");
    double begun = db_cpu_ns();
    int rc = call(p, load, work, n, &sum);
    double ns = db_cpu_ns() - begun;
    if (rc != 0 || sum != expected(load, work, n)) {
        (void)cli_fail(CLI_CANNOT, "%s: %s", p->name, rc != 0 ? p->why : "wrong values");
        return (struct db_timed){NAN, false};
    }
    return (struct db_timed){p->own_ns > 0 ? p->own_ns : ns, true};
}
