/* verify.c - lk verify: check every invariant of segments and change nothing. */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void print_problem(const char *place, const char *problem, void *arg)
{
    struct verify *v = arg;
    v->problems++;
    if (v->list != NULL)
        json_array_append_new(v->list, json_pack("{s:s, s:s}", "place", place, "problem", problem));
    else
        printf("%s: %s: %s\n", v->name, place, problem);
}

void verify_cache(struct verify *v, lk_cache *c)
{
    v->rc = lk_cache_verify(c, print_problem, v);
    if (v->rc == LK_ECORRUPT && v->problems == 0)
        print_problem("segment", lk_strerror(v->rc), v);
    if (lk_cache_stat(c, &v->stat) == 0)
        v->has_stat = true;
}

/* What opening said of a file that is there but contradicts itself is a problem found, not a
 * segment that could not be opened. */
static bool damaged(int rc)
{
    return rc == LK_ECORRUPT || rc == LK_ESIZE;
}

static void verify_open(struct verify *v, unsigned flags)
{
    lk_cache *c;
    v->rc = lk_cache_open(&c, v->name, &(struct lk_cache_options){.flags = flags});
    if (v->rc == 0) {
        v->kind = "cache";
        verify_cache(v, c);
        lk_cache_close(c);
    } else if (v->rc == LK_EKIND) {
        lk_seg *seg;
        v->kind = "memory";
        v->rc = lk_seg_open(&seg, v->name); /* its header is checked; the memory is the user's */
        if (v->rc == 0)
            lk_seg_close(seg);
    } else if (damaged(v->rc)) {
        print_problem("header", lk_error_text()[0] ? lk_error_text() : lk_strerror(v->rc), v);
    }
}

void verify_segment(struct verify *v)
{
    verify_open(v, LK_CACHE_READ_ONLY);
    if (v->rc == EAGAIN &&
        v->problems == 0) /* a shard stayed busy: lock it for the moment of copying it */
        verify_open(v, 0);
}

int verify_code(const struct verify *v)
{
    if (v->problems > 0 || v->rc == LK_ECORRUPT || v->rc == EAGAIN)
        return CLI_PROBLEM;
    return v->rc == 0 ? CLI_OK : CLI_CANNOT;
}

static void print_dead(const struct verify *v)
{
    if (v->has_stat && v->stat.shards_dead > 0)
        printf("%s: %" PRIu32 " shard%s of a dead holder; the next writer repairs (or lk repair)\n",
               v->name, v->stat.shards_dead, v->stat.shards_dead == 1 ? "" : "s");
}

void verify_print(const struct verify *v)
{
    char a[32], b[32];
    print_dead(v);
    if (v->problems > 0)
        printf("%s: %s problem%s\n", v->name, cli_count(a, v->problems),
               v->problems == 1 ? "" : "s");
    else if (v->rc == EAGAIN)
        cli_fail(CLI_PROBLEM, "%s: a shard stayed busy; not verified", v->name);
    else if (v->rc != 0)
        cli_fail_rc(v->name, v->rc);
    else if (v->has_stat)
        printf("%s: sound, %" PRIu32 " shard%s, %s entries, %s\n", v->name, v->stat.shards,
               v->stat.shards == 1 ? "" : "s", cli_count(a, v->stat.entries),
               cli_size(b, v->stat.used_bytes));
    else
        printf("%s: sound (plain memory: only its header can be checked)\n", v->name);
}

struct json_t *verify_json(struct verify *v)
{
    bool sound = verify_code(v) == CLI_OK;
    json_t *row = json_object();
    cli_json_set_bytes(row, "name", v->name, strlen(v->name));
    json_object_set_new(row, "sound", json_boolean(sound));
    json_object_set_new(row, "problems", v->list);
    v->list = NULL;
    if (v->kind != NULL)
        json_object_set_new(row, "kind", json_string(v->kind));
    if (v->has_stat) {
        json_object_set_new(row, "shards", json_integer(v->stat.shards));
        json_object_set_new(row, "shards_dead", json_integer(v->stat.shards_dead));
        json_object_set_new(row, "entries", json_integer((json_int_t)v->stat.entries));
        json_object_set_new(row, "used_bytes", json_integer((json_int_t)v->stat.used_bytes));
    }
    if (v->rc != 0)
        json_object_set_new(row, "error", json_string(lk_strerror(v->rc)));
    return row;
}

static const struct cli_option options[] = {
    {'a', "all", NULL, "every segment of the user"},
    {'q', "quiet", NULL, "problems only"},
    {'j', "json", NULL, "JSON output"},
    {'h', "help", NULL, "this text"},
};
#define N_OPTIONS (sizeof options / sizeof options[0])

static int help(void)
{
    fputs("usage: lk verify [options] SEGMENT...\n"
          "Check every invariant of the segments.  Changes nothing: attaches read-only, and only\n"
          "if a shard stays too busy to be looked at, locks it for that moment.\n\n",
          stdout);
    cli_print_options(options, N_OPTIONS);
    fputs("\nexit: 0 sound, 1 problems found, 2 bad usage, 3 a segment cannot be opened\n"
          "(1 goes before 3).  Details: man lk-verify\n",
          stdout);
    return CLI_OK;
}

/* One run over several segments. */
struct run {
    json_t *rows; /* NULL: text */
    bool quiet;
    bool problem, cannot;
};

static int verify_one(const char *name, void *arg)
{
    struct run *run = arg;
    struct verify v = {.name = name, .list = run->rows != NULL ? json_array() : NULL};
    verify_segment(&v);
    int code = verify_code(&v);
    run->problem = run->problem || code == CLI_PROBLEM;
    run->cannot = run->cannot || code == CLI_CANNOT;
    if (run->rows != NULL)
        json_array_append_new(run->rows, verify_json(&v));
    else if (code != CLI_OK || !run->quiet)
        verify_print(&v);
    return cli_stop ? CLI_STOPPED : 0;
}

static int verify_words(struct run *run, const struct cli_args *args, bool all)
{
    int stopped = 0;
    for (int i = 0; i < args->n_words && !stopped; i++)
        stopped = verify_one(args->words[i], run);
    if (all && !stopped) {
        int rc = lk_seg_each_name(verify_one, run);
        stopped = rc == CLI_STOPPED;
        if (rc != 0 && !stopped)
            return cli_fail_rc("directory of segments", rc);
    }
    if (run->rows != NULL)
        cli_json_print(run->rows);
    if (stopped)
        return CLI_STOPPED;
    return run->problem ? CLI_PROBLEM : run->cannot ? CLI_CANNOT : CLI_OK;
}

int cmd_verify(int argc, char **argv)
{
    struct cli_args args = {.argc = argc, .argv = argv, .options = options, .n_options = N_OPTIONS};
    struct run run = {0};
    bool all = false, json = false;
    int letter;
    while ((letter = cli_args_next(&args)) > 0) {
        switch (letter) {
        case 'a':
            all = true;
            break;
        case 'q':
            run.quiet = true;
            break;
        case 'j':
            json = true;
            break;
        default:
            return help();
        }
    }
    if (letter < 0)
        return CLI_USAGE;
    if ((args.n_words == 0) != all)
        return cli_usage(all ? "--all and names exclude each other" : "no SEGMENT given");
    cli_catch_stop();
    run.rows = json ? json_array() : NULL;
    return verify_words(&run, &args, all);
}
