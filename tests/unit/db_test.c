/* Databases: views, transactions, conflicts, savepoints, history, undo, pack, the change feed.
 * Kills: object.conflict_overlooked, object.freed_too_early, object.savepoint_shares_nodes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latchkey/db.h"
#include "test.h"

static struct lk_bytes text(const char *s)
{
    return (struct lk_bytes){s, strlen(s)};
}

static lk_db *open_db(const struct lk_db_options *options)
{
    lk_db *db = NULL;
    T_REQUIRE_RC(lk_db_open(&db, "mem:", options), 0);
    return db;
}

static lk_tree *tree_of(lk_txn *x, const char *name)
{
    lk_tree *t = NULL;
    T_REQUIRE_RC(lk_txn_tree(x, name, &(struct lk_tree_options){4, 4}, &t), 0);
    return t;
}

static lk_txn *begin(lk_db *db)
{
    lk_txn *x = NULL;
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    return x;
}

static void put(lk_txn *x, const char *key, const char *value)
{
    T_REQUIRE_RC(lk_tree_put(tree_of(x, "t"), text(key), text(value), NULL), 0);
}

static uint64_t commit(lk_txn *x)
{
    uint64_t tid = 0;
    T_REQUIRE_RC(lk_txn_commit(x, &tid), 0);
    return tid;
}

static uint64_t put_one(lk_db *db, const char *key, const char *value)
{
    lk_txn *x = begin(db);
    put(x, key, value);
    return commit(x);
}

static void require_in(lk_tree *t, const char *key, const char *value)
{
    struct lk_bytes got;
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_tree_get(t, text(key), &got), value != NULL ? 0 : ENOENT);
    if (value != NULL)
        T_REQUIRE(got.size == strlen(value) && memcmp(got.at, value, got.size) == 0);
    lk_section_end();
}

static void require_now(lk_db *db, const char *key, const char *value)
{
    lk_view *v;
    lk_tree *t;
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    require_in(t, key, value);
    lk_view_end(v);
}

T_TEST(a_view_never_changes)
{
    lk_db *db = open_db(NULL);
    put_one(db, "a", "1");
    lk_view *v;
    lk_tree *t, *u;
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_view_tree(v, "other", &u), ENOENT);
    put_one(db, "a", "2");
    put_one(db, "b", "2");
    require_in(t, "a", "1");
    require_in(t, "b", NULL);
    T_REQUIRE_RC(lk_tree_put(t, text("a"), text("3"), NULL), EPERM);
    require_now(db, "a", "2");
    lk_view_end(v);
    lk_db_close(db);
}

/* The same key: refused, with its name and who changed it.  Other keys of the same leaf: not. */
T_TEST(only_a_key_that_both_changed_is_a_conflict)
{
    lk_db *db = open_db(NULL);
    put_one(db, "a", "1");
    lk_txn *x = begin(db), *y = begin(db), *z = begin(db);
    put(x, "a", "x");
    put(y, "b", "y");
    put(z, "a", "z");
    T_REQUIRE_RC(lk_tree_del(tree_of(y, "t"), text("a")), 0);
    put(y, "a", "1"); /* as it was: no change */
    put_one(db, "c", "between");
    uint64_t tid = commit(x);
    commit(y);
    T_REQUIRE_RC(lk_txn_commit(z, NULL), LK_ECHANGED);
    struct lk_conflict c;
    T_REQUIRE_RC(lk_txn_conflict(z, &c), 0);
    T_REQUIRE_STR_EQ(c.tree, "t");
    T_REQUIRE(c.key.size == 1 && memcmp(c.key.at, "a", 1) == 0);
    T_REQUIRE_EQ(c.tid, tid);
    lk_txn_abort(z);
    require_now(db, "a", "x");
    require_now(db, "b", "y");
    require_now(db, "c", "between");
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

T_TEST(a_required_key_that_moved_refuses_the_commit)
{
    lk_db *db = open_db(NULL);
    put_one(db, "a", "1");
    lk_txn *x = begin(db), *y = begin(db);
    T_REQUIRE_RC(lk_txn_require(x, tree_of(x, "t"), text("a")), 0);
    T_REQUIRE_RC(lk_txn_require(y, tree_of(y, "t"), text("q")), 0);
    put(x, "x", "1");
    put(y, "y", "1");
    put_one(db, "a", "2");
    T_REQUIRE_RC(lk_txn_commit(x, NULL), LK_ECHANGED);
    lk_txn_abort(x);
    commit(y);
    lk_db_close(db);
}

static int add_up(void *arg, struct lk_bytes key, const struct lk_bytes *old,
                  const struct lk_bytes *theirs, const struct lk_bytes *mine, struct lk_bytes *out)
{
    static char sum[24];
    int base = old != NULL ? atoi(old->at) : 0;
    (void)key;
    if (theirs == NULL || mine == NULL)
        return LK_ECHANGED;
    ++*(int *)arg;
    snprintf(sum, sizeof sum, "%d", atoi(theirs->at) + atoi(mine->at) - base);
    *out = (struct lk_bytes){sum, strlen(sum) + 1};
    return 0;
}

static void put_number(lk_txn *x, int n)
{
    char s[24];
    snprintf(s, sizeof s, "%d", n);
    T_REQUIRE_RC(lk_tree_put(tree_of(x, "t"), text("n"), (struct lk_bytes){s, strlen(s) + 1}, NULL),
                 0);
}

T_TEST(the_callers_merge_settles_a_conflict)
{
    int asked = 0;
    lk_db *db = open_db(&(struct lk_db_options){.resolve = add_up, .resolve_arg = &asked});
    lk_txn *x = begin(db);
    put_number(x, 10);
    commit(x);
    lk_txn *y = begin(db), *z = begin(db);
    put_number(y, 11);
    put_number(z, 15);
    commit(y);
    commit(z);
    T_REQUIRE_EQ(asked, 1);
    lk_view *v;
    lk_tree *t;
    struct lk_bytes got;
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_tree_get(t, text("n"), &got), 0);
    T_REQUIRE_STR_EQ(got.at, "16");
    lk_section_end();
    lk_view_end(v);
    lk_db_close(db);
}

/* Many keys behind a savepoint, so that nodes are split and changed, then back, twice. */
T_TEST(a_rollback_goes_back_to_the_savepoint)
{
    lk_db *db = open_db(NULL);
    lk_txn *x = begin(db);
    unsigned mark, later;
    char key[16];
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "%d", i * 7 % 50);
        put(x, key, "kept");
    }
    T_REQUIRE_RC(lk_txn_savepoint(x, &mark), 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 50; i += 2) {
            snprintf(key, sizeof key, "%d", i);
            T_REQUIRE_RC(lk_tree_del(tree_of(x, "t"), text(key)), 0);
        }
        put(x, "new", "lost");
        T_REQUIRE_RC(lk_txn_savepoint(x, &later), 0);
        T_REQUIRE_RC(lk_tree_clear(tree_of(x, "t")), 0);
        T_REQUIRE_RC(lk_txn_rollback(x, mark), 0);
        T_REQUIRE_RC(lk_txn_rollback(x, later), EINVAL);
        T_REQUIRE_RC(lk_tree_check(tree_of(x, "t")), 0);
        uint64_t n;
        T_REQUIRE_RC(lk_section_begin(), 0);
        T_REQUIRE_RC(lk_tree_count(tree_of(x, "t"), NULL, &n), 0);
        lk_section_end();
        T_REQUIRE_EQ(n, 50);
    }
    commit(x);
    require_now(db, "new", NULL);
    require_now(db, "48", "kept");
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

static int count(void *arg, const struct lk_commit *c)
{
    (void)c;
    ++*(int *)arg;
    return 0;
}

T_TEST(old_states_are_there_until_they_are_packed)
{
    lk_db *db = open_db(NULL);
    char key[16];
    int n = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "%d", i);
        put_one(db, key, "v");
    }
    lk_view *v;
    lk_tree *t;
    T_REQUIRE_RC(lk_db_view_at(db, 40, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    require_in(t, "39", "v");
    require_in(t, "40", NULL);
    T_REQUIRE_RC(lk_db_history(db, 0, count, &n), 0);
    T_REQUIRE_EQ(n, 100);
    uint64_t freed = 0;
    T_REQUIRE_RC(lk_db_pack(db, 60, &freed), 0);
    T_REQUIRE(freed > 60);
    require_in(t, "38", "v"); /* a view that is open keeps its state */
    T_REQUIRE_RC(lk_tree_check(t), 0);
    lk_view_end(v);
    T_REQUIRE_RC(lk_db_view_at(db, 59, &v), ENOENT);
    for (uint64_t tid = 60; tid <= 100; tid++) {
        T_REQUIRE_RC(lk_db_view_at(db, tid, &v), 0);
        T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
        T_REQUIRE_RC(lk_tree_check(t), 0);
        lk_view_end(v);
    }
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

/* With a short history and a cache of one node, whatever is freed is needed by nobody. */
T_TEST(a_short_history_frees_nothing_that_is_needed)
{
    lk_db *db = open_db(&(struct lk_db_options){.keep = 3, .cache_nodes = 1});
    char key[16];
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "%d", i * 37 % 97);
        lk_txn *x = begin(db);
        if (i % 3 == 2)
            T_REQUIRE(lk_tree_del(tree_of(x, "t"), text(key)) != LK_ECORRUPT);
        else
            put(x, key, i % 2 ? "odd" : "even");
        commit(x);
        T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    }
    lk_db_close(db);
}

T_TEST(undo_takes_back_one_commit_unless_its_keys_moved)
{
    lk_db *db = open_db(NULL);
    uint64_t a = put_one(db, "a", "1"), b = put_one(db, "b", "1"), c = put_one(db, "a", "2"), made;
    T_REQUIRE_RC(lk_db_undo(db, a, &made), LK_ECHANGED);
    require_now(db, "a", "2");
    T_REQUIRE_RC(lk_db_undo(db, b, &made), 0);
    require_now(db, "b", NULL);
    require_now(db, "a", "2");
    T_REQUIRE_RC(lk_db_undo(db, c, &made), 0);
    require_now(db, "a", "1");
    T_REQUIRE_RC(lk_db_undo(db, made, &made), 0); /* an undo can be undone */
    require_now(db, "a", "2");
    T_REQUIRE_RC(lk_db_undo(db, 99, &made), ENOENT);
    lk_db_close(db);
}

struct seen {
    char text[256];
};

static int note_change(void *arg, const char *tree, struct lk_bytes key,
                       const struct lk_bytes *before, const struct lk_bytes *after)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%s.%.*s:%.*s>%.*s ", tree, (int)key.size,
             (const char *)key.at, before != NULL ? (int)before->size : 1,
             before != NULL ? (const char *)before->at : "-", after != NULL ? (int)after->size : 1,
             after != NULL ? (const char *)after->at : "-");
    return 0;
}

T_TEST(the_change_feed_names_every_key_that_differs)
{
    lk_db *db = open_db(NULL);
    struct seen s = {""};
    uint64_t now = 0, from = put_one(db, "a", "1");
    put_one(db, "b", "1");
    T_REQUIRE_RC(lk_db_changes(db, 0, NULL, note_change, &s, &now), 0);
    T_REQUIRE_STR_EQ(s.text, "t.a:->1 t.b:->1 ");
    lk_txn *x = begin(db);
    T_REQUIRE_RC(lk_tree_del(tree_of(x, "t"), text("b")), 0);
    put(x, "c", "3");
    commit(x);
    s.text[0] = '\0';
    T_REQUIRE_RC(lk_db_changes(db, now, NULL, note_change, &s, &now), 0);
    T_REQUIRE_STR_EQ(s.text, "t.b:1>- t.c:->3 ");
    T_REQUIRE_RC(lk_db_changes(db, now, NULL, note_change, &s, &now), ETIMEDOUT);
    T_REQUIRE_RC(lk_db_pack(db, 0, NULL), 0);
    T_REQUIRE_RC(lk_db_changes(db, from, NULL, note_change, &s, &now), ENOENT);
    lk_db_close(db);
}

/* Every call of the store fails once: the error is returned, nothing is half done. */
T_TEST(a_failing_store_leaves_old_or_new)
{
    int failed = 0, done = 0;
    for (int n = 1; n < 400 && done < 3; n++) {
        char url[64];
        lk_db *db;
        snprintf(url, sizeof url, "fault:fail=%d:mem:", n);
        int rc = lk_db_open(&db, url, &(struct lk_db_options){.cache_nodes = 1});
        failed += rc != 0;
        bool whole = rc == 0;
        for (int i = 0; i < 12 && rc == 0; i++) {
            lk_txn *x;
            lk_tree *t;
            char key[16];
            int before = failed;
            for (int k = 0; k < 3; k++) {
                int r = lk_txn_begin(db, &x);
                if (r != 0) {
                    failed++;
                    continue;
                }
                snprintf(key, sizeof key, "%d", i);
                r = lk_txn_tree(x, "t", &(struct lk_tree_options){3, 3}, &t);
                r = r == 0 ? lk_tree_put(t, text(key), text("v"), NULL) : r;
                r = r == 0 ? lk_txn_commit(x, NULL) : r;
                if (r == 0)
                    break;
                T_REQUIRE_RC(r, EIO);
                failed++;
                lk_txn_abort(x);
            }
            T_REQUIRE(failed <= before + 1);
            whole = whole && failed == before;
        }
        if (rc == 0) {
            int check = lk_db_check(db, NULL);
            T_REQUIRE(check == 0 || check == EIO);
            if (!whole || check != 0) { /* the one failure is behind us */
                T_REQUIRE_RC(lk_db_check(db, NULL), 0);
                require_now(db, "11", "v");
                require_now(db, "0", "v");
            }
            whole = whole && check == 0;
            lk_db_close(db);
        }
        done += whole;
    }
    T_LOG("%d calls failed", failed);
    T_REQUIRE(failed > 100 && done == 3);
}
