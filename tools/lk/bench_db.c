/* bench_db.c - lk db bench: trees beside absl::btree_map, LMDB's own map and python3-btrees, on
 * 8-byte integer keys, in one run and in turn; then loads and uses of objects. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_db_peers.h"

enum { GETS = 200000, RANGES = 5000, COMMITS = 300, SIZES = 2, ROUNDS = 7 };
static const uint64_t sizes[SIZES] = {100000, 1000000};
static const struct {
    const char *name, *key;
} works[DB_WORKS] = {
    {"random inserts, one txn", "insert_ns"},
    {"appends, one txn", "append_ns"},
    {"random get", "get_ns"},
    {"scan, an entry", "scan_ns"},
    {"range of 100", "range_ns"},
    {"change and commit", "commit_ns"},
};

/* What was measured with `load.n` keys. */
struct table {
    struct db_load load;
    struct db_peer peer[DB_PEERS_MAX];
    size_t n;
    struct bench_series ns[DB_PEERS_MAX][DB_WORKS];        /* one of them */
    double heap[DB_PEERS_MAX][2], stored[DB_PEERS_MAX][2]; /* bytes an entry: inserted, appended */
};

struct bench {
    struct table table[SIZES];
    size_t tables;
    struct db_object_figures object;
    struct db_sync_figures sync;
    uint64_t rounds;
    struct cli_progress progress;
};

/* How many of it one call does. */
static uint64_t count(const struct table *t, enum db_work work)
{
    return work == DB_GET      ? GETS
           : work == DB_RANGES ? RANGES
           : work == DB_COMMIT ? COMMITS
                               : t->load.n;
}

static bool one(struct table *t, size_t p, enum db_work work)
{
    uint64_t n = count(t, work);
    if (work == DB_COMMIT && t->peer[p].commit == NULL)
        return true;
    /* Gets are of what is in memory already: each peer goes through all of it once before. */
    if (work == DB_GET && !db_run(&t->peer[p], &t->load, DB_SCAN, t->load.n).ok)
        return false;
    struct db_timed timed = db_run(&t->peer[p], &t->load, work, n);
    bench_add(&t->ns[p][work], timed.ns / (double)n);
    return timed.ok;
}

/* Fill an empty map; in the first round, weigh it. */
static bool fill(struct table *t, size_t p, enum db_work work, bool weigh)
{
    struct db_peer *peer = &t->peer[p];
    if (peer->reset(peer, &t->load) != 0) {
        (void)cli_fail(CLI_CANNOT, "%s: %s", peer->name, peer->why);
        return false;
    }
    uint64_t before = db_heap_bytes();
    if (!one(t, p, work))
        return false;
    if (weigh) {
        double n = (double)t->load.n;
        t->heap[p][work] = peer->resident ? (double)(db_heap_bytes() - before) / n : NAN;
        t->stored[p][work] = peer->stored != NULL ? (double)peer->stored(peer) / n : NAN;
    }
    return true;
}

static bool round_of(struct table *t, bool first)
{
    for (enum db_work work = DB_INSERT; work <= DB_APPEND; work++)
        for (size_t p = 0; p < t->n; p++)
            if (cli_stop || !fill(t, p, work, first))
                return false;
    for (enum db_work work = DB_GET; work < DB_WORKS; work++)
        for (size_t p = 0; p < t->n; p++)
            if (cli_stop || !one(t, p, work))
                return false;
    return true;
}

static int measure(struct bench *b, uint64_t n)
{
    struct table *t = &b->table[b->tables++];
    if (!db_load_init(&t->load, n))
        return cli_fail(CLI_CANNOT, "keys: %s", strerror(errno));
    t->n = db_peers_open(t->peer, &t->load, true);
    bool done = true;
    for (uint64_t i = 0; i < b->rounds && done; i++) {
        done = round_of(t, i == 0);
        cli_progress_show(&b->progress, (b->tables - 1) * b->rounds + i + 1, NULL);
    }
    int rc = 0;
    if (done && b->object.use_ns.n == 0) {
        rc = db_object_rounds(&b->object, t->load.place, 3 * b->rounds);
        if (rc == 0)
            rc = db_sync_rounds(&b->sync, b->rounds);
    }
    db_peers_close(t->peer, t->n);
    db_load_destroy(&t->load);
    if (rc != 0)
        return cli_fail_rc("objects", rc);
    return cli_stop ? CLI_STOPPED : done ? CLI_OK : CLI_CANNOT;
}

/* ---- judging -------------------------------------------------------------------------------- */

static double median(const struct table *t, const char *peer, enum db_work work)
{
    for (size_t p = 0; p < t->n; p++)
        if (strcmp(t->peer[p].name, peer) == 0)
            return bench_median(&t->ns[p][work]);
    return NAN;
}

static void judge_table(const struct table *t, struct bench_limits *l)
{
    static const struct {
        enum db_work work;
        const char *peer;
        double most;
    } wanted[] = {
        {DB_GET, "absl::btree_map", 1.25},
        {DB_GET, "LMDB", 0.5},
        {DB_SCAN, "absl::btree_map", 1.5},
        {DB_RANGES, "LMDB", 0.5},
        {DB_INSERT, "LMDB", 1},
        {DB_APPEND, "LMDB", 1.5},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "%" PRIu64 " keys: %s / %s", t->load.n,
                 works[wanted[i].work].name, wanted[i].peer);
        bench_limit_at_most(l, text, wanted[i].most, "x",
                            median(t, "latchkey", wanted[i].work) /
                                median(t, wanted[i].peer, wanted[i].work));
    }
}

static void judge(const struct bench *b, struct bench_limits *l)
{
    for (size_t i = 0; i < b->tables; i++)
        judge_table(&b->table[i], l);
    bench_limit_at_most(l, "load of a leaf of 60 entries, beyond the store's read", 500, "ns",
                        bench_median(&b->object.load_ns) - bench_median(&b->object.read_ns));
    bench_limit_at_most(l, "use of a resident object, a section for 64", 5, "ns",
                        bench_median(&b->object.use_ns));
    bench_limit_at_least(l, "two readers of one object / one", 1.8, "x",
                         bench_median(&b->object.readers));
}

/* ---- printing ------------------------------------------------------------------------------- */

static void print_number(double x, int width)
{
    if (isnan(x))
        printf(" %*s", width, "-");
    else
        printf(" %*.1f", width, x);
}

static void print_table(const struct table *t)
{
    static const char *const how[2] = {"random inserts", "appends"};
    printf("\n%" PRIu64 " keys, ns of CPU for one (medians)\n%-26s", t->load.n, "");
    for (size_t p = 0; p < t->n; p++)
        printf(" %16s", t->peer[p].name);
    printf("\n");
    for (size_t w = 0; w < DB_WORKS; w++) {
        printf("%-26s", works[w].name);
        for (size_t p = 0; p < t->n; p++)
            print_number(bench_median(&t->ns[p][w]), 16);
        printf("\n");
    }
    for (size_t i = 0; i < 2; i++) {
        printf("heap bytes, %-14s", how[i]);
        for (size_t p = 0; p < t->n; p++)
            print_number(t->heap[p][i], 16);
        printf("\nfile bytes, %-14s", how[i]);
        for (size_t p = 0; p < t->n; p++)
            print_number(t->stored[p][i], 16);
        printf("\n");
    }
}

static void print(const struct bench *b)
{
    const struct table *t = &b->table[0];
    for (size_t p = 0; p < t->n; p++)
        printf("%-16s %-16s %s\n", t->peer[p].name, t->peer[p].version, t->peer[p].how);
    for (size_t i = 0; i < b->tables; i++)
        print_table(&b->table[i]);
    printf("\nload of a leaf of 60     %8.1f ns, of it the store's read %.1f\n",
           bench_median(&b->object.load_ns), bench_median(&b->object.read_ns));
    printf("use of a resident object %8.2f ns\n", bench_median(&b->object.use_ns));
    printf("two readers / one        %8.2f\n", bench_median(&b->object.readers));
    printf(
        "commits to the disk      %8.0f a second by one thread, %.0f by %d that share the wait\n",
        bench_median(&b->sync.one), bench_median(&b->sync.many), DB_COMMITTERS);
}

static json_t *table_json(const struct table *t)
{
    json_t *peers = json_array();
    for (size_t p = 0; p < t->n; p++) {
        json_t *peer =
            json_pack("{s:s, s:s}", "name", t->peer[p].name, "version", t->peer[p].version);
        for (size_t w = 0; w < DB_WORKS; w++)
            json_object_set_new(peer, works[w].key, bench_number_json(bench_median(&t->ns[p][w])));
        json_object_set_new(peer, "heap_bytes_inserted", bench_number_json(t->heap[p][0]));
        json_object_set_new(peer, "heap_bytes_appended", bench_number_json(t->heap[p][1]));
        json_object_set_new(peer, "file_bytes_inserted", bench_number_json(t->stored[p][0]));
        json_object_set_new(peer, "file_bytes_appended", bench_number_json(t->stored[p][1]));
        json_array_append_new(peers, peer);
    }
    return json_pack("{s:I, s:o}", "keys", (json_int_t)t->load.n, "peers", peers);
}

static void print_json(const struct bench *b, const struct bench_limits *limits)
{
    json_t *tables = json_array();
    for (size_t i = 0; i < b->tables; i++)
        json_array_append_new(tables, table_json(&b->table[i]));
    json_t *object = json_pack("{s:o, s:o, s:o, s:o}", "load_ns",
                               bench_number_json(bench_median(&b->object.load_ns)), "read_ns",
                               bench_number_json(bench_median(&b->object.read_ns)), "use_ns",
                               bench_number_json(bench_median(&b->object.use_ns)), "two_readers",
                               bench_number_json(bench_median(&b->object.readers)));
    json_t *sync = json_pack(
        "{s:o, s:o, s:i}", "one_thread", bench_number_json(bench_median(&b->sync.one)),
        "many_threads", bench_number_json(bench_median(&b->sync.many)), "threads", DB_COMMITTERS);
    cli_json_print(json_pack("{s:o, s:I, s:o, s:o, s:o, s:o}", "machine", bench_machine_json(),
                             "rounds", (json_int_t)b->rounds, "tables", tables, "object", object,
                             "commits_to_disk_a_second", sync, "limits",
                             bench_limits_json(limits)));
}

int db_bench(struct db_call *call)
{
    uint64_t n = 0;
    if (call->n_words > 0 && !cli_parse_count("KEYS", call->words[0], 1000, 100000000, &n))
        return CLI_USAGE;
    if (call->sizes != NULL)
        return db_bench_sizes(call);
    struct bench *b = calloc(1, sizeof *b);
    struct bench_limits limits = {0};
    if (b == NULL)
        return cli_fail(CLI_CANNOT, "out of memory");
    b->rounds = call->rounds != 0 ? call->rounds : ROUNDS;
    if (!call->json)
        bench_machine_print();
    bench_pin(bench_cpu(0));
    cli_progress_begin(&b->progress, "bench", b->rounds * (n != 0 ? 1 : SIZES), call->quiet);
    b->progress.unit = "rounds";
    int code = CLI_OK;
    for (size_t i = 0; i < (n != 0 ? 1 : SIZES) && code == CLI_OK; i++)
        code = measure(b, n != 0 ? n : sizes[i]);
    cli_progress_end(&b->progress);
    if (code == CLI_OK) {
        judge(b, &limits);
        if (call->json) {
            print_json(b, &limits);
        } else {
            print(b);
            bench_limits_print(&limits);
        }
        code = bench_limits_code(&limits, call->check);
    }
    free(b);
    return code;
}
