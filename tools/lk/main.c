/* main.c - lk: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "latchkey/err.h"

static const struct command {
    const char *name;
    cli_command_fn *run;
} commands[] = {
    {"cache", cmd_cache},   {"top", cmd_top},
    {"verify", cmd_verify}, {"repair", cmd_repair},
    {"bench", cmd_bench},   {"storm", cmd_storm},
    {"check", cmd_check},   {"completion", cmd_completion},
    {"order", cmd_order},   {"db", cmd_db},
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static const char help[] =
    "usage: lk COMMAND [options]\n"
    "Shared memory that no kill can wedge.\n"
    "\n"
    "  cache ACTION NAME   create, get, set, list ... a cache that many processes share\n"
    "  top                 watch all segments: rates, hit ratio, holders, deaths\n"
    "  verify SEGMENT      check every invariant; changes nothing\n"
    "  repair SEGMENT      rebuild what killed writers left behind, then verify\n"
    "  bench               measure beside peers on this machine; replay traces\n"
    "  storm DIR           kill workers at random moments, compare every value served\n"
    "  check FILE.c...     model-check a C11 program: every execution, each once\n"
    "  db ACTION STORE     ordered trees on LMDB, PostgreSQL or in memory\n"
    "  order ACTION FILE.. merge, draw or turn into C the lock orders that processes learned\n"
    "  completion SHELL    completion script for bash or zsh\n"
    "\n"
    "  -h, --help          this text; lk COMMAND --help for a command's own\n"
    "  -V, --version       version of lk and of the library\n"
    "\n"
    "environment: LK_DIR   directory of the segments (else /dev/shm/latchkey-UID)\n"
    "exit: 0 done, 1 problem found or key absent, 2 bad usage,\n"
    "      3 segment or file cannot be opened or made, 130 interrupted\n"
    "Details: man lk, man 7 latchkey\n";

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown(const char *word)
{
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *near = cli_nearest(word, names, N_COMMANDS);
    if (near != NULL)
        return cli_usage("unknown command '%s'; did you mean '%s'?", word, near);
    return cli_usage("unknown command '%s'", word);
}

static int run(int argc, char **argv)
{
    const struct command *c = find(argv[0]);
    if (c == NULL)
        return unknown(argv[0]);
    cli_set_name(c->name);
    return c->run(argc, argv);
}

/* lk help [COMMAND] is lk [COMMAND] --help. */
static int help_on(int argc, char **argv)
{
    char option[] = "--help";
    char *args[] = {argc > 1 ? argv[1] : NULL, option, NULL};
    return argc > 1 ? run(2, args) : cli_help(help);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help, stderr);
        return CLI_USAGE;
    }
    const char *word = argv[1];
    int code;
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        code = cli_help(help);
    else if (strcmp(word, "help") == 0)
        code = help_on(argc - 1, argv + 1);
    else if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0)
        code = printf("lk %s\n", lk_version()) < 0 ? CLI_CANNOT : CLI_OK;
    else if (word[0] == '-')
        code = cli_usage("unknown option '%s'", word);
    else
        code = run(argc - 1, argv + 1);
    return cli_finish(code);
}
