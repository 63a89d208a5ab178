/* bench_db_sizes.c - lk db bench --sizes: what get, insert, range and commit cost at 1,000 to
 * 10,000,000 keys, as a table and a picture, and the memory of an entry. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_db_peers.h"

enum { STEPS = 5, WORKS = 4, GETS = 200000, RANGES = 5000, COMMITS = 200, ROUNDS = 3 };
static const enum db_work works[WORKS] = {DB_GET, DB_INSERT, DB_RANGES, DB_COMMIT};
static const char *const titles[WORKS] = {"random get", "random insert, all in one transaction",
                                          "range of 100", "change a value and commit"};
static const char *const keys[WORKS] = {"get_ns", "insert_ns", "range_ns", "commit_ns"};

struct sizes {
    struct db_chart chart[WORKS];
    double heap[DB_PEERS_MAX][STEPS], stored[DB_PEERS_MAX][STEPS];
    size_t steps, peers;
    uint64_t n[STEPS];
};

static uint64_t count(const struct db_load *load, enum db_work work)
{
    return work == DB_GET      ? GETS
           : work == DB_RANGES ? RANGES
           : work == DB_COMMIT ? COMMITS
                               : load->n;
}

/* The median of some rounds, of one; an insert has a new map each time, once if it is large. */
static bool measure(struct db_peer *p, const struct db_load *load, enum db_work work, double *ns)
{
    static struct bench_series series;
    uint64_t n = count(load, work), rounds = n > 1000000 ? 1 : ROUNDS;
    series.n = 0;
    *ns = NAN;
    if (work == DB_COMMIT && p->commit == NULL)
        return true;
    for (uint64_t i = 0; i < rounds && !cli_stop; i++) {
        if (work == DB_INSERT && p->reset(p, load) != 0)
            return false;
        struct db_timed timed = db_run(p, load, work, n);
        if (!timed.ok)
            return false;
        bench_add(&series, timed.ns / (double)n);
    }
    *ns = bench_median(&series);
    return !cli_stop;
}

/* All works of one peer at one size; the first fills it. */
static bool one_peer(struct sizes *s, size_t p, struct db_peer *peer, const struct db_load *load)
{
    static const enum db_work order[WORKS] = {DB_INSERT, DB_GET, DB_RANGES, DB_COMMIT};
    double n = (double)load->n;
    uint64_t before = db_heap_bytes();
    for (size_t i = 0; i < WORKS; i++) {
        size_t w = 0;
        double ns;
        while (works[w] != order[i])
            w++;
        if (!measure(peer, load, order[i], &ns))
            return false;
        struct db_curve *c = &s->chart[w].curve[p];
        c->name = peer->name;
        c->at[c->n] = n;
        c->ns[c->n++] = ns;
        if (order[i] != DB_INSERT)
            continue;
        s->heap[p][s->steps] = peer->resident ? (double)(db_heap_bytes() - before) / n : NAN;
        s->stored[p][s->steps] = peer->stored != NULL ? (double)peer->stored(peer) / n : NAN;
    }
    return true;
}

static int one_size(struct sizes *s, uint64_t n)
{
    struct db_load load;
    struct db_peer peers[DB_PEERS_MAX];
    if (!db_load_init(&load, n))
        return cli_fail(CLI_CANNOT, "keys: %s", strerror(errno));
    s->peers = db_peers_open(peers, &load, false);
    bool done = true;
    for (size_t p = 0; p < s->peers && done; p++) {
        done = one_peer(s, p, &peers[p], &load);
        peers[p].close(&peers[p]); /* so that the next one has the memory */
    }
    db_peers_close(peers, s->peers);
    db_load_destroy(&load);
    s->n[s->steps++] = n;
    return cli_stop ? CLI_STOPPED : done ? CLI_OK : CLI_CANNOT;
}

/* ---- printing ------------------------------------------------------------------------------- */

static void print_row(const struct sizes *s, const char *name, size_t p,
                      double (*of)(const struct sizes *s, size_t row, size_t p, size_t i),
                      size_t row)
{
    printf("  %-16s", name);
    for (size_t i = 0; i < s->steps; i++) {
        double x = of(s, row, p, i);
        if (isnan(x))
            printf(" %11s", "-");
        else
            printf(" %11.1f", x);
    }
    printf("\n");
}

static double time_of(const struct sizes *s, size_t row, size_t p, size_t i)
{
    return s->chart[row].curve[p].ns[i];
}

static double bytes_of(const struct sizes *s, size_t row, size_t p, size_t i)
{
    return row == 0 ? s->heap[p][i] : s->stored[p][i];
}

static void print(const struct sizes *s)
{
    static const char *const weights[2] = {"heap bytes of an entry", "file bytes of an entry"};
    printf("%-18s", "keys");
    for (size_t i = 0; i < s->steps; i++)
        printf(" %11" PRIu64, s->n[i]);
    printf("\n");
    for (size_t w = 0; w < WORKS; w++) {
        printf("%s, ns\n", titles[w]);
        for (size_t p = 0; p < s->peers; p++)
            print_row(s, s->chart[w].curve[p].name, p, time_of, w);
    }
    for (size_t w = 0; w < 2; w++) {
        printf("%s\n", weights[w]);
        for (size_t p = 0; p < s->peers; p++)
            print_row(s, s->chart[0].curve[p].name, p, bytes_of, w);
    }
}

static void print_json(const struct sizes *s)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < s->steps; i++)
        for (size_t p = 0; p < s->peers; p++) {
            json_t *row =
                json_pack("{s:I, s:s, s:o, s:o}", "keys", (json_int_t)s->n[i], "peer",
                          s->chart[0].curve[p].name, "heap_bytes", bench_number_json(s->heap[p][i]),
                          "file_bytes", bench_number_json(s->stored[p][i]));
            for (size_t w = 0; w < WORKS; w++)
                json_object_set_new(row, keys[w], bench_number_json(time_of(s, w, p, i)));
            json_array_append_new(rows, row);
        }
    cli_json_print(json_pack("{s:o, s:o}", "machine", bench_machine_json(), "sizes", rows));
}

int db_bench_sizes(const struct db_call *call)
{
    uint64_t most = 10000000;
    if (call->n_words > 0 && !cli_parse_count("KEYS", call->words[0], 1000, 10000000, &most))
        return CLI_USAGE;
    struct sizes *s = calloc(1, sizeof *s);
    struct cli_progress progress;
    int code = CLI_OK;
    if (s == NULL)
        return cli_fail(CLI_CANNOT, "out of memory");
    if (!call->json)
        bench_machine_print();
    bench_pin(bench_cpu(0));
    cli_progress_begin(&progress, "bench", 0, call->quiet);
    progress.unit = "keys";
    for (uint64_t n = 1000; n <= most && code == CLI_OK; n *= 10) {
        code = one_size(s, n);
        cli_progress_show(&progress, n, NULL);
    }
    cli_progress_end(&progress);
    for (size_t w = 0; w < WORKS; w++) {
        s->chart[w].title = titles[w];
        s->chart[w].n = s->peers;
    }
    if (code == CLI_OK && !db_charts_write(call->sizes, s->chart, WORKS))
        code = cli_fail(CLI_CANNOT, "%s: %s", call->sizes, strerror(errno));
    if (code == CLI_OK && call->json)
        print_json(s);
    else if (code == CLI_OK)
        print(s);
    free(s);
    return code;
}
