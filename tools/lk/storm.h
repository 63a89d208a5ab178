/* storm.h - lk storm: workers serve real files through one cache and are killed at random.
 *
 * Three parties.  The parent loads the files, makes the cache, forks workers, kills them, replaces
 * them, and watches.  The workers do the work and check every value they are served.  What both see
 * lies in one anonymous shared mapping (struct storm_shared): it survives the death of any worker,
 * every word of it has one writer at a time or is atomic, and none of it lies in the cache. */
#ifndef LK_STORM_H
#define LK_STORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "latchkey/cache.h"

enum {
    STORM_WORKERS_MAX = 64,
    STORM_COUNTERS = 64,       /* keys that count upwards */
    STORM_WRONG_LOG = 16,      /* first problems kept in full */
    STORM_TIMELINE_MAX = 4096, /* samples; twice as coarse when full */
    STORM_KEY_MAX = 320,
    STORM_PATH_MAX = 256,
};

/* ------------------------------------------------------------------ options and files */

enum storm_lock { STORM_LATCHKEY, STORM_TTAS, STORM_TORN };

struct storm_options {
    const char *dir, *html, *svg, *name;
    enum storm_lock lock;
    unsigned workers, shards, aim_percent;
    uint64_t kills, run_ns, wedge_ns; /* kills, run_ns: 0 = no such limit */
    uint64_t calm_ns;                 /* before the first kill */
    uint64_t entries, size_bytes, seed;
    double kills_per_second; /* 0 = as fast as they can be replaced */
    bool demo, json, quiet, checksum, stops, keep;
};

struct storm_file {
    char *path;                 /* relative to the directory */
    const unsigned char *bytes; /* the true content */
    uint64_t path_hash;
    uint32_t size, first_chunk, chunks;
};

/* The files, loaded before the forks into one shared mapping that is then made read-only. */
struct storm_files {
    struct storm_file *file;
    double *cdf; /* of the Zipf law over the files, in their (shuffled) order */
    unsigned char *bytes;
    uint64_t total_bytes, skipped;
    uint32_t count, chunk_count, chunk_bytes, key_bytes; /* key_bytes: average */
    int dir_fd;
};

int storm_files_load(struct storm_files *f, const char *dir, uint64_t seed);
void storm_files_cut(struct storm_files *f, uint32_t chunk_bytes);
void storm_files_free(struct storm_files *f);

/* ------------------------------------------------------------------ histogram of stalls */

enum { STORM_SUB_BITS = 4, STORM_BUCKETS = (44 - STORM_SUB_BITS + 1) << STORM_SUB_BITS };

struct storm_hist {
    _Atomic uint64_t count[STORM_BUCKETS];
};

unsigned storm_hist_bucket(uint64_t ns);
uint64_t storm_hist_floor(unsigned bucket);
void storm_hist_add(struct storm_hist *h, uint64_t ns); /* one writer at a time */
void storm_hist_merge(struct storm_hist *sum, const struct storm_hist *h);
uint64_t storm_hist_total(const struct storm_hist *h);
/* The smallest span that at least `fraction` of the spans do not exceed (upper end of its bucket).
 * */
uint64_t storm_hist_quantile(const struct storm_hist *h, double fraction);

/* --------------------------------------------------------------- what workers and parent share */

enum storm_op {
    OP_START, /* fork to first operation; not counted */
    OP_GET,
    OP_GET_MANY,
    OP_READ, /* a file, after a miss */
    OP_SET,
    OP_ADD,
    OP_REPLACE,
    OP_CAS,
    OP_DELETE,
    OP_TOUCH,
    OP_INCR,
    OP_LEASE,
    OP_FILL,
    OP_EACH,
    OP_FLUSH,
    OP_VERIFY,
    OP_ATTACH,
    OP_COUNT
};
extern const char *const storm_op_name[OP_COUNT];
bool storm_op_writes(enum storm_op op); /* takes a shard's lock */

enum storm_wrong_kind {
    WRONG_BYTES,   /* not the file's bytes, or a mix of two versions of them */
    WRONG_KEY,     /* the value of another key */
    WRONG_SIZE,    /* neither the file's size nor the one it was stored with */
    WRONG_STALE,   /* a value that had been overwritten, deleted or flushed long before */
    WRONG_EXPIRED, /* served after its time to live */
    WRONG_COUNTER, /* a counter that went back or stood still */
    WRONG_RESULT,  /* a result that the call may not give here */
    WRONG_KINDS
};
extern const char *const storm_wrong_name[WRONG_KINDS];

struct storm_wrong {
    enum storm_wrong_kind kind;
    enum storm_op op;
    unsigned worker;
    int rc;
    uint32_t file, chunk;
    uint64_t at_ns, version, got, expected; /* the two that differ: bytes, sizes, times, counts */
};

/* One worker's place.  Written by the worker that is in it now, `stops` and `stamp_ns = 0` by the
 * parent.  Counters go on from worker to worker. */
struct storm_slot {
    _Alignas(64) _Atomic uint64_t stamp_ns; /* end of the last operation; 0 = none begun */
    _Atomic uint32_t op;                    /* enum storm_op, under way */
    _Atomic uint32_t stops;                 /* times that the parent stopped it (SIGSTOP) */
    _Atomic uint64_t done[OP_COUNT];
    _Atomic uint64_t total, hits, misses, file_changed, lease_timeouts, lease_waits, cancelled;
    _Atomic uint64_t wrong[WRONG_KINDS];
    _Atomic uint64_t longest_ns, longest_at_ns;
    _Atomic uint64_t longest_own_ns; /* without waiting for a processor */
    _Atomic uint32_t longest_op;
    struct storm_hist hist;
};

struct storm_shared {
    _Atomic uint32_t stop, wrong_count;
    _Atomic uint64_t longest_gap_ns; /* of any worker so far, unfinished ones too */
    _Atomic uint64_t flush_due_ns, verify_due_ns, each_due_ns;
    _Atomic uint64_t flush_floor_ns; /* begin of the last flush that ended */
    _Atomic uint64_t counter_floor[STORM_COUNTERS];
    struct storm_wrong wrong[STORM_WRONG_LOG];
    struct storm_slot slot[STORM_WORKERS_MAX];
};

static inline void storm_add(_Atomic uint64_t *word, uint64_t n)
{
    /* One writer at a time, so no read-modify-write is needed; a reader sees old or new. */
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    atomic_store_explicit(word, old + n, memory_order_relaxed);
}

static inline uint64_t storm_read(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Raise *word to n if it is lower; any number of writers. */
static inline void storm_raise(_Atomic uint64_t *word, uint64_t n)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    while (old < n && !atomic_compare_exchange_weak_explicit(word, &old, n, memory_order_release,
                                                             memory_order_relaxed))
        ;
}

/* What was overwritten, deleted or flushed this long ago must never come back.  A call takes
 * effect at most so long after it began: nobody has been seen to be half as long in one. */
static inline uint64_t storm_stale_ns(const struct storm_shared *shared)
{
    return 250000000u + 2 * storm_read(&shared->longest_gap_ns);
}

/* ------------------------------------------------------------------ a new worker's pages */

#define STORM_WARM_MAX (16u << 20) /* a larger cache takes longer than it saves */

struct storm_range {
    uintptr_t begin;
    size_t size;
};

/* Where this process has mapped the file behind fd. */
bool storm_find_map(int fd, struct storm_range *out);
void storm_warm_range(const struct storm_range *range);
/* The program's and libc's code and data. */
void storm_warm_program(void);

/* ------------------------------------------------------------------ the cache under test */

struct storm_plan {
    uint64_t capacity_bytes, entries;          /* entries: about how many fit */
    uint32_t shards, entry_bytes, value_bytes; /* key and value on average; the largest value */
    bool checksum;
    const char *name;
};

enum storm_put { PUT_SET, PUT_ADD, PUT_REPLACE, PUT_CAS };

struct storm_got {
    size_t size;
    uint64_t version, expire_ns;
};

/* What the storm asks of a cache.  Results as in latchkey/cache.h.  NULL = it has no such call, and
 * the worker does the nearest thing.  `cache` is what make() gave, or attach() in a worker. */
struct storm_kind {
    const char *name;
    int (*make)(const struct storm_plan *plan, void **cache);
    int (*attach)(const struct storm_plan *plan, void **cache); /* another handle, in a worker */
    void (*detach)(void *cache);
    void (*end)(const struct storm_plan *plan, void *cache, bool keep);
    int (*get)(void *cache, const char *key, size_t key_size, void *buf, size_t capacity,
               struct storm_got *got);
    int (*put)(void *cache, enum storm_put how, const char *key, size_t key_size, const void *value,
               size_t size, uint64_t ttl_ns, uint64_t version);
    int (*del)(void *cache, const char *key, size_t key_size);
    int (*touch)(void *cache, const char *key, size_t key_size, uint64_t ttl_ns);
    int (*incr)(void *cache, const char *key, size_t key_size, int64_t initial, int64_t *result);
    int (*flush)(void *cache);
    void (*warm)(void); /* in a new worker: map the cache's pages */
};
extern const struct storm_kind storm_latchkey;
/* The published broken lock, to prove that a stall is seen; the same with readers that do not check
 * what they copied, to prove that a wrong value is. */
extern const struct storm_kind storm_ttas, storm_torn;

/* ------------------------------------------------------------------ a run */

struct storm_sample {
    uint64_t operations, kills; /* since the storm began */
    double at_s;
};

/* Everything that is told of one storm.  Filled in by storm_run(). */
struct storm_result {
    const char *lock;
    double seconds;
    uint64_t operations, done[OP_COUNT], hits, misses;
    uint64_t kills, kills_aimed, kills_writing, stops, forks, crashes;
    uint64_t wrong, wrong_kind[WRONG_KINDS], wedges;
    uint64_t longest_own_ns; /* the longest gap without its waiting for a processor */
    uint64_t longest_ns, p50_ns, p99_ns, p999_ns;
    double longest_at_s;
    enum storm_op longest_op;
    uint64_t file_changed, lease_timeouts, cancelled;
    bool stopped_by_wedge, interrupted, has_stat, checked, check_sound;
    char wedge_text[200], crash_text[120], check_text[2048];
    struct lk_cache_stat stat; /* at the end of the storm, before the check */
    unsigned repaired_after;
    uint64_t entries_after_flush, used_after_flush;
    struct storm_hist hist;
    uint32_t open_stalls; /* workers that never came back: not in hist */
    uint64_t open_stall_ns;
    struct storm_wrong first_wrong[STORM_WRONG_LOG];
    unsigned first_wrong_count;
    struct storm_sample *timeline;
    size_t timeline_count;
};

struct storm {
    const struct storm_options *options;
    const struct storm_kind *kind;
    struct storm_files *files;
    struct storm_plan plan;
    struct storm_shared *shared;
    _Atomic uint64_t *floor_ns; /* per chunk: begin of the latest change that ended */
    size_t floor_bytes;
    void *cache;
    uint64_t begun_ns;
    int nice; /* the workers'; the parent's may be better */
};

/* In the child: work until told to stop; never returns. */
_Noreturn void storm_worker(struct storm *s, unsigned index, uint64_t seed);
/* Fill the cache with as many chunks as it is made for.  0 or an error. */
int storm_prefill(struct storm *s);
uint64_t storm_flush_every_ns(const struct storm_plan *plan);

/* Fork the workers, kill and replace them until the storm ends, stop them all.  0 or an errno. */
int storm_loop(struct storm *s, struct storm_result *r);

/* One storm from making the cache to removing it.  Returns an exit code of cli.h: CLI_OK also when
 * it wedged or served wrong values (look into *r), CLI_CANNOT when it could not be run. */
int storm_run(const struct storm_options *o, struct storm_files *f, const struct storm_plan *plan,
              enum storm_lock lock, struct storm_result *r);
bool storm_sound(const struct storm_result *r);

/* After a storm on latchkey: repair, verify, flush; in a child, so that a hang is seen too. */
void storm_check(struct storm *s, struct storm_result *r);

/* ------------------------------------------------------------------ telling */

void storm_print(const struct storm_options *o, const struct storm_files *f,
                 const struct storm_plan *plan, const struct storm_result *r, size_t n);
struct json_t;
struct json_t *storm_json(const struct storm_options *o, const struct storm_files *f,
                          const struct storm_plan *plan, const struct storm_result *r, size_t n);
int storm_plan_make(const struct storm_options *o, struct storm_files *f, struct storm_plan *plan);

/* Values: head, then the chunk's bytes, every word of it under a mask of its own version, so that a
 * mix of two versions of the same bytes cannot pass. */
struct storm_head {
    uint64_t path_hash, version_ns; /* CLOCK_MONOTONIC at the begin of the call that stored it */
    uint32_t file, space;           /* which of a file's keys: 'f' or 'x' */
    uint32_t chunk, length;
};

#endif
