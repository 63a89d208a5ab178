/* A store whose records lie: bytes changed (and the checksum made right again), ends cut off,
 * records missing, two exchanged.  Everything that can be done to a database is done to it: each
 * call succeeds or says what is wrong and where; none crashes, none goes on for ever.
 *
 * $LK_RECORDS: how many records are mutated (default 3000, 500 where code is sanitized;
 * tests/fuzz/campaign_records.sh). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "latchkey/db.h"
#include "test.h"

enum { RECORDS_MAX = 512, STEPS_MAX = 20000 };

/* The records of a sound database, and what a load gives out instead. */
static struct record {
    uint64_t oid;
    size_t size;
    unsigned char *bytes;
} record[RECORDS_MAX];
static size_t n_records;
static lk_store inner;
static uint64_t newest, loads;
static struct {
    size_t at, other; /* index into record[] */
    enum { CHANGED, CUT, MISSING, EXCHANGED } how;
    unsigned char bytes[65536];
    size_t size;
} lie;

/* ---- the sound database --------------------------------------------------------------------- */

static int (*inner_put)(struct lk_writing *w, uint64_t oid, const void *bytes, size_t size);

/* Remember the newest version of each record. */
static int noting_put(struct lk_writing *w, uint64_t oid, const void *bytes, size_t size)
{
    size_t i = 0;
    while (i < n_records && record[i].oid != oid)
        i++;
    T_REQUIRE(i < RECORDS_MAX);
    n_records += i == n_records;
    free(record[i].bytes);
    record[i] = (struct record){oid, size, malloc(size + 1)};
    memcpy(record[i].bytes, bytes != NULL ? bytes : "", size);
    return inner_put(w, oid, bytes, size);
}

struct body {
    lk_store_body *body;
    void *arg;
};

static int noting_body(void *arg, struct lk_writing *w)
{
    struct body *b = arg;
    inner_put = w->put;
    w->put = noting_put;
    int rc = b->body(b->arg, w);
    w->put = inner_put;
    return rc;
}

static int noting_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct body b = {body, arg};
    return inner.ops->write(store, noting_body, &b, tid);
}

static struct lk_bytes key_of(unsigned char key[8], int i)
{
    lk_key_int64(key, i);
    return (struct lk_bytes){key, 8};
}

static int put_all(lk_tree *t, int from, int to)
{
    int rc = 0;
    for (int i = from; i < to && rc == 0; i++) {
        unsigned char key[8];
        char text[24];
        snprintf(text, sizeof text, "value %d", i);
        rc = lk_tree_put(t, key_of(key, i), (struct lk_bytes){text, strlen(text)}, NULL);
    }
    return rc;
}

static void make_sound(void)
{
    T_REQUIRE_RC(lk_store_open(&inner, "mem:", NULL), 0);
    struct lk_store_ops ops = *inner.ops;
    ops.write = noting_write;
    lk_store noting = {&ops, inner.at};
    lk_db *db;
    T_REQUIRE_RC(lk_db_open_on(&db, &noting, NULL), 0);
    for (int commit = 0; commit < 6; commit++) {
        lk_txn *x;
        lk_tree *small, *large;
        T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
        T_REQUIRE_RC(lk_txn_tree(x, "small", &(struct lk_tree_options){3, 3}, &small), 0);
        T_REQUIRE_RC(lk_txn_tree(x, "large", NULL, &large), 0);
        T_REQUIRE_RC(put_all(small, commit * 8, commit * 8 + 10), 0);
        T_REQUIRE_RC(put_all(large, commit * 60, commit * 60 + 70), 0);
        T_REQUIRE_RC(lk_txn_note(x, "a note"), 0);
        T_REQUIRE_RC(lk_txn_commit(x, &newest), 0);
    }
    lk_db_close(db);
}

/* ---- lies ----------------------------------------------------------------------------------- */

static void tell_a_lie(unsigned *seed)
{
    lie.at = (size_t)rand_r(seed) % n_records;
    lie.other = (size_t)rand_r(seed) % n_records;
    int kind = rand_r(seed) % 16;
    lie.how = kind == 0 ? MISSING : kind == 1 ? EXCHANGED : kind == 2 ? CUT : CHANGED;
    const struct record *r = &record[lie.at];
    lie.size = lie.how == CUT ? (size_t)rand_r(seed) % (r->size + 1) : r->size;
    T_REQUIRE(r->size <= sizeof lie.bytes);
    memcpy(lie.bytes, r->bytes, lie.size);
    if (lie.size <= 4 || lie.how > CUT)
        return;
    size_t whole = lie.size - 4;
    for (int k = rand_r(seed) % 3; k >= 0 && lie.how == CHANGED; k--) {
        size_t head = whole < 64 ? whole : 64, within = rand_r(seed) % 2 ? head : whole;
        unsigned char *byte = &lie.bytes[(size_t)rand_r(seed) % within];
        *byte = rand_r(seed) % 2 ? (unsigned char)(*byte ^ 1 << rand_r(seed) % 8)
                                 : (unsigned char)(rand_r(seed) % 3 - 1);
    }
    if (rand_r(seed) % 8 != 0) {
        uint32_t crc = lki_crc32c(lie.bytes, whole);
        memcpy(lie.bytes + whole, &crc, 4);
    }
}

static int lying_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    T_REQUIRE(++loads < STEPS_MAX); /* else a circle is gone round */
    bool one = oid == record[lie.at].oid, other = oid == record[lie.other].oid;
    if (one && lie.how == MISSING)
        return ENOENT;
    if (lie.how == EXCHANGED && (one || other))
        oid = record[one ? lie.other : lie.at].oid;
    if (!one || lie.how == EXCHANGED)
        return inner.ops->load(store, snap, oid, take, arg);
    /* In memory of its own, so that a byte behind it is noticed. */
    unsigned char *copy = malloc(lie.size > 0 ? lie.size : 1);
    memcpy(copy, lie.bytes, lie.size);
    int rc = take(arg, copy, lie.size);
    free(copy);
    return rc;
}

/* What a commit would write is thrown away. */
static int vain_put(struct lk_writing *w, uint64_t oid, const void *bytes, size_t size)
{
    (void)w, (void)oid, (void)bytes, (void)size;
    return 0;
}

static int vain_body(void *arg, struct lk_writing *w)
{
    struct body *b = arg;
    w->put = vain_put;
    int rc = b->body(b->arg, w);
    return rc == 0 ? ECANCELED : rc;
}

static int vain_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct body b = {body, arg};
    return inner.ops->write(store, vain_body, &b, tid);
}

/* ---- everything that can be done ------------------------------------------------------------ */

static int corrupt, sound;

/* An answer that a database which lies may give. */
static int judge_at(int line, int rc)
{
    switch (rc) {
    case 0:
    case ENOENT:
    case ERANGE:
    case ECANCELED: /* a commit, done in vain */
    case LK_ECHANGED:
    case LK_EVERSION:
        sound++;
        return rc;
    case LK_ECORRUPT:
        corrupt++;
        if (strstr(lk_error_text(), "node") == NULL && strstr(lk_error_text(), "record") == NULL &&
            strstr(lk_error_text(), "tree") == NULL && strchr(lk_error_text(), '\'') == NULL)
            T_FAIL("this does not say where: %s", lk_error_text());
        return rc;
    default:
        T_FAIL("line %d: a lie of kind %d about record %llx gives %s (%s)", line, (int)lie.how,
               (unsigned long long)record[lie.at].oid, lk_strerror(rc), lk_error_text());
    }
}

#define judge(rc) judge_at(__LINE__, rc)

static int no_leaf(void *arg, uint32_t entries)
{
    (void)arg, (void)entries;
    return 0;
}

static int no_diff(void *arg, struct lk_bytes key, const struct lk_bytes *before,
                   const struct lk_bytes *after)
{
    (void)arg, (void)key, (void)before, (void)after;
    return 0;
}

static int no_change(void *arg, const char *tree, struct lk_bytes key,
                     const struct lk_bytes *before, const struct lk_bytes *after)
{
    (void)tree;
    return no_diff(arg, key, before, after);
}

static int no_commit(void *arg, const struct lk_commit *c)
{
    (void)arg, (void)c;
    return 0;
}

static void read_tree(lk_tree *t)
{
    lk_cursor c;
    lk_set *set;
    struct lk_bytes key, value;
    unsigned char at[8];
    uint64_t n;
    struct lk_tree_stat stat;
    for (int i = -1; i < 80; i += 9)
        (void)judge(lk_tree_get(t, key_of(at, i), &value));
    (void)judge(lk_tree_min(t, NULL, &key, &value));
    (void)judge(lk_tree_max(t, NULL, &key, &value));
    (void)judge(lk_tree_count(t, NULL, &n));
    (void)judge(lk_tree_nth(t, NULL, 17, &key, &value));
    (void)judge(lk_tree_nth(t, NULL, -2, &key, &value));
    (void)judge(lk_tree_check(t));
    (void)judge(lk_tree_stat(t, &stat));
    (void)judge(lk_tree_leaves(t, no_leaf, NULL));
    for (int down = 0; down < 2; down++) {
        int steps = 0, rc = judge(lk_cursor_begin(&c, t, NULL, down != 0));
        if (rc != 0)
            continue;
        while (judge(lk_cursor_next(&c, &key, &value)) == 0)
            T_REQUIRE(++steps < STEPS_MAX);
        lk_cursor_end(&c);
    }
    if (judge(lk_set_begin(&set, LK_SET_UNION, (lk_tree *[]){t, t}, 2)) == 0) {
        int steps = 0;
        while (judge(lk_set_next(set, &key, NULL)) == 0)
            T_REQUIRE(++steps < STEPS_MAX);
        lk_set_end(set);
    }
}

static void read_view(lk_db *db)
{
    lk_view *v, *old;
    lk_tree *t, *was;
    static const char *const names[] = {"small", "large"};
    if (judge(lk_db_view(db, &v)) != 0)
        return;
    bool both = judge(lk_db_view_at(db, 2, &old)) == 0;
    T_REQUIRE_RC(lk_section_begin(), 0);
    for (int i = 0; i < 2; i++)
        if (judge(lk_view_tree(v, names[i], &t)) == 0) {
            read_tree(t);
            if (both && judge(lk_view_tree(old, names[i], &was)) == 0)
                (void)judge(lk_tree_diff(was, t, no_diff, NULL));
        }
    lk_section_end();
    if (both)
        lk_view_end(old);
    lk_view_end(v);
}

static void change(lk_db *db)
{
    lk_txn *x;
    lk_tree *t;
    unsigned char at[8];
    uint64_t tid;
    if (judge(lk_txn_begin(db, &x)) != 0)
        return;
    for (int i = 0; i < 2; i++) {
        if (judge(lk_txn_tree(x, i == 0 ? "small" : "large", NULL, &t)) != 0)
            continue;
        T_REQUIRE_RC(lk_section_begin(), 0);
        for (int k = 0; k < 45; k += 2)
            if (judge(lk_tree_del(t, key_of(at, k))) == LK_ECORRUPT)
                break;
        (void)judge(put_all(t, 100, 110));
        lk_section_end();
    }
    if (judge(lk_txn_commit(x, &tid)) != 0)
        lk_txn_abort(x);
    (void)judge(lk_db_undo(db, 3, &tid));
    int rc = lk_db_pack(db, 4, NULL);
    (void)judge(rc == EINVAL ? 0 : rc); /* the newest state says that there is no commit 4 yet */
}

T_TEST(a_database_that_lies_is_an_error_or_harmless)
{
    const char *asked = getenv("LK_RECORDS");
    int records = asked != NULL ? atoi(asked) : getenv("T_TIMEOUT_SCALE") != NULL ? 500 : 3000;
    unsigned seed = 5;
    T_TIMEOUT((unsigned)(60 + records / 50));
    make_sound();
    struct lk_store_ops ops = *inner.ops;
    ops.load = lying_load;
    ops.write = vain_write;
    lk_store lying = {&ops, inner.at};
    for (int i = 0; i < records; i++) {
        lk_db *db;
        uint64_t now;
        tell_a_lie(&seed);
        loads = 0;
        struct lk_db_options options = {.cache_nodes = i % 3 == 0 ? 1 : 0};
        if (judge(lk_db_open_on(&db, &lying, &options)) != 0)
            continue;
        read_view(db);
        change(db);
        (void)judge(lk_db_check(db, NULL));
        (void)judge(lk_db_history(db, 1, no_commit, NULL));
        (void)judge(lk_db_changes(db, 2, NULL, no_change, NULL, &now));
        lk_db_close(db);
    }
    T_LOG("%d lies about %zu records: %d calls said LK_ECORRUPT, %d were harmless", records,
          n_records, corrupt, sound);
    T_REQUIRE(corrupt > records && sound > records);
    for (size_t i = 0; i < n_records; i++)
        free(record[i].bytes);
    lk_store_close(&inner);
}
