/* bench_locks.c - lk bench locks: every lock of the library beside those of others, in one run.
 *
 * Each round measures every lock for one short window, in an order that moves on by one; figures
 * are medians, ratios are of medians. */
#include "bench_locks.h"

#include <libgen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_locks_run.h"
#include "bench_locks_sweep.h"
#include "bench_robust.h"
#include "cli.h"

enum { PEERS_MAX = 24, MIXES = 3, KINDS = 4, WRITER_TIMES = 20 };
/* A timed window is short enough that most see no timer tick: where interrupts are dear (25 us on a
 * virtual machine), a tick in the holder would be the longest wait of any lock. */
enum { SECTION_NS = 50, TIMED_NS = 100000 };

static const unsigned write_percents[MIXES] = {0, 10, 50};

/* What was measured of one lock. */
struct figures {
    const struct lock_peer *peer;
    struct bench_series read_ns, write_ns;
    struct {
        struct bench_series rate, share, wait_ns, longest;
    } mix[MIXES];
};

struct locks {
    struct figures all[PEERS_MAX];
    size_t n;
    struct bench_series copy_ns, seqlock_ns;
    struct bench_series one_reader, two_readers; /* of lk_brlock, nothing in the sections */
    struct bench_robust robust;
    unsigned threads;
    uint64_t window_ns;
};

static void add_peers(struct locks *l, const struct lock_peer *list)
{
    for (; list != NULL && list->name != NULL && l->n < PEERS_MAX; list++)
        l->all[l->n++].peer = list;
}

static const struct figures *find(const struct locks *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->all[i].peer->name, name) == 0)
            return &l->all[i];
    return NULL;
}

/* ---- measuring ----------------------------------------------------------------------------- */

static double copies_ns(void (*copies)(void *guarded, size_t n), uint64_t window_ns)
{
    static uint64_t guarded[2];
    uint64_t begun_ns = lock_now_ns(), now_ns, n = 0;
    do {
        copies(guarded, 100000);
        n += 100000;
        now_ns = lock_now_ns();
    } while (now_ns - begun_ns < window_ns);
    return (double)(now_ns - begun_ns) / (double)n;
}

static void alone_round(struct locks *l, size_t round)
{
    bench_pin(bench_cpu(0));
    for (size_t i = 0; i < l->n && !cli_stop; i++) {
        struct figures *f = &l->all[(i + round) % l->n];
        bench_add(&f->read_ns, lock_run_pair(f->peer, false, l->window_ns / 2));
        if (f->peer->pairs_write != NULL)
            bench_add(&f->write_ns, lock_run_pair(f->peer, true, l->window_ns / 2));
    }
    bench_add(&l->copy_ns, copies_ns(lock_copy_plain, l->window_ns / 2));
    bench_add(&l->seqlock_ns, copies_ns(lock_copy_seqlock, l->window_ns / 2));
    bench_unpin();
}

static bool readers_round(struct locks *l)
{
    const struct figures *brlock = find(l, "lk_brlock");
    const struct lock_peer *p = brlock != NULL ? brlock->peer : NULL;
    struct lock_window one, two;
    if (p == NULL || !lock_run_mixed(&one, p, 1, 0, false, false, l->window_ns) ||
        !lock_run_mixed(&two, p, 2, 0, false, false, l->window_ns))
        return false;
    bench_add(&l->one_reader, one.rate);
    bench_add(&l->two_readers, two.rate);
    return true;
}

static bool mixed_round(struct locks *l, size_t mix, size_t round)
{
    for (size_t i = 0; i < l->n && !cli_stop; i++) {
        struct figures *f = &l->all[(i + round) % l->n];
        struct lock_window open, timed;
        unsigned percent = write_percents[mix];
        if (percent > 0 && f->peer->pairs_write == NULL)
            continue;
        if (!lock_run_mixed(&open, f->peer, l->threads, percent, true, false, l->window_ns) ||
            !lock_run_mixed(&timed, f->peer, l->threads, percent, true, true, TIMED_NS))
            return false;
        bench_add(&f->mix[mix].rate, open.rate / 1e6);
        bench_add(&f->mix[mix].share, open.share);
        bench_add(&f->mix[mix].wait_ns, timed.wait_ns);
        bench_add(&f->mix[mix].longest, timed.longest);
    }
    return true;
}

static int measure(struct locks *l, const struct bench_options *o)
{
    struct cli_progress progress;
    cli_progress_begin(&progress, "locks", o->rounds, o->quiet);
    progress.unit = "";
    bool good = true;
    for (size_t r = 0; r < o->rounds && good && !cli_stop; r++) {
        alone_round(l, r);
        good = (bench_cpus() < 2 || readers_round(l)) &&
               bench_robust_round(&l->robust, l->window_ns / 2);
        for (size_t mix = 0; mix < MIXES && good; mix++)
            good = mixed_round(l, mix, r);
        cli_progress_show(&progress, r + 1, NULL);
    }
    cli_progress_end(&progress);
    return cli_stop ? CLI_STOPPED : good ? CLI_OK : CLI_PROBLEM;
}

/* ---- judging ------------------------------------------------------------------------------- */

static const char *const kinds[KINDS] = {"lk prefer-reader", "lk prefer-writer",
                                         "lk prefer-writer-nr", "lk phase-fair"};

static double rate_of(const struct locks *l, const char *name, size_t mix)
{
    const struct figures *f = find(l, name);
    return f != NULL ? bench_median(&f->mix[mix].rate) : NAN;
}

static double worst_share(const struct locks *l, size_t mix)
{
    double worst = 0;
    for (int k = 0; k < KINDS; k++)
        worst = fmax(worst, bench_median(&find(l, kinds[k])->mix[mix].share));
    return worst;
}

static void judge_mix(const struct locks *l, size_t mix, struct bench_limits *limits)
{
    char text[96];
    const char *name = mix == 1 ? "90/10" : "50/50";
    double ours = rate_of(l, kinds[0], mix), glibc = rate_of(l, "glibc default", mix);
    snprintf(text, sizeof text, "two threads, %s: lk_rwlock by glibc's default rwlock", name);
    bench_limit_at_least(limits, text, 4, "x", ours / glibc);
    double best = fmax(rate_of(l, "tbb::rw_mutex", mix), rate_of(l, "ck_pflock", mix));
    snprintf(text, sizeof text, "two threads, %s: lk_rwlock by the better of tbb and ck", name);
    bench_limit_at_least(limits, text, 0.95, "x", ours / best);
    snprintf(text, sizeof text, "two threads, %s: share of one thread by the other's, any kind",
             name);
    bench_limit_at_most(limits, text, 1.3, "x", worst_share(l, mix));
}

static void judge(const struct locks *l, struct bench_limits *limits)
{
    const struct figures *rwlock = find(l, kinds[0]), *glibc = find(l, "glibc default");
    bench_limit_at_most(limits, "uncontended: lk_mutex by glibc's mutex", 0.95, "x",
                        bench_median(&find(l, "lk_mutex")->write_ns) /
                            bench_median(&find(l, "glibc mutex")->write_ns));
    bench_limit_at_most(limits, "uncontended: reading, lk_rwlock by glibc's default", 0.9, "x",
                        bench_median(&rwlock->read_ns) / bench_median(&glibc->read_ns));
    bench_limit_at_most(limits, "uncontended: writing, lk_rwlock by glibc's default", 0.75, "x",
                        bench_median(&rwlock->write_ns) / bench_median(&glibc->write_ns));
    bench_limit_at_most(limits, "16 bytes: read through lk_seqlock by a plain copy", 3, "x",
                        bench_median(&l->seqlock_ns) / bench_median(&l->copy_ns));
    bench_limit_at_least(limits, "lk_brlock: two readers on two CPUs by one", 1.8, "x",
                         bench_median(&l->two_readers) / bench_median(&l->one_reader));
    bench_robust_judge(&l->robust, limits);
    if (l->threads != 2)
        return;
    judge_mix(l, 1, limits);
    judge_mix(l, 2, limits);
    for (int k = 1; k < 3; k++) {
        char text[96];
        snprintf(text, sizeof text, "two threads, 90/10: %s by glibc's PREFER_WRITER", kinds[k]);
        bench_limit_at_least(limits, text, WRITER_TIMES, "x",
                             rate_of(l, kinds[k], 1) / rate_of(l, "glibc PREFER_WRITER", 1));
    }
    double longest = 0;
    for (int k = 0; k < KINDS; k++)
        longest = fmax(longest, bench_median(&find(l, kinds[k])->mix[1].longest));
    bench_limit_at_most(limits, "two threads, 90/10: longest wait by the mean, any kind", 50, "x",
                        longest);
}

/* The writer-preferring kinds are asked for a multiple of glibc's: more than two threads can do? */
static void print_ceiling(const struct locks *l)
{
    const struct figures *glibc = find(l, "glibc PREFER_WRITER");
    double asked = glibc != NULL ? WRITER_TIMES * bench_median(&glibc->mix[1].rate) : 0;
    double most = 1e3 * l->threads / lock_run_section_ns();
    if (l->threads == 2 && asked > most)
        printf(
            "\n%d times glibc PREFER_WRITER's %.2f million is %.1f million sections a second: "
            "two threads in sections of %.0f ns\ndo %.1f at most, each alone and without a lock\n",
            WRITER_TIMES, asked / WRITER_TIMES, asked, lock_run_section_ns(), most);
}

/* ---- printing ------------------------------------------------------------------------------ */

/* Peers that this lk was built without. */
static void print_missing(const struct locks *l)
{
    static const struct {
        const char *name, *package;
    } others[] = {{"tbb::rw_mutex", "libtbb-dev"},   {"ck_pflock", "libck-dev"},
                  {"absl::Mutex", "libabsl-dev"},    {"nsync_mu", "libnsync-dev"},
                  {"urcu read side", "liburcu-dev"}, {"std::shared_mutex", "g++"}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (find(l, others[i].name) == NULL)
            printf("not measured: %s (install %s and g++, and configure again)\n", others[i].name,
                   others[i].package);
}

static void print(const struct locks *l)
{
    printf("\none thread, lock and unlock, ns%24s%u threads, sections of %.0f ns: million a second "
           "(share,"
           " longest wait / mean)\n%-20s %8s %8s",
           "", l->threads, lock_run_section_ns(), "", "read", "write");
    for (size_t m = 0; m < MIXES; m++)
        printf("   %13u/%-11u", 100 - write_percents[m], write_percents[m]);
    printf("\n");
    for (size_t i = 0; i < l->n; i++) {
        const struct figures *f = &l->all[i];
        printf("%-20s %8.2f %8.2f", f->peer->name, bench_median(&f->read_ns),
               bench_median(&f->write_ns));
        for (size_t m = 0; m < MIXES; m++)
            printf("   %7.2f (%5.2f, %6.0f)", bench_median(&f->mix[m].rate),
                   bench_median(&f->mix[m].share), bench_median(&f->mix[m].longest));
        printf("\n");
    }
    printf("\n16 bytes: plain copy %.2f ns, through lk_seqlock %.2f ns\n",
           bench_median(&l->copy_ns), bench_median(&l->seqlock_ns));
    printf("lk_brlock, nothing in the sections: one reader %.1f, two %.1f million a second\n",
           bench_median(&l->one_reader) / 1e6, bench_median(&l->two_readers) / 1e6);
    bench_robust_print(&l->robust);
    print_missing(l);
}

static json_t *median_json(const struct bench_series *s, double scale)
{
    return bench_number_json(s->n > 0 ? bench_median(s) * scale : NAN);
}

static json_t *peer_json(const struct figures *f)
{
    json_t *mixes = json_array();
    for (size_t m = 0; m < MIXES; m++)
        json_array_append_new(
            mixes, json_pack("{s:i, s:o, s:o, s:o, s:o}", "write_percent", (int)write_percents[m],
                             "per_second", median_json(&f->mix[m].rate, 1e6), "share",
                             median_json(&f->mix[m].share, 1), "mean_wait_ns",
                             median_json(&f->mix[m].wait_ns, 1), "longest_by_mean",
                             median_json(&f->mix[m].longest, 1)));
    return json_pack("{s:s, s:o, s:o, s:o}", "name", f->peer->name, "read_ns",
                     median_json(&f->read_ns, 1), "write_ns", median_json(&f->write_ns, 1), "mixed",
                     mixes);
}

static void print_json(const struct locks *l, const struct bench_limits *limits)
{
    json_t *peers = json_array();
    for (size_t i = 0; i < l->n; i++)
        json_array_append_new(peers, peer_json(&l->all[i]));
    json_t *out = json_pack(
        "{s:o, s:i, s:f, s:o, s:f, s:f, s:f, s:f, s:o, s:o}", "machine", bench_machine_json(),
        "threads", (int)l->threads, "section_ns", lock_run_section_ns(), "locks", peers, "copy_ns",
        bench_median(&l->copy_ns), "seqlock_ns", bench_median(&l->seqlock_ns), "one_reader",
        bench_median(&l->one_reader), "two_readers", bench_median(&l->two_readers), "lk_rrwlock",
        bench_robust_json(&l->robust), "limits", bench_limits_json(limits));
    json_dumpf(out, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(out);
}

/* The figures of the page (bench/locks) in place of those of the limits. */
static int sweep_and_free(struct locks *l, const struct bench_options *o)
{
    const struct lock_peer *peers[PEERS_MAX];
    for (size_t i = 0; i < l->n; i++)
        peers[i] = l->all[i].peer;
    int code = bench_locks_sweep(peers, l->n, o);
    free(l);
    return code;
}

int bench_locks(const struct bench_options *o)
{
    struct locks *l = calloc(1, sizeof *l);
    if (l == NULL)
        return cli_fail(CLI_CANNOT, "out of memory");
    l->threads = o->threads > 0 ? (unsigned)o->threads : 2;
    l->window_ns = o->window_ns / 10;
    add_peers(l, lock_peers_ours);
    add_peers(l, lock_peers_glibc);
    add_peers(l, lock_peers_ck);
    add_peers(l, bench_beside("lk-bench-tbb.so", "lock_peers_tbb"));
    add_peers(l, bench_beside("lk-bench-locks.so", "lock_peers_std"));
    if (o->sweep)
        return sweep_and_free(l, o);
    int code = CLI_CANNOT;
    if (lock_run_begin(SECTION_NS) && bench_robust_begin()) {
        struct bench_limits limits = {0};
        if (!o->json)
            bench_machine_print();
        code = measure(l, o);
        if (code == CLI_OK) {
            judge(l, &limits);
            if (o->json) {
                print_json(l, &limits);
            } else {
                print(l);
                bench_limits_print(&limits);
                print_ceiling(l);
            }
            code = bench_limits_code(&limits, o->check);
        }
        bench_robust_end();
        lock_run_end();
    }
    free(l);
    return code;
}
