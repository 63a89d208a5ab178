/* db_replay_ops.c - one operation of a trace, done on a tree of the present transaction. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db_replay.h"

static const struct lk_bytes nothing = {"", 0};

/* A library call failed in a way that no trace expects. */
static bool unexpected(struct replay *r, int rc, FILE *out)
{
    if (r->failed == 0)
        r->failed = rc;
    fprintf(out, "?%s: %s", lk_strerror(rc), lk_error_text());
    return true;
}

static bool is(const struct replay *r, const char *op)
{
    return strcmp(r->word[0], op) == 0;
}

/* Word i as a key or value; a bound `*` is NULL. */
static struct lk_bytes *token(const struct replay *r, const struct container *c, size_t i,
                              struct trace_bytes *bytes, struct lk_bytes *view)
{
    if (i >= r->words || strcmp(r->word[i], "*") == 0 || !trace_read(c->family, r->word[i], bytes))
        return NULL;
    *view = trace_view(bytes);
    return view;
}

static bool flag(const struct replay *r, size_t i)
{
    return i < r->words && r->word[i][0] == '1';
}

struct ends {
    struct trace_bytes bytes[2];
    struct lk_bytes view[2];
    struct lk_range range;
};

/* lo hi xlo xhi from word `at` on. */
static void read_range(const struct replay *r, const struct container *c, size_t at, struct ends *e)
{
    e->range.low = token(r, c, at, &e->bytes[0], &e->view[0]);
    e->range.high = token(r, c, at + 1, &e->bytes[1], &e->view[1]);
    e->range.low_open = flag(r, at + 2);
    e->range.high_open = flag(r, at + 3);
}

static void put_token(FILE *out, const struct container *c, struct lk_bytes bytes)
{
    trace_write(out, c->family, bytes);
}

/* ---- one key -------------------------------------------------------------------------------- */

static bool store(struct replay *r, struct container *c, FILE *out)
{
    struct trace_bytes kb, vb;
    struct lk_bytes key = nothing, value = nothing, found;
    bool is_new = false;
    token(r, c, 2, &kb, &key);
    token(r, c, 3, &vb, &value);
    int rc =
        is(r, "set") ? lk_tree_put(c->tree, key, value, &is_new) : lk_tree_add(c->tree, key, value);
    if (is(r, "setdefault")) {
        int got = rc == 0 || rc == EEXIST ? lk_tree_get(c->tree, key, &found) : rc;
        if (got != 0)
            return unexpected(r, got, out);
        put_token(out, c, found);
        return true;
    }
    if (rc != 0 && rc != EEXIST)
        return unexpected(r, rc, out);
    fputs((is(r, "set") ? is_new : rc == 0) ? "1" : "0", out);
    return true;
}

static bool take(struct replay *r, struct container *c, FILE *out)
{
    struct trace_bytes kb, db;
    struct lk_bytes key = nothing, value = nothing, given = nothing;
    token(r, c, 2, &kb, &key);
    int rc = is(r, "popmin") ? lk_tree_min(c->tree, NULL, &key, &value)
                             : lk_tree_get(c->tree, key, &value);
    if (rc == ENOENT && is(r, "popd")) {
        token(r, c, 3, &db, &given);
        put_token(out, c, given);
        return true;
    }
    if (rc == ENOENT) {
        fputs("!KeyError", out);
        return true;
    }
    if (rc != 0)
        return unexpected(r, rc, out);
    if (is(r, "popmin")) {
        put_token(out, c, key);
        if (c->map)
            fputc(' ', out);
        kb.size = key.size < TRACE_TOKEN_MAX ? key.size : TRACE_TOKEN_MAX;
        memcpy(kb.at, key.at, kb.size);
        key = trace_view(&kb); /* the change may move the tree's own bytes */
    }
    if (is(r, "del"))
        fputs("ok", out);
    else if (c->map)
        put_token(out, c, value);
    rc = lk_tree_del(c->tree, key);
    return rc == 0 ? true : unexpected(r, rc, out);
}

static bool look(struct replay *r, struct container *c, FILE *out)
{
    struct trace_bytes kb;
    struct lk_bytes key = nothing, value;
    token(r, c, 2, &kb, &key);
    int rc = lk_tree_get(c->tree, key, &value);
    if (rc != 0 && rc != ENOENT)
        return unexpected(r, rc, out);
    if (is(r, "has"))
        fputs(rc == 0 ? "1" : "0", out);
    else if (rc == 0)
        put_token(out, c, value);
    else
        fputc('-', out);
    return true;
}

static bool extreme(struct replay *r, struct container *c, FILE *out)
{
    struct trace_bytes kb;
    struct lk_bytes at, key;
    const struct lk_bytes *bound = token(r, c, 2, &kb, &at);
    int rc = is(r, "min") ? lk_tree_min(c->tree, bound, &key, NULL)
                          : lk_tree_max(c->tree, bound, &key, NULL);
    if (rc == ENOENT)
        fputs("!ValueError", out);
    else if (rc != 0)
        return unexpected(r, rc, out);
    else
        put_token(out, c, key);
    return true;
}

static bool update(struct replay *r, struct container *c, FILE *out)
{
    uint64_t fresh = 0;
    for (size_t i = 2; i < r->words; i += c->map ? 2 : 1) {
        struct trace_bytes kb, vb;
        struct lk_bytes key = nothing, value = nothing;
        bool is_new = false;
        token(r, c, i, &kb, &key);
        if (c->map)
            token(r, c, i + 1, &vb, &value);
        int rc = lk_tree_put(c->tree, key, value, &is_new);
        if (rc != 0)
            return unexpected(r, rc, out);
        fresh += is_new;
    }
    if (c->map)
        fputs("ok", out);
    else
        fprintf(out, "%" PRIu64, fresh);
    return true;
}

/* ---- many ----------------------------------------------------------------------------------- */

enum part { KEYS = 1, VALUES = 2 };

/* The range up and down: both must give the same, as many as are counted. */
static int list_range(lk_tree *t, const struct container *c, const struct lk_range *range,
                      unsigned parts, struct trace_list *l)
{
    lk_cursor cursor;
    struct lk_bytes key, value;
    uint64_t counted, back = 0;
    int rc = lk_cursor_begin(&cursor, t, range, false);
    if (rc != 0)
        return rc;
    while ((rc = lk_cursor_next(&cursor, &key, &value)) == 0)
        trace_list_add(l, c->family, parts & KEYS ? key : value,
                       parts == (KEYS | VALUES) ? &value : NULL);
    lk_cursor_end(&cursor);
    if (rc != ENOENT)
        return rc;
    rc = lk_cursor_begin(&cursor, t, range, true);
    if (rc != 0)
        return rc;
    while ((rc = lk_cursor_next(&cursor, &key, &value)) == 0)
        back++;
    lk_cursor_end(&cursor);
    if (rc == ENOENT)
        rc = lk_tree_count(t, range, &counted);
    return rc != 0 ? rc : counted == l->items && back == l->items ? 0 : LK_ECORRUPT;
}

static bool list_of(struct replay *r, lk_tree *t, const struct container *c,
                    const struct lk_range *range, unsigned parts, FILE *out)
{
    struct trace_list l;
    if (!trace_list_begin(&l))
        return unexpected(r, ENOMEM, out);
    int rc = list_range(t, c, range, parts, &l);
    trace_list_end(&l, out);
    return rc == 0 ? true : unexpected(r, rc, out);
}

static bool range(struct replay *r, struct container *c, FILE *out)
{
    struct ends e;
    read_range(r, c, 2, &e);
    unsigned parts = is(r, "keys") ? KEYS : is(r, "values") ? VALUES : KEYS | VALUES;
    return list_of(r, c->tree, c, &e.range, parts, out);
}

static bool nth(struct replay *r, struct container *c, FILE *out)
{
    struct ends e;
    struct lk_bytes key;
    read_range(r, c, 2, &e);
    int rc = lk_tree_nth(c->tree, &e.range, strtoll(r->word[6], NULL, 10), &key, NULL);
    if (rc == ERANGE)
        fputs("!IndexError", out);
    else if (rc != 0)
        return unexpected(r, rc, out);
    else
        put_token(out, c, key);
    return true;
}

static bool length(struct replay *r, struct container *c, FILE *out)
{
    uint64_t n;
    int rc = lk_tree_count(c->tree, NULL, &n);
    if (rc != 0)
        return unexpected(r, rc, out);
    fprintf(out, "%" PRIu64, n);
    return true;
}

static bool clear(struct replay *r, struct container *c, FILE *out)
{
    int rc = lk_tree_clear(c->tree);
    fputs("ok", out);
    return rc == 0 ? true : unexpected(r, rc, out);
}

static bool check(struct replay *r, struct container *c, FILE *out)
{
    int rc = lk_tree_check(c->tree);
    fputs("ok", out);
    return rc == 0 ? true : unexpected(r, rc, out);
}

/* ---- cursors and snapshots ------------------------------------------------------------------ */

static bool new_cursor(struct replay *r, FILE *out)
{
    struct replay_cursor *q = r->cursor;
    while (q < r->cursor + REPLAY_CURSORS && q->of != NULL)
        q++;
    struct container *c = replay_container(r, r->word[2]);
    if (q == r->cursor + REPLAY_CURSORS || c == NULL)
        return false;
    struct lk_bytes view;
    *q = (struct replay_cursor){.of = c};
    snprintf(q->name, sizeof q->name, "%s", r->word[1]);
    q->has_low = token(r, c, 3, &q->low, &view) != NULL;
    q->has_high = token(r, c, 4, &q->high, &view) != NULL;
    q->low_open = flag(r, 5);
    q->high_open = flag(r, 6);
    (void)out;
    return true;
}

/* Go on in the present transaction behind what was given last. */
static int resume(struct replay_cursor *q)
{
    struct lk_bytes low = trace_view(q->moved ? &q->last : &q->low), high = trace_view(&q->high);
    struct lk_range range = {q->moved || q->has_low ? &low : NULL, q->has_high ? &high : NULL,
                             q->moved || q->low_open, q->high_open};
    int rc = lk_cursor_begin(&q->cursor, q->of->tree, &range, false);
    q->begun = rc == 0;
    return rc;
}

static bool next(struct replay *r, FILE *out)
{
    struct replay_cursor *q = r->cursor;
    while (q < r->cursor + REPLAY_CURSORS && (q->of == NULL || strcmp(q->name, r->word[1]) != 0))
        q++;
    if (q == r->cursor + REPLAY_CURSORS)
        return false;
    struct lk_bytes key, value;
    int rc = q->begun ? 0 : resume(q);
    if (rc == 0)
        rc = lk_cursor_next(&q->cursor, &key, &value);
    if (rc == 0) {
        put_token(out, q->of, key);
        if (q->of->map) {
            fputc(' ', out);
            put_token(out, q->of, value);
        }
        q->moved = true;
        q->last.size = key.size < TRACE_TOKEN_MAX ? key.size : TRACE_TOKEN_MAX;
        memcpy(q->last.at, key.at, q->last.size);
        return true;
    }
    if (q->begun)
        lk_cursor_end(&q->cursor);
    q->of = NULL;
    fputs("end", out);
    return rc == ENOENT ? true : unexpected(r, rc, out);
}

static bool snap(struct replay *r, FILE *out)
{
    struct replay_snap *s = r->snap;
    while (s < r->snap + REPLAY_CURSORS && s->of != NULL)
        s++;
    struct container *c = replay_container(r, r->word[2]);
    if (s == r->snap + REPLAY_CURSORS || c == NULL)
        return false;
    int rc = replay_commit(r);
    if (rc != 0)
        return unexpected(r, rc, out);
    lk_view *v = NULL;
    rc = lk_db_view(r->db, &v);
    if (rc != 0)
        return unexpected(r, rc, out);
    *s = (struct replay_snap){.of = c, .tid = lk_view_tid(v), .view = r->cold ? NULL : v};
    snprintf(s->name, sizeof s->name, "%s", r->word[1]);
    if (r->cold)
        lk_view_end(v);
    return true;
}

static bool snapread(struct replay *r, FILE *out)
{
    struct replay_snap *s = r->snap;
    while (s < r->snap + REPLAY_CURSORS && (s->of == NULL || strcmp(s->name, r->word[1]) != 0))
        s++;
    if (s == r->snap + REPLAY_CURSORS)
        return false;
    struct container *c = s->of;
    lk_tree *t;
    int rc = s->view != NULL ? 0 : lk_db_view_at(r->db, s->tid, &s->view);
    s->of = NULL;
    if (rc != 0)
        return unexpected(r, rc, out);
    rc = lk_view_tree(s->view, c->name, &t);
    if (rc == 0)
        (void)list_of(r, t, c, NULL, c->map ? KEYS | VALUES : KEYS, out);
    else
        (void)unexpected(r, rc, out);
    lk_view_end(s->view);
    return true;
}

typedef bool operation_fn(struct replay *r, struct container *c, FILE *out);
static const struct {
    const char *name;
    size_t words; /* at least */
    operation_fn *run;
} operations[] = {
    {"set", 4, store},    {"insert", 3, store},  {"setdefault", 4, store}, {"del", 3, take},
    {"pop", 3, take},     {"popd", 4, take},     {"popmin", 2, take},      {"get", 3, look},
    {"has", 3, look},     {"min", 3, extreme},   {"max", 3, extreme},      {"keys", 6, range},
    {"values", 6, range}, {"items", 6, range},   {"index", 7, nth},        {"len", 2, length},
    {"clear", 2, clear},  {"update", 2, update}, {"check", 2, check},
};

bool replay_operation(struct replay *r, FILE *out)
{
    if (is(r, "cursor") && r->words == 7)
        return new_cursor(r, out);
    if (is(r, "next") && r->words == 2)
        return next(r, out);
    if (is(r, "snap") && r->words == 3)
        return snap(r, out);
    if (is(r, "snapread") && r->words == 2)
        return snapread(r, out);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (!is(r, operations[i].name) || r->words < operations[i].words)
            continue;
        struct container *c = replay_container(r, r->word[1]);
        return c != NULL && operations[i].run(r, c, out);
    }
    return replay_set_operation(r, out);
}
