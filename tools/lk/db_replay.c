/* db_replay.c - lk db replay: do what a trace of the ordered-map oracle says on a store, and
 * compare every result. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "db_cmd.h"
#include "db_replay.h"

enum { SHOWN_MAX = 10, DEFAULT_COMMIT = 50 };

struct container *replay_container(struct replay *r, const char *name)
{
    for (size_t i = 0; i < r->containers; i++)
        if (strcmp(r->container[i].name, name) == 0)
            return &r->container[i];
    return NULL;
}

static int begin(struct replay *r)
{
    int rc = lk_txn_begin(r->db, &r->txn);
    for (size_t i = 0; i < r->containers && rc == 0; i++)
        rc = lk_txn_tree(r->txn, r->container[i].name, &r->container[i].sizes,
                         &r->container[i].tree);
    r->since_commit = 0;
    return rc;
}

int replay_commit(struct replay *r)
{
    for (int i = 0; i < REPLAY_CURSORS; i++)
        if (r->cursor[i].of != NULL && r->cursor[i].begun) {
            lk_cursor_end(&r->cursor[i].cursor);
            r->cursor[i].begun = false;
        }
    int rc = lk_txn_commit(r->txn, NULL);
    if (rc != 0)
        return rc;
    r->txn = NULL;
    r->commits++;
    if (r->cold) {
        lk_db_close(r->db);
        r->db = NULL;
        rc = lk_db_open_on(&r->db, &r->store, &r->options);
    }
    return rc == 0 ? begin(r) : rc;
}

static bool new_container(struct replay *r)
{
    if (r->words != 5 || r->containers == REPLAY_CONTAINERS)
        return false;
    struct container *c = &r->container[r->containers++];
    const char *kind = r->word[2];
    *c = (struct container){.family = kind[0] == 'L' ? TRACE_INTEGERS : TRACE_STRINGS,
                            .map = strcmp(kind + 2, "map") == 0};
    snprintf(c->name, sizeof c->name, "%s", r->word[1]);
    c->sizes.leaf_max = (uint32_t)strtoul(r->word[3], NULL, 10);
    c->sizes.inner_max = (uint32_t)strtoul(r->word[4], NULL, 10);
    if (r->node_size != 0)
        c->sizes.leaf_max = c->sizes.inner_max = (uint32_t)r->node_size;
    int rc = lk_txn_tree(r->txn, c->name, &c->sizes, &c->tree);
    if (rc != 0)
        r->failed = rc;
    return rc == 0;
}

static void split(struct replay *r, char *text)
{
    char *save = NULL;
    r->words = 0;
    for (char *t = strtok_r(text, " ", &save); t != NULL && r->words < REPLAY_WORDS;
         t = strtok_r(NULL, " ", &save))
        r->word[r->words++] = t;
}

static void compare(struct replay *r, const char *line, const char *expected, const char *got)
{
    r->checked++;
    if (strcmp(expected, got) == 0)
        return;
    if (r->wrong++ < SHOWN_MAX)
        fprintf(stderr, "line %" PRIu64 ": %s\n  expected %s\n  got      %s\n", r->line, line,
                expected, got);
}

/* Returns false if the line is none of the format. */
static bool one_line(struct replay *r, char *line)
{
    char *got = NULL, *copy = strdup(line), *result = strstr(line, " = ");
    size_t size = 0;
    FILE *out = open_memstream(&got, &size);
    bool known = out != NULL && copy != NULL;
    if (result != NULL) {
        *result = '\0';
        result += 3;
    }
    if (*line == '~' || *line == '^')
        line++;
    if (known && strncmp(line, "merge ", 6) == 0 && result != NULL) {
        known = replay_merge(r, line + 6, result, out);
    } else if (known) {
        split(r, line);
        if (r->words > 0 && strcmp(r->word[0], "new") == 0)
            known = new_container(r);
        else if (r->words > 0 && strcmp(r->word[0], "leaves") == 0)
            known = result != NULL && replay_leaves(r, result, out);
        else
            known = r->words > 0 && replay_operation(r, out);
    }
    if (out != NULL)
        (void)fclose(out);
    if (known && result != NULL)
        compare(r, copy, result, got);
    free(got);
    free(copy);
    return known;
}

static int replay_lines(struct replay *r, FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int code = CLI_OK;
    struct cli_progress progress;
    cli_progress_begin(&progress, "replay", 0, r->quiet);
    progress.unit = "lines";
    while (code == CLI_OK && (n = getline(&line, &room, in)) >= 0) {
        r->line++;
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        if (*line == '\0' || *line == '#')
            continue;
        int rc = lk_section_begin();
        bool known = rc == 0 && one_line(r, line);
        lk_section_end();
        if (!known)
            code = cli_fail(CLI_PROBLEM, "line %" PRIu64 " is none of the format", r->line);
        if (known && ++r->since_commit >= r->commit_every && (rc = replay_commit(r)) != 0)
            code = cli_fail_rc("commit", rc);
        if (cli_stop)
            code = CLI_STOPPED;
        cli_progress_show(&progress, r->line, NULL);
    }
    cli_progress_end(&progress);
    free(line);
    return code;
}

/* The last commit, then everything is checked. */
static int finish(struct replay *r)
{
    uint64_t trees;
    r->cold = false;
    int rc = replay_commit(r);
    if (rc == 0)
        rc = lk_db_check(r->db, &trees);
    return rc == 0 ? CLI_OK : cli_fail_rc("check at the end", rc);
}

static int report(const struct replay *r, const struct db_call *call, int code)
{
    struct lk_heap_stat s = {0};
    if (r->db != NULL)
        lk_heap_stat(lk_db_heap(r->db), &s);
    if (call->json)
        cli_json_print(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "checked",
                                 (json_int_t)r->checked, "wrong", (json_int_t)r->wrong,
                                 "other_leaf_sizes", (json_int_t)r->own_splits, "commits",
                                 (json_int_t)r->commits, "nodes_loaded", (json_int_t)s.loads,
                                 "nodes_evicted", (json_int_t)s.evicted));
    else
        printf("%" PRIu64 " results checked, %" PRIu64 " wrong; %" PRIu64
               " times other leaf sizes, within our bounds; %" PRIu64 " commits\n",
               r->checked, r->wrong, r->own_splits, r->commits);
    return code != CLI_OK ? code : r->wrong > 0 ? CLI_PROBLEM : CLI_OK;
}

static void close_all(struct replay *r)
{
    for (int i = 0; i < REPLAY_CURSORS; i++) {
        if (r->cursor[i].of != NULL && r->cursor[i].begun)
            lk_cursor_end(&r->cursor[i].cursor);
        if (r->snap[i].of != NULL)
            lk_view_end(r->snap[i].view);
    }
    lk_txn_abort(r->txn);
    lk_db_close(r->db);
    lk_store_close(&r->store);
}

int db_replay(struct db_call *call)
{
    struct replay *r = calloc(1, sizeof *r);
    struct trace_file file;
    const char *trace = call->words[0];
    if (r == NULL)
        return cli_fail_rc(trace, ENOMEM);
    r->options = call->options;
    r->commit_every = call->commit_every != 0 ? call->commit_every : DEFAULT_COMMIT;
    r->cold = call->cold;
    r->node_size = call->node_size;
    r->quiet = call->quiet;
    int rc =
        lk_store_open(&r->store, call->store != NULL ? call->store : "mem:", &r->options.store);
    if (rc == 0)
        rc = lk_db_open_on(&r->db, &r->store, &r->options);
    if (rc == 0)
        rc = begin(r);
    int code = rc == 0 ? CLI_OK : cli_fail_rc(call->store != NULL ? call->store : "mem:", rc);
    if (code == CLI_OK && !trace_open(&file, trace)) {
        code = cli_fail(CLI_CANNOT, "%s: %s", trace, strerror(errno));
    } else if (code == CLI_OK) {
        code = replay_lines(r, file.in);
        if (!trace_close(&file) && code == CLI_OK)
            code = cli_fail(CLI_CANNOT, "%s: gzip failed", trace);
        if (code == CLI_OK)
            code = finish(r);
        code = report(r, call, code);
    }
    close_all(r);
    free(r);
    return code;
}
