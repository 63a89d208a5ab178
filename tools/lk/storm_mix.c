/* storm_mix.c - what a worker does, in which proportion, until it is killed or told to stop. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "storm_worker.h"

#define MS 1000000ull

/* Serve one file the way a server with a cache does: ask, and on a miss read and store. */
static void serve(struct worker *w, const struct item *it)
{
    unsigned how = (unsigned)worker_below(w, 8);
    if (how < 3 && w->storm->kind == &storm_latchkey) {
        worker_lk_serve_leased(w, it);
        return;
    }
    if (worker_get(w, it) != ENOENT || !worker_read(w, it))
        return;
    if (how < 5)
        (void)worker_put(w, it, PUT_ADD, LK_TTL_NEVER);
    else
        (void)worker_put(w, it, PUT_SET, LK_TTL_NEVER);
}

static void serve_file(struct worker *w)
{
    enum { CHUNKS_AT_ONCE = 8 };
    struct item it;
    uint32_t file = worker_pick_file(w), chunks = w->storm->files->file[file].chunks;
    uint32_t first =
        chunks > CHUNKS_AT_ONCE ? (uint32_t)worker_below(w, chunks - CHUNKS_AT_ONCE + 1) : 0;
    for (uint32_t i = first; i < chunks && i < first + CHUNKS_AT_ONCE; i++) {
        item_make(w, &it, 'f', file, i);
        serve(w, &it);
    }
}

/* The same bytes stored anew under a new version, in one of four ways. */
static void overwrite(struct worker *w)
{
    struct item it;
    worker_pick(w, &it, 'f');
    unsigned how = (unsigned)worker_below(w, 4);
    if (how == 0) {
        if (worker_put(w, &it, PUT_REPLACE, LK_TTL_NEVER) == ENOENT)
            (void)worker_put(w, &it, PUT_ADD, LK_TTL_NEVER);
    } else if (how == 1) {
        if (worker_get(w, &it) == 0)
            (void)worker_put(w, &it, PUT_CAS, LK_TTL_NEVER);
    } else {
        (void)worker_put(w, &it, PUT_SET, LK_TTL_NEVER);
    }
}

/* Expiring entries: half of the calls store one that lives 0.1 to 20 ms, half ask for one. */
static void expiring(struct worker *w)
{
    struct item it;
    worker_pick(w, &it, 'x');
    if (worker_get(w, &it) == ENOENT)
        (void)worker_put(w, &it, PUT_SET, MS / 10 + worker_below(w, 20 * MS));
}

static void erase(struct worker *w)
{
    struct item it;
    worker_pick(w, &it, 'f');
    uint64_t begun = cli_now_ns();
    worker_begin(w, OP_DELETE);
    int rc = w->storm->kind->del(w->cache, it.key, it.key_size);
    if (rc == 0 || rc == ENOENT)
        worker_changed(&it, begun);
    else
        worker_result(w, &it, rc);
    worker_end(w);
}

static void touch(struct worker *w)
{
    struct item it;
    worker_pick(w, &it, 'f');
    uint64_t ttl = worker_below(w, 4) == 0 ? MS + worker_below(w, 50 * MS) : LK_TTL_NEVER;
    worker_begin(w, OP_TOUCH);
    int rc = w->storm->kind->touch(w->cache, it.key, it.key_size, ttl);
    if (rc != 0 && rc != ENOENT)
        worker_result(w, &it, rc);
    worker_end(w);
}

/* A counter's value is its incarnation (ns since the storm began, when the call that made it began)
 * and, in the low bits, how often it was counted up.  Of one incarnation each result is larger than
 * every one known before the call.  An evicted counter is made anew, by a call that may have begun
 * before a later incarnation did, but not long before. */
enum { COUNT_BITS = 20 };

static bool went_back(const struct worker *w, uint64_t result, uint64_t floor)
{
    uint64_t made = result >> COUNT_BITS, known = floor >> COUNT_BITS;
    return made == known ? result <= floor : made + storm_stale_ns(w->storm->shared) < known;
}

static void count_up(struct worker *w)
{
    unsigned n = (unsigned)worker_below(w, STORM_COUNTERS);
    char key[32];
    int size = snprintf(key, sizeof key, "c:%u", n);
    _Atomic uint64_t *floor_word = &w->storm->shared->counter_floor[n];
    uint64_t floor = atomic_load_explicit(floor_word, memory_order_acquire);
    int64_t result = 0, initial = (int64_t)((cli_now_ns() - w->storm->begun_ns) << COUNT_BITS);
    worker_begin(w, OP_INCR);
    int rc = w->storm->kind->incr(w->cache, key, (size_t)size, initial, &result);
    if (rc != 0)
        worker_result(w, NULL, rc);
    else if (went_back(w, (uint64_t)result, floor))
        worker_wrong(
            w, (struct storm_wrong){
                   .kind = WRONG_COUNTER, .chunk = n, .got = (uint64_t)result, .expected = floor});
    else
        storm_raise(floor_word, (uint64_t)result);
    worker_end(w);
}

/* True for one caller each time that `every_ns` has passed. */
static bool due(_Atomic uint64_t *due_ns, uint64_t every_ns)
{
    uint64_t now = cli_now_ns(), due = storm_read(due_ns);
    return now >= due && atomic_compare_exchange_strong(due_ns, &due, now + every_ns);
}

/* Often would keep a large cache from ever being full. */
uint64_t storm_flush_every_ns(const struct storm_plan *plan)
{
    return 4000 * MS + plan->entries * 500000;
}

static void flush(struct worker *w)
{
    uint64_t begun = cli_now_ns();
    worker_begin(w, OP_FLUSH);
    int rc = w->storm->kind->flush(w->cache);
    if (rc == 0)
        storm_raise(&w->storm->shared->flush_floor_ns, begun);
    else
        worker_result(w, NULL, rc);
    worker_end(w);
}

/* A second handle beside the inherited one, opened by name and given back. */
static void reattach(struct worker *w)
{
    worker_begin(w, OP_ATTACH);
    if (w->own_handle)
        w->storm->kind->detach(w->cache);
    w->own_handle = false;
    w->cache = w->storm->cache;
    int rc = w->storm->kind->attach(&w->storm->plan, &w->cache);
    if (rc == 0)
        w->own_handle = true;
    else
        worker_result(w, NULL, rc);
    worker_end(w);
}

/* What is rare because it goes over the whole cache. */
static void seldom(struct worker *w)
{
    struct storm_shared *shared = w->storm->shared;
    bool latchkey = w->storm->kind == &storm_latchkey;
    if (due(&shared->flush_due_ns, storm_flush_every_ns(&w->storm->plan)))
        flush(w);
    else if (latchkey && due(&shared->each_due_ns, 400 * MS))
        worker_lk_each(w);
    else if (latchkey && due(&shared->verify_due_ns, 600 * MS))
        worker_lk_verify(w);
    else if (worker_below(w, 16) == 0)
        reattach(w);
}

static void step(struct worker *w)
{
    unsigned dice = (unsigned)worker_below(w, 1000);
    if (dice < 640)
        serve_file(w);
    else if (dice < 740)
        overwrite(w);
    else if (dice < 800)
        expiring(w);
    else if (dice < 840)
        erase(w);
    else if (dice < 880)
        touch(w);
    else if (dice < 960)
        count_up(w);
    else if (dice < 990 && w->storm->kind == &storm_latchkey)
        worker_lk_get_many(w);
    else if (dice < 990)
        serve_file(w);
    else
        seldom(w);
}

_Noreturn void storm_worker(struct storm *s, unsigned index, uint64_t seed)
{
    static struct worker self; /* one to a process */
    struct worker *w = &self;
    storm_warm_program();
    s->kind->warm();
    (void)signal(SIGINT, SIG_IGN); /* a terminal sends it to all; the parent ends us */
    (void)signal(SIGTERM, SIG_IGN);
    *w = (struct worker){.storm = s,
                         .slot = &s->shared->slot[index],
                         .cache = s->cache,
                         .index = index,
                         .random = seed | 1,
                         .schedstat = -1};
    w->stops = atomic_load_explicit(&w->slot->stops, memory_order_relaxed);
    (void)setpriority(PRIO_PROCESS, 0, s->nice); /* from here on like any other process */
    worker_watch_queue(w);
    w->last_ns = cli_now_ns();
    worker_begin(w, OP_ATTACH);
    atomic_store_explicit(&w->slot->stamp_ns, w->last_ns, memory_order_release);
    if (worker_below(w, 2) == 0)
        reattach(w);
    while (!atomic_load_explicit(&s->shared->stop, memory_order_relaxed))
        step(w);
    if (w->own_handle)
        s->kind->detach(w->cache);
    _exit(0);
}

int storm_prefill(struct storm *s)
{
    static struct worker self;
    static struct storm_slot nobody;
    self = (struct worker){.storm = s,
                           .slot = &nobody,
                           .cache = s->cache,
                           .random = 1,
                           .schedstat = -1,
                           .last_ns = cli_now_ns()};
    uint64_t stored = 0;
    struct item it;
    for (uint32_t file = 0; file < s->files->count && !cli_stop; file++)
        for (uint32_t i = 0; i < s->files->file[file].chunks; i++, stored++) {
            if (stored >= s->plan.entries)
                return 0;
            item_make(&self, &it, 'f', file, i);
            int rc = worker_put(&self, &it, PUT_SET, LK_TTL_NEVER);
            if (rc != 0)
                return rc;
        }
    return 0;
}
