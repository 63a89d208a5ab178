/* db.c - lk db: what the actions are, and how one is run. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "db_cmd.h"

enum {
    O_STORE = 256,
    O_CACHE_NODES,
    O_CACHE,
    O_COMMIT,
    O_COLD,
    O_TID,
    O_LOW,
    O_HIGH,
    O_LIMIT,
    O_CSV,
    O_INT,
    O_SYNC,
    O_NOTE,
    O_REVERSE,
    O_CHECK,
    O_ROUNDS,
    O_SIZES,
    O_NODES,
};

static const struct cli_option options[] = {
    {O_STORE, "store", "URL", "replay: mem: (default), lmdb:PATH, postgresql://..."},
    {O_CACHE, "cache", "SIZE", "nodes kept in memory (default 256M)"},
    {O_CACHE_NODES, "cache-nodes", "N", "the same by their number"},
    {O_COMMIT, "commit", "N", "replay, load: commit behind every N lines"},
    {O_COLD, "cold", NULL, "replay: a new, empty cache behind every commit"},
    {O_NODES, "node-size", "N", "replay: of every tree, instead of the trace's"},
    {O_TID, "at", "TID", "the state behind that commit instead of the newest"},
    {O_LOW, "from", "KEY", "range: first key"},
    {O_HIGH, "to", "KEY", "range: last key"},
    {O_REVERSE, "reverse", NULL, "range: from the last to the first"},
    {O_LIMIT, "limit", "N", "at most N entries"},
    {O_CSV, "csv", NULL, "dump, load: KEY,VALUE lines instead of lines of JSON"},
    {O_INT, "int", NULL, "keys are integers that sort as such"},
    {O_SYNC, "sync", "WHAT", "a commit waits for: full (default), ordered, none"},
    {O_NOTE, "note", "TEXT", "for the history"},
    {O_CHECK, "check", NULL, "bench: exit 1 if what must hold does not"},
    {O_ROUNDS, "rounds", "N", "bench: measurements of each (default 7)"},
    {O_SIZES, "sizes", "SVG", "bench: cost at 1,000 to 10,000,000 keys, plotted into a file"},
    {'j', "json", NULL, "print JSON"},
    {'q', "quiet", NULL, "no progress on stderr"},
    {'h', "help", NULL, "this text"},
};
#define N_OPTIONS (sizeof options / sizeof options[0])

static const struct db_action actions[] = {
    {"replay", "TRACE[.gz] [--store URL]", "do a trace of the oracle, compare every result",
     db_replay, 1, 1, false},
    {"info", "STORE", "size, trees, commits", db_info, 0, 0, true},
    {"ls", "STORE", "the trees and their sizes", db_ls, 0, 0, true},
    {"get", "STORE TREE KEY", "print a value", db_get, 2, 2, true},
    {"put", "STORE TREE KEY VALUE", "set a value", db_put, 3, 3, true},
    {"del", "STORE TREE KEY...", "remove keys", db_del, 2, 65535, true},
    {"range", "STORE TREE", "keys and values in order", db_range, 1, 1, true},
    {"dump", "STORE TREE", "all entries as lines of JSON, or CSV", db_dump, 1, 1, true},
    {"load", "STORE TREE", "read such lines from standard input", db_load, 1, 1, true},
    {"check", "STORE", "every invariant; changes nothing", db_check, 0, 0, true},
    {"pack", "STORE [TID]", "forget the states before a commit", db_pack, 0, 1, true},
    {"history", "STORE", "the commits that are remembered", db_history, 0, 0, true},
    {"bench", "[KEYS]", "beside absl::btree_map, LMDB, python3-btrees", db_bench, 0, 1, false},
    {"undo", "STORE TID", "take back what a commit did", db_undo, 1, 1, true},
};
#define N_ACTIONS (sizeof actions / sizeof actions[0])

static int help(void)
{
    printf("usage: lk db ACTION STORE [arguments] [options]\n"
           "Ordered trees on a store (lmdb:PATH, postgresql://..., or a PATH), shared by "
           "processes.\n\n");
    for (size_t i = 0; i < N_ACTIONS; i++)
        printf("  %-8s %-27s %s\n", actions[i].name, actions[i].synopsis, actions[i].help);
    printf("\n");
    cli_print_options(options, N_OPTIONS);
    printf("\nexit: 0 done, 1 key or tree absent, a result is wrong, or a conflict, 2 bad usage,\n"
           "      3 store cannot be opened, 130 interrupted.  Details: man lk-db\n");
    return CLI_OK;
}

static const struct db_action *find(const char *name)
{
    const char *names[N_ACTIONS];
    for (size_t i = 0; i < N_ACTIONS; i++) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
        names[i] = actions[i].name;
    }
    const char *near = cli_nearest(name, names, N_ACTIONS);
    if (near != NULL)
        (void)cli_usage("unknown action '%s'; did you mean '%s'?", name, near);
    else
        (void)cli_usage("unknown action '%s'", name);
    return NULL;
}

static bool parse_sync(const char *text, enum lk_sync *sync)
{
    static const char *const names[] = {"full", "ordered", "none"};
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *sync = (enum lk_sync)i;
            return true;
        }
    (void)cli_usage("--sync is full, ordered or none, not '%s'", text);
    return false;
}

static bool set_option(struct db_call *call, int letter, const char *value)
{
    switch (letter) {
    case O_STORE:
        call->store = value;
        return true;
    case O_CACHE:
        return cli_parse_size("--cache", value, &call->options.cache_bytes);
    case O_CACHE_NODES:
        return cli_parse_count("--cache-nodes", value, 1, UINT64_MAX / 4,
                               &call->options.cache_nodes);
    case O_COMMIT:
        return cli_parse_count("--commit", value, 1, UINT64_MAX / 4, &call->commit_every);
    case O_TID:
        call->tid_given = true;
        return cli_parse_count("--at", value, 0, UINT64_MAX / 4, &call->tid);
    case O_LIMIT:
        return cli_parse_count("--limit", value, 0, UINT64_MAX / 4, &call->limit);
    case O_SYNC:
        return parse_sync(value, &call->options.store.sync);
    case O_LOW:
        call->low = value;
        return true;
    case O_HIGH:
        call->high = value;
        return true;
    case O_NOTE:
        call->note = value;
        return true;
    case O_NODES:
        return cli_parse_count("--node-size", value, 3, 4096, &call->node_size);
    case O_CHECK:
        return call->check = true;
    case O_ROUNDS:
        return cli_parse_count("--rounds", value, 1, 100, &call->rounds);
    case O_SIZES:
        call->sizes = value;
        return true;
    case O_COLD:
        return call->cold = true;
    case O_REVERSE:
        return call->reverse = true;
    case O_CSV:
        return call->csv = true;
    case O_INT:
        return call->numbers = true;
    case 'j':
        return call->json = true;
    default:
        return call->quiet = true;
    }
}

/* A word without a scheme is the path of an LMDB store. */
static int open_store(struct db_call *call)
{
    char url[4096];
    const char *colon = strchr(call->store, ':');
    bool path = colon == NULL || memchr(call->store, '/', (size_t)(colon - call->store)) != NULL;
    if (snprintf(url, sizeof url, "%s%s", path ? "lmdb:" : "", call->store) >= (int)sizeof url)
        return cli_usage("the store's name is too long");
    int rc = lk_db_open(&call->db, url, &call->options);
    return rc == 0 ? CLI_OK : cli_fail_rc(url, rc);
}

static int run(struct db_call *call)
{
    const struct db_action *a = call->action;
    int n = call->n_words - (a->opens ? 1 : 0);
    if (n < a->least_words || n > a->most_words)
        return cli_usage("%s takes: %s", a->name, a->synopsis);
    if (!a->opens)
        return a->run(call);
    call->store = *call->words++;
    call->n_words--;
    int code = open_store(call);
    if (code == CLI_OK)
        code = a->run(call);
    lk_db_close(call->db);
    return code;
}

int cmd_db(int argc, char **argv)
{
    struct db_call call = {.limit = UINT64_MAX};
    struct cli_args args = {.argc = argc, .argv = argv, .options = options, .n_options = N_OPTIONS};
    int letter;
    while ((letter = cli_args_next(&args)) > 0) {
        if (letter == 'h')
            return help();
        if (!set_option(&call, letter, args.value))
            return CLI_USAGE;
    }
    if (letter < 0)
        return CLI_USAGE;
    if (args.n_words == 0)
        return cli_usage("which action?");
    call.action = find(args.words[0]);
    if (call.action == NULL)
        return CLI_USAGE;
    call.words = args.words + 1;
    call.n_words = args.n_words - 1;
    cli_catch_stop();
    return run(&call);
}
