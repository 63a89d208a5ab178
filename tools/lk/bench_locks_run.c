/* bench_locks_run.c - windows over one lock. */
#include "bench_locks_run.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

enum { LOCK_BYTES = 4096, SECTIONS_NS = 50000 };

static struct {
    void *lock;
    unsigned work;
    double round_ns, work_ns, clock_ns;
    pthread_t idle;
    pthread_mutex_t end; /* held by the main thread while the idle one lives */
} run = {.end = PTHREAD_MUTEX_INITIALIZER};

static void *wait_for_end(void *arg)
{
    (void)pthread_mutex_lock(&run.end);
    (void)pthread_mutex_unlock(&run.end);
    return arg;
}

/* The least of several measurements: what nothing has disturbed. */
static double least_ns(void (*fn)(void), unsigned calls)
{
    double least = 1e9;
    for (int i = 0; i < 50; i++) {
        uint64_t begun_ns = lock_now_ns();
        for (unsigned k = 0; k < calls; k++)
            fn();
        double ns = (double)(lock_now_ns() - begun_ns) / calls;
        least = ns < least ? ns : least;
    }
    return least;
}

static void hundred_rounds(void)
{
    lock_work(100);
}

double lock_run_round_ns(void)
{
    return least_ns(hundred_rounds, 500) / 100;
}

static void read_clock(void)
{
    (void)lock_now_ns();
}

bool lock_run_begin(double section_ns)
{
    run.lock = aligned_alloc(LOCK_BYTES, LOCK_BYTES);
    if (run.lock == NULL) {
        cli_fail(CLI_CANNOT, "out of memory");
        return false;
    }
    (void)pthread_mutex_lock(&run.end);
    if (pthread_create(&run.idle, NULL, wait_for_end, NULL) != 0) {
        (void)pthread_mutex_unlock(&run.end);
        free(run.lock);
        cli_fail(CLI_CANNOT, "cannot start a thread");
        return false;
    }
    run.round_ns = lock_run_round_ns();
    run.clock_ns = least_ns(read_clock, 500);
    lock_run_set_section(section_ns);
    return true;
}

static void one_section(void)
{
    lock_work_inside(run.work);
}

/* What a section of so many rounds lasts. */
static double rounds_ns(unsigned rounds)
{
    run.work = rounds;
    return least_ns(one_section, 1 + (unsigned)(SECTIONS_NS / (rounds * run.round_ns)));
}

void lock_run_set_section(double section_ns)
{
    run.work = 0;
    run.work_ns = 0;
    if (section_ns <= 0)
        return;
    double rounds = section_ns / run.round_ns, best_ns = INFINITY;
    double near_ns = fmax(run.round_ns / 2, section_ns / 200);
    unsigned best = 1;
    for (int i = 0; i < 6 && fabs(best_ns - section_ns) > near_ns; i++) {
        /* The beginning and the end cost something, too. */
        double ns = rounds_ns((unsigned)(fmax(rounds, 1) + 0.5));
        if (fabs(ns - section_ns) < fabs(best_ns - section_ns)) {
            best_ns = ns;
            best = run.work;
        }
        rounds = run.work + (section_ns - ns) / run.round_ns;
    }
    run.work = best;
    run.work_ns = best_ns;
}

void lock_run_end(void)
{
    (void)pthread_mutex_unlock(&run.end);
    (void)pthread_join(run.idle, NULL);
    free(run.lock);
}

double lock_run_section_ns(void)
{
    return run.work_ns;
}

static void new_lock(const struct lock_peer *p)
{
    memset(run.lock, 0, LOCK_BYTES);
    p->init(run.lock);
}

double lock_run_pair(const struct lock_peer *p, bool write, uint64_t window_ns)
{
    void (*pairs)(void *lock, size_t n) = write ? p->pairs_write : p->pairs_read;
    new_lock(p);
    pairs(run.lock, 100);
    uint64_t begun_ns = lock_now_ns(), now_ns, n = 0;
    do {
        pairs(run.lock, 10000);
        n += 10000;
        now_ns = lock_now_ns();
    } while (now_ns - begun_ns < window_ns);
    return (double)(now_ns - begun_ns) / (double)n;
}

/* ---- several threads ----------------------------------------------------------------------- */

static uint32_t stop __attribute__((aligned(128)));
static uint32_t ready __attribute__((aligned(128)));

struct worker {
    struct lock_thread t;
    void (*loop)(struct lock_thread *t);
    unsigned n, threads;
};

/* Under a real-time policy the workers must let the main thread end them. */
static void below_main(void)
{
    struct sched_param p;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &p) == 0 && policy == SCHED_FIFO &&
        p.sched_priority > 1) {
        p.sched_priority--;
        (void)pthread_setschedparam(pthread_self(), policy, &p);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    bench_pin(bench_cpu(w->n % bench_cpus()));
    below_main();
    __atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) <= w->threads)
        sched_yield();
    w->loop(&w->t);
    return NULL;
}

static void judge(struct lock_window *out, const struct worker *w, unsigned threads, double ns)
{
    uint64_t sum = 0, most = 0, least = UINT64_MAX, waits = 0, wait_ns = 0, longest_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        uint64_t n = w[i].t.reads + w[i].t.writes;
        sum += n;
        most = n > most ? n : most;
        least = n < least ? n : least;
        waits += w[i].t.waits;
        wait_ns += w[i].t.wait_ns;
        longest_ns = w[i].t.longest_ns > longest_ns ? w[i].t.longest_ns : longest_ns;
    }
    out->rate = (double)sum * 1e9 / ns;
    out->share = (double)most / (double)(least > 0 ? least : 1);
    double mean = waits > 0 ? (double)wait_ns / (double)waits - run.clock_ns : 0;
    out->wait_ns = mean > 1 ? mean : 1;
    out->longest_ns = (double)longest_ns - run.clock_ns;
    out->longest = out->longest_ns / out->wait_ns;
}

/* How long it was, in ns.  Timed windows end by themselves. */
static double let_run(uint64_t window_ns, unsigned threads, bool timed)
{
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < threads)
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL); /* they may need this CPU */
    uint64_t begun_ns = lock_now_ns();
    __atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
    if (timed)
        return (double)window_ns;
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)(window_ns % 1000000000u),
                                       .tv_sec = (time_t)(window_ns / 1000000000u)},
                    NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    return (double)(lock_now_ns() - begun_ns);
}

bool lock_run_mixed(struct lock_window *out, const struct lock_peer *p, unsigned threads,
                    unsigned write_percent, bool with_work, bool timed, uint64_t window_ns)
{
    static struct worker w[LOCK_THREADS_MAX];
    static struct lock_data data;
    pthread_t ids[LOCK_THREADS_MAX];
    unsigned begun = 0;
    new_lock(p);
    stop = ready = 0;
    for (; begun < threads; begun++) {
        struct lock_thread t = {.lock = run.lock,
                                .data = &data,
                                .stop = &stop,
                                .window_ns = window_ns,
                                .write_percent = write_percent,
                                .work = with_work ? run.work : 0,
                                .random = 88172645463325252u + 7919ul * (begun + 1)};
        w[begun] = (struct worker){t, timed ? p->timed : p->mixed, begun, threads};
        if (pthread_create(&ids[begun], NULL, work, &w[begun]) != 0)
            break;
    }
    uint64_t torn = 0;
    double ns = 1;
    if (begun == threads) {
        ns = let_run(window_ns, threads, timed);
    } else {
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&ready, LOCK_THREADS_MAX + 1, __ATOMIC_RELEASE);
    }
    for (unsigned i = 0; i < begun; i++) {
        (void)pthread_join(ids[i], NULL);
        torn += w[i].t.torn;
    }
    if (begun < threads || torn > 0) {
        cli_fail(begun < threads ? CLI_CANNOT : CLI_PROBLEM, "%s: %s", p->name,
                 begun < threads ? "cannot start a thread" : "a reader saw half a write");
        return false;
    }
    judge(out, w, threads, ns);
    return true;
}
