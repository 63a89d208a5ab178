/* bench_db.c - lk db bench: trees beside LMDB's plain map in one run, on 8-byte integer keys. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db_cmd.h"

enum { RANGE = 100, RANGES = 20000, GETS = 1000000, USES = 64, DEFAULT_KEYS = 100000 };

struct figures {
    double append, insert, get, scan, range; /* ns for one entry, a range in all */
};

struct bench {
    uint64_t n;
    uint64_t *key; /* in random order */
    char place[64];
    volatile uint64_t sink;
};

static uint64_t mix(uint64_t *x)
{
    *x += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *x;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool shuffle(struct bench *b)
{
    uint64_t seed = 1;
    b->key = calloc(b->n, sizeof *b->key);
    for (uint64_t i = 0; b->key != NULL && i < b->n; i++) {
        uint64_t j = mix(&seed) % (i + 1);
        b->key[i] = b->key[j];
        b->key[j] = i;
    }
    return b->key != NULL;
}

static double per(uint64_t begun, uint64_t n)
{
    return (double)(cli_now_ns() - begun) / (double)n;
}

/* ---- ours ----------------------------------------------------------------------------------- */

static int put(lk_tree *t, uint64_t i)
{
    unsigned char key[8];
    lk_key_int64(key, (int64_t)i);
    return lk_tree_put(t, (struct lk_bytes){key, 8}, (struct lk_bytes){&i, 8}, NULL);
}

static int fill_ours(struct bench *b, lk_db *db, const char *name, bool append, double *ns)
{
    lk_txn *x;
    lk_tree *t;
    uint64_t begun = cli_now_ns();
    int rc = lk_txn_begin(db, &x);
    if (rc != 0)
        return rc;
    rc = lk_txn_tree(x, name, NULL, &t);
    for (uint64_t i = 0; i < b->n && rc == 0; i++)
        rc = put(t, append ? i : b->key[i]);
    if (rc == 0)
        rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    *ns = per(begun, b->n);
    return rc;
}

static int get_ours(struct bench *b, lk_tree *t, double *ns)
{
    uint64_t begun = cli_now_ns(), sum = 0;
    int rc = 0;
    for (uint64_t i = 0; i < GETS && rc == 0; i++) {
        unsigned char key[8];
        struct lk_bytes value;
        if (i % USES == 0) {
            if (i > 0)
                lk_section_end();
            rc = lk_section_begin();
        }
        lk_key_int64(key, (int64_t)b->key[i % b->n]);
        rc = rc == 0 ? lk_tree_get(t, (struct lk_bytes){key, 8}, &value) : rc;
        if (rc == 0)
            sum += *(const unsigned char *)value.at;
    }
    lk_section_end();
    *ns = per(begun, GETS);
    b->sink = sum;
    return rc;
}

static int walk_ours(struct bench *b, lk_tree *t, const struct lk_range *range, uint64_t most)
{
    lk_cursor c;
    struct lk_bytes key, value;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_cursor_begin(&c, t, range, false);
    for (uint64_t i = 0; i < most && rc == 0; i++) {
        rc = lk_cursor_next(&c, &key, &value);
        if (rc == 0)
            b->sink += *(const unsigned char *)value.at;
    }
    lk_cursor_end(&c);
    lk_section_end();
    return rc == ENOENT ? 0 : rc;
}

static int measure_ours(struct bench *b, lk_db *db, struct figures *f)
{
    lk_view *v;
    lk_tree *t;
    int rc = fill_ours(b, db, "append", true, &f->append);
    if (rc == 0)
        rc = fill_ours(b, db, "random", false, &f->insert);
    if (rc != 0 || (rc = lk_db_view(db, &v)) != 0)
        return rc;
    rc = lk_view_tree(v, "append", &t);
    if (rc == 0)
        rc = walk_ours(b, t, NULL, b->n); /* all resident */
    if (rc == 0)
        rc = get_ours(b, t, &f->get);
    uint64_t begun = cli_now_ns();
    if (rc == 0)
        rc = walk_ours(b, t, NULL, b->n);
    f->scan = per(begun, b->n);
    begun = cli_now_ns();
    for (int i = 0; i < RANGES && rc == 0; i++) {
        unsigned char key[8];
        lk_key_int64(key, (int64_t)b->key[(uint64_t)i % b->n]);
        struct lk_bytes low = {key, 8};
        rc = walk_ours(b, t, &(struct lk_range){.low = &low}, RANGE);
    }
    f->range = per(begun, RANGES);
    lk_view_end(v);
    return rc;
}

/* ---- LMDB ----------------------------------------------------------------------------------- */

static int fill_lmdb(struct bench *b, MDB_env *env, MDB_dbi *dbi, const char *name, bool append,
                     double *ns)
{
    MDB_txn *x;
    uint64_t begun = cli_now_ns();
    int rc = mdb_txn_begin(env, NULL, 0, &x);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(x, name, MDB_CREATE, dbi);
    for (uint64_t i = 0; i < b->n && rc == 0; i++) {
        unsigned char bytes[8];
        uint64_t k = append ? i : b->key[i];
        lk_key_int64(bytes, (int64_t)k);
        MDB_val key = {8, bytes}, value = {8, &k};
        rc = mdb_put(x, *dbi, &key, &value, append ? MDB_APPEND : 0);
    }
    if (rc != 0)
        mdb_txn_abort(x);
    else
        rc = mdb_txn_commit(x);
    *ns = per(begun, b->n);
    return rc;
}

static void read_lmdb(struct bench *b, MDB_txn *x, MDB_dbi dbi, struct figures *f)
{
    MDB_cursor *c;
    MDB_val key, value;
    unsigned char bytes[8];
    uint64_t begun = cli_now_ns();
    for (uint64_t i = 0; i < GETS; i++) {
        lk_key_int64(bytes, (int64_t)b->key[i % b->n]);
        key = (MDB_val){8, bytes};
        if (mdb_get(x, dbi, &key, &value) == 0)
            b->sink += *(const unsigned char *)value.mv_data;
    }
    f->get = per(begun, GETS);
    if (mdb_cursor_open(x, dbi, &c) != 0)
        return;
    begun = cli_now_ns();
    for (int rc = mdb_cursor_get(c, &key, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(c, &key, &value, MDB_NEXT))
        b->sink += *(const unsigned char *)value.mv_data;
    f->scan = per(begun, b->n);
    begun = cli_now_ns();
    for (int i = 0; i < RANGES; i++) {
        lk_key_int64(bytes, (int64_t)b->key[(uint64_t)i % b->n]);
        key = (MDB_val){8, bytes};
        int rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
        for (int k = 0; k < RANGE && rc == 0; k++) {
            b->sink += *(const unsigned char *)value.mv_data;
            rc = mdb_cursor_get(c, &key, &value, MDB_NEXT);
        }
    }
    f->range = per(begun, RANGES);
    mdb_cursor_close(c);
}

static int measure_lmdb(struct bench *b, struct figures *f)
{
    MDB_env *env;
    MDB_txn *x;
    MDB_dbi ordered, random;
    char path[96];
    snprintf(path, sizeof path, "%s/lmdb", b->place);
    int rc = mdb_env_create(&env);
    if (rc != 0)
        return rc;
    (void)mdb_env_set_mapsize(env, (size_t)8 << 30);
    (void)mdb_env_set_maxdbs(env, 4);
    rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC, 0600);
    if (rc == 0)
        rc = fill_lmdb(b, env, &ordered, "append", true, &f->append);
    if (rc == 0)
        rc = fill_lmdb(b, env, &random, "random", false, &f->insert);
    if (rc == 0 && (rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &x)) == 0) {
        read_lmdb(b, x, ordered, f);
        mdb_txn_abort(x);
    }
    mdb_env_close(env);
    return rc;
}

static void show(const char *what, double ours, double theirs, double most)
{
    printf("%-24s %9.1f %9.1f %6.2f  (wanted: at most %.2f)\n", what, ours, theirs, ours / theirs,
           most);
}

static void remove_files(const struct bench *b)
{
    static const char *const names[] = {"ours", "ours-lock", "lmdb", "lmdb-lock"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", b->place, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(b->place);
}

int db_bench(struct db_call *call)
{
    struct bench b = {.n = DEFAULT_KEYS, .place = "/dev/shm/lk-db-bench-XXXXXX"};
    struct figures ours = {0}, lmdb = {0};
    char url[128];
    lk_db *db;
    if (call->n_words > 0 && !cli_parse_count("KEYS", call->words[0], 100, 10000000, &b.n))
        return CLI_USAGE;
    if (!shuffle(&b) || mkdtemp(b.place) == NULL)
        return cli_fail(CLI_CANNOT, "%s: %s", b.place, strerror(errno));
    snprintf(url, sizeof url, "lmdb:%s/ours", b.place);
    struct lk_db_options options = {.store.sync = LK_SYNC_NONE, .cache_bytes = (uint64_t)4 << 30};
    int rc = lk_db_open(&db, url, &options);
    if (rc == 0) {
        rc = measure_ours(&b, db, &ours);
        lk_db_close(db);
    }
    int theirs = rc == 0 ? measure_lmdb(&b, &lmdb) : 0;
    remove_files(&b);
    free(b.key);
    if (rc != 0 || theirs != 0)
        return rc != 0 ? cli_fail_rc(url, rc) : cli_fail(CLI_CANNOT, "%s", mdb_strerror(theirs));
    printf("%" PRIu64 " keys of 8 bytes, ns        ours      lmdb  ratio\n", b.n);
    show("append and commit", ours.append, lmdb.append, 1.5);
    show("random inserts, commit", ours.insert, lmdb.insert, 1.0);
    show("random get, resident", ours.get, lmdb.get, 0.5);
    show("scan, an entry", ours.scan, lmdb.scan, 1.0);
    show("range of 100", ours.range, lmdb.range, 0.5);
    return CLI_OK;
}
