/* repair.c - lk repair: rebuild what killed writers left behind, then verify. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "cli.h"
#include "verify.h"

#define DEFAULT_TIMEOUT_NS 10000000000u

static const struct cli_option options[] = {
    {'a', "all-shards", NULL, "rebuild every shard, not only those of dead holders"},
    {'t', "timeout", "TIME", "longest wait for a live holder of a shard (default 10s)"},
    {'j', "json", NULL, "JSON output"},
    {'h', "help", NULL, "this text"},
};
#define N_OPTIONS (sizeof options / sizeof options[0])

static int help(void)
{
    fputs("usage: lk repair [options] SEGMENT\n"
          "Lock each shard whose last holder died and rebuild what can be derived (lists, counts,\n"
          "free space), drop entries that contradict themselves, then verify.  The next writer of\n"
          "a shard does the same by itself; live processes may go on meanwhile.\n\n",
          stdout);
    cli_print_options(options, N_OPTIONS);
    fputs("\nexit: 0 sound, 1 a problem is left or a shard stayed locked, 2 bad usage,\n"
          "      3 the segment cannot be opened\n",
          stdout);
    return CLI_OK;
}

/* What was repaired, from the figures before and after. */
struct outcome {
    unsigned shards;
    uint64_t ns, entries_before, bytes_before;
};

static void print_outcome(const char *name, const struct outcome *o, const struct verify *v)
{
    char a[32], b[32];
    printf("%s: %u shard%s rebuilt in %s", name, o->shards, o->shards == 1 ? "" : "s",
           cli_span(a, o->ns));
    if (v->has_stat && v->stat.entries < o->entries_before)
        printf(", %s entries dropped", cli_count(a, o->entries_before - v->stat.entries));
    if (v->has_stat && v->stat.used_bytes < o->bytes_before)
        printf(", %s freed", cli_size(b, o->bytes_before - v->stat.used_bytes));
    putchar('\n');
}

static int repair(const char *name, lk_cache *c, bool all, bool json)
{
    struct outcome o = {0};
    struct lk_cache_stat before;
    if (lk_cache_stat(c, &before) == 0) {
        o.entries_before = before.entries;
        o.bytes_before = before.used_bytes;
    }
    uint64_t begun = cli_now_ns();
    int rc = lk_cache_repair(c, all, &o.shards);
    o.ns = cli_now_ns() - begun;
    if (rc == ETIMEDOUT)
        return cli_fail(CLI_PROBLEM, "%s: a shard stayed locked by a live process (--timeout)",
                        name);
    if (rc != 0)
        return cli_fail_rc(name, rc);

    struct verify v = {.name = name, .list = json ? json_array() : NULL, .kind = "cache"};
    verify_cache(&v, c);
    int code = verify_code(&v);
    if (json) {
        json_t *root = verify_json(&v);
        json_object_set_new(root, "shards_repaired", json_integer((json_int_t)o.shards));
        json_object_set_new(root, "repair_ns", json_integer((json_int_t)o.ns));
        json_object_set_new(root, "entries_before", json_integer((json_int_t)o.entries_before));
        json_object_set_new(root, "used_bytes_before", json_integer((json_int_t)o.bytes_before));
        cli_json_print(root);
    } else {
        print_outcome(name, &o, &v);
        verify_print(&v);
    }
    return code;
}

static int repair_segment(const char *name, uint64_t timeout_ns, bool all, bool json)
{
    lk_cache *c;
    int rc = lk_cache_open(&c, name, &(struct lk_cache_options){.lock_timeout_ns = timeout_ns});
    if (rc == LK_EKIND)
        return cli_fail(CLI_CANNOT, "%s: plain memory, no cache; its owner repairs it", name);
    if (rc != 0)
        return cli_fail_rc(name, rc);
    int code = repair(name, c, all, json);
    lk_cache_close(c);
    return code;
}

int cmd_repair(int argc, char **argv)
{
    struct cli_args args = {.argc = argc, .argv = argv, .options = options, .n_options = N_OPTIONS};
    uint64_t timeout_ns = DEFAULT_TIMEOUT_NS;
    bool all = false, json = false;
    int letter;
    while ((letter = cli_args_next(&args)) > 0) {
        switch (letter) {
        case 'a':
            all = true;
            break;
        case 'j':
            json = true;
            break;
        case 't':
            if (!cli_parse_time("--timeout", args.value, &timeout_ns))
                return CLI_USAGE;
            break;
        default:
            return help();
        }
    }
    if (letter < 0)
        return CLI_USAGE;
    if (args.n_words != 1)
        return cli_usage(args.n_words == 0 ? "no SEGMENT given" : "one SEGMENT at a time");
    return repair_segment(args.words[0], timeout_ns, all, json);
}
