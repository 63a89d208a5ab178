/* db_actions.c - the actions of lk db on single keys, and about the whole database. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db_cmd.h"

int db_failed(const struct db_call *call, const char *what, int rc)
{
    switch (rc) {
    case ENOENT:
        return cli_fail(CLI_PROBLEM, "%s: no '%s'", call->store, what);
    case LK_ECHANGED:
        return cli_fail(CLI_PROBLEM, "%s: %s: %s", call->store, what, lk_error_text());
    case LK_ECORRUPT:
        return cli_fail(CLI_PROBLEM, "%s: %s: %s", call->store, lk_strerror(rc), lk_error_text());
    default:
        return cli_fail_rc(what, rc);
    }
}

bool db_read(const struct db_call *call, const char *text, struct db_text *out)
{
    out->bytes = (struct lk_bytes){text, strlen(text)};
    if (!call->numbers)
        return true;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || end == text)
        return false;
    lk_key_int64(out->number, v);
    out->bytes = (struct lk_bytes){out->number, 8};
    return true;
}

static int view_of(struct db_call *call, lk_view **v)
{
    int rc = call->tid_given ? lk_db_view_at(call->db, call->tid, v) : lk_db_view(call->db, v);
    if (rc == ENOENT)
        return cli_fail(CLI_PROBLEM, "%s: the state behind commit %" PRIu64 " is not there",
                        call->store, call->tid);
    return rc == 0 ? CLI_OK : db_failed(call, "view", rc);
}

int db_get(struct db_call *call)
{
    struct db_text key;
    struct lk_bytes value = {0};
    lk_view *v;
    lk_tree *t;
    if (!db_read(call, call->words[1], &key))
        return cli_usage("'%s' is no integer", call->words[1]);
    int code = view_of(call, &v);
    if (code != CLI_OK)
        return code;
    int rc = lk_section_begin();
    if (rc == 0 && (rc = lk_view_tree(v, call->words[0], &t)) == 0)
        rc = lk_tree_get(t, key.bytes, &value);
    if (rc == 0 && call->json) {
        json_t *root = json_object();
        cli_json_set_bytes(root, "value", value.at, value.size);
        cli_json_print(root);
    } else if (rc == 0) {
        fwrite(value.at, 1, value.size, stdout);
        putchar('\n');
    }
    lk_section_end();
    lk_view_end(v);
    return rc == 0 ? CLI_OK : db_failed(call, call->words[1], rc);
}

/* Commit, or give up with a message. */
static int commit(struct db_call *call, lk_txn *x, const char *what, int rc)
{
    uint64_t tid;
    if (rc == 0 && call->note != NULL)
        rc = lk_txn_note(x, call->note);
    if (rc == 0 && (rc = lk_txn_commit(x, &tid)) == 0)
        return CLI_OK;
    int code = db_failed(call, what, rc);
    lk_txn_abort(x);
    return code;
}

int db_put(struct db_call *call)
{
    struct db_text key;
    lk_txn *x;
    lk_tree *t;
    struct lk_bytes value = {call->words[2], strlen(call->words[2])};
    if (!db_read(call, call->words[1], &key))
        return cli_usage("'%s' is no integer", call->words[1]);
    int rc = lk_txn_begin(call->db, &x);
    if (rc != 0)
        return db_failed(call, "put", rc);
    rc = lk_txn_tree(x, call->words[0], NULL, &t);
    if (rc == 0)
        rc = lk_tree_put(t, key.bytes, value, NULL);
    return commit(call, x, call->words[0], rc);
}

int db_del(struct db_call *call)
{
    lk_txn *x;
    lk_tree *t;
    const char *what = call->words[0];
    int rc = lk_txn_begin(call->db, &x);
    if (rc != 0)
        return db_failed(call, "del", rc);
    rc = lk_txn_tree(x, what, NULL, &t);
    for (int i = 1; i < call->n_words && rc == 0; i++) {
        struct db_text key;
        what = call->words[i];
        rc = db_read(call, what, &key) ? lk_tree_del(t, key.bytes) : EINVAL;
    }
    return commit(call, x, what, rc);
}

/* ---- the whole ------------------------------------------------------------------------------ */

struct sums {
    uint64_t trees, entries, bytes, nodes;
    bool list, json;
};

static int each_tree(struct db_call *call, struct sums *s)
{
    lk_view *v;
    lk_cursor c;
    struct lk_bytes key;
    int code = view_of(call, &v);
    if (code != CLI_OK)
        return code;
    int rc = lk_section_begin();
    if (rc == 0 && (rc = lk_cursor_begin(&c, lk_view_names(v), NULL, false)) == 0) {
        while ((rc = lk_cursor_next(&c, &key, NULL)) == 0) {
            char name[256] = "";
            lk_tree *t;
            struct lk_tree_stat stat;
            memcpy(name, key.at, key.size < 255 ? key.size : 255);
            if ((rc = lk_view_tree(v, name, &t)) != 0 || (rc = lk_tree_stat(t, &stat)) != 0)
                break;
            s->trees++;
            s->entries += stat.entries;
            s->bytes += stat.bytes;
            s->nodes += stat.leaves + stat.inner;
            if (s->list && s->json)
                cli_json_line(json_pack("{s:s, s:I, s:I, s:I, s:I}", "tree", name, "entries",
                                        (json_int_t)stat.entries, "nodes",
                                        (json_int_t)stat.leaves + (json_int_t)stat.inner, "height",
                                        (json_int_t)stat.height, "bytes", (json_int_t)stat.bytes));
            else if (s->list)
                printf("%-24s %10" PRIu64 " entries %8" PRIu64 " nodes, height %" PRIu32
                       ", %" PRIu64 " bytes\n",
                       name, stat.entries, stat.leaves + stat.inner, stat.height, stat.bytes);
        }
        lk_cursor_end(&c);
    }
    lk_section_end();
    lk_view_end(v);
    return rc == ENOENT ? CLI_OK : db_failed(call, "names", rc);
}

int db_ls(struct db_call *call)
{
    struct sums s = {.list = true, .json = call->json};
    return each_tree(call, &s);
}

static int count_commit(void *arg, const struct lk_commit *c)
{
    uint64_t *n = arg;
    n[0] = n[0] == 0 ? c->tid : n[0];
    n[1] = c->tid;
    n[2] += c->freed;
    return 0;
}

int db_info(struct db_call *call)
{
    struct sums s = {.list = false};
    uint64_t n[3] = {0};
    int code = each_tree(call, &s);
    if (code != CLI_OK)
        return code;
    int rc = lk_db_history(call->db, 0, count_commit, n);
    if (rc != 0)
        return db_failed(call, "history", rc);
    if (call->json)
        cli_json_print(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "trees", (json_int_t)s.trees, "entries",
            (json_int_t)s.entries, "nodes", (json_int_t)s.nodes, "bytes", (json_int_t)s.bytes,
            "oldest", (json_int_t)n[0], "newest", (json_int_t)n[1], "old_nodes", (json_int_t)n[2]));
    else
        printf("trees     %" PRIu64 "\nentries   %" PRIu64 "\nnodes     %" PRIu64 " (%" PRIu64
               " bytes)\ncommits   %" PRIu64 " to %" PRIu64 "\nold nodes %" PRIu64 "\n",
               s.trees, s.entries, s.nodes, s.bytes, n[0], n[1], n[2]);
    return CLI_OK;
}

int db_check(struct db_call *call)
{
    uint64_t trees;
    int rc = lk_db_check(call->db, &trees);
    if (rc != 0)
        return db_failed(call, "check", rc);
    if (call->json)
        cli_json_print(json_pack("{s:b, s:I}", "sound", 1, "trees", (json_int_t)trees));
    else
        printf("sound: %" PRIu64 " trees\n", trees);
    return CLI_OK;
}

int db_pack(struct db_call *call)
{
    uint64_t tid = 0, freed;
    if (call->n_words > 0 && !cli_parse_count("TID", call->words[0], 0, UINT64_MAX / 4, &tid))
        return CLI_USAGE;
    int rc = lk_db_pack(call->db, tid, &freed);
    if (rc == EINVAL)
        return cli_fail(CLI_PROBLEM, "%s: there is no commit %" PRIu64 " yet", call->store, tid);
    if (rc != 0)
        return db_failed(call, "pack", rc);
    printf("%" PRIu64 " nodes freed\n", freed);
    return CLI_OK;
}

static int show_commit(void *arg, const struct lk_commit *c)
{
    const struct db_call *call = arg;
    time_t seconds = (time_t)(c->time_ns / 1000000000u);
    struct tm tm;
    char when[32] = "?";
    if (gmtime_r(&seconds, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (call->json)
        cli_json_line(json_pack("{s:I, s:s, s:s, s:I}", "tid", (json_int_t)c->tid, "time", when,
                                "note", c->note, "freed", (json_int_t)c->freed));
    else
        printf("%8" PRIu64 "  %s  %s\n", c->tid, when, c->note);
    return cli_stop ? ECANCELED : 0;
}

int db_history(struct db_call *call)
{
    int rc = lk_db_history(call->db, call->tid, show_commit, call);
    if (rc == ECANCELED)
        return CLI_STOPPED;
    return rc == 0 ? CLI_OK : db_failed(call, "history", rc);
}

int db_undo(struct db_call *call)
{
    uint64_t tid, made;
    if (!cli_parse_count("TID", call->words[0], 1, UINT64_MAX / 4, &tid))
        return CLI_USAGE;
    int rc = lk_db_undo(call->db, tid, &made);
    if (rc != 0)
        return db_failed(call, call->words[0], rc);
    printf("commit %" PRIu64 " takes back commit %" PRIu64 "\n", made, tid);
    return CLI_OK;
}
