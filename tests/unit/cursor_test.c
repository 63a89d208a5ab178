/* Cursors that outlive their section.
 * Kills: object.parked_key_stays, object.cursor_unsettled. */
#include <errno.h>
#include <string.h>

#include "latchkey/db.h"
#include "test.h"

enum { ENTRIES = 300 };

/* Keys 0, 1 ... with the value "v", or "v" and "vv" in turns: then leaves are not even. */
static lk_view *filled_with(lk_db **db, lk_tree **t, uint32_t node, bool uneven)
{
    lk_txn *x;
    lk_view *v = NULL;
    T_REQUIRE_RC(lk_db_open(db, "mem:", NULL), 0);
    T_REQUIRE_RC(lk_txn_begin(*db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "t", &(struct lk_tree_options){node, node}, t), 0);
    for (int64_t i = 0; i < ENTRIES; i++) {
        unsigned char key[8];
        lk_key_int64(key, i);
        T_REQUIRE_RC(lk_tree_add(*t, (struct lk_bytes){key, 8},
                                 (struct lk_bytes){"vv", uneven && i % 2 ? 2 : 1}),
                     0);
    }
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    T_REQUIRE_RC(lk_db_view(*db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "t", t), 0);
    return v;
}

static lk_view *filled(lk_db **db, lk_tree **t)
{
    return filled_with(db, t, 4, false);
}

static int64_t step(lk_cursor *c)
{
    struct lk_bytes key, value;
    T_REQUIRE_RC(lk_cursor_next(c, &key, &value), 0);
    T_REQUIRE(value.size >= 1 && *(const char *)value.at == 'v');
    return lk_key_to_int64(key.at);
}

/* Parked after each step, after every other one, twice for one: nothing is skipped or repeated. */
T_TEST(a_parked_cursor_goes_on_where_it_was)
{
    lk_db *db;
    lk_tree *t;
    lk_view *v = filled(&db, &t);
    for (int down = 0; down < 2; down++)
        for (int steps = 1; steps < 7; steps++) {
            lk_cursor c;
            struct lk_bytes key;
            T_REQUIRE_RC(lk_section_begin(), 0);
            T_REQUIRE_RC(lk_cursor_begin(&c, t, NULL, down != 0), 0);
            for (int64_t i = 0; i < ENTRIES; i++) {
                T_REQUIRE_EQ(step(&c), down ? ENTRIES - 1 - i : i);
                T_REQUIRE_RC(lk_cursor_park(&c), 0);
                if (i % steps != 0)
                    continue;
                T_REQUIRE_RC(lk_cursor_park(&c), 0);
                lk_section_end();
                T_REQUIRE_RC(lk_cursor_next(&c, &key, NULL), EPERM);
                T_REQUIRE_RC(lk_section_begin(), 0);
            }
            T_REQUIRE_RC(lk_cursor_next(&c, &key, NULL), ENOENT);
            lk_cursor_end(&c);
            lk_section_end();
        }
    lk_view_end(v);
    lk_db_close(db);
}

/* Parked behind some steps in the middle of a leaf, of either form. */
T_TEST(a_cursor_is_parked_anywhere_in_a_leaf)
{
    for (int form = 0; form < 4; form++) {
        bool down = form & 1, uneven = form & 2;
        lk_db *db;
        lk_tree *t;
        lk_view *v = filled_with(&db, &t, 60, uneven);
        for (int64_t steps = 2; steps < 90; steps += 3) {
            lk_cursor c;
            T_REQUIRE_RC(lk_section_begin(), 0);
            T_REQUIRE_RC(lk_cursor_begin(&c, t, NULL, down), 0);
            for (int64_t i = 0; i < ENTRIES; i++) {
                T_REQUIRE_EQ(step(&c), down ? ENTRIES - 1 - i : i);
                if (i % steps != 0)
                    continue;
                T_REQUIRE_RC(lk_cursor_park(&c), 0);
                lk_section_end();
                T_REQUIRE_RC(lk_section_begin(), 0);
            }
            lk_cursor_end(&c);
            lk_section_end();
        }
        lk_view_end(v);
        lk_db_close(db);
    }
}

/* One that was not parked is not followed into another section, however soon that begins. */
T_TEST(a_cursor_belongs_to_its_section)
{
    lk_db *db;
    lk_tree *t;
    lk_cursor c;
    struct lk_bytes key;
    lk_view *v = filled(&db, &t);
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_cursor_begin(&c, t, NULL, false), 0);
    T_REQUIRE_EQ(step(&c), 0);
    T_REQUIRE_EQ(step(&c), 1);
    lk_section_end();
    T_REQUIRE_RC(lk_cursor_next(&c, &key, NULL), EPERM);
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_cursor_next(&c, &key, NULL), EPERM);
    lk_section_end();
    lk_cursor_end(&c);
    lk_view_end(v);
    lk_db_close(db);
}
