/* bench_lmdb.c - LMDB: an environment with MDB_NOSYNC on tmpfs.  Gets run in one read
 * transaction that is reset and renewed every 1,000 gets, as a server would for each batch of
 * requests; sets run in one write transaction, whose commit is not timed (in LMDB's favour). */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define GETS_A_TRANSACTION 1000u

struct state {
    char directory[64];
    MDB_env *env;
    MDB_dbi dbi;
    MDB_txn *reading, *writing;
    char *buf;
};

static void lmdb_close(struct bench_peer *p)
{
    struct state *s = p->state;
    if (s->reading != NULL)
        mdb_txn_abort(s->reading);
    if (s->writing != NULL)
        mdb_txn_abort(s->writing);
    if (s->env != NULL)
        mdb_env_close(s->env);
    bench_directory_remove(s->directory);
    free(s->buf);
    free(s);
    p->state = NULL;
}

static int put_all(struct state *s, const struct bench_load *load)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
    for (size_t i = 0; rc == 0 && i < load->entries; i++) {
        uint64_t mark = bench_mark((uint32_t)i);
        memcpy(load->value, &mark, sizeof mark);
        MDB_val key = {BENCH_KEY_SIZE, load->keys[i]}, value = {load->value_size, load->value};
        rc = mdb_put(txn, s->dbi, &key, &value, 0);
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int lmdb_open(struct bench_peer *p, const struct bench_load *load)
{
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return bench_peer_failed(p, "no memory");
    p->state = s;
    s->buf = malloc(load->value_size);
    int rc = s->buf == NULL || !bench_directory_make(s->directory) ? ENOMEM : 0;
    size_t map_size = (load->entries * (load->value_size + 100) * 4 + (64u << 20)) & ~(size_t)4095;
    if (rc == 0)
        rc = mdb_env_create(&s->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(s->env, map_size);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->directory, MDB_NOSYNC, 0600);
    if (rc == 0)
        rc = put_all(s, load);
    if (rc == 0)
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reading);
    if (rc != 0) {
        lmdb_close(p);
        return bench_peer_failed(p, "LMDB: %s", mdb_strerror(rc));
    }
    mdb_txn_reset(s->reading);
    bench_directory_remove(s->directory);
    snprintf(p->version, sizeof p->version, "%s", mdb_version(NULL, NULL, NULL));
    return 0;
}

static size_t lmdb_get(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                       uint64_t *sum)
{
    struct state *s = p->state;
    size_t hits = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (i % GETS_A_TRANSACTION == 0) {
            mdb_txn_reset(s->reading);
            if (mdb_txn_renew(s->reading) != 0)
                return 0;
        }
        MDB_val key = {BENCH_KEY_SIZE, load->asked[(first + i) & (BENCH_REQUESTS - 1)]}, value;
        if (mdb_get(s->reading, s->dbi, &key, &value) == 0 && value.mv_size == load->value_size) {
            uint64_t mark;
            memcpy(s->buf, value.mv_data, value.mv_size);
            memcpy(&mark, s->buf, sizeof mark);
            total += mark;
            hits++;
        }
    }
    mdb_txn_reset(s->reading);
    *sum += total;
    return hits;
}

static size_t lmdb_set(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n)
{
    struct state *s = p->state;
    size_t stored = 0;
    if (s->writing == NULL && mdb_txn_begin(s->env, NULL, 0, &s->writing) != 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        size_t r = (first + i) & (BENCH_REQUESTS - 1);
        uint64_t mark = bench_mark(load->ids[r]);
        memcpy(load->value, &mark, sizeof mark);
        MDB_val key = {BENCH_KEY_SIZE, load->asked[r]}, value = {load->value_size, load->value};
        stored += mdb_put(s->writing, s->dbi, &key, &value, 0) == 0;
    }
    return stored;
}

static bool lmdb_settle(struct bench_peer *p)
{
    struct state *s = p->state;
    MDB_txn *txn = s->writing;
    s->writing = NULL;
    return txn == NULL || mdb_txn_commit(txn) == 0;
}

const struct bench_peer bench_peer_lmdb = {
    .name = "LMDB",
    .how = "mdb_get + copy, read transaction renewed every 1,000; mdb_put, MDB_NOSYNC, tmpfs, one "
           "transaction a round, commit not timed",
    .open = lmdb_open,
    .get = lmdb_get,
    .set = lmdb_set,
    .settle = lmdb_settle,
    .close = lmdb_close,
};
