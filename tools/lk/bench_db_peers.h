/* bench_db_peers.h - the parts in C of `lk db bench`. */
#ifndef LK_BENCH_DB_PEERS_H
#define LK_BENCH_DB_PEERS_H

#include "bench.h"
#include "bench_db.h"
#include "db_cmd.h"

extern const struct db_peer db_peer_ours, db_peer_lmdb, db_peer_btrees;

int db_peer_failed(struct db_peer *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Make, free the keys.  False: out of memory, or no directory. */
bool db_load_init(struct db_load *load, uint64_t n);
void db_load_destroy(struct db_load *load);
/* What `n` gets, a scan, and n ranges must add up to. */
uint64_t db_sum_gets(const struct db_load *load, uint64_t n);
uint64_t db_sum_all(const struct db_load *load);
uint64_t db_sum_ranges(const struct db_load *load, uint64_t n);

/* The peers that are installed, in the order they are shown; for the others a line to stderr. */
enum { DB_PEERS_MAX = 4 };
size_t db_peers_open(struct db_peer peers[DB_PEERS_MAX], const struct db_load *load, bool python);
void db_peers_close(struct db_peer *peers, size_t n);

/* One call, timed.  ns = NAN and a message if it fails or the sum is not what is expected. */
enum db_work { DB_INSERT, DB_APPEND, DB_GET, DB_SCAN, DB_RANGES, DB_COMMIT, DB_WORKS };
struct db_timed {
    double ns; /* in all */
    bool ok;
};
struct db_timed db_run(struct db_peer *p, const struct db_load *load, enum db_work work,
                       uint64_t n);
/* The calling thread's time on its CPU: other programs on the machine do not count. */
double db_cpu_ns(void);
/* Bytes in use on the heap. */
uint64_t db_heap_bytes(void);

/* Loads of leaves and uses of objects (bench_db_object.c): a round of each. */
struct db_object_figures {
    struct bench_series load_ns; /* a leaf of 60 entries, all */
    struct bench_series read_ns; /* of it: the store's read */
    struct bench_series use_ns;  /* a use of a resident object */
    struct bench_series readers; /* work of two readers of one object / of one */
};
int db_object_rounds(struct db_object_figures *f, const char *place, uint64_t rounds);

/* Commits that wait for the disk (bench_db_sync.c), a second. */
enum { DB_COMMITTERS = 8 }; /* threads that share the wait */
struct db_sync_figures {
    struct bench_series one, many;
};
int db_sync_rounds(struct db_sync_figures *f, uint64_t rounds);

/* Cost against size, with a picture (bench_db_sizes.c, bench_db_svg.c). */
int db_bench_sizes(const struct db_call *call);

struct db_curve {
    const char *name;
    size_t n;
    double at[8], ns[8];
};
struct db_chart {
    const char *title;
    size_t n;
    struct db_curve curve[DB_PEERS_MAX];
};
/* False: errno says why. */
bool db_charts_write(const char *path, const struct db_chart *charts, size_t n);

#endif
