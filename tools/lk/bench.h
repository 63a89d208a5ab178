/* bench.h - what the parts of lk bench share: options, the workload, peers, rounds, limits.
 * Owned by the bench_*.c files of tools/lk; no other command includes it. */
#ifndef LK_BENCH_H
#define LK_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchkey/cache.h"

/* ---- options ------------------------------------------------------------------------------- */

struct bench_options {
    uint64_t entries;
    uint64_t value_size;
    double skew;        /* of the Zipf distribution; 0 = uniform */
    uint64_t rounds;    /* measurements of each peer */
    uint64_t window_ns; /* of one measurement */
    uint64_t run_ns;    /* get, set: how long in all */
    uint64_t threads, processes, shards, objects, kills;
    const char *only;     /* peers: names, comma between; NULL = all */
    const char *policies; /* replay: CSV of reference hit ratios */
    const char *operand;
    bool json, check, quiet, sweep;
};

typedef int bench_run_fn(const struct bench_options *o);
bench_run_fn bench_get, bench_set, bench_peers, bench_replay, bench_repair, bench_collide;
bench_run_fn bench_memory, bench_scale, bench_locks, bench_keys;

/* ---- the workload (bench_load.c) ----------------------------------------------------------- */

#define BENCH_KEY_SIZE 20u
#define BENCH_REQUESTS 262144u /* a power of two: the requests are gone round again and again */

/* Keys, values and requests, all made before anything is timed and the same for every peer.
 * `asked` holds the requests' keys one behind the other, as a caller has its key at hand: the order
 * of the requests costs no cache miss of its own. */
struct bench_load {
    size_t entries, value_size;
    char (*keys)[BENCH_KEY_SIZE];  /* [entries] */
    char (*asked)[BENCH_KEY_SIZE]; /* [BENCH_REQUESTS] */
    uint32_t *ids;                 /* [BENCH_REQUESTS] the entry that each request asks for */
    uint64_t *sums;                /* [BENCH_REQUESTS + 1] marks of the requests before this one */
    char *value;                   /* value_size bytes; the first 8 are overwritten by a mark */
};

/* entries 1..2^32-1, value_size at least 8.  False and a message if there is no memory. */
bool bench_load_init(struct bench_load *load, size_t entries, size_t value_size, double skew);
void bench_load_destroy(struct bench_load *load);

/* The first 8 bytes of entry `id`'s value. */
uint64_t bench_mark(uint32_t id);
/* The sum of the marks of `n` requests from `first` on: what n correct gets must add up to. */
uint64_t bench_expected(const struct bench_load *load, size_t first, size_t n);
/* A pseudo-random number; the state is any number. */
uint64_t bench_random(uint64_t *state);

/* ---- peers --------------------------------------------------------------------------------- */

/* One of the things measured side by side.  open() fills it with every entry of the load. */
struct bench_peer {
    const char *name;
    const char *how; /* one line for the reader: what exactly is timed */
    /* 0, ENOENT (not installed: `why` says what is missing), -1 (failed: `why`). */
    int (*open)(struct bench_peer *p, const struct bench_load *load);
    /* n requests from `first` on (modulo BENCH_REQUESTS).  Returns how many were hits (gets) or
     * stored (sets); a get adds the first 8 bytes of every value to *sum unless no_sum. */
    size_t (*get)(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                  uint64_t *sum);
    size_t (*set)(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n);
    /* After a round of sets, outside the timed part; may be NULL. */
    bool (*settle)(struct bench_peer *p);
    void (*close)(struct bench_peer *p);
    bool no_sum; /* its gets are compared once, in open(), not while timed */
    bool remote; /* a server or another program: takes no part in the 4 KiB form */
    char version[64], why[160];
    void *state;
};

extern const struct bench_peer bench_peer_plain, bench_peer_latchkey, bench_peer_lmdb,
    bench_peer_redis, bench_peer_memcached, bench_peer_apcu;

/* Yardsticks for processes side by side, no peers of the contests: the least that storing under a
 * lock in shared memory costs, in place (bench_bare.c), and through an index to an entry that
 * replaces the old one (bench_index.c). */
extern const struct bench_peer bench_peer_bare, bench_peer_index;
/* From now on each of their sets does so much work of its own besides. */
void bench_bare_work(double ns);
void bench_bare_own_work(void);
/* Memory that children of fork share; NULL if there is none.  munmap(). */
void *bench_shared_bytes(size_t bytes);
/* How long a cache line takes from the first CPU to the second; NAN if there is but one. */
double bench_line_ns(void);

/* The cache behind an open bench_peer_latchkey. */
lk_cache *bench_latchkey_cache(const struct bench_peer *p);
/* An anonymous cache with all entries of the load in it.  NULL and a message if not. */
lk_cache *bench_cache_open(const struct bench_load *load, unsigned shards);

/* p->why = the message; returns -1. */
int bench_peer_failed(struct bench_peer *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A directory of our own on tmpfs.  Removed with what is in it as soon as everybody has opened what
 * he needs, so that not even SIGKILL leaves much behind; path becomes "", removing it again does
 * nothing. */
bool bench_directory_make(char path[64]);
void bench_directory_remove(char *path);

/* ---- programs of others (bench_child.c) ---------------------------------------------------- */

/* A program that we started: it dies with us, and we end it by its pid. */
struct bench_child {
    int pid;
    int in, out; /* its standard input and output, or -1 */
};

/* Start argv[0] (looked up in PATH) on CPU `cpu`; without pipes, in and out are /dev/null. */
bool bench_child_start(struct bench_child *c, char *const argv[], int cpu, bool with_pipes);
void bench_child_end(struct bench_child *c);
/* The first line that `command` prints, without the newline; false if it cannot be run. */
bool bench_first_line(const char *command, char *buf, size_t capacity);

/* A connection to a server on a unix socket, with one buffer in and one out. */
struct bench_stream {
    int fd;
    char *out, *in;
    size_t out_used, in_begin, in_end, capacity;
};

/* Connect, waiting up to 5 s for the server to be there. */
bool bench_stream_open(struct bench_stream *s, const char *path, size_t capacity);
void bench_stream_close(struct bench_stream *s);
/* Room for n more bytes of the request; NULL if the buffer is full. */
char *bench_stream_room(struct bench_stream *s, size_t n);
bool bench_stream_send(struct bench_stream *s);
/* A line without its CR LF, ended by a zero; n bytes.  NULL at the connection's end. */
char *bench_stream_line(struct bench_stream *s);
char *bench_stream_bytes(struct bench_stream *s, size_t n);

/* ---- rounds (bench_rounds.c) --------------------------------------------------------------- */

#define BENCH_ROUNDS_MAX 1001u

/* What the rounds measured, in measuring order. */
struct bench_series {
    size_t n;
    double values[BENCH_ROUNDS_MAX];
};

void bench_add(struct bench_series *s, double value);
double bench_median(const struct bench_series *s);
double bench_least(const struct bench_series *s);
double bench_most(const struct bench_series *s);
/* The value that a share `part` (0..1) of the series does not exceed. */
double bench_quantile(const struct bench_series *s, double part);

/* `name` in the library `file` that lies beside this program (peers in C++), or NULL.  The library
 * stays loaded. */
void *bench_beside(const char *file, const char *name);

/* The i-th CPU that this process may run on, -1 if there are not so many; how many there are. */
int bench_cpu(unsigned i);
unsigned bench_cpus(void);
/* Run on this CPU only; -1 changes nothing. */
void bench_pin(int cpu);
/* Run wherever the process was allowed to when it began. */
void bench_unpin(void);

/* CPU model, CPUs, kernel: printed, or as JSON. */
void bench_machine_print(void);
json_t *bench_machine_json(void);

/* ---- limits -------------------------------------------------------------------------------- */

/* A figure of the "Must hold" and what was measured for it. */
struct bench_limit {
    char text[96];
    double limit, measured;
    bool at_least; /* else at most */
    char unit[16];
};

#define BENCH_LIMITS_MAX 24u

struct bench_limits {
    size_t n;
    struct bench_limit all[BENCH_LIMITS_MAX];
};

void bench_limit_at_most(struct bench_limits *l, const char *text, double limit, const char *unit,
                         double measured);
void bench_limit_at_least(struct bench_limits *l, const char *text, double limit, const char *unit,
                          double measured);
/* A number, or null for NAN: what was not measured. */
json_t *bench_number_json(double x);
void bench_limits_print(const struct bench_limits *l);
json_t *bench_limits_json(const struct bench_limits *l);
/* CLI_OK; with `check`, CLI_PROBLEM if a limit does not hold. */
int bench_limits_code(const struct bench_limits *l, bool check);

/* ---- processes side by side (bench_scale.c) ------------------------------------------------ */

/* Operations per second of the cache with 1, 2 ... `most` processes, each pinned to its own CPU.
 * alone: the mean over the processes, each measured by itself in the same rounds. */
struct bench_scaling {
    unsigned most;
    struct bench_series alone;
    struct bench_series together[8]; /* [k - 1]: the sum of k processes */
};

#define BENCH_PROCESSES_MAX 8u

/* 0 or a lk exit code after a message. */
int bench_scaling_run(struct bench_scaling *out, struct bench_peer *peer,
                      const struct bench_load *load, bool set, unsigned most,
                      const struct bench_options *o);

/* ---- traces (bench_trace.c) ---------------------------------------------------------------- */

/* Object ids of a trace file; *ids is the caller's to free.  False and a message. */
bool bench_trace_read(const char *path, uint32_t **ids, size_t *n);

/* ---- keys that collide (bench_hostile.c) --------------------------------------------------- */

enum bench_hostile {
    BENCH_TIMES33, /* djb2: h * 33 + byte (PHP, APCu) */
    BENCH_TIMES31, /* h * 31 + byte (Java, Rabin-Karp) */
    BENCH_FNV1A,   /* 32 bits */
    BENCH_MURMUR3, /* 32 bits, seed 0 */
    BENCH_HOSTILE_N
};

#define BENCH_HOSTILE_KEYS 16384u

extern const char *const bench_hostile_names[BENCH_HOSTILE_N];
uint32_t bench_hostile_hash(enum bench_hostile kind, const unsigned char *key, size_t size);
/* 16,384 different keys of equal length and equal hash, one behind the other; the caller frees. */
unsigned char *bench_hostile_make(enum bench_hostile kind, size_t *key_size);

#endif
