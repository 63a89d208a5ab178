/* Filling an empty tree in key order: every size of nodes and of keys, every way to fail.
 * Kills: object.load_sums_nothing, object.load_keeps_order_unchecked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "latchkey/db.h"
#include "test.h"

/* Keys 0, 1, 2 ... as text of `digits` digits, values of some bytes; then `end`. */
struct source {
    uint64_t next, n;
    size_t value_max;
    uint64_t repeat; /* this one is given twice; UINT64_MAX = none */
    int end;
    char key[48];
    char *value;
};

static struct source source(uint64_t n, size_t value_max)
{
    struct source s = {.n = n, .value_max = value_max, .repeat = UINT64_MAX, .end = ENOENT};
    s.value = malloc(value_max + 1);
    T_REQUIRE(s.value != NULL);
    memset(s.value, 'v', value_max + 1);
    return s;
}

static struct lk_bytes key_of(char text[48], uint64_t i)
{
    /* Lengths differ, and some keys begin with all of another one. */
    int size = snprintf(text, 48, "%08llu%.*s", (unsigned long long)i / 3, (int)(i % 3) * 11,
                        "abcdefghijklmnopqrstuvwxyz");
    return (struct lk_bytes){text, (size_t)size};
}

static size_t value_size(const struct source *s, uint64_t i)
{
    return s->value_max == 0 ? 0 : (size_t)(i * 7919 % (s->value_max + 1));
}

static int give(void *arg, struct lk_bytes *key, struct lk_bytes *value)
{
    struct source *s = arg;
    if (s->next == s->n)
        return s->end;
    *key = key_of(s->key, s->next);
    *value = (struct lk_bytes){s->value, value_size(s, s->next)};
    if (s->next == s->repeat)
        s->repeat = UINT64_MAX;
    else
        s->next++;
    return 0;
}

static lk_db *open_db(const char *url)
{
    lk_db *db = NULL;
    T_REQUIRE_RC(lk_db_open(&db, url, NULL), 0);
    return db;
}

static int load(lk_db *db, struct source *s, uint32_t leaf_max, uint32_t inner_max)
{
    lk_txn *x;
    lk_tree *t;
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", &(struct lk_tree_options){leaf_max, inner_max}, &t), 0);
    T_REQUIRE_RC(lk_tree_load(t, give, s), 0);
    int rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    return rc;
}

/* Every entry is there, in order, and no other; every invariant holds. */
static void require_whole(lk_db *db, const struct source *s)
{
    lk_view *v;
    lk_tree *t;
    lk_cursor c;
    struct lk_bytes key, value;
    uint64_t trees, n = 0;
    char text[48];
    T_REQUIRE_RC(lk_db_check(db, &trees), 0);
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_tree_count(t, NULL, &n), 0);
    T_REQUIRE_EQ(n, s->n);
    T_REQUIRE_RC(lk_cursor_begin(&c, t, NULL, false), 0);
    for (uint64_t i = 0; i < s->n; i++) {
        struct lk_bytes want = key_of(text, i), got;
        T_REQUIRE_RC(lk_cursor_next(&c, &key, &value), 0);
        T_REQUIRE(key.size == want.size && memcmp(key.at, want.at, key.size) == 0);
        T_REQUIRE_EQ(value.size, value_size(s, i));
        T_REQUIRE_RC(lk_tree_get(t, want, &got), 0);
        T_REQUIRE_EQ(got.size, value.size);
        T_REQUIRE_RC(lk_tree_nth(t, NULL, (int64_t)i, &key, NULL), 0);
        T_REQUIRE(key.size == want.size && memcmp(key.at, want.at, key.size) == 0);
    }
    T_REQUIRE_RC(lk_cursor_next(&c, &key, &value), ENOENT);
    lk_cursor_end(&c);
    lk_section_end();
    lk_view_end(v);
}

T_TEST(trees_of_every_size_are_whole)
{
    static const uint32_t sizes[][2] = {{2, 3}, {3, 3}, {4, 5}, {64, 128}};
    static const uint64_t counts[] = {0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 63, 64, 65, 129, 1000, 8193};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            lk_db *db = open_db("mem:");
            struct source s = source(counts[k], 40);
            T_REQUIRE_RC(load(db, &s, sizes[i][0], sizes[i][1]), 0);
            require_whole(db, &s);
            lk_db_close(db);
            free(s.value);
        }
}

T_TEST(values_larger_than_nodes)
{
    lk_db *db = open_db("mem:");
    struct source s = source(300, 100000);
    T_REQUIRE_RC(load(db, &s, 0, 0), 0);
    require_whole(db, &s);
    lk_db_close(db);
    free(s.value);
}

static int full(void *arg, uint32_t entries)
{
    uint64_t *n = arg;
    n[0]++;
    n[1] += entries;
    return 0;
}

T_TEST(leaves_are_full)
{
    lk_db *db = open_db("mem:");
    lk_view *v;
    lk_tree *t;
    uint64_t n[2] = {0, 0};
    struct source s = source(6400, 8);
    T_REQUIRE_RC(load(db, &s, 64, 128), 0);
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_tree_leaves(t, full, n), 0);
    T_REQUIRE_EQ(n[0], 100);
    T_REQUIRE_EQ(n[1], 6400);
    lk_view_end(v);
    lk_db_close(db);
    free(s.value);
}

/* A loaded tree is a tree: it can be changed like any other, from any of its edges. */
T_TEST(what_was_loaded_can_be_changed)
{
    char url[512];
    snprintf(url, sizeof url, "lmdb:%s/db", t_tmpdir());
    lk_db *db = open_db(url);
    struct source s = source(2000, 30);
    T_REQUIRE_RC(load(db, &s, 4, 4), 0);
    lk_txn *x;
    lk_tree *t;
    char text[48];
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", NULL, &t), 0);
    for (uint64_t i = 0; i < s.n; i += 2)
        T_REQUIRE_RC(lk_tree_del(t, key_of(text, (i * 911) % s.n)), 0);
    for (uint64_t i = 0; i < s.n; i += 2) {
        uint64_t k = (i * 911) % s.n;
        T_REQUIRE_RC(lk_tree_add(t, key_of(text, k), (struct lk_bytes){s.value, value_size(&s, k)}),
                     0);
    }
    T_REQUIRE_RC(lk_tree_check(t), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    lk_db_close(db);
    db = open_db(url);
    require_whole(db, &s);
    lk_db_close(db);
    free(s.value);
}

T_TEST(a_load_that_fails_leaves_nothing)
{
    lk_db *db = open_db("mem:");
    lk_view *v;
    lk_tree *t;
    struct source s = source(1000, 8);
    s.repeat = 700;
    T_REQUIRE_RC(load(db, &s, 0, 0), EINVAL);
    T_REQUIRE(strstr(lk_error_text(), "entry 701 ") != NULL);
    s.next = 0;
    s.end = EIO;
    T_REQUIRE_RC(load(db, &s, 0, 0), EIO);
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), ENOENT);
    lk_view_end(v);
    s.next = 0;
    s.end = ENOENT;
    T_REQUIRE_RC(load(db, &s, 0, 0), 0);
    require_whole(db, &s);
    lk_db_close(db);
    free(s.value);
}

/* Until the commit the tree is empty and not to be changed; going back takes the load back. */
T_TEST(only_an_empty_tree_is_loaded)
{
    lk_db *db = open_db("mem:");
    lk_txn *x, *other;
    lk_tree *t, *o;
    lk_view *v;
    unsigned mark;
    struct lk_bytes a = {"a", 1}, got;
    struct source s = source(10, 8);
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_begin(db, &other), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", NULL, &t), 0);
    T_REQUIRE_RC(lk_txn_savepoint(x, &mark), 0);
    T_REQUIRE_RC(lk_tree_load(t, give, &s), 0);
    T_REQUIRE_RC(lk_tree_load(t, give, &s), EEXIST);
    T_REQUIRE_RC(lk_tree_put(t, a, a, NULL), EBUSY);
    T_REQUIRE_RC(lk_txn_rollback(x, mark), 0);
    T_REQUIRE_RC(lk_tree_put(t, a, a, NULL), 0);
    T_REQUIRE_RC(lk_tree_load(t, give, &s), EEXIST);
    T_REQUIRE_RC(lk_txn_tree(other, "t", NULL, &o), 0);
    T_REQUIRE_RC(lk_tree_load(o, give, &s), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    T_REQUIRE_RC(lk_txn_commit(other, NULL), LK_ECHANGED);
    lk_txn_abort(other);
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_tree_load(t, give, &s), EPERM);
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_tree_get(t, a, &got), 0);
    lk_section_end();
    lk_view_end(v);
    lk_db_close(db);
    free(s.value);
}
