/* Entries of trees that are objects: loaded once for all views of a leaf, changed in transactions,
 * merged by their class, followed by what they refer to.
 * Kills: object.entry_forgets_view, object.private_not_saved, object.merge_not_asked. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latchkey/db.h"
#include "test.h"

/* An account: so much money, and the account that it refers to ("-": none).  Stored as text. */
struct account {
    long long money;
    char other[16];
};
static atomic_int loads, freed;
static const struct lk_class account_class;

static struct lk_bytes text(const char *s)
{
    return (struct lk_bytes){s, strlen(s)};
}

static int load(lk_object *o, void *arg, void **state, size_t *bytes)
{
    const struct lk_entry *e = arg;
    struct account *a = calloc(1, sizeof *a);
    char value[64] = "";
    (void)o;
    T_REQUIRE(a != NULL && e->value.size < sizeof value && strcmp(e->tree, "accounts") == 0);
    memcpy(value, e->value.at, e->value.size);
    if (sscanf(value, "%lld %15s", &a->money, a->other) != 2) {
        free(a);
        return EILSEQ;
    }
    atomic_fetch_add(&loads, 1);
    *state = a;
    *bytes = sizeof *a;
    return 0;
}

static void release(void *state)
{
    atomic_fetch_add(&freed, 1);
    free(state);
}

static int save(const void *state, void *at, size_t room, size_t *size)
{
    const struct account *a = state;
    char value[64];
    int n = snprintf(value, sizeof value, "%lld %s", a->money, a->other);
    *size = (size_t)n;
    if (room < *size)
        return ENOBUFS;
    memcpy(at, value, *size);
    return 0;
}

/* What each added counts; more than 1000 is refused. */
static int merge(const void *old, const void *theirs, void *mine)
{
    const struct account *a = old, *b = theirs;
    struct account *c = mine;
    if (a == NULL || b == NULL)
        return EINVAL;
    c->money += b->money - a->money;
    return c->money > 1000 ? ERANGE : 0;
}

static int refs(const void *state, lk_ref_fn *fn, void *arg)
{
    const struct account *a = state;
    return strcmp(a->other, "-") == 0 ? 0 : fn(arg, "accounts", text(a->other), &account_class);
}

static const struct lk_class account_class = {"account", load, release, save, merge, refs};

static lk_db *open_db(uint64_t cache_nodes)
{
    lk_db *db = NULL;
    atomic_store(&loads, 0);
    atomic_store(&freed, 0);
    T_REQUIRE_RC(lk_db_open(&db, "mem:", &(struct lk_db_options){.cache_nodes = cache_nodes}), 0);
    return db;
}

static lk_txn *begin(lk_db *db, lk_tree **t)
{
    lk_txn *x = NULL;
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "accounts", &(struct lk_tree_options){4, 4}, t), 0);
    return x;
}

/* Accounts a00 ... with the values given, or "1 -". */
static void fill(lk_db *db, int n, const char *const *values)
{
    lk_tree *t;
    lk_txn *x = begin(db, &t);
    for (int i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "a%02d", i);
        T_REQUIRE_RC(lk_tree_put(t, text(key), text(values != NULL ? values[i] : "1 -"), NULL), 0);
    }
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
}

static lk_view *view_of(lk_db *db)
{
    lk_view *v = NULL;
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    return v;
}

static lk_object *object_of(lk_view *v, const char *key)
{
    lk_object *o = NULL, *again = NULL;
    T_REQUIRE_RC(lk_view_object(v, "accounts", text(key), &account_class, &o), 0);
    T_REQUIRE_RC(lk_view_object(v, "accounts", text(key), &account_class, &again), 0);
    T_REQUIRE(o == again);
    return o;
}

static long long money(lk_db *db, lk_view *v, const char *key)
{
    void *state;
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_object_use(lk_db_heap(db), object_of(v, key), v, &state), 0);
    long long seen = ((struct account *)state)->money;
    lk_section_end();
    return seen;
}

/* In its own transaction. */
static void add_money(lk_db *db, const char *key, long long much)
{
    lk_tree *t;
    void *a;
    lk_txn *x = begin(db, &t);
    T_REQUIRE_RC(lk_txn_object(x, t, text(key), &account_class, &a), 0);
    ((struct account *)a)->money += much;
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
}

T_TEST(an_object_is_shared_by_the_views_of_its_leaf)
{
    lk_db *db = open_db(0);
    lk_object *none;
    fill(db, 20, NULL);
    lk_view *before = view_of(db);
    lk_object *far = object_of(before, "a19"), *near = object_of(before, "a01");
    T_REQUIRE_EQ(lk_object_state(lk_db_heap(db), far), LK_OBJECT_GHOST);
    T_REQUIRE_EQ(money(db, before, "a19") + money(db, before, "a01"), 2);
    T_REQUIRE_EQ(atomic_load(&loads), 2);
    add_money(db, "a01", 7);
    int so_far = atomic_load(&loads);
    lk_view *after = view_of(db);
    T_REQUIRE(object_of(after, "a19") == far);
    T_REQUIRE(object_of(after, "a01") != near);
    T_REQUIRE_EQ(money(db, after, "a19"), 1);
    T_REQUIRE_EQ(atomic_load(&loads), so_far);
    lk_view_end(before);
    T_REQUIRE_EQ(money(db, after, "a01"), 8);
    T_REQUIRE(lk_object_evict(lk_db_heap(db), far));
    T_REQUIRE_EQ(money(db, after, "a19"), 1);
    T_REQUIRE_EQ(atomic_load(&loads), so_far + 2);
    T_REQUIRE_RC(lk_view_object(after, "accounts", text("none"), &account_class, &none), ENOENT);
    T_REQUIRE_RC(lk_view_object(after, "nobody", text("a01"), &account_class, &none), ENOENT);
    lk_view_end(after);
    lk_db_close(db);
    T_REQUIRE_EQ(atomic_load(&freed), atomic_load(&loads));
}

T_TEST(a_transaction_changes_private_states_and_saves_them)
{
    lk_db *db = open_db(0);
    lk_tree *t;
    void *a, *b;
    unsigned mark;
    struct lk_bytes value;
    fill(db, 3, NULL);
    lk_txn *x = begin(db, &t);
    T_REQUIRE_RC(lk_txn_object(x, t, text("a01"), &account_class, &a), 0);
    T_REQUIRE_RC(lk_txn_object(x, t, text("a01"), &account_class, &b), 0);
    T_REQUIRE(a == b);
    T_REQUIRE_RC(lk_txn_object(x, t, text("none"), &account_class, &b), ENOENT);
    ((struct account *)a)->money = 50;
    T_REQUIRE_RC(lk_txn_savepoint(x, &mark), 0); /* saves */
    T_REQUIRE_RC(lk_section_begin(), 0);
    T_REQUIRE_RC(lk_tree_get(t, text("a01"), &value), 0);
    T_REQUIRE(value.size == 4 && memcmp(value.at, "50 -", 4) == 0);
    lk_section_end();
    ((struct account *)a)->money = 60;
    T_REQUIRE_RC(lk_txn_rollback(x, mark), 0); /* gives up private states */
    T_REQUIRE_RC(lk_txn_object(x, t, text("a01"), &account_class, &a), 0);
    T_REQUIRE_EQ(((struct account *)a)->money, 50);
    T_REQUIRE_RC(lk_txn_object(x, t, text("a02"), &account_class, &b), 0);
    ((struct account *)b)->money = 99;
    T_REQUIRE_RC(lk_txn_drop_object(x, t, text("a02")), 0);
    T_REQUIRE_RC(lk_txn_drop_object(x, t, text("a02")), ENOENT);
    struct account *made = calloc(1, sizeof *made);
    T_REQUIRE(made != NULL);
    *made = (struct account){5, "a01"};
    atomic_fetch_add(&loads, 1);
    T_REQUIRE_RC(lk_txn_add_object(x, t, text("a01"), &account_class, made), EEXIST);
    T_REQUIRE_RC(lk_txn_add_object(x, t, text("new"), &account_class, made), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    lk_view *v = view_of(db);
    T_REQUIRE_EQ(money(db, v, "a01"), 50);
    T_REQUIRE_EQ(money(db, v, "a02"), 1);
    T_REQUIRE_EQ(money(db, v, "new"), 5);
    lk_view_end(v);
    lk_db_close(db);
    T_REQUIRE_EQ(atomic_load(&freed), atomic_load(&loads));
}

T_TEST(a_class_merges_what_two_transactions_changed)
{
    lk_db *db = open_db(0);
    lk_tree *t;
    void *a;
    struct lk_conflict conflict;
    fill(db, 12, NULL);
    lk_txn *x = begin(db, &t);
    T_REQUIRE_RC(lk_txn_object(x, t, text("a05"), &account_class, &a), 0);
    ((struct account *)a)->money += 10;
    add_money(db, "a05", 100);
    add_money(db, "a05", 200);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    lk_view *v = view_of(db);
    T_REQUIRE_EQ(money(db, v, "a05"), 311);
    lk_view_end(v);
    /* It refuses, or cannot: the entry is gone. */
    for (int gone = 0; gone < 2; gone++) {
        lk_tree *other;
        x = begin(db, &t);
        T_REQUIRE_RC(lk_txn_object(x, t, text("a05"), &account_class, &a), 0);
        ((struct account *)a)->money += 500;
        lk_txn *y = begin(db, &other);
        if (gone)
            T_REQUIRE_RC(lk_tree_del(other, text("a05")), 0);
        else
            T_REQUIRE_RC(lk_tree_put(other, text("a05"), text("900 -"), NULL), 0);
        T_REQUIRE_RC(lk_txn_commit(y, NULL), 0);
        T_REQUIRE_RC(lk_txn_commit(x, NULL), LK_ECHANGED);
        T_REQUIRE_RC(lk_txn_conflict(x, &conflict), 0);
        T_REQUIRE(conflict.key.size == 3 && memcmp(conflict.key.at, "a05", 3) == 0);
        lk_txn_abort(x);
    }
    lk_db_close(db);
    T_REQUIRE_EQ(atomic_load(&freed), atomic_load(&loads));
}

T_TEST(what_objects_refer_to_is_prefetched_and_checked)
{
    static const char *const values[] = {"1 a03", "1 -", "1 a03", "1 a04", "1 a05", "1 -", "1 a99"};
    lk_db *db = open_db(0);
    uint64_t n;
    fill(db, 6, values);
    lk_view *v = view_of(db);
    struct lk_bytes keys[3] = {text("a02"), text("a00"), text("none")};
    T_REQUIRE_RC(lk_view_prefetch(v, "accounts", keys, 3, &account_class, 0, &n), 0);
    T_REQUIRE_EQ(n, 2);
    T_REQUIRE_RC(lk_view_prefetch(v, "accounts", keys, 1, &account_class, 2, &n), 0);
    T_REQUIRE_EQ(n, 3); /* a02, a03, a04 */
    T_REQUIRE_EQ(atomic_load(&loads), 4);
    T_REQUIRE_EQ(lk_object_state(lk_db_heap(db), object_of(v, "a04")), LK_OBJECT_LOADED);
    T_REQUIRE_EQ(lk_object_state(lk_db_heap(db), object_of(v, "a05")), LK_OBJECT_GHOST);
    T_REQUIRE_RC(lk_view_check_objects(v, "accounts", &account_class, &n), 0);
    T_REQUIRE_EQ(n, 6);
    lk_view_end(v);
    fill(db, 7, values); /* a06 refers to one that is not there */
    v = view_of(db);
    T_REQUIRE_RC(lk_view_check_objects(v, "accounts", &account_class, &n), LK_ECORRUPT);
    T_REQUIRE(strstr(lk_error_text(), "refers to") != NULL);
    lk_view_end(v);
    lk_tree *t;
    lk_txn *x = begin(db, &t);
    T_REQUIRE_RC(lk_tree_put(t, text("a06"), text("no number"), NULL), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    v = view_of(db);
    T_REQUIRE_RC(lk_view_check_objects(v, "accounts", &account_class, &n), LK_ECORRUPT);
    T_REQUIRE(strstr(lk_error_text(), "is no account") != NULL);
    lk_view_end(v);
    lk_db_close(db);
}

/* ---- many threads --------------------------------------------------------------------------- */

enum { ACCOUNTS = 12, THREADS = 3, ROUNDS = 150 };
static lk_db *shared;
static atomic_int writing;

/* Every view has all the money, whatever is evicted meanwhile. */
static void *audit(void *arg)
{
    while (atomic_load(&writing)) {
        lk_view *v = view_of(shared);
        long long sum = 0;
        T_REQUIRE_RC(lk_section_begin(), 0);
        for (int i = 0; i < ACCOUNTS; i++) {
            char key[16];
            snprintf(key, sizeof key, "a%02d", i);
            sum += money(shared, v, key);
            if (i % 3 == 0)
                (void)lk_object_evict(lk_db_heap(shared), object_of(v, key));
        }
        lk_section_end();
        T_REQUIRE_EQ(sum, ACCOUNTS);
        lk_view_end(v);
    }
    return arg;
}

static void transfer(int from, int to)
{
    lk_tree *t;
    void *a, *b;
    char key[2][16];
    lk_txn *x = begin(shared, &t);
    snprintf(key[0], sizeof key[0], "a%02d", from);
    snprintf(key[1], sizeof key[1], "a%02d", to);
    T_REQUIRE_RC(lk_txn_object(x, t, text(key[0]), &account_class, &a), 0);
    T_REQUIRE_RC(lk_txn_object(x, t, text(key[1]), &account_class, &b), 0);
    ((struct account *)a)->money--;
    ((struct account *)b)->money++;
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0); /* merged if another was faster */
}

static void *transfers(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        int from = (i * 7 + (int)(intptr_t)arg) % ACCOUNTS;
        transfer(from, (from + 1 + i % 5) % ACCOUNTS);
    }
    return NULL;
}

T_TEST(threads_share_objects_and_merge_what_they_change)
{
    pthread_t id[THREADS], auditor;
    shared = open_db(6);
    fill(shared, ACCOUNTS, NULL);
    atomic_store(&writing, 1);
    T_REQUIRE(pthread_create(&auditor, NULL, audit, NULL) == 0);
    for (intptr_t i = 0; i < THREADS; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, transfers, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    atomic_store(&writing, 0);
    pthread_join(auditor, NULL);
    lk_view *v = view_of(shared);
    T_REQUIRE_EQ(lk_view_tid(v), THREADS * ROUNDS + 1);
    lk_view_end(v);
    lk_db_close(shared);
    T_REQUIRE_EQ(atomic_load(&freed), atomic_load(&loads));
}
