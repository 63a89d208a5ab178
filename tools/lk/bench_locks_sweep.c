/* bench_locks_sweep.c - lk bench locks --sweep: throughput and fairness of every lock, over lengths
 * of section with two threads, and over 1 to 16 threads, more than there are CPUs.
 *
 * In each round every lock has one window of each kind, in an order that moves on by one; figures
 * are medians. */
#include "bench_locks_sweep.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench_locks_run.h"
#include "cli.h"

enum { MIXES = 3, LENGTHS = 4, COUNTS = 5, PLACES = MIXES * (LENGTHS + COUNTS) };
enum { SHORT_NS = 50 };

static const unsigned write_percents[MIXES] = {0, 10, 50};
static const double lengths_ns[LENGTHS] = {0, SHORT_NS, 500, 5000};
static const unsigned counts[COUNTS] = {1, 2, 4, 8, 16};

/* One point of the plots, of one lock. */
struct point {
    struct bench_series rate, share, longest_ns;
};

struct sweep {
    const struct lock_peer *const *peers;
    size_t n;
    uint64_t window_ns;
    struct point (*points)[PLACES]; /* of each lock */
};

struct place {
    double section_ns;
    unsigned threads, write_percent;
};

static struct place place_at(size_t i)
{
    size_t row = i / MIXES;
    struct place p = {.write_percent = write_percents[i % MIXES]};
    p.section_ns = row < LENGTHS ? lengths_ns[row] : SHORT_NS;
    p.threads = row < LENGTHS ? 2 : counts[row - LENGTHS];
    return p;
}

/* A thread that shares its CPU must have had it once: some time slices for each. */
static uint64_t window_of(const struct sweep *s, const struct place *p)
{
    return p->threads > bench_cpus() ? s->window_ns * p->threads : s->window_ns;
}

static bool measure_point(struct sweep *s, size_t lock, size_t i)
{
    struct place p = place_at(i);
    const struct lock_peer *peer = s->peers[lock];
    struct point *point = &s->points[lock][i];
    struct lock_window open, timed;
    uint64_t ns = window_of(s, &p);
    if (p.write_percent > 0 && peer->pairs_write == NULL)
        return true;
    lock_run_set_section(p.section_ns);
    if (!lock_run_mixed(&open, peer, p.threads, p.write_percent, true, false, ns) ||
        !lock_run_mixed(&timed, peer, p.threads, p.write_percent, true, true, ns))
        return false;
    bench_add(&point->rate, open.rate);
    bench_add(&point->share, open.share);
    bench_add(&point->longest_ns, timed.longest_ns);
    return true;
}

static bool measure(struct sweep *s, const struct bench_options *o)
{
    struct cli_progress progress;
    bool good = true;
    cli_progress_begin(&progress, "locks", o->rounds * PLACES, o->quiet);
    progress.unit = "";
    for (size_t r = 0; r < o->rounds && good && !cli_stop; r++)
        for (size_t i = 0; i < PLACES && good && !cli_stop; i++) {
            for (size_t k = 0; k < s->n && good && !cli_stop; k++)
                good = measure_point(s, (k + r) % s->n, i);
            cli_progress_show(&progress, r * PLACES + i + 1, NULL);
        }
    cli_progress_end(&progress);
    return good;
}

static json_t *lock_json(const struct sweep *s, size_t lock, size_t i)
{
    const struct point *p = &s->points[lock][i];
    return json_pack("{s:s, s:f, s:f, s:f}", "name", s->peers[lock]->name, "per_second",
                     bench_median(&p->rate), "share", bench_median(&p->share), "longest_wait_ns",
                     bench_median(&p->longest_ns));
}

static json_t *place_json(const struct sweep *s, size_t i)
{
    struct place p = place_at(i);
    json_t *locks = json_array();
    for (size_t k = 0; k < s->n; k++)
        if (s->points[k][i].rate.n > 0)
            json_array_append_new(locks, lock_json(s, k, i));
    return json_pack("{s:s, s:f, s:i, s:i, s:o}", "over",
                     i / MIXES < LENGTHS ? "section" : "threads", "section_ns", p.section_ns,
                     "threads", (int)p.threads, "write_percent", (int)p.write_percent, "locks",
                     locks);
}

static void print(const struct sweep *s, const struct bench_options *o)
{
    json_t *points = json_array();
    for (size_t i = 0; i < PLACES; i++)
        json_array_append_new(points, place_json(s, i));
    json_t *out = json_pack("{s:s, s:o, s:i, s:o}", "bench", "locks-sweep", "machine",
                            bench_machine_json(), "rounds", (int)o->rounds, "points", points);
    json_dumpf(out, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(out);
}

int bench_locks_sweep(const struct lock_peer *const *peers, size_t n, const struct bench_options *o)
{
    struct sweep s = {.peers = peers, .n = n, .window_ns = o->window_ns / 10};
    s.points = calloc(n, sizeof *s.points);
    if (s.points == NULL)
        return cli_fail(CLI_CANNOT, "out of memory");
    if (!lock_run_begin(SHORT_NS)) {
        free(s.points);
        return CLI_CANNOT;
    }
    bool good = measure(&s, o);
    if (good && !cli_stop)
        print(&s, o);
    lock_run_end();
    free(s.points);
    return cli_stop ? CLI_STOPPED : good ? CLI_OK : CLI_PROBLEM;
}
