/* storm_run.c - one storm: the plan, the shared memory, the loop, the sums, the check afterwards.
 * */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "storm.h"

enum {
    CHUNK_MIN = 64,
    CHUNK_MAX = 4096,
    ENTRY_HEADER = 24, /* cache.h: capacity counts header, key and value */
    GRANULE = 48,
    PREFILL_FROM = 500, /* entries: smaller caches fill by themselves in no time */
};
#define SIZE_DEFAULT (4ull << 20)

static uint64_t clamp(uint64_t n, uint64_t low, uint64_t high)
{
    return n < low ? low : n > high ? high : n;
}

/* How much of a chunk fits into one value: a quarter of a shard, and with its key half of one. */
static uint64_t chunk_limit(const struct storm_plan *p)
{
    uint64_t shard = p->shards ? p->capacity_bytes / p->shards
                               : (p->capacity_bytes < 2u << 20 ? p->capacity_bytes : 1u << 20);
    uint64_t quarter = shard / 4;
    return quarter > sizeof(struct storm_head) ? quarter - sizeof(struct storm_head) : 0;
}

int storm_plan_make(const struct storm_options *o, struct storm_files *f, struct storm_plan *p)
{
    *p = (struct storm_plan){.shards = o->shards, .checksum = o->checksum, .name = o->name};
    uint64_t chunk = CHUNK_MAX;
    storm_files_cut(f, CHUNK_MAX); /* for the average key */
    uint64_t beside = ENTRY_HEADER + f->key_bytes + sizeof(struct storm_head);
    if (o->entries) {
        /* Four times as many chunks as entries, where the files are large enough for that. */
        chunk = clamp(f->total_bytes / (4 * o->entries), CHUNK_MIN, CHUNK_MAX);
        if (o->size_bytes)
            chunk =
                clamp(o->size_bytes / o->entries, beside + CHUNK_MIN, beside + CHUNK_MAX) - beside;
        chunk &= ~7ull;
        storm_files_cut(f, (uint32_t)chunk);
        beside = ENTRY_HEADER + f->key_bytes + sizeof(struct storm_head);
    }
    /* Most files end in a part of a chunk, so the average is below the chunk. */
    uint64_t average = f->total_bytes / f->chunk_count;
    uint64_t entry =
        (beside + (average < chunk ? average : chunk) + GRANULE - 1) / GRANULE * GRANULE;
    p->capacity_bytes = o->size_bytes ? o->size_bytes
                        : o->entries  ? clamp(o->entries * entry, 4096, UINT64_MAX)
                                      : SIZE_DEFAULT;
    uint64_t limit = chunk_limit(p) & ~7ull;
    if (limit < CHUNK_MIN)
        return cli_usage("a cache of %" PRIu64 " bytes is too small for %u shards",
                         p->capacity_bytes, p->shards);
    if (chunk > limit)
        chunk = limit;
    storm_files_cut(f, (uint32_t)chunk);
    average = f->total_bytes / f->chunk_count;
    entry = ENTRY_HEADER + f->key_bytes + sizeof(struct storm_head) + clamp(average, 1, chunk);
    p->entry_bytes = (uint32_t)(entry - ENTRY_HEADER);
    p->value_bytes = (uint32_t)(sizeof(struct storm_head) + chunk);
    p->entries = o->entries ? o->entries : p->capacity_bytes / entry;
    return CLI_OK;
}

static void *shared_map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Sums over the workers' places.  The watcher's own longest gap may be longer than any finished
 * one. */
static void merge(struct storm *s, struct storm_result *r)
{
    for (unsigned i = 0; i < s->options->workers; i++) {
        struct storm_slot *slot = &s->shared->slot[i];
        r->operations += storm_read(&slot->total);
        r->hits += storm_read(&slot->hits);
        r->misses += storm_read(&slot->misses);
        r->file_changed += storm_read(&slot->file_changed);
        r->lease_timeouts += storm_read(&slot->lease_timeouts);
        r->cancelled += storm_read(&slot->cancelled);
        for (unsigned op = 0; op < OP_COUNT; op++)
            r->done[op] += storm_read(&slot->done[op]);
        for (unsigned kind = 0; kind < WRONG_KINDS; kind++) {
            r->wrong_kind[kind] += storm_read(&slot->wrong[kind]);
            r->wrong += storm_read(&slot->wrong[kind]);
        }
        storm_hist_merge(&r->hist, &slot->hist);
        if (storm_read(&slot->longest_own_ns) > r->longest_own_ns)
            r->longest_own_ns = storm_read(&slot->longest_own_ns);
        if (storm_read(&slot->longest_ns) > r->longest_ns) {
            r->longest_ns = storm_read(&slot->longest_ns);
            r->longest_op =
                (enum storm_op)atomic_load_explicit(&slot->longest_op, memory_order_relaxed);
            r->longest_at_s = (double)(storm_read(&slot->longest_at_ns) - s->begun_ns) * 1e-9;
        }
    }
    r->p50_ns = storm_hist_quantile(&r->hist, 0.50);
    r->p99_ns = storm_hist_quantile(&r->hist, 0.99);
    r->p999_ns = storm_hist_quantile(&r->hist, 0.999);
    uint32_t n = atomic_load_explicit(&s->shared->wrong_count, memory_order_relaxed);
    r->first_wrong_count = n < STORM_WRONG_LOG ? n : STORM_WRONG_LOG;
    memcpy(r->first_wrong, s->shared->wrong, sizeof r->first_wrong);
}

/* ------------------------------------------------------------------ after the storm */

#define CHECK_LIMIT_NS 60000000000ull

/* What the checking child finds. */
struct finding {
    struct lk_cache_stat stat;
    unsigned repaired;
    uint64_t entries_after, used_after, problems;
    _Atomic uint32_t ended; /* came to its end */
    char text[2048];
};

static void told(struct finding *f, const char *place, const char *problem)
{
    size_t have = strlen(f->text);
    f->problems++;
    (void)snprintf(f->text + have, sizeof f->text - have, "%s: %s\n", place, problem);
}

static void on_problem(const char *place, const char *problem, void *arg)
{
    told(arg, place, problem);
}

/* Repair what the dead left, verify; then flush: every block must come back. */
static void check_cache(struct storm *s, struct finding *f)
{
    lk_cache *c = s->cache;
    struct lk_cache_stat after;
    int rc = lk_cache_stat(c, &f->stat);
    if (rc != 0)
        told(f, "stat", lk_strerror(rc));
    rc = lk_cache_repair(c, false, &f->repaired);
    if (rc != 0)
        told(f, "repair", lk_strerror(rc));
    rc = lk_cache_verify(c, on_problem, f);
    if (rc != 0)
        told(f, "verify", lk_strerror(rc));
    if (!s->options->keep) {
        rc = lk_cache_flush(c);
        if (rc != 0)
            told(f, "flush", lk_strerror(rc));
        rc = lk_cache_verify(c, on_problem, f);
        if (rc != 0)
            told(f, "verify after flush", lk_strerror(rc));
        rc = lk_cache_stat(c, &after);
        f->entries_after = after.entries;
        f->used_after = after.used_bytes;
        if (rc == 0 && (after.entries != 0 || after.used_bytes != 0))
            told(f, "flush", "left entries or bytes behind: blocks have leaked");
    }
    atomic_store_explicit(&f->ended, 1, memory_order_release);
}

static void await(pid_t pid, struct finding *f)
{
    uint64_t until = cli_now_ns() + CHECK_LIMIT_NS;
    struct timespec a_little = {0, 2000000};
    int status = 0;
    pid_t got;
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && cli_now_ns() < until)
        (void)nanosleep(&a_little, NULL);
    if (got == 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        told(f, "check", "did not end: repair, verify or flush hangs");
    } else if (!atomic_load_explicit(&f->ended, memory_order_acquire)) {
        told(f, "check", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "ended early");
    }
}

void storm_check(struct storm *s, struct storm_result *r)
{
    struct finding *f = shared_map(sizeof *f);
    if (!f)
        return;
    pid_t pid = cli_fork();
    if (pid == 0) {
        (void)signal(SIGINT, SIG_IGN);
        check_cache(s, f);
        _exit(0);
    }
    if (pid > 0)
        await(pid, f);
    else
        told(f, "check", strerror(errno));
    r->checked = r->has_stat = true;
    r->check_sound = f->problems == 0;
    r->stat = f->stat;
    r->repaired_after = f->repaired;
    r->entries_after_flush = f->entries_after;
    r->used_after_flush = f->used_after;
    (void)snprintf(r->check_text, sizeof r->check_text, "%s", f->text);
    (void)munmap(f, sizeof *f);
}

bool storm_sound(const struct storm_result *r)
{
    return r->wrong == 0 && r->wedges == 0 && r->crashes == 0 && (!r->checked || r->check_sound);
}

static int run_on(struct storm *s, struct storm_result *r)
{
    int rc = 0;
    if (s->kind == &storm_latchkey && s->plan.entries >= PREFILL_FROM)
        rc = storm_prefill(s);
    if (rc != 0)
        return cli_fail_rc("filling the cache", rc);
    atomic_store(&s->shared->flush_due_ns, cli_now_ns() + storm_flush_every_ns(&s->plan));
    rc = storm_loop(s, r);
    if (rc != 0)
        return cli_fail(CLI_CANNOT, "fork: %s", strerror(rc));
    merge(s, r);
    if (s->kind == &storm_latchkey)
        storm_check(s, r);
    return CLI_OK;
}

int storm_run(const struct storm_options *o, struct storm_files *f, const struct storm_plan *plan,
              enum storm_lock lock, struct storm_result *r)
{
    static const struct storm_kind *const kinds[] = {&storm_latchkey, &storm_ttas, &storm_torn};
    struct storm s = {.options = o,
                      .files = f,
                      .plan = *plan,
                      .kind = kinds[lock],
                      .floor_bytes = f->chunk_count * sizeof(uint64_t)};
    memset(r, 0, sizeof *r);
    r->lock = s.kind->name;
    r->timeline = calloc(STORM_TIMELINE_MAX, sizeof *r->timeline);
    s.shared = shared_map(sizeof *s.shared);
    s.floor_ns = shared_map(s.floor_bytes);
    int code = CLI_CANNOT;
    if (!r->timeline || !s.shared || !s.floor_ns) {
        (void)cli_fail(CLI_CANNOT, "out of memory");
        goto undo;
    }
    int rc = s.kind->make(&s.plan, &s.cache);
    if (rc != 0) {
        (void)cli_fail_rc("making the cache", rc);
        goto undo;
    }
    code = run_on(&s, r);
    s.kind->end(&s.plan, s.cache, o->keep);
undo:
    if (s.shared)
        (void)munmap(s.shared, sizeof *s.shared);
    if (s.floor_ns)
        (void)munmap(s.floor_ns, s.floor_bytes);
    return code;
}
