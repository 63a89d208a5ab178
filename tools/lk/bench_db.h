/* bench_db.h - what the parts of `lk db bench` share.  C and C++: one peer is C++. */
#ifndef LK_BENCH_DB_H
#define LK_BENCH_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DB_ASKED = 1 << 20, /* random keys that gets and ranges ask for, one behind the other */
    DB_RANGE = 100,     /* entries of a range */
    DB_USES = 64,       /* gets and uses in one section */
};

/* Keys 0 ... n-1 and their values, the same for every peer. */
struct db_load {
    uint64_t n;
    const uint64_t *shuffled; /* [n] every key once */
    const int64_t *asked;     /* [DB_ASKED] */
    const char *place;        /* a directory for files */
    int cpu;                  /* for programs of others */
};

/* What a key's value is: gets are right if the sum of the values is. */
static inline uint64_t db_value(uint64_t key)
{
    return key * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

/* An ordered map of 8-byte integers.  Calls return 0, or another number and words in `why`;
 * *sum += the values seen. */
struct db_peer {
    const char *name;
    const char *how; /* one line: what it is, and how it is used here */
    /* A new, empty map; what was there is gone. */
    int (*reset)(struct db_peer *p, const struct db_load *load);
    /* Put every key, in order (append) or shuffled, in one transaction where there are any. */
    int (*fill)(struct db_peer *p, const struct db_load *load, bool append);
    int (*get)(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum);
    int (*scan)(struct db_peer *p, const struct db_load *load, uint64_t *sum);
    /* n times up to DB_RANGE entries from a random key on. */
    int (*range)(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum);
    /* n times: change one value and commit.  NULL: it has no transactions. */
    int (*commit)(struct db_peer *p, const struct db_load *load, uint64_t n);
    /* Bytes that the store takes; NULL: it is on the heap, or the program is another. */
    uint64_t (*stored)(struct db_peer *p);
    void (*close)(struct db_peer *p);
    bool resident; /* its entries are on this program's heap */
    double own_ns; /* set by a call that was measured elsewhere */
    char version[48], why[160];
    void *state;
};

#ifdef __cplusplus
}
#endif
#endif
