/* bench_peers.c - lk bench peers: latchkey beside a plain hash table, LMDB, Redis, memcached and
 * APCu in one run.  Every round measures every peer once, in an order that moves on by one from
 * round to round, so that what disturbs the machine disturbs all; ratios are of medians. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench.h"
#include "cli.h"

#define PEERS 6u
#define OPS_MIN 10000u
#define LARGE_VALUE 4096u

static const struct bench_peer *const known[PEERS] = {
    &bench_peer_plain, &bench_peer_latchkey,  &bench_peer_lmdb,
    &bench_peer_redis, &bench_peer_memcached, &bench_peer_apcu,
};

/* One operation at one value size: the figures of all peers. */
struct contest {
    const char *title;
    bool set;
    size_t value_size;
    struct bench_peer peers[PEERS]; /* state NULL: does not take part */
    size_t batch[PEERS];            /* operations in one measurement */
    struct bench_series ns[PEERS];  /* per operation */
};

/* Measure one peer once.  NAN and a message if a value was wrong or missing. */
static double measure(struct bench_peer *p, const struct bench_load *load, bool set, size_t first,
                      size_t n)
{
    uint64_t sum = 0;
    uint64_t begin = cli_now_ns();
    size_t done = set ? p->set(p, load, first, n) : p->get(p, load, first, n, &sum);
    uint64_t end = cli_now_ns();
    if (set && p->settle != NULL && !p->settle(p))
        done = 0;
    if (cli_stop)
        return NAN;
    if (done != n) {
        cli_fail(CLI_PROBLEM, "%s: %zu of %zu %s", p->name, done, n, set ? "stored" : "found");
        return NAN;
    }
    if (!set && !p->no_sum && sum != bench_expected(load, first, n)) {
        cli_fail(CLI_PROBLEM, "%s: served wrong values", p->name);
        return NAN;
    }
    return (double)(end - begin) / (double)n;
}

/* How many operations fill the window: found by growing batches, which also warm everything up. */
static bool calibrate(struct contest *c, const struct bench_load *load, uint64_t window_ns)
{
    for (size_t i = 0; i < PEERS; i++) {
        if (c->peers[i].state == NULL)
            continue;
        double ns = 0;
        for (size_t n = OPS_MIN; n <= BENCH_REQUESTS && !isnan(ns); n *= 5) {
            ns = measure(&c->peers[i], load, c->set, 0, n);
            if (ns * (double)n > (double)window_ns)
                break;
        }
        if (isnan(ns))
            return false;
        double n = (double)window_ns / ns;
        c->batch[i] = (size_t)(n < OPS_MIN ? OPS_MIN : n) / 64 * 64;
    }
    return true;
}

static int run_rounds(struct contest *c, const struct bench_load *load,
                      const struct bench_options *o)
{
    struct cli_progress progress;
    cli_progress_begin(&progress, c->title, o->rounds, o->quiet);
    progress.unit = "";
    bool done = calibrate(c, load, o->window_ns);
    size_t first = 0;
    for (size_t round = 0; done && round < o->rounds && !cli_stop; round++) {
        first += 77777; /* another part of the requests, the same for all peers of the round */
        for (size_t k = 0; done && k < PEERS; k++) {
            size_t i = (k + round) % PEERS;
            if (c->peers[i].state == NULL)
                continue;
            double ns = measure(&c->peers[i], load, c->set, first, c->batch[i]);
            bench_add(&c->ns[i], ns);
            done = !isnan(ns);
        }
        cli_progress_show(&progress, round + 1, NULL);
    }
    cli_progress_end(&progress);
    return cli_stop ? CLI_STOPPED : done ? CLI_OK : CLI_PROBLEM;
}

static void close_peers(struct bench_peer peers[PEERS])
{
    for (size_t i = 0; i < PEERS; i++)
        if (peers[i].state != NULL)
            peers[i].close(&peers[i]);
}

/* Is the name in the list of names?  In any list if there is none. */
static bool wanted(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *p = list; p != NULL; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncasecmp(p, name, size) == 0 && (p[size] == ',' || p[size] == '\0'))
            return true;
    }
    return list == NULL;
}

/* A peer that is not installed is left out and said so; one that fails ends the run. */
static bool open_peers(struct bench_peer peers[PEERS], const struct bench_load *load, bool remote,
                       const char *only)
{
    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = *known[i];
        if (peers[i].remote && !remote)
            continue;
        if (!wanted(only, peers[i].name)) {
            bench_peer_failed(&peers[i], "not in --only");
            continue;
        }
        int rc = peers[i].open(&peers[i], load);
        if (rc != 0 && rc != ENOENT) {
            if (!cli_stop)
                cli_fail(CLI_CANNOT, "%s: %s", peers[i].name, peers[i].why);
            return false;
        }
    }
    return true;
}

/* Get (and set) at one value size. */
static int contests(struct contest *get, struct contest *set, size_t value_size, bool remote,
                    const struct bench_options *o)
{
    struct bench_load load;
    if (!bench_load_init(&load, o->entries, value_size, o->skew))
        return CLI_CANNOT;
    get->value_size = set->value_size = value_size;
    set->set = true;
    int code = CLI_CANNOT;
    if (open_peers(get->peers, &load, remote, o->only)) {
        memcpy(set->peers, get->peers, sizeof set->peers);
        code = run_rounds(get, &load, o);
        if (code == CLI_OK)
            code = run_rounds(set, &load, o);
    }
    close_peers(get->peers);
    bench_load_destroy(&load);
    return cli_stop ? CLI_STOPPED : code;
}

/* ---- the report ---------------------------------------------------------------------------- */

static double median_of(const struct contest *c, const struct bench_peer *peer)
{
    for (size_t i = 0; i < PEERS; i++)
        if (known[i] == peer)
            return bench_median(&c->ns[i]); /* NAN if it took no part */
    return NAN;
}

static void print_contest(const struct contest *c)
{
    double ours = median_of(c, &bench_peer_latchkey);
    printf("\n%-22s %12s %10s %10s %18s\n", c->title, "median ns", "least", "most",
           "times latchkey's");
    for (size_t i = 0; i < PEERS; i++) {
        const struct bench_series *ns = &c->ns[i];
        if (ns->n > 0)
            printf("  %-20s %12.1f %10.1f %10.1f %17.2fx\n", c->peers[i].name, bench_median(ns),
                   bench_least(ns), bench_most(ns), bench_median(ns) / ours);
    }
}

static void print_peers(const struct contest *c)
{
    for (size_t i = 0; i < PEERS; i++)
        if (c->ns[i].n > 0)
            printf("  %-10s %-18s %s\n", c->peers[i].name, c->peers[i].version, c->peers[i].how);
        else
            printf("  %-10s left out: %s\n", c->peers[i].name, c->peers[i].why);
}

static void print_scaling(const char *title, const struct bench_scaling *s)
{
    if (s->most == 0)
        return;
    printf("  %-20s", title);
    printf(" one %.2f M/s", bench_median(&s->alone) / 1e6);
    for (unsigned k = 2; k <= s->most; k++)
        printf(", %u together %.2f M/s (%.2f times)", k, bench_median(&s->together[k - 1]) / 1e6,
               bench_median(&s->together[k - 1]) / bench_median(&s->alone));
    printf("\n");
}

static json_t *contest_json(const struct contest *c)
{
    json_t *peers = json_array();
    for (size_t i = 0; i < PEERS; i++) {
        const struct bench_series *ns = &c->ns[i];
        if (ns->n == 0)
            continue;
        json_array_append_new(peers, json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:i}", "name",
                                               c->peers[i].name, "version", c->peers[i].version,
                                               "how", c->peers[i].how, "median_ns",
                                               bench_median(ns), "least_ns", bench_least(ns),
                                               "most_ns", bench_most(ns), "rounds", (int)ns->n));
    }
    return json_pack("{s:s, s:s, s:I, s:o}", "title", c->title, "operation", c->set ? "set" : "get",
                     "value_bytes", (json_int_t)c->value_size, "peers", peers);
}

static json_t *scaling_json(const char *operation, const struct bench_scaling *s)
{
    json_t *together = json_array();
    for (unsigned k = 1; k <= s->most; k++)
        json_array_append_new(together, json_real(k == 1 ? bench_median(&s->alone)
                                                         : bench_median(&s->together[k - 1])));
    return json_pack("{s:s, s:o}", "operation", operation, "per_second", together);
}

static const struct yardstick {
    const char *title;
    const struct bench_peer *peer;
} yardsticks[] = {
    {"store in place", &bench_peer_bare},
    {"replace by index", &bench_peer_index},
};
enum { YARDSTICKS = sizeof yardsticks / sizeof yardsticks[0], TUNINGS = 4 };

struct results {
    struct contest get, set, get_large, set_large;
    struct bench_scaling hits, sets;
    struct bench_scaling yard[YARDSTICKS]; /* their sets, each as long as ours */
    double line_ns[3]; /* a cache line from one CPU to the other: before, between, after */
    struct bench_limits limits;
};

static double ratio(const struct contest *c, const struct bench_peer *to)
{
    return median_of(c, &bench_peer_latchkey) / median_of(c, to);
}

static void judge(struct results *r)
{
    struct bench_limits *l = &r->limits;
    bench_limit_at_most(l, "a hit / plain in-process hash lookup + copy", 1.6, "x",
                        ratio(&r->get, &bench_peer_plain));
    bench_limit_at_most(l, "a hit / LMDB mdb_get", 1.0 / 3, "x", ratio(&r->get, &bench_peer_lmdb));
    bench_limit_at_most(l, "a hit / pipelined Redis GET, unix socket", 0.1, "x",
                        ratio(&r->get, &bench_peer_redis));
    bench_limit_at_most(l, "a set / LMDB put, NOSYNC, one transaction", 0.25, "x",
                        ratio(&r->set, &bench_peer_lmdb));
    bench_limit_at_most(l, "a hit of 4 KiB / plain hash lookup + memcpy", 1.25, "x",
                        ratio(&r->get_large, &bench_peer_plain));
    bench_limit_at_least(
        l, "hits of two processes / one", 1.8, "x",
        r->hits.most < 2 ? NAN : bench_median(&r->hits.together[1]) / bench_median(&r->hits.alone));
    bench_limit_at_least(
        l, "sets of two processes / one", 1.5, "x",
        r->sets.most < 2 ? NAN : bench_median(&r->sets.together[1]) / bench_median(&r->sets.alone));
}

static void print_results(const struct results *r)
{
    printf("peers:\n");
    print_peers(&r->get);
    print_contest(&r->get);
    print_contest(&r->set);
    print_contest(&r->get_large);
    print_contest(&r->set_large);
    printf("\nprocesses, each on its own CPU\n");
    print_scaling(r->get.title, &r->hits);
    print_scaling(r->set.title, &r->sets);
    for (size_t i = 0; i < YARDSTICKS; i++)
        print_scaling(yardsticks[i].title, &r->yard[i]);
    if (r->sets.most > 1)
        printf("  (The last two are yardsticks, with work of their own to make them as long as our "
               "set.  In place: a lock\n  word and a copy.  By index: the least that finds a key "
               "and that no death can tear, a bucket with its lock,\n  an entry that replaces "
               "another.  A line took %.0f, %.0f, %.0f ns from one CPU to the other before, "
               "between\n  and after these.)\n",
               r->line_ns[0], r->line_ns[1], r->line_ns[2]);
    bench_limits_print(&r->limits);
}

static json_t *line_json(const double ns[3])
{
    json_t *list = json_array();
    for (int i = 0; i < 3; i++)
        json_array_append_new(list, bench_number_json(ns[i]));
    return list;
}

static void json_results(const struct results *r, const struct bench_options *o)
{
    cli_json_print(json_pack(
        "{s:s, s:o, s:{s:I, s:i, s:f, s:I, s:I}, s:[o, o, o, o], s:[o, o, o, o], s:o, s:o}",
        "bench", "peers", "machine", bench_machine_json(), "workload", "entries",
        (json_int_t)o->entries, "key_bytes", (int)BENCH_KEY_SIZE, "zipf", o->skew, "rounds",
        (json_int_t)o->rounds, "window_ns", (json_int_t)o->window_ns, "contests",
        contest_json(&r->get), contest_json(&r->set), contest_json(&r->get_large),
        contest_json(&r->set_large), "scaling", scaling_json("get", &r->hits),
        scaling_json("set", &r->sets), scaling_json(yardsticks[0].title, &r->yard[0]),
        scaling_json(yardsticks[1].title, &r->yard[1]), "line_ns", line_json(r->line_ns), "limits",
        bench_limits_json(&r->limits)));
}

/* One peer's sets, and its hits if `hits` is not NULL, by one process and by two. */
static int scaling_of(const struct bench_peer *which, struct bench_scaling *hits,
                      struct bench_scaling *sets, const struct bench_load *load,
                      const struct bench_options *o)
{
    struct bench_peer peer = *which;
    unsigned most = bench_cpus() < 2 ? 1 : 2;
    int code = CLI_OK;
    if (peer.open(&peer, load) != 0)
        return CLI_CANNOT;
    if (hits != NULL)
        code = bench_scaling_run(hits, &peer, load, false, most, o);
    if (code == CLI_OK)
        code = bench_scaling_run(sets, &peer, load, true, most, o);
    peer.close(&peer);
    return code;
}

/* Sets of a yardstick that last as long as ours: short runs say how much is missing. */
static int run_yardstick(const struct yardstick *y, struct bench_scaling *out, double our_ns,
                         const struct bench_load *load, const struct bench_options *o)
{
    struct bench_options few = *o;
    double own_ns = 0;
    int code = CLI_OK;
    few.rounds = o->rounds < 5 ? o->rounds : 5;
    few.quiet = true;
    for (int i = 0; i < TUNINGS && code == CLI_OK; i++) {
        struct bench_scaling now;
        bench_bare_work(own_ns);
        code = scaling_of(y->peer, NULL, &now, load, &few);
        if (code == CLI_OK)
            own_ns += our_ns - 1e9 / bench_median(&now.alone);
    }
    bench_bare_work(own_ns);
    return code != CLI_OK ? code : scaling_of(y->peer, NULL, out, load, o);
}

/* Two processes on the same load as the contests. */
static int run_scaling(struct results *r, const struct bench_options *o)
{
    struct bench_load load;
    if (!bench_load_init(&load, o->entries, o->value_size, o->skew))
        return CLI_CANNOT;
    r->line_ns[0] = bench_line_ns();
    int code = scaling_of(&bench_peer_latchkey, &r->hits, &r->sets, &load, o);
    r->line_ns[1] = bench_line_ns();
    double our_ns = code == CLI_OK ? 1e9 / bench_median(&r->sets.alone) : 0;
    for (size_t i = 0; i < YARDSTICKS && code == CLI_OK; i++)
        code = run_yardstick(&yardsticks[i], &r->yard[i], our_ns, &load, o);
    r->line_ns[2] = bench_line_ns();
    bench_load_destroy(&load);
    return code;
}

int bench_peers(const struct bench_options *o)
{
    struct results *r = calloc(1, sizeof *r);
    if (r == NULL)
        return cli_fail(CLI_CANNOT, "no memory");
    char size[32], titles[4][48];
    cli_size(size, o->value_size);
    snprintf(titles[0], sizeof titles[0], "get, values of %s", size);
    snprintf(titles[1], sizeof titles[1], "set, values of %s", size);
    r->get.title = titles[0];
    r->set.title = titles[1];
    r->get_large.title = "get, values of 4 KiB";
    r->set_large.title = "set, values of 4 KiB";
    if (!o->json) {
        bench_machine_print();
        printf("workload: %s entries, 20-byte keys, Zipf %.2f; %u rounds of %s each, interleaved; "
               "CPU %d, servers on CPU %d\n",
               cli_count(titles[2], o->entries), o->skew, (unsigned)o->rounds,
               cli_span(titles[3], o->window_ns), bench_cpu(0), bench_cpu(1));
        fflush(stdout);
    }
    bench_pin(bench_cpu(0));
    int code = contests(&r->get, &r->set, o->value_size, true, o);
    if (code == CLI_OK)
        code = contests(&r->get_large, &r->set_large, LARGE_VALUE, false, o);
    bench_unpin();
    if (code == CLI_OK)
        code = run_scaling(r, o);
    if (code == CLI_OK) {
        judge(r);
        if (o->json)
            json_results(r, o);
        else
            print_results(r);
        code = bench_limits_code(&r->limits, o->check);
    }
    free(r);
    return code;
}
