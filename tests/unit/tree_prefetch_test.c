/* What a range needs is asked for once a level, and nothing else is loaded.
 * Kills: object.prefetch_loads_all. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latchkey/db.h"
#include "test.h"

enum { ENTRIES = 1000 };
static lk_store inner;
static int single, many;
static size_t records;

static int one_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    single++;
    return inner.ops->load(store, snap, oid, take, arg);
}

struct nth {
    size_t i;
    lk_store_take_nth *take;
    void *arg;
};

static int take_one(void *arg, const void *bytes, size_t size)
{
    struct nth *n = arg;
    return n->take(n->arg, n->i, bytes, size);
}

/* Backwards: the order is the store's to choose. */
static int many_loads(void *store, void *snap, const uint64_t *oid, size_t n,
                      lk_store_take_nth *take, void *arg)
{
    int rc = 0;
    many++;
    records += n;
    for (size_t i = n; i-- > 0 && rc == 0;)
        rc = inner.ops->load(store, snap, oid[i], take_one, &(struct nth){i, take, arg});
    return rc;
}

static struct lk_bytes key_of(unsigned char key[8], int i)
{
    lk_key_int64(key, i);
    return (struct lk_bytes){key, 8};
}

static void fill(void)
{
    lk_db *db;
    lk_txn *x;
    lk_tree *t;
    unsigned char key[8];
    T_REQUIRE_RC(lk_db_open_on(&db, &inner, NULL), 0);
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", &(struct lk_tree_options){10, 10}, &t), 0);
    for (int i = 0; i < ENTRIES; i++)
        T_REQUIRE_RC(lk_tree_put(t, key_of(key, i), (struct lk_bytes){"v", 1}, NULL), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    lk_db_close(db);
}

/* Prefetch the keys from `low` to `high`, then read them: *nodes were loaded, in `questions` at the
 * most, and reading loads no more. */
static void check_range(const lk_store *store, int low, int high, uint64_t *nodes, int questions)
{
    lk_db *db;
    lk_view *v;
    lk_tree *t;
    unsigned char a[8], b[8];
    struct lk_bytes from = key_of(a, low), to = key_of(b, high), value;
    T_REQUIRE_RC(lk_db_open_on(&db, store, NULL), 0);
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_tree_prefetch(t, NULL, NULL), EPERM);
    T_REQUIRE_RC(lk_section_begin(), 0);
    single = many = 0;
    records = 0;
    T_REQUIRE_RC(lk_tree_prefetch(t, &(struct lk_range){.low = &from, .high = &to}, nodes), 0);
    T_REQUIRE_EQ(records + (uint64_t)single, *nodes);
    T_REQUIRE(single + many <= questions);
    int so_far = single;
    for (int i = low; i <= high; i++)
        T_REQUIRE_RC(lk_tree_get(t, key_of(a, i), &value), 0);
    T_REQUIRE_EQ(single, so_far);
    lk_section_end();
    lk_view_end(v);
    lk_db_close(db);
}

T_TEST(a_range_is_loaded_by_one_question_for_each_level)
{
    uint64_t nodes;
    T_REQUIRE_RC(lk_store_open(&inner, "mem:", NULL), 0);
    fill();
    struct lk_store_ops ops = *inner.ops;
    ops.load = one_load;
    ops.load_many = many_loads;
    lk_store counting = {&ops, inner.at};
    check_range(&counting, 0, ENTRIES - 1, &nodes, 4);
    T_REQUIRE(nodes >= ENTRIES / 10 + ENTRIES / 100 + 1);
    check_range(&counting, 333, 366, &nodes, 4);
    T_REQUIRE(nodes >= 5 && nodes <= 12);
    check_range(&counting, 500, 500, &nodes, 4);
    T_REQUIRE_EQ(nodes, 3);
    ops.load_many = NULL; /* a store without: the same nodes, one at a time */
    check_range(&counting, 333, 366, &nodes, 12);
    T_REQUIRE(nodes >= 5 && nodes <= 12);
    lk_store_close(&inner);
}
