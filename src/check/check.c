/* check.c - lk_check_run(): options, counts, when to stop. */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "hooks.h"
#include "program.h"
#include "report.h"

#define DEFAULT_STACK ((size_t)256 << 10)
#define DEFAULT_EVENTS 100000u

/* After the first error the search goes on for a little, for a shorter one. */
#define LOOK_ON_RUNS 5000u
#define LOOK_ON_NS 300000000u

/* ---- counting
 * --------------------------------------------------------------------------------- */

void count_reset(void)
{
    lkc->complete = lkc->blocked = lkc->runs = lkc->inconsistent = lkc->failing = 0;
    lkc->preempted = lkc->cut = lkc->walked = lkc->descents = lkc->backstops = 0;
    lkc->weight_sum = 0;
    lkc->nstates = lkc->steps = 0;
    lkc->bounded = false;
}

static void find_leaks(void)
{
    uintptr_t low, high;
    if (lkc->opt.no_leaks || !heap_any())
        return;
    program_data(&low, &high);
    heap_leaks(low, high);
}

/* Which errors the finished run as a whole shows. */
static void judge(void)
{
    if (lkc->end == RUN_COMPLETE)
        find_leaks();
    else if (lkc->end == RUN_BLOCKED && !lkc->opt.no_liveness)
        hang_judge();
    else if (lkc->end == RUN_BOUND)
        lkc->bounded = true;
}

static void stop_after_error(void)
{
    if (lkc->errors_in_run == 0 && lkc->first_error_ns == 0)
        return;
    if (lkc->first_error_ns == 0) {
        lkc->first_error_ns = lkc_now_ns();
        lkc->first_error_runs = lkc->runs;
        lkc->by_walk = lkc->walking;
    }
    if (lkc->opt.keep_going)
        return;
    if (lkc->runs - lkc->first_error_runs >= LOOK_ON_RUNS ||
        lkc_now_ns() - lkc->first_error_ns >= LOOK_ON_NS)
        lkc->stop = true;
}

static void stop_at_bounds(void)
{
    const struct lk_check_options *o = &lkc->opt;
    bool more = lkc->nwork > 0 || o->random_only;
    if (o->max_executions != 0 && lkc->runs >= o->max_executions && more)
        lkc->stop = lkc->bounded = true;
}

bool count_must_stop(void)
{
    if (stop_asked())
        lkc->stop = lkc->bounded = true;
    return lkc->stop;
}

static void count_preempted(void)
{
    lkc->preempted++;
    lkc->bounded = true;
}

void count_run(void)
{
    if (lkc->end == RUN_UPGRADE || lkc->end == RUN_STOPPED)
        return;
    judge();
    lkc->runs++;
    if (lkc->errors_in_run != 0)
        lkc->failing++;
    else if (lkc->opt.bound_preemptions && !preempt_fits(&lkc->g, lkc->opt.preemptions))
        count_preempted();
    else if (lkc->end == RUN_COMPLETE) {
        lkc->complete++;
        lkc->backstops += lkc->fired != 0;
    } else {
        lkc->blocked++;
    }
    stop_after_error();
    stop_at_bounds();
    count_progress();
}

void count_walk(void)
{
    if (lkc->end == RUN_UPGRADE || lkc->end == RUN_STOPPED)
        return;
    judge();
    lkc->walked++;
    if (lkc->end == RUN_COMPLETE)
        lkc->weight_sum += lkc->weight;
    stop_after_error();
    if (lkc->opt.random_only) {
        lkc->runs++;
        stop_at_bounds();
    }
}

void count_fair_walk(void)
{
    if (lkc->end == RUN_UPGRADE || lkc->end == RUN_STOPPED)
        return;
    judge();
    stop_after_error();
}

void count_looks(void)
{
    if (lkc->first_error_ns == 0 || lkc->opt.keep_going || ++lkc->looks % 1024 != 0 ||
        lkc_now_ns() - lkc->first_error_ns < LOOK_ON_NS)
        return;
    lkc->stop = true;
    stop_run();
}

void count_progress(void)
{
    if (lkc->opt.quiet || lkc->runs % 1024 != 0)
        return;
    uint64_t now = lkc_now_ns();
    if (now - lkc->progress_ns >= 1000000000u) {
        lkc->progress_ns = now;
        report_progress(now);
    }
}

/* ---- the run
 * ---------------------------------------------------------------------------------- */

static void begin(void *(*fn)(void *), void *arg, const struct lk_check_options *opt)
{
    static const struct lk_check_options defaults;
    if (lkc == NULL) {
        lkc = lkc_alloc(sizeof *lkc);
        memset(lkc, 0, sizeof *lkc);
        graph_init(&lkc->g);
        heap_init();
        consistency_init();
        plain_reset();
    }
    lkc->opt = opt != NULL ? *opt : defaults;
    if (lkc->opt.states) {
        lkc->opt.model = LK_CHECK_SC;
        lkc->opt.walks = 0; /* they may have no end */
    }
    if (lkc->opt.stack_bytes == 0)
        lkc->opt.stack_bytes = DEFAULT_STACK;
    if (lkc->opt.max_events == 0)
        lkc->opt.max_events = DEFAULT_EVENTS;
    lkc->fn = fn;
    lkc->arg = arg;
    lkc->mode = MODE_FAST;
    lkc->upgrade = lkc->stop = lkc->by_walk = false;
    lkc->rng = lkc->opt.seed * 0x9e3779b97f4a7c15u + 0x853c49e6748fea9bu;
    lkc->work_bytes_max = 0;
    lkc->serial = 0;
    lkc->first_error_ns = lkc->first_error_runs = 0;
    count_reset();
    report_forget();
    lkc->begun_ns = lkc->progress_ns = lkc_now_ns();
}

static void fill(struct lk_check_report *rep)
{
    struct rusage use;
    memset(rep, 0, sizeof *rep);
    rep->complete = lkc->complete;
    rep->blocked = lkc->blocked;
    if (!lkc->opt.random_only)
        rep->wasted = lkc->runs - lkc->complete - lkc->blocked - lkc->failing - lkc->preempted;
    rep->preempted = lkc->preempted + lkc->cut;
    rep->backstops = lkc->backstops;
    rep->walked = lkc->walked;
    rep->states = lkc->nstates;
    rep->steps = lkc->steps;
    rep->estimate = lkc->descents != 0 ? lkc->weight_sum / (double)lkc->descents : 0;
    rep->bounded = lkc->bounded;
    rep->by_walk = lkc->by_walk;
    rep->seconds = (double)(lkc_now_ns() - lkc->begun_ns) / 1e9;
    rep->executions_per_second =
        rep->seconds > 0 ? (double)(lkc->runs + lkc->walked) / rep->seconds : 0;
    rep->peak_pending_bytes = lkc->work_bytes_max;
    (void)getrusage(RUSAGE_SELF, &use);
    rep->peak_rss_bytes = (uint64_t)use.ru_maxrss * 1024;
    report_fill(rep);
}

int lk_check_run(void *(*fn)(void *), void *arg, const struct lk_check_options *opt,
                 struct lk_check_report *rep)
{
    struct lk_check_report unused;
    begin(fn, arg, opt);
    report_catch_signals(true);
    stop_begin(lkc->opt.max_ns);
    program_remember();
    program_begin_search();
    explore_all();
    program_forget();
    stop_end();
    report_catch_signals(false);
    fill(rep != NULL ? rep : &unused);
    if (lkc->failures != NULL)
        return 1;
    return lkc->bounded || lkc->opt.random_only ? 3 : 0;
}
