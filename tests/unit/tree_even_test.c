/* Leaves whose entries are all of one size, which have a form of their own in memory: beside leaves
 * of entries that only add up to the same, and with keys that differ behind the bytes that a search
 * compares first.
 * Kills: object.even_sizes_not_compared, object.even_numbers_not_left. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "latchkey/db.h"
#include "test.h"

enum { ENTRIES = 390, LEAF = 12, GONE = 303 };

/* What the sizes of keys and values are. */
enum shape { EVEN, SAME_SUM, SAME_BYTES, LONG, SHAPES };

/* Entry i; every third key is not put, and is looked for in vain. */
static struct lk_bytes key_of(enum shape shape, char text[40], unsigned i)
{
    int same = shape == SAME_BYTES ? 20 : 0;
    int size =
        snprintf(text, 40, "%c%.*s%06u", 'a' + (char)(i / 200), same, "samesamesamesamesame", i);
    if (shape == SAME_SUM && i % 2 != 0)
        text[size++] = '+';
    return (struct lk_bytes){text, (size_t)size};
}

static struct lk_bytes value_of(enum shape shape, char text[240], unsigned i)
{
    int size = snprintf(text, 240, "%0*u", shape == LONG ? 200 : 10, i);
    if (shape == SAME_SUM && i % 2 != 0)
        size--; /* a key and a value are as long together as the others */
    return (struct lk_bytes){text, (size_t)size};
}

static void require_entries(lk_db *db, enum shape shape, unsigned without)
{
    lk_view *v;
    lk_tree *t;
    char k[40], text[240];
    uint64_t n, put = 0;
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
    T_REQUIRE_RC(lk_section_begin(), 0);
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct lk_bytes key = key_of(shape, k, i), want = value_of(shape, text, i), value, least;
        bool there = i % 3 != 2 && i != without;
        T_REQUIRE_RC(lk_tree_get(t, key, &value), there ? 0 : ENOENT);
        T_REQUIRE_RC(lk_tree_min(t, &key, &least, NULL), i < ENTRIES - 1 ? 0 : ENOENT);
        if (!there)
            continue;
        put++;
        T_REQUIRE(value.size == want.size && memcmp(value.at, want.at, want.size) == 0);
        T_REQUIRE(least.size == key.size && memcmp(least.at, key.at, key.size) == 0);
    }
    T_REQUIRE_RC(lk_tree_count(t, NULL, &n), 0);
    T_REQUIRE_EQ(n, put);
    lk_section_end();
    lk_view_end(v);
}

/* Put what is not there and, if it is told, take `gone` out. */
static void change(lk_db *db, enum shape shape, unsigned from, unsigned gone)
{
    lk_txn *x;
    lk_tree *t;
    char k[40], text[240];
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", &(struct lk_tree_options){LEAF, 5}, &t), 0);
    for (unsigned i = from; i < ENTRIES; i += 2)
        if (i % 3 != 2)
            T_REQUIRE_RC(lk_tree_put(t, key_of(shape, k, i), value_of(shape, text, i), NULL), 0);
    if (gone < ENTRIES)
        T_REQUIRE_RC(lk_tree_del(t, key_of(shape, k, gone)), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
}

/* In memory since it was committed, then from the store, changed, and from the store again. */
T_TEST(entries_of_one_size_and_others_are_found)
{
    char url[300], path[280];
    snprintf(path, sizeof path, "%s/file", t_tmpdir());
    snprintf(url, sizeof url, "lmdb:%s", path);
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        lk_db *db;
        int rc = lk_db_open(&db, url, &(struct lk_db_options){.store.sync = LK_SYNC_NONE});
        if (rc == ENOTSUP)
            return;
        T_REQUIRE_RC(rc, 0);
        change(db, shape, 0, ENTRIES);
        change(db, shape, 1, ENTRIES);
        require_entries(db, shape, ENTRIES);
        for (int changed = 0; changed < 2; changed++) {
            lk_db_close(db);
            T_REQUIRE_RC(lk_db_open(&db, url, &(struct lk_db_options){.cache_nodes = 3}), 0);
            require_entries(db, shape, changed ? GONE : ENTRIES);
            if (!changed)
                change(db, shape, 0, GONE);
            require_entries(db, shape, GONE);
        }
        lk_db_close(db);
        T_REQUIRE(unlink(path) == 0);
    }
}
