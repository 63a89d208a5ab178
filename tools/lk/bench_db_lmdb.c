/* bench_db_lmdb.c - LMDB's own map, as a peer of lk db bench. */
#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_db_peers.h"

struct plain {
    char path[128];
    MDB_env *env;
    MDB_dbi dbi;
    uint64_t commits;
};

static int failed(struct db_peer *p, int rc)
{
    return db_peer_failed(p, "%s", mdb_strerror(rc));
}

static void shut(struct plain *l)
{
    char lock[144];
    if (l->env != NULL)
        mdb_env_close(l->env);
    l->env = NULL;
    snprintf(lock, sizeof lock, "%s-lock", l->path);
    (void)unlink(l->path);
    (void)unlink(lock);
}

static int reset(struct db_peer *p, const struct db_load *load)
{
    struct plain *l = p->state;
    if (l == NULL && (l = p->state = calloc(1, sizeof *l)) == NULL)
        return failed(p, ENOMEM);
    shut(l);
    snprintf(l->path, sizeof l->path, "%s/lmdb", load->place);
    snprintf(p->version, sizeof p->version, "%d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR,
             MDB_VERSION_PATCH);
    int rc = mdb_env_create(&l->env);
    if (rc != 0)
        return failed(p, rc);
    (void)mdb_env_set_mapsize(l->env, (size_t)16 << 30);
    rc = mdb_env_open(l->env, l->path, MDB_NOSUBDIR | MDB_NOSYNC, 0600);
    return rc == 0 ? 0 : failed(p, rc);
}

static int fill(struct db_peer *p, const struct db_load *load, bool append)
{
    struct plain *l = p->state;
    MDB_txn *x;
    int rc = mdb_txn_begin(l->env, NULL, 0, &x);
    if (rc != 0)
        return failed(p, rc);
    rc = mdb_dbi_open(x, NULL, 0, &l->dbi);
    for (uint64_t i = 0; i < load->n && rc == 0; i++) {
        unsigned char bytes[8];
        uint64_t k = append ? i : load->shuffled[i], v = db_value(k);
        lk_key_int64(bytes, (int64_t)k);
        MDB_val key = {8, bytes}, value = {8, &v};
        rc = mdb_put(x, l->dbi, &key, &value, append ? MDB_APPEND : 0);
    }
    if (rc != 0)
        mdb_txn_abort(x);
    else
        rc = mdb_txn_commit(x);
    return rc == 0 ? 0 : failed(p, rc);
}

static void add(uint64_t *sum, const MDB_val *value)
{
    uint64_t n;
    memcpy(&n, value->mv_data, sizeof n);
    *sum += n;
}

static int get(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum)
{
    struct plain *l = p->state;
    MDB_txn *x;
    int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &x);
    if (rc != 0)
        return failed(p, rc);
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        unsigned char bytes[8];
        lk_key_int64(bytes, load->asked[i]);
        MDB_val key = {8, bytes}, value;
        rc = mdb_get(x, l->dbi, &key, &value);
        if (rc == 0)
            add(sum, &value);
    }
    mdb_txn_abort(x);
    return rc == 0 ? 0 : failed(p, rc);
}

/* Up to `most` entries from a key (NULL: the first) on. */
static int walk(MDB_cursor *c, const unsigned char *from, uint64_t most, uint64_t *sum)
{
    MDB_val key = {8, (void *)(uintptr_t)from}, value;
    int rc = mdb_cursor_get(c, &key, &value, from != NULL ? MDB_SET_RANGE : MDB_FIRST);
    for (uint64_t i = 0; i < most && rc == 0; i++) {
        add(sum, &value);
        if (i + 1 < most)
            rc = mdb_cursor_get(c, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int walks(struct db_peer *p, const struct db_load *load, uint64_t n, bool all, uint64_t *sum)
{
    struct plain *l = p->state;
    MDB_txn *x;
    MDB_cursor *c;
    int rc = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &x);
    if (rc != 0)
        return failed(p, rc);
    rc = mdb_cursor_open(x, l->dbi, &c);
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        unsigned char key[8];
        lk_key_int64(key, load->asked[i]);
        rc = walk(c, all ? NULL : key, all ? load->n : DB_RANGE, sum);
    }
    mdb_txn_abort(x);
    return rc == 0 ? 0 : failed(p, rc);
}

static int scan(struct db_peer *p, const struct db_load *load, uint64_t *sum)
{
    return walks(p, load, 1, true, sum);
}

static int range(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum)
{
    return walks(p, load, n, false, sum);
}

static int commit(struct db_peer *p, const struct db_load *load, uint64_t n)
{
    struct plain *l = p->state;
    int rc = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        MDB_txn *x;
        unsigned char bytes[8];
        uint64_t v = ++l->commits;
        rc = mdb_txn_begin(l->env, NULL, 0, &x);
        if (rc != 0)
            break;
        lk_key_int64(bytes, load->asked[i]);
        MDB_val key = {8, bytes}, value = {8, &v};
        rc = mdb_put(x, l->dbi, &key, &value, 0);
        if (rc == 0)
            rc = mdb_txn_commit(x);
        else
            mdb_txn_abort(x);
    }
    return rc == 0 ? 0 : failed(p, rc);
}

static uint64_t stored(struct db_peer *p)
{
    struct plain *l = p->state;
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(l->env, &info) != 0 || mdb_env_stat(l->env, &stat) != 0)
        return 0;
    return (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

static void done(struct db_peer *p)
{
    if (p->state != NULL)
        shut(p->state);
    free(p->state);
    p->state = NULL;
}

const struct db_peer db_peer_lmdb = {
    .name = "LMDB",
    .how = "its own map in a file on tmpfs, read where it lies",
    .reset = reset,
    .fill = fill,
    .get = get,
    .scan = scan,
    .range = range,
    .commit = commit,
    .stored = stored,
    .close = done,
};
