/* db_lines.c - the actions of lk db that list and read many entries. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "db_cmd.h"

enum { DEFAULT_COMMIT = 10000, SHOWN_EVERY = 4096 };

/* A field of CSV: quoted if it has to be. */
static void put_field(struct lk_bytes b)
{
    const char *p = b.at;
    bool quote = b.size == 0;
    for (size_t i = 0; i < b.size; i++)
        quote = quote || strchr(",\"\r\n", p[i]) != NULL;
    if (!quote) {
        fwrite(p, 1, b.size, stdout);
        return;
    }
    putchar('"');
    for (size_t i = 0; i < b.size; i++) {
        if (p[i] == '"')
            putchar('"');
        putchar(p[i]);
    }
    putchar('"');
}

static void show(const struct db_call *call, struct lk_bytes key, struct lk_bytes value, bool lines)
{
    char number[32];
    if (call->numbers && key.size == 8) {
        key.size = (size_t)snprintf(number, sizeof number, "%" PRId64, lk_key_to_int64(key.at));
        key.at = number;
    }
    if (call->csv) {
        put_field(key);
        putchar(',');
        put_field(value);
        putchar('\n');
    } else if (lines || call->json) {
        json_t *root = json_object();
        cli_json_set_bytes(root, "key", key.at, key.size);
        cli_json_set_bytes(root, "value", value.at, value.size);
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
    } else {
        cli_put_escaped(stdout, key.at, key.size);
        putchar('\t');
        cli_put_escaped(stdout, value.at, value.size);
        putchar('\n');
    }
}

static int list(struct db_call *call, bool lines)
{
    lk_view *v;
    lk_tree *t;
    lk_cursor c;
    struct db_text low, high;
    struct lk_bytes key, value;
    struct lk_range range = {0};
    if ((call->low != NULL && !db_read(call, call->low, &low)) ||
        (call->high != NULL && !db_read(call, call->high, &high)))
        return cli_usage("with --int, --from and --to are integers");
    range.low = call->low != NULL ? &low.bytes : NULL;
    range.high = call->high != NULL ? &high.bytes : NULL;
    int rc = call->tid_given ? lk_db_view_at(call->db, call->tid, &v) : lk_db_view(call->db, &v);
    if (rc != 0)
        return db_failed(call, "state", rc);
    rc = lk_section_begin();
    if (rc == 0)
        rc = lk_view_tree(v, call->words[0], &t);
    int code = rc == 0 ? CLI_OK : db_failed(call, call->words[0], rc);
    if (code == CLI_OK && (rc = lk_cursor_begin(&c, t, &range, call->reverse)) == 0) {
        for (uint64_t n = 0; n < call->limit && !cli_stop; n++) {
            rc = lk_cursor_next(&c, &key, &value);
            if (rc != 0)
                break;
            show(call, key, value, lines);
        }
        lk_cursor_end(&c);
        if (rc != 0 && rc != ENOENT)
            code = db_failed(call, call->words[0], rc);
    }
    lk_section_end();
    lk_view_end(v);
    return cli_stop ? CLI_STOPPED : code;
}

int db_range(struct db_call *call)
{
    return list(call, false);
}

int db_dump(struct db_call *call)
{
    return list(call, true);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* One field of CSV at *at, in place; *at goes behind it.  NULL: a quote is not closed. */
static char *field(char **at, size_t *size)
{
    char *from = *at, *to = from, *begin = from;
    if (*from != '"') {
        *size = strcspn(from, ",");
        *at = from + *size;
        return begin;
    }
    for (from++; *from != '"' || from[1] == '"'; from++) {
        if (*from == '\0')
            return NULL;
        from += *from == '"';
        *to++ = *from;
    }
    *size = (size_t)(to - begin);
    *at = from + 1;
    return begin;
}

static bool read_csv(char *line, struct cli_bytes *key, struct cli_bytes *value)
{
    char *at = line, *k = field(&at, &key->size), *v;
    if (k == NULL || *at != ',')
        return false;
    at++;
    v = field(&at, &value->size);
    if (v == NULL || *at != '\0')
        return false;
    key->data = malloc(key->size + 1);
    value->data = malloc(value->size + 1);
    if (key->data == NULL || value->data == NULL)
        return false;
    memcpy(key->data, k, key->size);
    memcpy(value->data, v, value->size);
    key->data[key->size] = '\0';
    return true;
}

static bool read_member(json_t *root, const char *name, struct cli_bytes *out)
{
    char other[32];
    json_t *plain = json_object_get(root, name);
    snprintf(other, sizeof other, "%s_base64", name);
    const char *text = json_string_value(json_object_get(root, other));
    if (text != NULL)
        return cli_unbase64(text, out);
    if (!json_is_string(plain))
        return false;
    out->size = json_string_length(plain);
    out->data = calloc(1, out->size + 1);
    if (out->data != NULL)
        memcpy(out->data, json_string_value(plain), out->size);
    return out->data != NULL;
}

static bool read_json(const char *line, struct cli_bytes *key, struct cli_bytes *value)
{
    json_t *root = json_loads(line, JSON_ALLOW_NUL, NULL);
    bool ok = read_member(root, "key", key) && read_member(root, "value", value);
    json_decref(root);
    return ok;
}

/* What is being read, and the entry of the last line. */
struct input {
    struct db_call *call;
    struct cli_progress progress;
    uint64_t lines;
    char *line;
    size_t room;
    struct cli_bytes key, value;
    struct db_text text;
    unsigned char *last; /* the key before; NULL: none */
    size_t last_size;
    bool pending; /* the entry was read, and is not stored yet */
    bool bad;     /* the line is no entry */
};

static void drop_entry(struct input *in)
{
    free(in->key.data);
    free(in->value.data);
    in->key = in->value = (struct cli_bytes){0};
    in->pending = false;
}

/* 0: in->text and in->value have the next entry, ENOENT: there is none, EINVAL: it is none. */
static int read_entry(struct input *in)
{
    struct db_call *call = in->call;
    if (in->pending)
        return 0;
    drop_entry(in);
    ssize_t size = cli_stop ? -1 : getline(&in->line, &in->room, stdin);
    if (size < 0)
        return ENOENT;
    if (size > 0 && in->line[size - 1] == '\n')
        in->line[size - 1] = '\0';
    in->lines++;
    bool ok = call->csv ? read_csv(in->line, &in->key, &in->value)
                        : read_json(in->line, &in->key, &in->value);
    in->text.bytes = (struct lk_bytes){in->key.data, in->key.size};
    if (ok && call->numbers)
        ok = db_read(call, (const char *)in->key.data, &in->text);
    in->pending = ok;
    in->bad = !ok;
    return ok ? 0 : EINVAL;
}

/* Is the entry's key above the one before?  Remembers it then. */
static bool ascends(struct input *in)
{
    struct lk_bytes key = in->text.bytes;
    size_t least = key.size < in->last_size ? key.size : in->last_size;
    int order = in->last == NULL ? 1 : memcmp(key.at, in->last, least);
    if (order < 0 || (order == 0 && key.size <= in->last_size))
        return false;
    unsigned char *wider = realloc(in->last, key.size + 1);
    if (wider == NULL)
        return false;
    in->last = wider;
    in->last_size = key.size;
    memcpy(wider, key.at, key.size);
    return true;
}

/* For lk_tree_load(): entries as long as they ascend.  The first that does not stays pending. */
static int next_ascending(void *arg, struct lk_bytes *key, struct lk_bytes *value)
{
    struct input *in = arg;
    int rc = read_entry(in);
    if (rc == 0 && !ascends(in))
        rc = ENOENT;
    if (rc != 0)
        return rc;
    *key = in->text.bytes;
    *value = (struct lk_bytes){in->value.data, in->value.size};
    in->pending = false; /* the bytes stay until the next line is read */
    if (in->lines % SHOWN_EVERY == 0)
        cli_progress_show(&in->progress, in->lines, NULL);
    return 0;
}

static int load_failed(const struct input *in, int rc)
{
    if (in->bad)
        return cli_fail(CLI_PROBLEM, "line %" PRIu64 " is no entry", in->lines);
    return db_failed(in->call, in->call->words[0], rc);
}

/* Fill an empty tree with what ascends, in one transaction.  A tree that is not empty is left. */
static int load_ascending(struct input *in)
{
    lk_txn *x;
    lk_tree *t;
    int rc = lk_txn_begin(in->call->db, &x);
    if (rc != 0)
        return load_failed(in, rc);
    rc = lk_txn_tree(x, in->call->words[0], NULL, &t);
    if (rc == 0)
        rc = lk_tree_load(t, next_ascending, in);
    bool filled = rc == EEXIST;
    if (rc == 0)
        rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    return rc == 0 || filled ? CLI_OK : load_failed(in, rc);
}

/* Lines until the next commit.  *n = how many. */
static int load_some(struct input *in, uint64_t *n)
{
    lk_txn *x;
    lk_tree *t;
    uint64_t most = in->call->commit_every != 0 ? in->call->commit_every : DEFAULT_COMMIT;
    int rc = read_entry(in);
    *n = 0;
    if (rc == ENOENT)
        return CLI_OK;
    if (rc == 0)
        rc = lk_txn_begin(in->call->db, &x);
    if (rc != 0)
        return load_failed(in, rc);
    rc = lk_txn_tree(x, in->call->words[0], NULL, &t);
    for (; rc == 0 && *n < most && (rc = read_entry(in)) == 0; ++*n) {
        rc =
            lk_tree_put(t, in->text.bytes, (struct lk_bytes){in->value.data, in->value.size}, NULL);
        in->pending = false;
    }
    if (rc == 0 || rc == ENOENT)
        rc = lk_txn_commit(x, NULL);
    if (rc == 0)
        return CLI_OK;
    lk_txn_abort(x);
    return load_failed(in, rc);
}

int db_load(struct db_call *call)
{
    struct input in = {.call = call};
    uint64_t n = 1;
    cli_progress_begin(&in.progress, "load", 0, call->quiet);
    in.progress.unit = "entries";
    int code = call->commit_every == 0 ? load_ascending(&in) : CLI_OK;
    while (code == CLI_OK && n > 0 && !cli_stop) {
        code = load_some(&in, &n);
        cli_progress_show(&in.progress, in.lines, NULL);
    }
    cli_progress_end(&in.progress);
    drop_entry(&in);
    free(in.line);
    free(in.last);
    return code == CLI_OK && cli_stop ? CLI_STOPPED : code;
}
