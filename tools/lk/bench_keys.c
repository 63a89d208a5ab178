/* bench_keys.c - lk bench keys: sets of locks beside std::scoped_lock and sorted pthread mutexes,
 * the cost of the key and of the order graph, and the dining philosophers; all in one run, in
 * turn. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_keys_ours.h"
#include "cli.h"

enum { SIZES = 5, PEERS = 6, PARTS = 4, TABLES = 2 };
static const unsigned sizes[SIZES] = {1, 2, 4, 8, KEYS_MOST};
static const unsigned tables[TABLES] = {5, 50};
static const char *const part_names[PARTS] = {"nothing", "key take + give", "order graph off",
                                              "order graph on"};
static keys_fn *const parts[PARTS] = {keys_nothing, keys_take_and_give, keys_order_off,
                                      keys_order_on};

struct keys {
    const struct keys_peer *peer[PEERS];
    size_t n;
    uint64_t window_ns;
    struct bench_series set_ns[PEERS][SIZES][2]; /* [1]: two threads */
    struct bench_series meals[PEERS][TABLES];    /* a second */
    struct bench_series worst[PEERS][TABLES];    /* share of the mean */
    struct bench_series part_ns[PARTS];
};

static void add_peers(struct keys *k, const struct keys_peer *peers)
{
    for (; peers != NULL && peers->name != NULL && k->n < PEERS; peers++)
        k->peer[k->n++] = peers;
}

/* ---- one window ---------------------------------------------------------------------------- */

struct job {
    keys_fn *fn;
    struct keys_thread *thread;
    int cpu;
    pthread_barrier_t *start;
    uint64_t begun_ns, ended_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *work(void *arg)
{
    struct job *j = arg;
    bench_pin(j->cpu);
    (void)pthread_barrier_wait(j->start);
    j->begun_ns = now_ns();
    j->fn(j->thread);
    j->ended_ns = now_ns();
    return NULL;
}

/* Run fn in n threads for a window.  Returns its length, from the first one's beginning to the last
 * one's end: by their own clocks, as who waits for them may be late. */
static double run(keys_fn *fn, struct keys_thread *threads, unsigned n, bool pinned,
                  uint64_t window_ns)
{
    static uint32_t stop;
    pthread_t id[KEYS_SEATS];
    struct job job[KEYS_SEATS];
    pthread_barrier_t start;
    struct timespec nap = {.tv_sec = (time_t)(window_ns / 1000000000u),
                           .tv_nsec = (long)(window_ns % 1000000000u)};
    uint64_t begun_ns = UINT64_MAX, ended_ns = 0;
    __atomic_store_n(&stop, 0, __ATOMIC_SEQ_CST);
    (void)pthread_barrier_init(&start, NULL, n + 1);
    for (unsigned i = 0; i < n; i++) {
        threads[i].stop = &stop;
        job[i] =
            (struct job){fn, &threads[i], pinned ? bench_cpu(i % bench_cpus()) : -1, &start, 0, 0};
        (void)pthread_create(&id[i], NULL, work, &job[i]);
    }
    (void)pthread_barrier_wait(&start);
    (void)nanosleep(&nap, NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_join(id[i], NULL);
        begun_ns = job[i].begun_ns < begun_ns ? job[i].begun_ns : begun_ns;
        ended_ns = job[i].ended_ns > ended_ns ? job[i].ended_ns : ended_ns;
    }
    (void)pthread_barrier_destroy(&start);
    return (double)(ended_ns - begun_ns);
}

/* Nanoseconds of each of `n` threads for one. */
static double each_ns(keys_fn *fn, unsigned k, unsigned n, uint64_t window_ns)
{
    struct keys_thread threads[2];
    memset(threads, 0, sizeof threads);
    threads[0].k = threads[1].k = k;
    double ns = run(fn, threads, n, true, window_ns);
    return ns / fmax(1, (double)(threads[0].done + threads[1].done));
}

static void dine(struct keys *k, size_t p, size_t t)
{
    static struct keys_thread threads[KEYS_SEATS];
    memset(threads, 0, sizeof threads);
    for (unsigned i = 0; i < tables[t]; i++) {
        threads[i].seat = i;
        threads[i].seats = tables[t];
    }
    /* Long enough for the scheduler to go round the table many times: a philosopher's share of the
     * processor in a window of a few of its turns says nothing about locks. */
    uint64_t window_ns = (tables[t] > 10 ? 400 : 20) * k->window_ns, sum = 0, least = UINT64_MAX;
    double ns = run(k->peer[p]->dines, threads, tables[t], false, window_ns);
    for (unsigned i = 0; i < tables[t]; i++) {
        sum += threads[i].done;
        least = threads[i].done < least ? threads[i].done : least;
    }
    bench_add(&k->meals[p][t], (double)sum / ns * 1e9);
    bench_add(&k->worst[p][t], (double)least * tables[t] / fmax(1, (double)sum));
}

static int measure(struct keys *k, const struct bench_options *o)
{
    for (uint64_t round = 0; round < o->rounds; round++) {
        for (size_t s = 0; s < SIZES; s++)
            for (unsigned n = 1; n <= 2; n++)
                for (size_t p = 0; p < k->n; p++)
                    if (k->peer[p]->sets != NULL)
                        bench_add(&k->set_ns[p][s][n - 1],
                                  each_ns(k->peer[p]->sets, sizes[s], n, k->window_ns));
        for (size_t i = 0; i < PARTS; i++)
            bench_add(&k->part_ns[i], each_ns(parts[i], 0, 1, k->window_ns));
        for (size_t t = 0; t < TABLES && round % 6 == 0; t++)
            for (size_t p = 0; p < k->n; p++)
                if (k->peer[p]->dines != NULL)
                    dine(k, p, t);
        if (cli_stop)
            return CLI_STOPPED;
    }
    return CLI_OK;
}

/* ---- judging and printing ------------------------------------------------------------------ */

static long place(const struct keys *k, const char *name)
{
    for (size_t p = 0; p < k->n; p++)
        if (strcmp(k->peer[p]->name, name) == 0)
            return (long)p;
    return -1;
}

/* What lock and unlock took.  One thread on a CPU of its own is only ever slowed down by what is
 * not measured (other programs, interrupts, the clock), so its least disturbed windows say what it
 * costs; two threads do disturb each other, and the middle is meant. */
static double set_ns(const struct keys *k, size_t p, size_t s, unsigned n)
{
    return bench_quantile(&k->set_ns[p][s][n], n == 0 ? 0.1 : 0.5);
}

static double part_ns(const struct keys *k, size_t part)
{
    return bench_quantile(&k->part_ns[part], 0.1);
}

static double ratio(const struct keys *k, const char *ours, const char *theirs, size_t s,
                    unsigned n)
{
    long a = place(k, ours), b = place(k, theirs);
    return a < 0 || b < 0 ? NAN : set_ns(k, (size_t)a, s, n) / set_ns(k, (size_t)b, s, n);
}

/* The worst ratio over the sizes. */
static double worst_ratio(const struct keys *k, const char *ours, const char *theirs, unsigned n)
{
    double worst = 0;
    for (size_t s = 0; s < SIZES; s++)
        worst = fmax(worst, ratio(k, ours, theirs, s, n));
    return worst;
}

/* What the sets must keep to, each K, with one thread and with two. */
static const struct wanted {
    const char *ours, *theirs;
    double most;
} wanted[] = {
    {"ad hoc set", "std::scoped_lock", 1},
    {"ad hoc set", "sorted pthread", 0.8},
    {"built set", "std::scoped_lock", 0.75},
};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* One of them, one thread, one K.  The floor is what the locked instructions alone take, as a part
 * of the other's time.  Where the limit is less than that, or so near that hardly any bookkeeping
 * has room between, nothing can keep to it, and ours has to be near the floor instead. */
#define NEAR_FLOOR 1.15
struct verdict {
    double measured, floor, most; /* most: what is demanded */
    const char *word;
};

static struct verdict verdict_of(const struct keys *k, const struct wanted *w, size_t s)
{
    struct verdict v = {ratio(k, w->ours, w->theirs, s, 0),
                        ratio(k, "bare atomics", w->theirs, s, 0), 0, "holds"};
    v.most = fmax(w->most, NEAR_FLOOR * v.floor);
    if (!(v.measured <= v.most))
        v.word = "DOES NOT HOLD";
    else if (v.measured > w->most)
        v.word = w->most < v.floor ? "limit below the floor of two locked instructions"
                                   : "limit at the floor of two locked instructions";
    return v;
}

/* The K that is nearest to what is demanded of it, or beyond: 1 is just kept. */
static double worst_verdict(const struct keys *k, const struct wanted *w)
{
    double worst = 0;
    for (size_t s = 0; s < SIZES; s++) {
        struct verdict v = verdict_of(k, w, s);
        worst = fmax(worst, v.measured / v.most);
    }
    return worst;
}

static void judge(const struct keys *k, struct bench_limits *l)
{
    char text[96];
    for (const struct wanted *w = wanted; w < wanted + WANTED; w++) {
        if (place(k, w->theirs) < 0)
            continue;
        snprintf(text, sizeof text, "one thread: %s / %s, of what is demanded", w->ours, w->theirs);
        bench_limit_at_most(l, text, 1, "x", worst_verdict(k, w));
        snprintf(text, sizeof text, "two threads: %s / %s, worst K", w->ours, w->theirs);
        bench_limit_at_most(l, text, w->most, "x", worst_ratio(k, w->ours, w->theirs, 1));
    }
    bench_limit_at_most(l, "key take + give, more than nothing", 2, "ns",
                        part_ns(k, 1) - part_ns(k, 0));
    bench_limit_at_most(l, "order graph on, more than off, a lock", 1.5, "ns",
                        part_ns(k, 3) - part_ns(k, 2));
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t p = 0; p < k->n; p++) {
            if (k->peer[p]->dines == NULL || p == 0)
                continue;
            snprintf(text, sizeof text, "%u philosophers: ours / %s", tables[t], k->peer[p]->name);
            bench_limit_at_least(l, text, 1, "x",
                                 bench_median(&k->meals[0][t]) / bench_median(&k->meals[p][t]));
        }
        snprintf(text, sizeof text, "%u philosophers: the worst one's share of the mean",
                 tables[t]);
        bench_limit_at_least(l, text, 0.5, "x", bench_median(&k->worst[0][t]));
    }
}

/* For each limit and K: what can be kept to is; what cannot is as near as can be. */
static void print_verdicts(const struct keys *k)
{
    printf("\none thread, by K: limit, floor (bare atomics) and ours as parts of the other's time; "
           "where the\nlimit is below the floor or at it, ours must be within %.2f of the floor\n",
           NEAR_FLOOR);
    for (const struct wanted *w = wanted; w < wanted + WANTED; w++)
        for (size_t s = 0; s < SIZES && place(k, w->theirs) >= 0; s++) {
            struct verdict v = verdict_of(k, w, s);
            printf("%-11s/ %-17s K = %-3u limit %.2f floor %.3f ours %.3f (%.3f floors): %s\n",
                   w->ours, w->theirs, sizes[s], w->most, v.floor, v.measured, v.measured / v.floor,
                   v.word);
        }
}

static json_t *verdicts_json(const struct keys *k)
{
    json_t *list = json_array();
    for (const struct wanted *w = wanted; w < wanted + WANTED; w++)
        for (size_t s = 0; s < SIZES && place(k, w->theirs) >= 0; s++) {
            struct verdict v = verdict_of(k, w, s);
            json_array_append_new(list,
                                  json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:s}", "ours",
                                            w->ours, "theirs", w->theirs, "k", (int)sizes[s],
                                            "limit", w->most, "floor", v.floor, "measured",
                                            v.measured, "demanded", v.most, "verdict", v.word));
        }
    return list;
}

static void print(const struct keys *k)
{
    printf("\nlock and unlock a set of K, ns: one thread (first decile) / two threads on the same "
           "locks "
           "(median)\n%-18s",
           "");
    for (size_t s = 0; s < SIZES; s++)
        printf("       K = %-8u", sizes[s]);
    printf("\n");
    for (size_t p = 0; p < k->n; p++) {
        if (k->peer[p]->sets == NULL)
            continue;
        printf("%-18s", k->peer[p]->name);
        for (size_t s = 0; s < SIZES; s++)
            printf(" %8.1f/%8.1f", set_ns(k, p, s, 0), set_ns(k, p, s, 1));
        printf("\n");
    }
    print_verdicts(k);
    printf("\n");
    for (size_t i = 0; i < PARTS; i++)
        printf("%-18s %8.2f ns\n", part_names[i], part_ns(k, i));
    for (size_t t = 0; t < TABLES; t++) {
        printf("\n%u philosophers      million meals a second, the worst one's share\n", tables[t]);
        for (size_t p = 0; p < k->n; p++)
            if (k->peer[p]->dines != NULL)
                printf("%-18s %8.2f %8.2f\n", k->peer[p]->name, bench_median(&k->meals[p][t]) / 1e6,
                       bench_median(&k->worst[p][t]));
    }
    if (place(k, "std::scoped_lock") < 0)
        printf("\nnot measured: std::scoped_lock (install g++, and configure again)\n");
}

static void print_json(const struct keys *k, const struct bench_limits *limits)
{
    json_t *peers = json_array();
    for (size_t p = 0; p < k->n; p++) {
        json_t *sets = json_array(), *dinners = json_array();
        for (size_t s = 0; s < SIZES && k->peer[p]->sets != NULL; s++)
            json_array_append_new(sets, json_pack("{s:i, s:f, s:f}", "k", (int)sizes[s],
                                                  "one_thread_ns", set_ns(k, p, s, 0),
                                                  "two_threads_ns", set_ns(k, p, s, 1)));
        for (size_t t = 0; t < TABLES && k->peer[p]->dines != NULL; t++)
            json_array_append_new(dinners,
                                  json_pack("{s:i, s:f, s:f}", "seats", (int)tables[t],
                                            "meals_per_second", bench_median(&k->meals[p][t]),
                                            "worst_share", bench_median(&k->worst[p][t])));
        json_array_append_new(peers, json_pack("{s:s, s:o, s:o}", "name", k->peer[p]->name, "sets",
                                               sets, "philosophers", dinners));
    }
    json_t *costs = json_object();
    for (size_t i = 0; i < PARTS; i++)
        json_object_set_new(costs, part_names[i], json_real(part_ns(k, i)));
    json_t *out = json_pack("{s:o, s:o, s:o, s:o, s:o}", "machine", bench_machine_json(), "peers",
                            peers, "one_thread", verdicts_json(k), "cost_ns", costs, "limits",
                            bench_limits_json(limits));
    (void)json_dumpf(out, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(out);
}

int bench_keys(const struct bench_options *o)
{
    struct keys *k = calloc(1, sizeof *k);
    struct bench_limits limits = {0};
    if (k == NULL)
        return cli_fail(CLI_CANNOT, "out of memory");
    k->window_ns = o->window_ns / 10;
    add_peers(k, keys_peers_ours);
    add_peers(k, bench_beside("lk-bench-std.so", "keys_peers_std"));
    if (!o->json)
        bench_machine_print();
    int code = measure(k, o);
    if (code == CLI_OK) {
        judge(k, &limits);
        if (o->json) {
            print_json(k, &limits);
        } else {
            print(k);
            bench_limits_print(&limits);
        }
        code = bench_limits_code(&limits, o->check);
    }
    free(k);
    return code;
}
