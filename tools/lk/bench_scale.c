/* bench_scale.c - lk bench scale: one cache, one to N processes, each on its own CPU.
 *
 * The processes are forked once and then told, window by window, from when to when to run; they
 * count what they did.  Windows with one process (each in turn), two, three ... alternate, so
 * all are disturbed alike. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"

#define BATCH 256u                /* operations between two looks at the clock */
#define LEAD_NS UINT64_C(3000000) /* from the order to the window: time to wake up */

/* An order to a runner, and its answer. */
struct order {
    uint64_t begin_ns, end_ns;
    uint64_t first;
};

struct answer {
    uint64_t operations, ns;
    bool right;
};

struct runner {
    int pid;
    int to, from;
};

static bool all_read(int fd, void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, (char *)buf + done, n - done);
        if (got == 0 || (got < 0 && (errno != EINTR || cli_stop)))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static struct answer run_window(struct bench_peer *peer, const struct bench_load *load, bool set,
                                const struct order *order)
{
    struct answer a = {.right = true};
    uint64_t sum = 0, first = order->first, begin, now;
    while ((begin = cli_now_ns()) < order->begin_ns)
        ; /* awake when it begins */
    do {
        size_t done =
            set ? peer->set(peer, load, first, BATCH) : peer->get(peer, load, first, BATCH, &sum);
        a.right = a.right && done == BATCH;
        first += BATCH;
        a.operations += BATCH;
        now = cli_now_ns();
    } while (now < order->end_ns);
    a.ns = now - begin;
    if (!set && sum != bench_expected(load, order->first, a.operations))
        a.right = false;
    return a;
}

static _Noreturn void runner_main(struct bench_peer *peer, const struct bench_load *load, bool set,
                                  int cpu, int from, int to)
{
    signal(SIGINT, SIG_IGN); /* the parent decides; our orders end when it closes the pipe */
    bench_pin(cpu);
    uint64_t sum = 0;
    (void)peer->get(peer, load, 0, BENCH_REQUESTS, &sum); /* map what will be asked for */
    struct order order;
    while (all_read(from, &order, sizeof order)) {
        struct answer a = run_window(peer, load, set, &order);
        if (write(to, &a, sizeof a) != sizeof a)
            break;
    }
    _exit(0);
}

static bool runner_start(struct runner *r, struct bench_peer *peer, const struct bench_load *load,
                         bool set, int cpu)
{
    int to[2], from[2];
    *r = (struct runner){.pid = -1, .to = -1, .from = -1};
    if (pipe(to) != 0)
        return false;
    if (pipe(from) != 0) {
        close(to[0]);
        close(to[1]);
        return false;
    }
    r->pid = cli_fork();
    if (r->pid == 0) {
        close(to[1]);
        close(from[0]);
        runner_main(peer, load, set, cpu, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    r->to = to[1];
    r->from = from[0];
    return r->pid > 0;
}

static void runner_end(struct runner *r)
{
    if (r->to >= 0)
        close(r->to);
    if (r->from >= 0)
        close(r->from);
    /* Others that were forked later still hold a copy of the pipe's end: no end of file. */
    if (r->pid > 0) {
        kill(r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
}

/* Let runners [low, high) run at once; the sum of their rates per second.  Negative on failure. */
static double window(struct runner *runners, unsigned low, unsigned high, uint64_t window_ns,
                     uint64_t first)
{
    struct order order = {.begin_ns = cli_now_ns() + LEAD_NS};
    order.end_ns = order.begin_ns + window_ns;
    for (unsigned i = low; i < high; i++) {
        order.first = first + i * UINT64_C(31337);
        if (write(runners[i].to, &order, sizeof order) != sizeof order)
            return -1;
    }
    double rate = 0;
    for (unsigned i = low; i < high; i++) {
        struct answer a;
        if (!all_read(runners[i].from, &a, sizeof a))
            return -1;
        if (!a.right) {
            cli_fail(CLI_PROBLEM, "process %u: wrong or missing values", i);
            return -1;
        }
        rate += (double)a.operations * 1e9 / (double)a.ns;
    }
    return rate;
}

/* Every process alone, then 2, 3 ... together.  False on failure. */
static bool one_round(struct bench_scaling *out, struct runner *runners, uint64_t window_ns,
                      uint64_t first)
{
    double alone = 0;
    for (unsigned i = 0; i < out->most; i++) {
        double rate = window(runners, i, i + 1, window_ns, first);
        if (rate < 0)
            return false;
        alone += rate / out->most;
    }
    bench_add(&out->alone, alone);
    for (unsigned k = 2; k <= out->most; k++) {
        double rate = window(runners, 0, k, window_ns, first);
        if (rate < 0)
            return false;
        bench_add(&out->together[k - 1], rate);
    }
    return true;
}

int bench_scaling_run(struct bench_scaling *out, struct bench_peer *peer,
                      const struct bench_load *load, bool set, unsigned most,
                      const struct bench_options *o)
{
    struct runner runners[BENCH_PROCESSES_MAX] = {0};
    struct cli_progress progress;
    bool done = true;
    unsigned started = 0;
    memset(out, 0, sizeof *out);
    out->most = most < BENCH_PROCESSES_MAX ? most : BENCH_PROCESSES_MAX;
    for (; done && started < out->most; started++)
        done = runner_start(&runners[started], peer, load, set, bench_cpu(started));
    if (!done)
        cli_fail(CLI_CANNOT, "cannot start processes: %s", strerror(errno));
    cli_progress_begin(&progress, set ? "sets side by side" : "hits side by side", o->rounds,
                       o->quiet);
    progress.unit = "";
    struct bench_scaling warm = {.most = out->most};
    done = done && one_round(&warm, runners, o->window_ns, 0);
    for (uint64_t round = 0; done && round < o->rounds && !cli_stop; round++) {
        done = one_round(out, runners, o->window_ns, round * 77777);
        cli_progress_show(&progress, round + 1, NULL);
    }
    cli_progress_end(&progress);
    for (unsigned i = 0; i < started; i++)
        runner_end(&runners[i]);
    return cli_stop ? CLI_STOPPED : done ? CLI_OK : CLI_PROBLEM;
}

/* ---- lk bench scale ------------------------------------------------------------------------ */

static const size_t sizes[] = {16, 100, 1024, 4096, 16384};

#define SIZES (sizeof sizes / sizeof sizes[0])

struct row {
    struct bench_scaling hits, sets;
    double plain_ns; /* a get of the plain table, for comparison */
};

static double plain_get_ns(const struct bench_load *load, const struct bench_options *o)
{
    struct bench_peer plain = bench_peer_plain;
    struct bench_series ns = {0};
    if (plain.open(&plain, load) != 0)
        return 0;
    bench_pin(bench_cpu(0));
    for (uint64_t round = 0; round < o->rounds + 1 && !cli_stop; round++) {
        uint64_t sum = 0, begin = cli_now_ns();
        size_t n = 50000;
        (void)plain.get(&plain, load, round * 77777, n, &sum);
        if (round > 0)
            bench_add(&ns, (double)(cli_now_ns() - begin) / (double)n);
    }
    bench_unpin();
    plain.close(&plain);
    return bench_median(&ns);
}

static int measure_size(struct row *row, size_t value_size, unsigned most,
                        const struct bench_options *o)
{
    struct bench_load load;
    /* At most 256 MiB of values: the larger the values, the fewer entries. */
    size_t entries = o->entries, fit = (256u << 20) / value_size;
    if (!bench_load_init(&load, entries < fit ? entries : fit, value_size, o->skew))
        return CLI_CANNOT;
    int code = CLI_CANNOT;
    struct bench_peer peer = bench_peer_latchkey;
    row->plain_ns = plain_get_ns(&load, o);
    if (peer.open(&peer, &load) == 0) {
        code = bench_scaling_run(&row->hits, &peer, &load, false, most, o);
        if (code == CLI_OK)
            code = bench_scaling_run(&row->sets, &peer, &load, true, most, o);
        peer.close(&peer);
    }
    bench_load_destroy(&load);
    return code;
}

static json_t *rates_json(const struct bench_scaling *s)
{
    json_t *list = json_array();
    json_array_append_new(list, json_real(bench_median(&s->alone)));
    for (unsigned k = 2; k <= s->most; k++)
        json_array_append_new(list, json_real(bench_median(&s->together[k - 1])));
    return list;
}

static void print_row(size_t value_size, const struct row *row)
{
    const struct bench_scaling *both[] = {&row->hits, &row->sets};
    char size[32];
    for (unsigned i = 0; i < 2; i++) {
        printf("%10s  %s", i == 0 ? cli_size(size, value_size) : "", i == 0 ? "get" : "set");
        printf("  %9.3f", bench_median(&both[i]->alone) / 1e6);
        for (unsigned k = 2; k <= both[i]->most; k++)
            printf("  %9.3f (%.2fx)", bench_median(&both[i]->together[k - 1]) / 1e6,
                   bench_median(&both[i]->together[k - 1]) / bench_median(&both[i]->alone));
        if (i == 0)
            printf("   plain table %.3f", 1e3 / row->plain_ns);
        printf("\n");
    }
    fflush(stdout);
}

int bench_scale(const struct bench_options *o)
{
    unsigned most = o->processes > 0 ? (unsigned)o->processes : bench_cpus();
    if (most > bench_cpus() || most > BENCH_PROCESSES_MAX)
        return cli_fail(CLI_USAGE, "%u processes: each needs its own CPU, at most %u here", most,
                        bench_cpus() < BENCH_PROCESSES_MAX ? bench_cpus() : BENCH_PROCESSES_MAX);
    struct row *rows = calloc(SIZES, sizeof *rows);
    if (rows == NULL)
        return cli_fail(CLI_CANNOT, "no memory");
    if (!o->json) {
        bench_machine_print();
        printf("million operations per second, one process, then two ... together\n");
    }
    int code = CLI_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < SIZES && code == CLI_OK; i++) {
        code = measure_size(&rows[i], sizes[i], most, o);
        if (code != CLI_OK)
            break;
        if (!o->json)
            print_row(sizes[i], &rows[i]);
        json_array_append_new(
            list, json_pack("{s:I, s:o, s:o, s:f}", "value_bytes", (json_int_t)sizes[i],
                            "gets_per_second", rates_json(&rows[i].hits), "sets_per_second",
                            rates_json(&rows[i].sets), "plain_get_ns", rows[i].plain_ns));
    }
    if (o->json && code == CLI_OK)
        cli_json_print(json_pack("{s:s, s:o, s:O}", "bench", "scale", "machine",
                                 bench_machine_json(), "rows", list));
    json_decref(list);
    free(rows);
    return code;
}
