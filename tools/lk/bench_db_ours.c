/* bench_db_ours.c - our trees on an LMDB store, as a peer of lk db bench. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench_db_peers.h"

struct ours {
    char path[128];
    lk_db *db;
    lk_view *view;
    lk_tree *tree;
    uint64_t commits;
};

static int failed(struct db_peer *p, int rc)
{
    return db_peer_failed(p, "%s: %s", lk_strerror(rc), lk_error_text());
}

static void shut(struct ours *o)
{
    char lock[144];
    if (o->view != NULL)
        lk_view_end(o->view);
    lk_db_close(o->db);
    o->view = NULL;
    o->db = NULL;
    snprintf(lock, sizeof lock, "%s-lock", o->path);
    (void)unlink(o->path);
    (void)unlink(lock);
}

static int reset(struct db_peer *p, const struct db_load *load)
{
    struct lk_db_options options = {.store.sync = LK_SYNC_NONE, .cache_bytes = (uint64_t)8 << 30};
    char url[144];
    struct ours *o = p->state;
    if (o == NULL && (o = p->state = calloc(1, sizeof *o)) == NULL)
        return failed(p, ENOMEM);
    shut(o);
    snprintf(o->path, sizeof o->path, "%s/ours", load->place);
    snprintf(url, sizeof url, "lmdb:%s", o->path);
    snprintf(p->version, sizeof p->version, "%s", LK_VERSION_TEXT);
    int rc = lk_db_open(&o->db, url, &options);
    return rc == 0 ? 0 : failed(p, rc);
}

static int put(lk_tree *t, uint64_t k)
{
    unsigned char key[8];
    uint64_t value = db_value(k);
    lk_key_int64(key, (int64_t)k);
    return lk_tree_put(t, (struct lk_bytes){key, 8}, (struct lk_bytes){&value, 8}, NULL);
}

static int look(struct ours *o)
{
    if (o->view != NULL)
        lk_view_end(o->view);
    o->view = NULL;
    int rc = lk_db_view(o->db, &o->view);
    return rc == 0 ? lk_view_tree(o->view, "t", &o->tree) : rc;
}

/* Keys 0, 1 ... n - 1 for lk_tree_load(). */
struct ascending {
    uint64_t next, n, value;
    unsigned char key[8];
};

static int next_entry(void *arg, struct lk_bytes *key, struct lk_bytes *value)
{
    struct ascending *a = arg;
    if (a->next == a->n)
        return ENOENT;
    lk_key_int64(a->key, (int64_t)a->next);
    a->value = db_value(a->next++);
    *key = (struct lk_bytes){a->key, 8};
    *value = (struct lk_bytes){&a->value, 8};
    return 0;
}

static int fill(struct db_peer *p, const struct db_load *load, bool append)
{
    struct ours *o = p->state;
    struct ascending all = {.n = load->n};
    lk_txn *x;
    lk_tree *t;
    int rc = lk_txn_begin(o->db, &x);
    if (rc != 0)
        return failed(p, rc);
    rc = lk_txn_tree(x, "t", NULL, &t);
    if (rc == 0 && append)
        rc = lk_tree_load(t, next_entry, &all);
    for (uint64_t i = 0; i < load->n && rc == 0 && !append; i++)
        rc = put(t, load->shuffled[i]);
    if (rc == 0)
        rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    else
        rc = look(o);
    return rc == 0 ? 0 : failed(p, rc);
}

static void add(uint64_t *sum, struct lk_bytes value)
{
    uint64_t n;
    memcpy(&n, value.at, sizeof n);
    *sum += n;
}

static int get(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum)
{
    struct ours *o = p->state;
    int rc = lk_section_begin();
    if (rc != 0)
        return failed(p, rc);
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        unsigned char key[8];
        struct lk_bytes value;
        if (i % DB_USES == 0) {
            lk_section_end();
            rc = lk_section_begin();
        }
        lk_key_int64(key, load->asked[i]);
        rc = rc == 0 ? lk_tree_get(o->tree, (struct lk_bytes){key, 8}, &value) : rc;
        if (rc == 0)
            add(sum, value);
    }
    lk_section_end();
    return rc == 0 ? 0 : failed(p, rc);
}

static int walk(struct ours *o, const struct lk_range *range, uint64_t most, uint64_t *sum)
{
    lk_cursor c;
    struct lk_bytes key, value;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_cursor_begin(&c, o->tree, range, false);
    for (uint64_t i = 0; i < most && rc == 0; i++) {
        rc = lk_cursor_next(&c, &key, &value);
        if (rc == 0)
            add(sum, value);
    }
    lk_cursor_end(&c);
    lk_section_end();
    return rc == ENOENT ? 0 : rc;
}

static int scan(struct db_peer *p, const struct db_load *load, uint64_t *sum)
{
    int rc = walk(p->state, NULL, load->n, sum);
    return rc == 0 ? 0 : failed(p, rc);
}

static int range(struct db_peer *p, const struct db_load *load, uint64_t n, uint64_t *sum)
{
    int rc = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        unsigned char key[8];
        lk_key_int64(key, load->asked[i]);
        struct lk_bytes low = {key, 8};
        rc = walk(p->state, &(struct lk_range){.low = &low}, DB_RANGE, sum);
    }
    return rc == 0 ? 0 : failed(p, rc);
}

static int commit(struct db_peer *p, const struct db_load *load, uint64_t n)
{
    struct ours *o = p->state;
    int rc = 0;
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        lk_txn *x;
        lk_tree *t;
        rc = lk_txn_begin(o->db, &x);
        if (rc != 0)
            break;
        rc = lk_txn_tree(x, "t", NULL, &t);
        uint64_t value = ++o->commits; /* what changes nothing is not committed */
        unsigned char key[8];
        lk_key_int64(key, load->asked[i]);
        if (rc == 0)
            rc = lk_tree_put(t, (struct lk_bytes){key, 8}, (struct lk_bytes){&value, 8}, NULL);
        if (rc == 0)
            rc = lk_txn_commit(x, NULL);
        if (rc != 0)
            lk_txn_abort(x);
    }
    return rc == 0 ? 0 : failed(p, rc);
}

static uint64_t stored(struct db_peer *p)
{
    struct ours *o = p->state;
    struct stat st;
    return stat(o->path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void done(struct db_peer *p)
{
    if (p->state != NULL)
        shut(p->state);
    free(p->state);
    p->state = NULL;
}

const struct db_peer db_peer_ours = {
    .name = "latchkey",
    .how = "a tree on an LMDB store, its nodes in memory",
    .reset = reset,
    .fill = fill,
    .get = get,
    .scan = scan,
    .range = range,
    .commit = commit,
    .stored = stored,
    .close = done,
    .resident = true,
};
