/* check.c - lk check: compile a C program for the model checker, link it with liblatchkey-check and
 * run it; the program then explores itself and prints what it found. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

enum {
    OPT_NO_LIVENESS = 256,
    OPT_WEAK,
    OPT_SPURIOUS,
    OPT_PID_REUSE,
    OPT_NO_LEAKS,
    OPT_KEEP,
    OPT_STATES,
    OPT_HTML,
    OPT_CC,
    OPT_SAVE,
    OPT_WITNESS,
    OPT_REPLAY,
    OPT_DEATHS,
    OPT_LOOPS,
    OPT_WALKS,
    OPT_PREEMPTIONS
};

static const struct cli_option options[] = {
    {'m', "model", "NAME", "memory model: rc11 (default), sc, tso"},
    {'n', "executions", "N", "stop after N executions (with --states: states)"},
    {'t', "time", "SECONDS", "stop after so long"},
    {OPT_LOOPS, "loops", "N", "at most N events in one thread (default 100000)"},
    {OPT_DEATHS, "deaths", "N", "processes that may die in one execution (default 0)"},
    {OPT_PREEMPTIONS, "preemptions", "N", "leave out what needs more than N preemptions"},
    {OPT_WALKS, "walks", "N", "random walks before the exhaustive search (default 200)"},
    {OPT_STATES, "states", NULL, "every state once, under sequential consistency"},
    {'r', "random", NULL, "random walks only, until a bound"},
    {'s', "seed", "N", "of the random walks"},
    {OPT_NO_LIVENESS, "no-liveness", NULL, "blocking for ever is no error"},
    {OPT_WEAK, "weak-fails", NULL, "weak compare-and-swap may fail for no reason"},
    {OPT_SPURIOUS, "spurious", NULL, "sleepers may wake for no reason"},
    {OPT_PID_REUSE, "pid-reuse", NULL, "the number of a dead process may be another's by now"},
    {OPT_NO_LEAKS, "no-leaks", NULL, "memory never freed is no error"},
    {OPT_KEEP, "keep-going", NULL, "explore to the end after an error"},
    {'j', "json", NULL, "print one JSON object"},
    {OPT_HTML, "html", "FILE", "write a picture of the failing execution"},
    {OPT_WITNESS, "witness", "FILE", "write which execution failed, for --replay"},
    {OPT_REPLAY, "replay", "FILE",
     "stop in gdb before that execution (same options, same program)"},
    {OPT_CC, "cc", "COMPILER", "gcc or clang (default: $CC or cc)"},
    {OPT_SAVE, "save", "FILE", "keep the linked program; run it under a debugger"},
    {'q', "quiet", NULL, "no progress on stderr"},
    {'h', "help", NULL, "this text"},
};
#define N_OPTIONS (sizeof options / sizeof options[0])

static int help(void)
{
    printf("usage: lk check [options] FILE.c... [-- COMPILER FLAGS]\n"
           "Run a C11 program in every way that the memory model allows, each once.\n\n");
    cli_print_options(options, N_OPTIONS);
    printf("\nexit: 0 explored to the end, no error; 1 error found; 2 bad usage or the program "
           "does not\n"
           "      compile; 3 a bound was hit\n");
    return CLI_OK;
}

struct check {
    char dir[64]; /* scratch, removed at the end */
    char library[PATH_MAX], include[PATH_MAX];
    const char *cc, *save;
    bool states;
    const char *not_by_states; /* an option that does not go with that */
    char **flags;              /* after "--" */
    int n_flags;
    char **files;
    int n_files;
    char *pass[64]; /* options for the program */
    int n_pass;
    uint64_t replay; /* 0, or which execution to stop at in gdb */
};

/* Where the library and its headers are, seen from the command: in a build tree or installed. */
static bool find_library(struct check *c)
{
    static const char *const places[][2] = {
        {"src/check/liblatchkey-check.a", "src/check/include"},
        {"release/src/check/liblatchkey-check.a", "release/src/check/include"},
        {"../lib/liblatchkey-check.a", "../include"},
        {"../lib/x86_64-linux-gnu/liblatchkey-check.a", "../include"},
        {"../lib64/liblatchkey-check.a", "../include"},
    };
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (snprintf(c->library, PATH_MAX, "%s/%s", self, places[i][0]) >= PATH_MAX)
            return false;
        if (access(c->library, R_OK) != 0)
            continue;
        return snprintf(c->include, PATH_MAX, "%s/%s", self, places[i][1]) < PATH_MAX;
    }
    return false;
}

/* Run a program and wait; its exit code, 127 if it could not run, 128 + signal. */
static int run(char **argv)
{
    pid_t pid = cli_fork();
    if (pid == 0) {
        (void)execvp(argv[0], argv);
        (void)fprintf(stderr, "lk check: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        if (cli_stop)
            (void)kill(pid, SIGINT); /* a terminal has told it too; others may not have */
    if (pid < 0)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_gcc_file(const char *name)
{
    size_t n = strlen(name);
    return n > 2 && strcmp(name + n - 2, ".c") == 0;
}

static void object_name(const struct check *c, int i, char *text, size_t size)
{
    (void)snprintf(text, size, "%s/%d.o", c->dir, i);
}

static bool compile(const struct check *c, int i)
{
    static const char *const fixed[] = {"-fsanitize=thread",
                                        "-g",
                                        "-O1",
                                        "-fno-builtin",
                                        "-std=gnu11",
                                        "-Wno-unknown-warning-option",
                                        "-Wno-tsan",
                                        "-DLKC_PROGRAM",
                                        "-include",
                                        "latchkey-check/lkc_shim.h",
                                        "-c"};
    const size_t n_fixed = sizeof fixed / sizeof fixed[0];
    char object[96], include[PATH_MAX + 2];
    char **argv = calloc(n_fixed + (size_t)c->n_flags + 8, sizeof *argv);
    size_t n = 0;
    if (argv == NULL)
        return false;
    object_name(c, i, object, sizeof object);
    (void)snprintf(include, sizeof include, "-I%s", c->include);
    argv[n++] = (char *)(uintptr_t)c->cc;
    for (size_t k = 0; k < n_fixed; k++)
        argv[n++] = (char *)(uintptr_t)fixed[k];
    argv[n++] = include;
    for (int k = 0; k < c->n_flags; k++)
        argv[n++] = c->flags[k];
    argv[n++] = (char *)(uintptr_t) "-o";
    argv[n++] = object;
    argv[n++] = c->files[i];
    bool done = run(argv) == 0;
    free(argv);
    return done;
}

static bool link_program(const struct check *c, char *program)
{
    char **argv = calloc((size_t)c->n_files + 12, sizeof *argv);
    char(*object)[96] = calloc((size_t)c->n_files, sizeof *object);
    size_t n = 0;
    if (argv == NULL || object == NULL) {
        free(argv);
        free(object);
        return false;
    }
    argv[n++] = (char *)(uintptr_t)c->cc;
    argv[n++] = (char *)(uintptr_t) "-g";
    argv[n++] = (char *)(uintptr_t) "-Wl,--wrap=main";
    argv[n++] = (char *)(uintptr_t) "-o";
    argv[n++] = program;
    for (int i = 0; i < c->n_files; i++) {
        object_name(c, i, object[i], sizeof object[i]);
        argv[n++] = object[i];
    }
    argv[n++] = (char *)(uintptr_t)c->library;
    argv[n++] = (char *)(uintptr_t) "-lm";
    bool done = run(argv) == 0;
    free(argv);
    free(object);
    return done;
}

static void clean_up(const struct check *c)
{
    char name[96];
    for (int i = 0; i < c->n_files; i++) {
        object_name(c, i, name, sizeof name);
        (void)unlink(name);
    }
    (void)snprintf(name, sizeof name, "%s/program", c->dir);
    (void)unlink(name);
    (void)rmdir(c->dir);
}

static int build_and_run(struct check *c)
{
    char program[96];
    (void)snprintf(program, sizeof program, "%s/program", c->dir);
    char *target = c->save != NULL ? (char *)(uintptr_t)c->save : program;
    cli_catch_stop(); /* the program hears of it too, and ends with what it has */
    for (int i = 0; i < c->n_files; i++)
        if (cli_stop || !compile(c, i))
            return CLI_USAGE;
    if (cli_stop || !link_program(c, target))
        return CLI_USAGE;
    char full[PATH_MAX];
    if (realpath(target, full) == NULL)
        return cli_fail(CLI_USAGE, "%s: %s", target, strerror(errno));
    char *argv[80] = {full}, number[64];
    static const char *const gdb[] = {"gdb", "-q",  "-ex",   "break lk_check_replay_begins",
                                      "-ex", "run", "--args"};
    size_t n = 0;
    for (; c->replay != 0 && n < sizeof gdb / sizeof gdb[0]; n++)
        argv[n] = (char *)(uintptr_t)gdb[n];
    argv[n++] = full;
    memcpy(argv + n, c->pass, (size_t)c->n_pass * sizeof *argv);
    (void)snprintf(number, sizeof number, "--replay-execution=%lu", (unsigned long)c->replay);
    if (c->replay != 0)
        argv[n + (size_t)c->n_pass] = number;
    int code = run(argv);
    if (code >= 128)
        return cli_fail(CLI_USAGE, "the checker ended with signal %d; please report this",
                        code - 128);
    return code;
}

/* Hand an option on to the program, "--name" or "--name=value". */
static bool pass_on(struct check *c, const struct cli_args *a, int letter)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i].letter != letter || c->n_pass == 63)
            continue;
        size_t size = strlen(options[i].name) + (a->value != NULL ? strlen(a->value) : 0) + 4;
        char *text = malloc(size);
        if (text == NULL)
            return false;
        (void)snprintf(text, size, "--%s%s%s", options[i].name, a->value != NULL ? "=" : "",
                       a->value != NULL ? a->value : "");
        c->pass[c->n_pass++] = text;
        return true;
    }
    return false;
}

static bool value_fits(int letter, const char *value)
{
    uint64_t n;
    static const char *const models[] = {"rc11", "sc", "tso"};
    switch (letter) {
    case 'm':
        for (int i = 0; i < 3; i++)
            if (strcmp(value, models[i]) == 0)
                return true;
        cli_usage("--model is rc11, sc or tso, not '%s'", value);
        return false;
    case 'n':
    case 's':
        return cli_parse_count("a count", value, 0, UINT64_MAX, &n);
    case OPT_LOOPS:
        return cli_parse_count("--loops", value, 1, UINT32_MAX, &n);
    case OPT_DEATHS:
    case OPT_WALKS:
        return cli_parse_count("a count", value, 0, UINT32_MAX, &n);
    case OPT_PREEMPTIONS:
        return cli_parse_count("--preemptions", value, 0, 1000000, &n);
    case 't':
        return cli_parse_time("--time", value, &n);
    default:
        return true;
    }
}

static bool read_witness(struct check *c, const char *path)
{
    unsigned long n = 0;
    FILE *in = fopen(path, "r");
    /* NOLINTNEXTLINE(cert-err34-c): a number that is wrong matches no execution */
    bool good = in != NULL && fscanf(in, "lk-check-execution %lu", &n) == 1 && n != 0;
    if (in != NULL)
        (void)fclose(in);
    if (!good)
        cli_usage("'%s' is no file that --witness wrote", path);
    c->replay = n;
    return good;
}

static int options_of(struct check *c, int argc, char **argv)
{
    struct cli_args a = {.argc = argc, .argv = argv, .options = options, .n_options = N_OPTIONS};
    int letter;
    while ((letter = cli_args_next(&a)) != 0) {
        if (letter < 0)
            return CLI_USAGE;
        if (letter == 'h')
            return -1 - help();
        if (letter == OPT_STATES)
            c->states = true;
        if (letter == 'r' || letter == OPT_PREEMPTIONS ||
            (letter == 'm' && a.value != NULL && strcmp(a.value, "sc") != 0))
            c->not_by_states = letter == 'r'   ? "--random"
                               : letter == 'm' ? "another model than sc"
                                               : "--preemptions";
        if (letter == OPT_CC)
            c->cc = a.value;
        else if (letter == OPT_SAVE)
            c->save = a.value;
        else if (letter == OPT_REPLAY) {
            if (!read_witness(c, a.value))
                return CLI_USAGE;
        } else if (!value_fits(letter, a.value) || !pass_on(c, &a, letter))
            return CLI_USAGE;
    }
    c->files = a.words;
    c->n_files = a.n_words;
    for (int i = 0; i < c->n_files; i++)
        if (!is_gcc_file(c->files[i]))
            return cli_usage("'%s' is no C file (.c)", c->files[i]);
    if (c->states && c->not_by_states != NULL)
        return cli_usage("--states does not go with %s", c->not_by_states);
    return c->n_files > 0 ? CLI_OK : cli_usage("which FILE.c?");
}

int cmd_check(int argc, char **argv)
{
    struct check c = {.dir = "/tmp/lk-check-XXXXXX"};
    const char *cc = getenv("CC");
    int own = 0;
    while (own < argc && strcmp(argv[own], "--") != 0)
        own++;
    c.cc = cc != NULL && cc[0] != 0 ? cc : "cc";
    c.flags = argv + own + 1;
    c.n_flags = argc - own - 1 > 0 ? argc - own - 1 : 0;
    int code = options_of(&c, own, argv);
    if (code == CLI_OK && !find_library(&c))
        code = cli_fail(CLI_USAGE, "liblatchkey-check.a is not where lk looks for it");
    if (code == CLI_OK && mkdtemp(c.dir) == NULL)
        code = cli_fail(CLI_USAGE, "cannot make a directory in /tmp: %s", strerror(errno));
    else if (code == CLI_OK) {
        code = build_and_run(&c);
        clean_up(&c);
    }
    for (int i = 0; i < c.n_pass; i++)
        free(c.pass[i]);
    return code < 0 ? CLI_OK : code;
}
