/* db_replay_sets.c - operations of a trace on several trees, by value, and merges of three. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db_replay.h"

enum { TREES_MAX = 8, MERGE_TOKENS = 64 };

static bool unexpected(struct replay *r, int rc, FILE *out)
{
    if (r->failed == 0)
        r->failed = rc;
    fprintf(out, "?%s: %s", lk_strerror(rc), lk_error_text());
    return true;
}

/* ---- sets ----------------------------------------------------------------------------------- */

struct sets {
    struct container *of[TREES_MAX];
    size_t n;
    enum lk_set_kind kind;
    bool items, weighted, weights_only_keys;
    int64_t weight[2];
};

/* What an entry counts in a weighted operation: its value, or 1 in a set; 0 where it is absent. */
static int64_t weighed(const struct sets *s, const struct lk_bytes *values)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++)
        if (values[i].at != NULL)
            sum +=
                (uint64_t)s->weight[i] * (s->of[i]->map ? (uint64_t)trace_integer(values[i]) : 1);
    return (int64_t)sum;
}

static int list_set(const struct sets *s, struct trace_list *l)
{
    lk_tree *trees[TREES_MAX];
    lk_set *set;
    struct lk_bytes key, values[TREES_MAX];
    for (size_t i = 0; i < s->n; i++)
        trees[i] = s->of[i]->tree;
    int rc = lk_set_begin(&set, s->kind, trees, s->n);
    if (rc != 0)
        return rc;
    enum trace_family family = s->n > 0 ? s->of[0]->family : TRACE_INTEGERS;
    while ((rc = lk_set_next(set, &key, values)) == 0) {
        unsigned char sum[8];
        struct lk_bytes value = values[0];
        if (s->weighted) {
            lk_key_int64(sum, weighed(s, values));
            value = (struct lk_bytes){sum, 8};
        }
        trace_list_add(l, family, key, s->items ? &value : NULL);
    }
    lk_set_end(set);
    return rc == ENOENT ? 0 : rc;
}

static bool run_sets(struct replay *r, struct sets *s, FILE *out)
{
    struct trace_list l;
    if (s->weighted) {
        bool sets = !s->of[0]->map && !s->of[1]->map;
        uint64_t both = (uint64_t)s->weight[0] + (uint64_t)s->weight[1];
        s->items = !sets;
        fprintf(out, "%" PRId64 " ",
                sets && s->kind == LK_SET_INTERSECTION ? (int64_t)both : INT64_C(1));
    }
    if (!trace_list_begin(&l))
        return unexpected(r, ENOMEM, out);
    int rc = list_set(s, &l);
    trace_list_end(&l, out);
    return rc == 0 ? true : unexpected(r, rc, out);
}

/* ---- by value ------------------------------------------------------------------------------- */

struct by_value {
    struct {
        int64_t value, key;
    } * pair;
    size_t n, room;
    int64_t least;
};

static int collect(void *arg, struct lk_bytes key, struct lk_bytes value)
{
    struct by_value *b = arg;
    if (b->n == b->room) {
        b->room = b->room * 2 + 64;
        void *more = realloc(b->pair, b->room * sizeof *b->pair);
        if (more == NULL)
            return ENOMEM;
        b->pair = more;
    }
    int64_t v = trace_integer(value);
    b->pair[b->n].value = b->least > 0 ? v / b->least : v; /* the oracle scales them */
    b->pair[b->n++].key = trace_integer(key);
    return 0;
}

static int larger_first(const void *x, const void *y)
{
    const int64_t *a = x, *b = y;
    if (a[0] != b[0])
        return a[0] < b[0] ? 1 : -1;
    return (a[1] < b[1]) - (a[1] > b[1]);
}

static bool by_value(struct replay *r, FILE *out)
{
    struct container *c = replay_container(r, r->word[1]);
    struct trace_bytes least;
    struct by_value b = {0};
    struct trace_list l;
    if (c == NULL || c->family != TRACE_INTEGERS || !trace_read(c->family, r->word[2], &least) ||
        !trace_list_begin(&l))
        return false;
    b.least = trace_integer(trace_view(&least));
    int rc = lk_tree_by_value(c->tree, trace_view(&least), collect, &b);
    /* Scaled values may be equal where the values are not. */
    if (b.n > 0)
        qsort(b.pair, b.n, sizeof *b.pair, larger_first);
    for (size_t i = 0; i < b.n; i++) {
        unsigned char key[8], value[8];
        lk_key_int64(key, b.pair[i].key);
        lk_key_int64(value, b.pair[i].value);
        trace_list_add(&l, c->family, (struct lk_bytes){value, 8}, &(struct lk_bytes){key, 8});
    }
    free(b.pair);
    trace_list_end(&l, out);
    return rc == 0 ? true : unexpected(r, rc, out);
}

bool replay_set_operation(struct replay *r, FILE *out)
{
    static const struct {
        const char *name;
        enum lk_set_kind kind;
        bool weighted;
    } kinds[] = {
        {"union", LK_SET_UNION, false},     {"inter", LK_SET_INTERSECTION, false},
        {"diff", LK_SET_DIFFERENCE, false}, {"multiunion", LK_SET_UNION, false},
        {"wunion", LK_SET_UNION, true},     {"winter", LK_SET_INTERSECTION, true},
    };
    if (strcmp(r->word[0], "byvalue") == 0 && r->words == 3)
        return by_value(r, out);
    struct sets s = {0};
    size_t i = 0;
    while (i < sizeof kinds / sizeof kinds[0] && strcmp(r->word[0], kinds[i].name) != 0)
        i++;
    if (i == sizeof kinds / sizeof kinds[0])
        return false;
    s.kind = kinds[i].kind;
    s.weighted = kinds[i].weighted && r->words == 5;
    size_t end = s.weighted ? 3 : r->words;
    for (size_t w = 1; w < end && s.n < TREES_MAX; w++)
        if ((s.of[s.n++] = replay_container(r, r->word[w])) == NULL)
            return false;
    for (size_t w = 0; s.weighted && w < 2; w++)
        s.weight[w] = strtoll(r->word[3 + w], NULL, 10);
    s.items = s.kind == LK_SET_DIFFERENCE && s.n > 0 && s.of[0]->map;
    return run_sets(r, &s, out);
}

/* ---- merges of three ------------------------------------------------------------------------ */

/* One of the three contents: tokens of keys and values. */
struct content {
    char *key[MERGE_TOKENS], *value[MERGE_TOKENS];
    size_t n;
};

static bool read_content(char *text, bool map, struct content *c)
{
    char *save = NULL;
    c->n = 0;
    for (char *t = strtok_r(text, " ", &save); t != NULL; t = strtok_r(NULL, " ", &save)) {
        if (strcmp(t, "-") == 0)
            continue;
        if (c->n == MERGE_TOKENS)
            return false;
        c->key[c->n] = t;
        c->value[c->n] = map ? strtok_r(NULL, " ", &save) : NULL;
        if (map && c->value[c->n] == NULL)
            return false;
        c->n++;
    }
    return true;
}

static const char *value_of(const struct content *c, const char *key)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->key[i], key) == 0)
            return c->value[i] != NULL ? c->value[i] : "";
    return NULL;
}

static bool moved(const struct content *old, const struct content *now, const char *key)
{
    const char *a = value_of(old, key), *b = value_of(now, key);
    return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

/* Did both change one key?  Then a refusal is right. */
static bool same_key(const struct content c[3])
{
    for (int of = 0; of < 3; of++)
        for (size_t i = 0; i < c[of].n; i++)
            if (moved(&c[0], &c[1], c[of].key[i]) && moved(&c[0], &c[2], c[of].key[i]))
                return true;
    return false;
}

/* Bring tree m from what it holds to `to`. */
static int fill(lk_txn *x, const struct container *kind, const struct content *from,
                const struct content *to)
{
    lk_tree *t;
    int rc = lk_txn_tree(x, "m", &kind->sizes, &t);
    for (size_t i = 0; i < from->n && rc == 0; i++) {
        struct trace_bytes key;
        if (value_of(to, from->key[i]) == NULL && trace_read(kind->family, from->key[i], &key))
            rc = lk_tree_del(t, trace_view(&key));
    }
    for (size_t i = 0; i < to->n && rc == 0; i++) {
        struct trace_bytes key, value = {.size = 0};
        if (!moved(from, to, to->key[i]) || !trace_read(kind->family, to->key[i], &key))
            continue;
        if (kind->map && !trace_read(kind->family, to->value[i], &value))
            return EINVAL;
        rc = lk_tree_put(t, trace_view(&key), trace_view(&value), NULL);
    }
    return rc;
}

/* One transaction commits `committed`, then one that began beside it `mine`. */
static int merge(lk_db *db, const struct container *kind, const struct content c[3],
                 const struct content *before)
{
    lk_txn *a = NULL, *b = NULL;
    int rc = lk_txn_begin(db, &a);
    if (rc == 0)
        rc = fill(a, kind, before, &c[0]);
    if (rc == 0 && (rc = lk_txn_commit(a, NULL)) == 0)
        a = NULL;
    if (rc == 0)
        rc = lk_txn_begin(db, &a);
    if (rc == 0)
        rc = lk_txn_begin(db, &b);
    if (rc == 0)
        rc = fill(a, kind, &c[0], &c[2]);
    if (rc == 0)
        rc = fill(b, kind, &c[0], &c[1]);
    if (rc == 0 && (rc = lk_txn_commit(b, NULL)) == 0)
        b = NULL;
    if (rc == 0 && (rc = lk_txn_commit(a, NULL)) == 0)
        a = NULL;
    lk_txn_abort(a);
    lk_txn_abort(b);
    return rc;
}

static int list_merged(lk_db *db, const struct container *kind, struct trace_list *l)
{
    lk_view *v;
    lk_tree *t;
    lk_cursor cursor;
    struct lk_bytes key, value;
    int rc = lk_db_view(db, &v);
    if (rc != 0)
        return rc;
    rc = lk_view_tree(v, "m", &t);
    if (rc == 0 && (rc = lk_cursor_begin(&cursor, t, NULL, false)) == 0) {
        while ((rc = lk_cursor_next(&cursor, &key, &value)) == 0)
            trace_list_add(l, kind->family, key, kind->map ? &value : NULL);
        lk_cursor_end(&cursor);
        rc = rc == ENOENT ? lk_tree_check(t) : rc;
    }
    lk_view_end(v);
    return rc;
}

bool replay_merge(struct replay *r, char *line, const char *expected, FILE *out)
{
    struct content c[3], none = {.n = 0};
    char *part[4], *save = NULL;
    for (int i = 0; i < 4; i++)
        if ((part[i] = strtok_r(i == 0 ? line : NULL, "|", &save)) == NULL)
            return false;
    struct container kind = {.map = strstr(part[0], "map") != NULL, .sizes = {3, 3}};
    kind.family = strstr(part[0], "LL") != NULL ? TRACE_INTEGERS : TRACE_STRINGS;
    for (int i = 0; i < 3; i++)
        if (!read_content(part[i + 1], kind.map, &c[i]))
            return false;
    struct lk_db_options options = {.keep = 1};
    lk_db *db;
    struct trace_list l;
    int rc = lk_db_open(&db, "mem:", &options);
    if (rc != 0 || !trace_list_begin(&l))
        return unexpected(r, rc, out);
    rc = merge(db, &kind, c, &none);
    int listed = list_merged(db, &kind, &l);
    lk_db_close(db);
    bool refusal = expected[0] == '!';
    if (rc != 0 || listed != 0 || (refusal && !same_key(c))) {
        free((fclose(l.to), l.text));
        if (rc == LK_ECHANGED && same_key(c) && refusal)
            fputs(expected, out); /* refused, and rightly so */
        else if (rc == 0 && listed == 0)
            fputs(expected, out); /* merged, where the oracle needs not refuse */
        else
            return unexpected(r, rc != 0 ? rc : listed, out);
        return true;
    }
    trace_list_end(&l, out);
    return true;
}
