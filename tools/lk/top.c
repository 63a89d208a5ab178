/* top.c - lk top: a view of all segments of the user, live or as text. */
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "top.h"

static const struct cli_option options[] = {
    {'i', "interval", "TIME", "time between refreshes, 100ms at least (default 1s)"},
    {'1', "once", NULL, "measure for one interval, print, end"},
    {'n', "count", "N", "end after N refreshes"},
    {'p', "plain", NULL, "a plain table, as in a pipe"},
    {'j', "json", NULL, "one JSON object per refresh, each on a line"},
    {'h', "help", NULL, "this text"},
};
#define N_OPTIONS (sizeof options / sizeof options[0])

static int help(void)
{
    fputs("usage: lk top [options]\n"
          "Watch all segments of the user: rates, hit ratio, fill, threads, locks, deaths.\n"
          "Attaches read-only: creates nothing, disturbs nobody.\n\n",
          stdout);
    cli_print_options(options, N_OPTIONS);
    fputs("\nkeys: q quit, up down choose, s sort by name, gets, sets, used,\n"
          "      + - interval, space refresh\n"
          "columns: THREADS attached and live, DEAD not yet reused; shards LOCKED, ORPHAN (by a\n"
          "      dead holder; the next writer repairs); DEATHS in a lock, REPAIRS of shards;\n"
          "      BACKSTOPS: sleeps that only a timer ended, 0 if all is well\n"
          "exit: 0 ended by q or done, 2 bad usage, 3 cannot, 130 interrupted\n",
          stdout);
    return CLI_OK;
}

static unsigned output_columns(void)
{
    struct winsize size;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 400; /* a pipe: every column */
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000u),
                          .tv_nsec = (long)(at_ns % 1000000000u)};
    while (!cli_stop && cli_now_ns() < at_ns)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* Tables or objects one after another: each measured over one interval. */
static int top_stream(struct top *t, uint64_t count, bool json)
{
    uint64_t next = cli_now_ns();
    top_sample(t);
    for (uint64_t i = 0; count == 0 || i < count; i++) {
        next += t->interval_ns;
        sleep_until(next);
        if (cli_stop)
            return CLI_STOPPED;
        top_sample(t);
        if (t->rc != 0)
            return cli_fail_rc(t->directory, t->rc);
        top_sort(t, TOP_BY_NAME);
        if (json) {
            top_print_json(t);
        } else {
            if (i > 0)
                putchar('\n');
            top_print(t, output_columns());
        }
        if (ferror(stdout))
            return CLI_CANNOT;
    }
    return CLI_OK;
}

int cmd_top(int argc, char **argv)
{
    struct cli_args args = {.argc = argc, .argv = argv, .options = options, .n_options = N_OPTIONS};
    uint64_t interval_ns = 1000000000u, count = 0;
    bool plain = false, json = false;
    int letter;
    while ((letter = cli_args_next(&args)) > 0) {
        switch (letter) {
        case 'i':
            if (!cli_parse_time("--interval", args.value, &interval_ns))
                return CLI_USAGE;
            break;
        case 'n':
            if (!cli_parse_count("--count", args.value, 1, UINT64_MAX, &count))
                return CLI_USAGE;
            break;
        case '1':
            count = 1;
            plain = true;
            break;
        case 'p':
            plain = true;
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
    if (args.n_words > 0)
        return cli_usage("'%s': top takes no words", args.words[0]);
    if (interval_ns < 100000000u || interval_ns > UINT64_C(86400000000000))
        return cli_usage("--interval: 100ms to 1d");

    struct top t;
    if (!top_begin(&t))
        return CLI_CANNOT;
    t.interval_ns = interval_ns;
    cli_catch_stop();
    bool live = !plain && !json && count == 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int code = live ? top_screen(&t) : -1;
    if (code < 0)
        code = top_stream(&t, count, json);
    top_end(&t);
    return code;
}
