/* storm_killer.c - the parent during the storm: forks workers, kills them at random moments, puts
 * new ones in their place, and watches how long each goes without an end of an operation.
 *
 * The killer must not hide what the watcher is to see: a worker that has ended no operation for
 * SPARE_NS is left alone until it goes on or has wedged.  One thread does all; it sleeps in
 * sigtimedwait until a child ends or the next thing is due. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "storm.h"

#define MS 1000000ull
#define SPARE_NS (20 * MS)
#define WATCH_EVERY_NS (5 * MS)
#define AIM_FOR_NS 100000ull
#define DEBT_NS (10 * MS)
#define STOP_NS_MAX (20 * MS)

struct child {
    pid_t pid;
    uint64_t forked_ns, resume_ns; /* resume_ns: stopped until then; 0 = not stopped */
    uint64_t excused_stamp;        /* the gap after this stamp holds a stop of ours */
    uint64_t ran_stamp, ran_ns;    /* time on a processor, early in the gap after this stamp */
    bool dying;
};

struct killer {
    struct storm *s;
    struct storm_result *r;
    struct child child[STORM_WORKERS_MAX];
    unsigned workers;
    uint64_t random, kill_due, watch_due, sample_due, sample_every, stop_due;
    sigset_t wait_for, before;
    struct cli_progress progress;
};

static uint64_t chance(struct killer *k)
{
    k->random ^= k->random << 13;
    k->random ^= k->random >> 7;
    k->random ^= k->random << 17;
    return k->random * 0x2545f4914f6cdd1dull;
}

static double exponential(struct killer *k, double mean)
{
    double x = (double)(chance(k) >> 11) * 0x1p-53;
    return -mean * log1p(-x);
}

/* ------------------------------------------------------------------ children */

static int start(struct killer *k, unsigned i)
{
    struct child *c = &k->child[i];
    struct storm_slot *slot = &k->s->shared->slot[i];
    uint64_t seed = chance(k); /* of the worker's random numbers */
    atomic_store_explicit(&slot->stamp_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->op, OP_START, memory_order_relaxed);
    *c = (struct child){.forked_ns = cli_now_ns()};
    pid_t pid = cli_fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        (void)sigprocmask(SIG_SETMASK, &k->before, NULL);
        storm_worker(k->s, i, seed);
    }
    c->pid = pid;
    k->r->forks++;
    return 0;
}

/* Ended: by our kill, or by a fault of its own, which is a problem found. */
static void told_end(struct killer *k, unsigned i, int status)
{
    struct child *c = &k->child[i];
    bool stopping = atomic_load_explicit(&k->s->shared->stop, memory_order_relaxed);
    if (!(c->dying && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) &&
        !(stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        uint32_t op = atomic_load_explicit(&k->s->shared->slot[i].op, memory_order_relaxed);
        if (k->r->crashes++ == 0)
            (void)snprintf(k->r->crash_text, sizeof k->r->crash_text,
                           "worker %u ended by %s %d in %s", i,
                           WIFSIGNALED(status) ? "signal" : "exit",
                           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                           op < OP_COUNT ? storm_op_name[op] : "?");
    }
    c->pid = 0;
}

static int reap(struct killer *k, bool restart)
{
    int status, rc = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (unsigned i = 0; i < k->workers; i++)
            if (k->child[i].pid == pid) {
                told_end(k, i, status);
                if (restart && rc == 0)
                    rc = start(k, i);
            }
    return rc;
}

/* ------------------------------------------------------------------ the watcher */

/* How long worker i has been without the end of an operation; *began = it has begun one. */
static uint64_t age_of(const struct killer *k, unsigned i, uint64_t now, bool *began)
{
    uint64_t stamp = atomic_load_explicit(&k->s->shared->slot[i].stamp_ns, memory_order_acquire);
    *began = stamp != 0;
    if (stamp == 0)
        stamp = k->child[i].forked_ns;
    return now > stamp ? now - stamp : 0;
}

/* A gap that is not over yet, or was cut by a kill, is a stall of at least that length. */
static void note_gap(struct killer *k, unsigned i, uint64_t now)
{
    struct storm_slot *slot = &k->s->shared->slot[i];
    bool began;
    uint64_t age = age_of(k, i, now, &began);
    storm_raise(&k->s->shared->longest_gap_ns, age);
    if (!began || storm_read(&slot->stamp_ns) == k->child[i].excused_stamp ||
        age <= k->r->longest_ns)
        return;
    k->r->longest_ns = age;
    k->r->longest_op = (enum storm_op)atomic_load_explicit(&slot->op, memory_order_relaxed);
    k->r->longest_at_s = (double)(now - k->s->begun_ns) * 1e-9;
}

static void kill_child(struct killer *k, unsigned i)
{
    k->child[i].dying = true;
    (void)kill(k->child[i].pid, SIGKILL);
    /* It has run its last instruction: now let the kernel bury it before it runs anybody else,
     * where that is permitted.  On busy processors a dead process waits as long as a living one. */
    const struct sched_param first = {.sched_priority = 1};
    (void)sched_setscheduler(k->child[i].pid, SCHED_FIFO, &first);
}

/* First line of a file of process pid in /proc; "" if there is none. */
static void read_line(pid_t pid, const char *name, char *line, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *f = fopen(path, "re");
    line[0] = '\0';
    if (!f)
        return;
    if (!fgets(line, (int)size, f))
        line[0] = '\0';
    (void)fclose(f);
}

/* What the kernel says about a stuck worker: its state and where it sleeps. */
static void describe(struct killer *k, unsigned i, uint64_t age)
{
    char wchan[64];
    uint32_t op = atomic_load_explicit(&k->s->shared->slot[i].op, memory_order_relaxed);
    read_line(k->child[i].pid, "wchan", wchan, sizeof wchan);
    if (wchan[0] == '\0' || strcmp(wchan, "0") == 0)
        (void)snprintf(wchan, sizeof wchan, "running");
    (void)snprintf(k->r->wedge_text, sizeof k->r->wedge_text,
                   "after %" PRIu64 " kills, %.1f s: worker %u has been in %s for %.1f s (%s)",
                   k->r->kills, (double)(cli_now_ns() - k->s->begun_ns) * 1e-9, i,
                   op < OP_COUNT ? storm_op_name[op] : "?", (double)age * 1e-9, wchan);
}

static void count_wedge(struct killer *k, unsigned i, uint64_t age)
{
    if (k->r->wedges++ == 0)
        describe(k, i, age);
    k->r->open_stalls++;
    if (age > k->r->open_stall_ns)
        k->r->open_stall_ns = age;
}

/* One worker stuck: count it and put another in its place.  All of them: the storm is over. */
static void wedged(struct killer *k, unsigned first, uint64_t now)
{
    unsigned stuck = 0;
    bool began;
    for (unsigned i = 0; i < k->workers; i++)
        stuck += k->child[i].pid && age_of(k, i, now, &began) >= k->s->options->wedge_ns / 2;
    k->r->stopped_by_wedge = stuck == k->workers || k->r->wedges > 4 * (uint64_t)k->workers;
    for (unsigned i = 0; i < k->workers; i++)
        if (i == first || k->r->stopped_by_wedge) {
            count_wedge(k, i, age_of(k, i, now, &began));
            kill_child(k, i);
        }
}

/* Told to the worker while it is stopped, so the gap that holds the stop is the one it leaves out.
 * */
static void resume(struct killer *k, unsigned i)
{
    struct storm_slot *slot = &k->s->shared->slot[i];
    k->child[i].excused_stamp = storm_read(&slot->stamp_ns);
    k->child[i].resume_ns = 0;
    atomic_fetch_add_explicit(&slot->stops, 1, memory_order_seq_cst);
    (void)kill(k->child[i].pid, SIGCONT);
}

static uint64_t ran_ns(pid_t pid)
{
    char line[96];
    read_line(pid, "schedstat", line, sizeof line);
    return strtoull(line, NULL, 10);
}

static bool is_asleep(pid_t pid)
{
    char line[256];
    read_line(pid, "stat", line, sizeof line);
    const char *state = strrchr(line, ')');
    return state && state[1] == ' ' && state[2] != 'R';
}

/* No progress for the wedge limit: asleep, or running for a quarter of it at least.  One that is
 * ready to run and gets no processor is the machine's fault. */
static bool is_wedged(struct killer *k, unsigned i, uint64_t now)
{
    struct child *c = &k->child[i];
    uint64_t limit = k->s->options->wedge_ns, stamp = storm_read(&k->s->shared->slot[i].stamp_ns);
    bool began;
    uint64_t age = age_of(k, i, now, &began);
    if (age < limit / 8)
        return false;
    if (c->ran_stamp != stamp + 1) { /* + 1: none is a value of its own */
        c->ran_stamp = stamp + 1;
        c->ran_ns = ran_ns(c->pid);
    }
    return age >= limit && (is_asleep(c->pid) || ran_ns(c->pid) - c->ran_ns >= limit / 4);
}

static void watch(struct killer *k, uint64_t now)
{
    for (unsigned i = 0; i < k->workers && !k->r->stopped_by_wedge; i++) {
        struct child *c = &k->child[i];
        if (!c->pid || c->dying)
            continue;
        if (c->resume_ns && now < c->resume_ns)
            continue;
        if (c->resume_ns)
            resume(k, i);
        note_gap(k, i, now);
        if (is_wedged(k, i, now))
            wedged(k, i, now);
    }
}

/* ------------------------------------------------------------------ the killer */

/* A random worker that is not dying already, or -1.  `writing`: one inside a changing call. */
static int pick(struct killer *k, bool writing)
{
    unsigned first = k->workers ? (unsigned)((chance(k) >> 33) % k->workers) : 0;
    for (unsigned n = 0; n < k->workers; n++) {
        unsigned i = (first + n) % k->workers;
        uint32_t op = atomic_load_explicit(&k->s->shared->slot[i].op, memory_order_relaxed);
        if (k->child[i].pid && !k->child[i].dying && storm_read(&k->s->shared->slot[i].stamp_ns) &&
            (!writing || storm_op_writes((enum storm_op)op)))
            return (int)i;
    }
    return -1;
}

/* Stopped, stalled or not yet at work: not to be killed now. */
static bool spared(const struct killer *k, int i, uint64_t now)
{
    bool began;
    return i < 0 || k->child[i].resume_ns || age_of(k, (unsigned)i, now, &began) >= SPARE_NS ||
           !began;
}

/* False: nobody is at work just now. */
static bool kill_one(struct killer *k, uint64_t now)
{
    int i = pick(k, false), better = -1;
    if (i < 0)
        return false;
    /* Where the lot falls on a stalled worker, nobody dies: else, once most have stalled, the last
     * one would get all the kills and never live long enough to be seen stalled. */
    if (spared(k, i, now))
        return true;
    bool aimed = chance(k) % 100 < k->s->options->aim_percent;
    for (uint64_t until = now + AIM_FOR_NS; aimed && better < 0 && now < until;
         now = cli_now_ns()) {
        better = pick(k, true);
        if (spared(k, better, now))
            better = -1;
    }
    if (better >= 0)
        i = better;
    uint32_t op = atomic_load_explicit(&k->s->shared->slot[i].op, memory_order_relaxed);
    kill_child(k, (unsigned)i);
    note_gap(k, (unsigned)i, cli_now_ns());
    k->r->kills++;
    k->r->kills_aimed += better >= 0;
    k->r->kills_writing += storm_op_writes((enum storm_op)op);
    return true;
}

static void stop_one(struct killer *k, uint64_t now)
{
    int i = pick(k, true);
    if (spared(k, i, now))
        return;
    (void)kill(k->child[i].pid, SIGSTOP);
    k->child[i].resume_ns = now + MS + (chance(k) >> 20) % (STOP_NS_MAX - MS);
    k->r->stops++;
}

static void kill_when_due(struct killer *k, uint64_t now)
{
    double rate = k->s->options->kills_per_second;
    if (now < k->kill_due || (k->s->options->kills && k->r->kills >= k->s->options->kills))
        return;
    /* Nobody at work: this kill is left out.  Made up for, it would hit the next at its birth. */
    if (!kill_one(k, now) && rate > 0)
        k->kill_due = now + (uint64_t)exponential(k, 1e9 / rate);
    else if (rate > 0)
        k->kill_due += (uint64_t)exponential(k, 1e9 / rate);
    else
        k->kill_due = now + (uint64_t)exponential(k, 2e5);
    if (k->kill_due + DEBT_NS < now) /* far behind: do not make up for all of it in a burst */
        k->kill_due = now - DEBT_NS;
    if (k->s->options->stops && now >= k->stop_due) {
        stop_one(k, now);
        k->stop_due = now + (uint64_t)exponential(k, 40e6);
    }
}

/* ------------------------------------------------------------------ samples, progress */

static uint64_t operations(const struct killer *k)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < k->workers; i++)
        sum += storm_read(&k->s->shared->slot[i].total);
    return sum;
}

static void sample(struct killer *k, uint64_t now)
{
    struct storm_result *r = k->r;
    if (r->timeline_count == STORM_TIMELINE_MAX) { /* full: keep every second one */
        for (size_t i = 0; i < STORM_TIMELINE_MAX / 2; i++)
            r->timeline[i] = r->timeline[2 * i + 1];
        r->timeline_count /= 2;
        k->sample_every *= 2;
    }
    r->timeline[r->timeline_count++] =
        (struct storm_sample){operations(k), r->kills, (double)(now - k->s->begun_ns) * 1e-9};
    k->sample_due += k->sample_every;
    if (k->sample_due < now)
        k->sample_due = now + k->sample_every;

    const struct storm_options *o = k->s->options;
    char count[32], note[96];
    uint64_t done = o->kills ? r->kills : (now - k->s->begun_ns) / MS;
    (void)snprintf(note, sizeof note, "%s kills, longest stall %.1f ms, %" PRIu32 " wrong",
                   cli_count(count, r->kills), (double)r->longest_ns * 1e-6,
                   atomic_load_explicit(&k->s->shared->wrong_count, memory_order_relaxed));
    cli_progress_show(&k->progress, done, note);
}

static bool over(const struct killer *k, uint64_t now)
{
    const struct storm_options *o = k->s->options;
    return cli_stop || k->r->stopped_by_wedge || (o->kills && k->r->kills >= o->kills) ||
           (o->run_ns && now - k->s->begun_ns >= o->run_ns);
}

static void sleep_until_next(struct killer *k, uint64_t now)
{
    uint64_t due = k->kill_due < k->watch_due ? k->kill_due : k->watch_due;
    if (k->sample_due < due)
        due = k->sample_due;
    if (due <= now)
        return;
    struct timespec t = {0, (long)((due - now) % (1000 * MS))};
    (void)sigtimedwait(&k->wait_for, NULL, &t);
}

static int storm_on(struct killer *k)
{
    uint64_t now = cli_now_ns();
    int rc = 0;
    while (rc == 0 && !over(k, now)) {
        kill_when_due(k, now);
        if (now >= k->watch_due) {
            watch(k, now);
            k->watch_due = now + WATCH_EVERY_NS;
        }
        if (now >= k->sample_due)
            sample(k, now);
        sleep_until_next(k, now);
        rc = reap(k, !k->r->stopped_by_wedge);
        now = cli_now_ns();
    }
    return rc;
}

/* Ask all to end; who does not within five times the wedge limit (a busy machine) is one. */
static void calm(struct killer *k)
{
    uint64_t until = cli_now_ns() + 5 * k->s->options->wedge_ns;
    struct timespec a_little = {0, (long)MS};
    atomic_store_explicit(&k->s->shared->stop, 1, memory_order_seq_cst);
    for (unsigned i = 0; i < k->workers; i++)
        if (k->child[i].pid && k->child[i].resume_ns)
            resume(k, i);
    for (bool left = true, late = false; left;) {
        (void)sigtimedwait(&k->wait_for, NULL, &a_little);
        (void)reap(k, false);
        left = false;
        for (unsigned i = 0; i < k->workers; i++) {
            if (!k->child[i].pid)
                continue;
            left = true;
            if (!late && cli_now_ns() >= until && !k->child[i].dying) {
                count_wedge(k, i, k->s->options->wedge_ns);
                kill_child(k, i);
            }
        }
        late = cli_now_ns() >= until;
    }
}

int storm_loop(struct storm *s, struct storm_result *r)
{
    struct killer *k = calloc(1, sizeof *k);
    if (!k)
        return ENOMEM;
    *k = (struct killer){.s = s,
                         .r = r,
                         .workers = s->options->workers,
                         .random = s->options->seed * 2654435761u + 88172645463325252ull,
                         .sample_every = 100 * MS};
    const struct storm_options *o = s->options;
    (void)sigemptyset(&k->wait_for);
    (void)sigaddset(&k->wait_for, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &k->wait_for, &k->before);
    cli_progress_begin(&k->progress, s->kind->name, o->kills ? o->kills : o->run_ns / MS, o->quiet);
    k->progress.unit = o->kills ? "kills" : "";
    /* The killer comes before the workers, where that is permitted: its moments are then its own.
     * */
    s->nice = getpriority(PRIO_PROCESS, 0);
    (void)setpriority(PRIO_PROCESS, 0, s->nice - 10);
    s->begun_ns = k->watch_due = k->sample_due = cli_now_ns();
    k->kill_due = s->begun_ns + o->calm_ns;
    int rc = 0;
    for (unsigned i = 0; i < k->workers && rc == 0; i++)
        rc = start(k, i);
    if (rc == 0)
        rc = storm_on(k);
    sample(k, cli_now_ns());
    r->seconds = (double)(cli_now_ns() - s->begun_ns) * 1e-9;
    r->interrupted = cli_stop;
    calm(k);
    cli_progress_end(&k->progress);
    (void)setpriority(PRIO_PROCESS, 0, s->nice);
    (void)sigprocmask(SIG_SETMASK, &k->before, NULL);
    free(k);
    return rc;
}
