/* storm_locks.c - processes read and write under the robust reader-writer lock, sequence lock and
 * mutex of one segment, and are killed at random moments, most of them while they are inside.  Each
 * looks whether what it finds is whole; a wait of seconds is a hang. */
#include "storm_locks.h"

#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "latchkey/latchkey.h"
#include "latchkey/robust.h"
#include "storm_sleeps.h"

enum { WORKERS_MAX = 64, WORDS = 8, HANG_S = 5, PAUSE_MAX_NS = 400000 };

/* What a worker is inside of. */
enum place { OUTSIDE, READING, WRITING, IN_SEQUENCE, IN_MUTEX, PLACES };
static const char *const place_names[PLACES] = {"outside", "reading", "writing", "in_sequence",
                                                "in_mutex"};

/* The lock that one in this place has. */
static enum storm_lock lock_of(int place)
{
    static const enum storm_lock lock[PLACES] = {STORM_LOCKS, STORM_RWLOCK, STORM_RWLOCK,
                                                 STORM_SEQLOCK, STORM_MUTEX};
    return lock[place % PLACES];
}

struct worker {
    _Atomic int inside;
    _Atomic int asks, frees; /* enum storm_lock */
    _Atomic int doomed;      /* it kills itself as soon as it is inside */
    _Atomic uint64_t operations;
    char unused[40];
};

/* In the segment.  Words of an array are equal whenever nobody writes. */
struct stage {
    lk_rrwlock lock;
    lk_rmutex mutex;
    lk_rseqlock seq;
    uint64_t state[WORDS], guarded[WORDS];
    uint64_t payload[WORDS], copy[WORDS];
    _Atomic uint64_t violations, hangs, late, told, errors;
    struct worker worker[WORKERS_MAX];
    struct storm_sleeps sleeps;
};

struct storm {
    struct stage *stage;
    lk_seg *seg;
    unsigned workers;
    uint64_t kills, run_ns, seed;
    bool json, quiet;
    bool holders;                /* kill none that waits */
    pid_t pids[WORKERS_MAX];     /* negative: killed, not gone yet */
    uint64_t begun[WORKERS_MAX]; /* a worker's operations when it was started */
    uint64_t done, dead[PLACES], seconds_ns;
};

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static struct timespec hang_limit(void)
{
    uint64_t at = cli_now_ns() + HANG_S * 1000000000ull;
    return (struct timespec){(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
}

/* 0, EOWNERDEAD, or -1 after counting what it was.  *patience is 0 at first: a lock that comes at
 * the second try was late (a machine that stood still, a holder without a processor), not lost. */
static int judge(struct stage *s, int rc, int *patience)
{
    if (rc == 0 || rc == EOWNERDEAD)
        return rc;
    if (rc == ETIMEDOUT)
        atomic_fetch_add((*patience)++ == 0 ? &s->late : &s->hangs, 1);
    else
        atomic_fetch_add(&s->errors, 1);
    return -1;
}

/* An attempt to lock. */
static struct storm_ask ask(struct stage *s, struct worker *me, enum storm_lock lock, bool writes)
{
    atomic_store(&me->asks, (int)lock);
    return storm_ask(&s->sleeps, s, lock, writes);
}

static void answered(struct stage *s, struct worker *me, const struct storm_ask *a, int rc)
{
    bool freeing = false;
    for (int i = 0; i < WORKERS_MAX && storm_was_long(a); i++)
        freeing |= atomic_load(&s->worker[i].frees) == (int)a->lock;
    storm_answered(&s->sleeps, s, a, rc, freeing);
    atomic_store(&me->asks, STORM_LOCKS);
}

/* About to unlock, and done. */
static void leave(struct stage *s, struct worker *me, enum storm_lock lock)
{
    storm_freed(&s->sleeps, lock);
    atomic_store(&me->frees, (int)lock);
    atomic_store(&me->inside, OUTSIDE);
}

static void left(struct stage *s, struct worker *me, int rc)
{
    atomic_store(&me->frees, STORM_LOCKS);
    if (rc != 0)
        atomic_fetch_add(&s->errors, 1);
}

/* Some sections are long, so that deaths come inside them too. */
static void linger(struct stage *s, const struct worker *me, uint64_t x)
{
    enum { LONG_SECTION = 4, ROUNDS = 5000 };
    if (atomic_load(&me->doomed)) {
        storm_freed(&s->sleeps, lock_of(atomic_load(&me->inside)));
        (void)raise(SIGKILL);
    }
    if (x % LONG_SECTION != 0)
        return;
    for (volatile int i = 0; i < ROUNDS; i++)
        ;
}

static void look(struct stage *s, const uint64_t *words)
{
    for (int i = 1; i < WORDS; i++)
        if (words[i] != words[0])
            atomic_fetch_add(&s->violations, 1);
}

/* A compiler must not make one store of them. */
static void step_all(volatile uint64_t *words)
{
    for (int i = 0; i < WORDS; i++)
        words[i] = words[i] + 1;
}

static void repair(struct stage *s, uint64_t *words)
{
    atomic_fetch_add(&s->told, 1);
    for (int i = 1; i < WORDS; i++)
        words[i] = words[0];
}

static void under_rwlock(struct stage *s, struct worker *me, bool writes, uint64_t x)
{
    int rc, patience = 0;
    do {
        struct timespec limit = hang_limit();
        struct storm_ask a = ask(s, me, STORM_RWLOCK, writes);
        rc = writes ? lk_rrwlock_wrlock_until(&s->lock, &limit)
                    : lk_rrwlock_rdlock_until(&s->lock, &limit);
        answered(s, me, &a, rc);
        rc = judge(s, rc, &patience);
    } while (rc < 0 && patience == 1);
    if (rc < 0)
        return;
    atomic_store(&me->inside, writes || rc == EOWNERDEAD ? WRITING : READING);
    if (rc == EOWNERDEAD) {
        repair(s, s->state);
        if (lk_rrwlock_consistent(&s->lock) != 0)
            atomic_fetch_add(&s->errors, 1);
    }
    look(s, s->state);
    linger(s, me, x);
    if (writes)
        step_all(s->state);
    leave(s, me, STORM_RWLOCK);
    left(s, me, lk_rrwlock_unlock(&s->lock));
}

static void under_mutex(struct stage *s, struct worker *me, uint64_t x)
{
    int rc, patience = 0;
    do {
        struct timespec limit = hang_limit();
        struct storm_ask a = ask(s, me, STORM_MUTEX, true);
        rc = lk_rmutex_lock_until(&s->mutex, &limit);
        answered(s, me, &a, rc);
        rc = judge(s, rc, &patience);
    } while (rc < 0 && patience == 1);
    if (rc < 0)
        return;
    atomic_store(&me->inside, IN_MUTEX);
    if (rc == EOWNERDEAD) {
        repair(s, s->guarded);
        if (lk_rmutex_consistent(&s->mutex) != 0)
            atomic_fetch_add(&s->errors, 1);
    }
    look(s, s->guarded);
    step_all(s->guarded);
    linger(s, me, x);
    step_all(s->guarded);
    leave(s, me, STORM_MUTEX);
    left(s, me, lk_rmutex_unlock(&s->mutex));
}

static int begin_sequence(struct stage *s, struct worker *me, uint64_t *words, bool writes)
{
    const struct lk_rseqlock_mend mend = {.copy = s->copy};
    size_t size = sizeof s->payload;
    int rc, patience = 0;
    do {
        struct timespec limit = hang_limit();
        struct storm_ask a = ask(s, me, STORM_SEQLOCK, writes);
        rc = writes ? lk_rseqlock_write_begin(&s->seq, s->payload, size, &mend, &limit)
                    : lk_rseqlock_read(&s->seq, words, s->payload, size, &mend, &limit);
        answered(s, me, &a, rc);
        rc = judge(s, rc, &patience);
    } while (rc < 0 && patience == 1);
    return rc;
}

static void in_sequence(struct stage *s, struct worker *me, bool writes, uint64_t x)
{
    uint64_t words[WORDS];
    if (begin_sequence(s, me, words, writes) != 0)
        return;
    if (!writes) {
        look(s, words);
        return;
    }
    atomic_store(&me->inside, IN_SEQUENCE);
    memcpy(words, s->payload, sizeof words);
    look(s, words);
    for (int i = 0; i < WORDS; i++) {
        words[i]++;
        lk_rseqlock_put(&s->payload[i], &words[i], sizeof words[i]);
        if (i == WORDS / 2)
            linger(s, me, x);
    }
    leave(s, me, STORM_SEQLOCK);
    left(s, me, lk_rseqlock_write_end(&s->seq));
}

__attribute__((noreturn)) static void work(struct storm *storm, unsigned number, uint64_t seed)
{
    struct stage *s = storm->stage;
    struct worker *me = &s->worker[number];
    uint64_t x = seed | 1;
    for (;;) {
        uint64_t r = next_random(&x), what = r % 16;
        if (what < 7)
            under_rwlock(s, me, false, r >> 4);
        else if (what < 10)
            under_rwlock(s, me, true, r >> 4);
        else if (what < 12)
            under_mutex(s, me, r >> 4);
        else
            in_sequence(s, me, what < 14, r >> 4);
        atomic_fetch_add_explicit(&me->operations, 1, memory_order_relaxed);
    }
}

static int start(struct storm *storm, unsigned number, uint64_t *x)
{
    uint64_t seed = next_random(x);
    atomic_store(&storm->stage->worker[number].inside, OUTSIDE);
    atomic_store(&storm->stage->worker[number].asks, STORM_LOCKS);
    atomic_store(&storm->stage->worker[number].frees, STORM_LOCKS);
    atomic_store(&storm->stage->worker[number].doomed, 0);
    storm->begun[number] = atomic_load(&storm->stage->worker[number].operations);
    pid_t pid = cli_fork();
    if (pid == 0)
        work(storm, number, seed);
    storm->pids[number] = pid;
    return pid > 0 ? 0 : errno;
}

/* Before the workers, where that is permitted: else the killer waits for a processor as they do.
 * Its children run as everybody else. */
static void go_first(void)
{
    const struct sched_param first = {.sched_priority = 1};
    (void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

/* Has the worker been at it since it was started? */
static bool at_work(const struct storm *storm, unsigned number)
{
    return storm->pids[number] > 0 &&
           atomic_load(&storm->stage->worker[number].operations) > storm->begun[number];
}

/* A victim that has begun to work; for most of the kills one that is inside at the moment, if there
 * is any.  WORKERS_MAX: nobody. */
static unsigned choose(const struct storm *storm, uint64_t *x)
{
    unsigned first = (unsigned)(next_random(x) % storm->workers), found = WORKERS_MAX;
    bool aim = next_random(x) % 4 != 0;
    for (unsigned i = 0; i < storm->workers; i++) {
        unsigned number = (first + i) % storm->workers;
        if (!at_work(storm, number))
            continue;
        if (!aim || atomic_load(&storm->stage->worker[number].inside) != OUTSIDE)
            return number;
        found = number;
    }
    return found;
}

static void pause_ns(uint64_t ns)
{
    struct timespec t = {0, (long)ns};
    (void)nanosleep(&t, NULL);
}

/* Put a new worker in the place of each that is gone by now. */
static int replace_dead(struct storm *storm, uint64_t *x)
{
    int rc = 0;
    for (pid_t pid; rc == 0 && (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
        for (unsigned i = 0; i < storm->workers; i++) {
            if (storm->pids[i] != -pid)
                continue;
            storm->dead[atomic_load(&storm->stage->worker[i].inside) % PLACES]++;
            storm->done++;
            rc = start(storm, i, x);
        }
    }
    return rc;
}

static void end(struct storm *storm, unsigned number, pid_t pid)
{
    struct worker *victim = &storm->stage->worker[number];
    if (storm->holders) {
        atomic_store(&victim->doomed, 1);
        return;
    }
    storm_kills(&storm->stage->sleeps, lock_of(atomic_load(&victim->inside)),
                (enum storm_lock)atomic_load(&victim->asks));
    /* To die, it needs a processor too. */
    (void)setpriority(PRIO_PROCESS, (id_t)pid, -20);
    (void)kill(pid, SIGKILL);
}

static int kill_one(struct storm *storm, uint64_t *x)
{
    pause_ns(next_random(x) % PAUSE_MAX_NS);
    unsigned number = choose(storm, x);
    if (number < WORKERS_MAX) {
        pid_t pid = storm->pids[number];
        end(storm, number, pid);
        storm->pids[number] = -pid;
    }
    return replace_dead(storm, x);
}

static bool sound(const struct stage *s)
{
    return s->violations == 0 && s->hangs == 0 && s->errors == 0;
}

static int run(struct storm *storm)
{
    uint64_t x = storm->seed | 1, begun = cli_now_ns();
    struct cli_progress progress;
    int rc = 0;
    cli_progress_begin(&progress, "storm of locks", storm->kills, storm->quiet);
    progress.unit = "kills";
    go_first();
    for (int i = 0; i < WORKERS_MAX; i++)
        atomic_store(&storm->stage->worker[i].frees, STORM_LOCKS);
    for (unsigned i = 0; i < storm->workers && rc == 0; i++)
        rc = start(storm, i, &x);
    while (rc == 0 && !cli_stop && sound(storm->stage) &&
           (storm->kills == 0 || storm->done < storm->kills) &&
           (storm->run_ns == 0 || cli_now_ns() - begun < storm->run_ns)) {
        rc = kill_one(storm, &x);
        cli_progress_show(&progress, storm->done, NULL);
    }
    cli_progress_end(&progress);
    for (unsigned i = 0; i < storm->workers; i++) {
        pid_t pid = storm->pids[i] < 0 ? -storm->pids[i] : storm->pids[i];
        if (pid == 0)
            continue;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    storm->seconds_ns = cli_now_ns() - begun;
    return rc;
}

static uint64_t operations(const struct storm *storm)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < storm->workers; i++)
        sum += storm->stage->worker[i].operations;
    return sum;
}

static void print_json(const struct storm *storm, const struct lk_robust_counts *counts)
{
    const struct stage *s = storm->stage;
    json_t *dead = json_object();
    for (int i = 0; i < PLACES; i++)
        (void)json_object_set_new(dead, place_names[i], json_integer((json_int_t)storm->dead[i]));
    json_t *all = json_pack(
        "{s:I, s:i, s:f, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I}", "kills",
        (json_int_t)storm->done, "workers", (int)storm->workers, "seconds",
        (double)storm->seconds_ns * 1e-9, "seed", (json_int_t)storm->seed, "dead", dead,
        "operations", (json_int_t)operations(storm), "told", (json_int_t)s->told, "sleeps",
        (json_int_t)counts->sleeps, "backstops", (json_int_t)counts->backstops, "backstop_sleeps",
        storm_sleeps_json(&s->sleeps), "hangs", (json_int_t)s->hangs, "late", (json_int_t)s->late,
        "violations", (json_int_t)s->violations, "errors", (json_int_t)s->errors);
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(all);
}

static void print(const struct storm *storm, const struct lk_robust_counts *counts)
{
    const struct stage *s = storm->stage;
    char a[32], b[32];
    (void)printf("%s kills of %u workers in %s, seed %llu\n", cli_count(a, storm->done),
                 storm->workers, cli_span(b, storm->seconds_ns), (unsigned long long)storm->seed);
    for (int i = 0; i < PLACES; i++)
        (void)printf("  %-12s %s\n", place_names[i], cli_count(a, storm->dead[i]));
    (void)printf("%s operations; a death was told of %s times\n", cli_count(a, operations(storm)),
                 cli_count(b, s->told));
    (void)printf("%s sleeps, %llu of them ended by the backstop timer alone\n",
                 cli_count(a, counts->sleeps), (unsigned long long)counts->backstops);
    storm_sleeps_print(&s->sleeps);
    (void)printf(
        "%llu hangs (%llu locks came after more than %d s), %llu violations, %llu errors\n",
        (unsigned long long)s->hangs, (unsigned long long)s->late, HANG_S,
        (unsigned long long)s->violations, (unsigned long long)s->errors);
}

enum { O_KILLS = 'k', O_SECONDS = 's', O_WORKERS = 'w', O_JSON = 'j', O_QUIET = 'q', O_HELP = 'h' };
enum { O_LOCKS = 256, O_SEED, O_HOLDERS };

static const struct cli_option options[] = {
    {O_LOCKS, "locks", NULL, "the robust locks alone, without a cache"},
    {O_SECONDS, "seconds", "S", "how long (20, or without end if --kills is given)"},
    {O_KILLS, "kills", "N", "end after N kills"},
    {O_WORKERS, "workers", "N", "worker processes (8)"},
    {O_HOLDERS, "holders", NULL, "all that die hold a lock: no wake goes to a dead one"},
    {O_SEED, "seed", "N", "start of the random numbers"},
    {O_JSON, "json", NULL, "JSON on standard output"},
    {O_QUIET, "quiet", NULL, "no progress"},
    {O_HELP, "help", NULL, "this text"},
};

static int help(void)
{
    (void)fputs("usage: lk storm --locks [options]\n"
                "Workers read and write under the robust reader-writer lock, sequence lock and\n"
                "mutex of one segment; a killer sends SIGKILL to random ones.  What a worker\n"
                "finds must be whole, and nobody may wait for seconds.\n\n",
                stdout);
    cli_print_options(options, sizeof options / sizeof options[0]);
    return cli_help("\nexit: 0 sound, 1 a hang or a violation, 2 bad usage, 3 cannot run,\n"
                    "      130 stopped by a signal (and sound so far).\n");
}

static bool take(struct storm *storm, int letter, const char *value)
{
    uint64_t n;
    switch (letter) {
    case O_KILLS:
        return cli_parse_count("--kills", value, 1, UINT64_MAX, &storm->kills);
    case O_SECONDS:
        return cli_parse_time("--seconds", value, &storm->run_ns);
    case O_WORKERS:
        if (!cli_parse_count("--workers", value, 1, WORKERS_MAX, &n))
            return false;
        storm->workers = (unsigned)n;
        return true;
    case O_SEED:
        return cli_parse_count("--seed", value, 0, UINT64_MAX, &storm->seed);
    case O_HOLDERS:
        storm->holders = true;
        return true;
    case O_JSON:
        storm->json = true;
        return true;
    case O_QUIET:
        storm->quiet = true;
        return true;
    default:
        return letter == O_LOCKS;
    }
}

static int tell(const struct storm *storm, int rc)
{
    struct lk_robust_counts counts;
    if (rc == 0)
        rc = lk_robust_count(storm->stage, &counts);
    if (rc != 0)
        return cli_fail(CLI_CANNOT, "%s", strerror(rc));
    if (storm->json)
        print_json(storm, &counts);
    else
        print(storm, &counts);
    if (!sound(storm->stage))
        return CLI_PROBLEM;
    return cli_stop ? CLI_STOPPED : CLI_OK;
}

int storm_locks(int argc, char **argv)
{
    struct storm storm = {.workers = 8};
    struct cli_args a = {.argc = argc,
                         .argv = argv,
                         .options = options,
                         .n_options = sizeof options / sizeof options[0]};
    if (getrandom(&storm.seed, sizeof storm.seed, 0) != sizeof storm.seed)
        storm.seed = cli_now_ns();
    storm.seed %= 1000000000u; /* short enough to be typed again */
    for (int letter; (letter = cli_args_next(&a)) != 0;) {
        if (letter == O_HELP)
            return help();
        if (letter < 0 || !take(&storm, letter, a.value))
            return CLI_USAGE;
    }
    if (a.n_words != 0)
        return cli_usage("--locks takes no directory");
    if (storm.kills == 0 && storm.run_ns == 0)
        storm.run_ns = 20 * 1000000000ull;
    cli_catch_stop();
    int rc = lk_seg_create_anonymous(&storm.seg, sizeof *storm.stage, WORKERS_MAX);
    if (rc != 0)
        return cli_fail_rc("segment", rc);
    storm.stage = lk_seg_memory(storm.seg);
    int code = tell(&storm, run(&storm));
    lk_seg_close(storm.seg);
    return cli_finish(code);
}
