/* cli.h - what the commands of lk share: exit codes, arguments, sizes and times, progress, JSON.
 * Owned by tools/lk/cli.c.  Commands use public headers of latchkey and this one only. */
#ifndef LK_CLI_H
#define LK_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Exit codes of every command; --help lists them. */
enum cli_exit {
    CLI_OK = 0,        /* done; sound; found */
    CLI_PROBLEM = 1,   /* a problem was found; the key is absent; a condition did not hold */
    CLI_USAGE = 2,     /* bad usage: nothing was done */
    CLI_CANNOT = 3,    /* the segment or a file could not be opened or made */
    CLI_STOPPED = 130, /* ended by SIGINT or SIGTERM, cleanly */
};

/* A command: argv[0] is its own name.  Returns an exit code. */
typedef int cli_command_fn(int argc, char **argv);
cli_command_fn cmd_cache, cmd_top, cmd_verify, cmd_repair, cmd_bench, cmd_storm, cmd_check;
cli_command_fn cmd_completion, cmd_db, cmd_order;

/* What stands after "lk" in messages: main() sets the command, "cache" adds its action. */
void cli_set_name(const char *name);

/* "lk storm: <message>\n" on stderr; returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a failed library call: adds lk_strerror(rc) and lk_error_text(); code CLI_CANNOT. */
int cli_fail_rc(const char *what, int rc);

/* cli_fail(CLI_USAGE, ...) with "try 'lk storm --help'" on the next line. */
int cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The word of `words` (n of them) that `word` was probably meant to be, or NULL. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* Print a help text: to stdout, CLI_OK. */
int cli_help(const char *text);

/* Flush stdout; what could not be written (full disk, closed pipe) turns CLI_OK into CLI_CANNOT. */
int cli_finish(int code);

/* An option of a command: "--name", "-x" if letter is one; metavar not NULL: with an argument. */
struct cli_option {
    int letter; /* what cli_args_next() returns; above 127 = no short form */
    const char *name, *metavar, *help;
};

/* Walks through the arguments; options and words may be mixed, "--" ends the options, "-" and
 * negative numbers are words.  Set argc, argv, options, n_options; the rest is zero. */
struct cli_args {
    int argc;
    char **argv;
    const struct cli_option *options;
    size_t n_options;
    const char *value; /* argument of the option just returned */
    char **
        words; /* after the end: what was no option (argv is put in order for it); NULL ends them */
    int n_words;
    int index_;
    const char *letters_;
    bool only_words_;
};
/* The next option's letter, 0 at the end, -1 after a message about an option that is none. */
int cli_args_next(struct cli_args *a);
/* One line a piece, for --help. */
void cli_print_options(const struct cli_option *options, size_t n);

/* Parse "10", "4k", "64M", "1G" (powers of 1024) / "150ms", "2s", "5m", "1h", "3d", plain = seconds
 * / a decimal count within [min, max].  False, after a message naming `option`, if it is not. */
bool cli_parse_size(const char *option, const char *text, uint64_t *bytes);
bool cli_parse_time(const char *option, const char *text, uint64_t *ns);
bool cli_parse_count(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *n);

/* Write a count with thousands separators, a size, a time span with a fitting unit into buf. */
const char *cli_count(char buf[32], uint64_t n);
const char *cli_size(char buf[32], uint64_t bytes);
const char *cli_span(char buf[32], uint64_t ns);

/* Set by SIGINT and SIGTERM once cli_catch_stop() was called; long loops look at it. */
extern volatile sig_atomic_t cli_stop;
void cli_catch_stop(void);

/* Progress on stderr: a bar with rate and time left on a terminal, a plain line every few seconds
 * in a pipe, nothing when quiet.  `done` of `total` (0 = unknown); `note` may be NULL. */
struct cli_progress {
    const char *title;
    uint64_t total;
    uint64_t begun_ns, shown_ns;
    bool quiet, terminal;
    const char *unit; /* set after begin: what is counted ("kills"); "" = show no rate */
};
void cli_progress_begin(struct cli_progress *p, const char *title, uint64_t total, bool quiet);
void cli_progress_show(struct cli_progress *p, uint64_t done, const char *note);
void cli_progress_end(struct cli_progress *p);

/* Bytes on the heap.  free(data). */
struct cli_bytes {
    unsigned char *data;
    size_t size;
};

/* Write bytes as one line of text that only these bytes give: printable characters (UTF-8) stay, a
 * backslash is \\, the rest \n \r \t or \xHH. */
void cli_put_escaped(FILE *out, const void *data, size_t size);
/* The same as a string on the heap (NULL: out of memory). */
char *cli_escaped(const void *data, size_t size);
/* Back from that, from hexadecimal digits (white space between them is passed over), from base64.
 * False if the text is none or memory is short. */
bool cli_unescape(const char *text, struct cli_bytes *out);
bool cli_unhex(const char *text, struct cli_bytes *out);
bool cli_unbase64(const char *text, struct cli_bytes *out);
/* Everything from `in` to its end; false (errno says why) if that fails. */
bool cli_read_all(FILE *in, struct cli_bytes *out);

/* fork() for a helper that must not outlive the caller: the kernel ends it (SIGKILL) with the
 * thread that called, at whatever moment that dies.  Empties the stdio buffers before. */
pid_t cli_fork(void);

/* CLOCK_MONOTONIC in ns. */
uint64_t cli_now_ns(void);

/* JSON output is built with jansson: print and free `root` with a final newline. */
struct json_t;
void cli_json_print(struct json_t *root);
/* The same on one line, flushed: a stream of objects. */
void cli_json_line(struct json_t *root);
/* object[name] = the bytes as a string if they are UTF-8, else object[name + "_base64"]. */
void cli_json_set_bytes(struct json_t *object, const char *name, const void *data, size_t size);

#endif
