/* cli.c - what the commands of lk share: messages, numbers and times as text, progress. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/err.h"

static const char *command_name = "";

void cli_set_name(const char *name)
{
    command_name = name;
}

static void say(const char *format, va_list args)
{
    fflush(stdout); /* what was printed before the message stays before it */
    fprintf(stderr, "lk%s%s: ", command_name[0] != '\0' ? " " : "", command_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

int cli_fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return code;
}

int cli_fail_rc(const char *what, int rc)
{
    const char *text = lk_error_text(), *meaning = lk_strerror(rc);
    if (text[0] == '\0')
        return cli_fail(CLI_CANNOT, "%s: %s", what, meaning);
    if (strstr(text, meaning) == NULL)
        return cli_fail(CLI_CANNOT, "%s: %s (%s)", what, meaning, text);
    if (strstr(text, what) == NULL)
        return cli_fail(CLI_CANNOT, "%s: %s", what, text);
    return cli_fail(CLI_CANNOT, "%s", text); /* it says all */
}

int cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    fprintf(stderr, "try 'lk%s%s --help'\n", command_name[0] != '\0' ? " " : "", command_name);
    return CLI_USAGE;
}

int cli_help(const char *text)
{
    return fputs(text, stdout) < 0 ? CLI_CANNOT : CLI_OK;
}

int cli_finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    int failed = cli_fail(CLI_CANNOT, "standard output: %s", strerror(errno));
    return code == CLI_OK ? failed : code;
}

/* Optimal string alignment distance of two words, at most 32 bytes each: insertions, deletions,
 * changes and swaps of neighbours. */
static unsigned word_distance(const char *a, const char *b)
{
    enum { MAX = 32 };
    unsigned rows[MAX + 1][MAX + 1];
    size_t m = strlen(a), n = strlen(b);
    if (m > MAX || n > MAX)
        return MAX;
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned d = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (rows[i - 1][j] + 1 < d)
                d = rows[i - 1][j] + 1;
            if (rows[i][j - 1] + 1 < d)
                d = rows[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                rows[i - 2][j - 2] + 1 < d)
                d = rows[i - 2][j - 2] + 1;
            rows[i][j] = d;
        }
    }
    return rows[m][n];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    unsigned best_distance = strlen(word) < 4 ? 2 : 3; /* one slip in a short word, else two */
    for (size_t i = 0; i < n; i++) {
        unsigned d = word_distance(word, words[i]);
        if (d < best_distance) {
            best = words[i];
            best_distance = d;
        }
    }
    return best;
}

/* Digits of *text as a number; *text moves behind them.  False if there is none or it overflows. */
static bool take_number(const char **text, uint64_t *n)
{
    const char *p = *text;
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    bool some = p != *text;
    *text = p;
    *n = value;
    return some;
}

bool cli_parse_size(const char *option, const char *text, uint64_t *bytes)
{
    static const char units[] = "kMGT";
    const char *p = text;
    uint64_t value;
    if (!take_number(&p, &value))
        goto bad;
    const char *unit = *p == '\0' ? NULL : strchr(units, *p == 'K' ? 'k' : *p);
    if (unit != NULL) {
        uint64_t factor = UINT64_C(1) << (10 * (unit - units + 1));
        if (__builtin_mul_overflow(value, factor, &value))
            goto bad;
        p++;
        if (strcmp(p, "iB") == 0 || strcmp(p, "B") == 0)
            p += strlen(p);
    }
    if (*p != '\0')
        goto bad;
    *bytes = value;
    return true;
bad:
    cli_fail(CLI_USAGE, "%s: '%s' is not a size (like 4096, 64k, 32M, 1G)", option, text);
    return false;
}

/* The nanoseconds of a unit of time, 0 if there is no such unit. */
static uint64_t unit_ns(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {
        {"", 1000000000u},      {"ns", 1u},          {"us", 1000u},         {"ms", 1000000u},
        {"s", 1000000000u},     {"m", 60000000000u}, {"min", 60000000000u}, {"h", 3600000000000u},
        {"d", 86400000000000u},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(units[i].name, unit) == 0)
            return units[i].ns;
    return 0;
}

bool cli_parse_time(const char *option, const char *text, uint64_t *ns)
{
    const char *p = text;
    uint64_t value, fraction = 0, scale = 1;
    if (!take_number(&p, &value))
        goto bad;
    if (*p == '.') {
        const char *digits = ++p;
        if (!take_number(&p, &fraction) || p - digits > 9)
            goto bad;
        for (const char *d = digits; d < p; d++)
            scale *= 10;
    }
    uint64_t unit = unit_ns(p);
    if (unit == 0 || __builtin_mul_overflow(value, unit, &value))
        goto bad;
    /* fraction < 1e9 and unit < 2^47: the product may pass 2^64, so divide in two steps */
    uint64_t part = unit / scale * fraction + unit % scale * fraction / scale;
    if (__builtin_add_overflow(value, part, &value))
        goto bad;
    *ns = value;
    return true;
bad:
    cli_fail(CLI_USAGE, "%s: '%s' is not a time (like 150ms, 2s, 1.5, 5m, 1h, 3d)", option, text);
    return false;
}

bool cli_parse_count(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
    const char *p = text;
    uint64_t value;
    if (!take_number(&p, &value) || *p != '\0') {
        cli_fail(CLI_USAGE, "%s: '%s' is not a number", option, text);
        return false;
    }
    if (value < min || value > max) {
        cli_fail(CLI_USAGE, "%s: %s is not within %" PRIu64 "..%" PRIu64, option, text, min, max);
        return false;
    }
    *n = value;
    return true;
}

const char *cli_count(char buf[32], uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *out = buf;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return buf;
}

/* Three digits at most before the unit: "1.5", "64", "999". */
static void put_scaled(char buf[32], double value, const char *unit)
{
    bool whole = value >= 99.95 || value - (double)(uint64_t)value < 0.05;
    snprintf(buf, 32, whole ? "%.0f %s" : "%.1f %s", value, unit);
}

const char *cli_size(char buf[32], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    for (; value >= 1023.5 && unit < 6; unit++)
        value /= 1024;
    put_scaled(buf, value, units[unit]);
    return buf;
}

const char *cli_span(char buf[32], uint64_t ns)
{
    static const struct {
        double ns, until;
        const char *name;
    } units[] = {
        {1, 999.5, "ns"},      {1e3, 999.5e3, "us"},      {1e6, 999.5e6, "ms"},
        {1e9, 120e9, "s"},     {60e9, 120 * 60e9, "min"}, {3600e9, 48 * 3600e9, "h"},
        {86400e9, 1e300, "d"},
    };
    size_t i = 0;
    while ((double)ns >= units[i].until)
        i++;
    put_scaled(buf, (double)ns / units[i].ns, units[i].name);
    return buf;
}

volatile sig_atomic_t cli_stop;

static void on_stop(int signal_number)
{
    (void)signal_number;
    cli_stop = 1;
}

void cli_catch_stop(void)
{
    struct sigaction action = {.sa_handler = on_stop}; /* no SA_RESTART: sleeps end at once */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

pid_t cli_fork(void)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before that took effect */
            _exit(0);
    }
    return pid;
}

uint64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#define TERMINAL_PERIOD_NS 100000000u
#define PIPE_PERIOD_NS 5000000000u

void cli_progress_begin(struct cli_progress *p, const char *title, uint64_t total, bool quiet)
{
    uint64_t now = cli_now_ns();
    *p = (struct cli_progress){
        .title = title,
        .total = total,
        .begun_ns = now,
        .shown_ns = now,
        .quiet = quiet,
        .terminal = isatty(STDERR_FILENO) != 0,
    };
}

static unsigned terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* "45%  1,234 kills/s  12 s left  note" into buf. */
static void progress_text(const struct cli_progress *p, uint64_t done, uint64_t now,
                          const char *note, char *buf, size_t capacity)
{
    double seconds = (double)(now - p->begun_ns) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    char number[32];
    size_t used = 0;
    buf[0] = '\0';
    if (p->total > 0)
        used += (size_t)snprintf(buf, capacity, "%3.0f%%", 100.0 * (double)done / (double)p->total);
    if (p->unit == NULL || p->unit[0] != '\0')
        used += (size_t)snprintf(buf + used, capacity - used, "  %s%s%s/s",
                                 cli_count(number, (uint64_t)rate), p->unit != NULL ? " " : "",
                                 p->unit != NULL ? p->unit : "");
    if (p->total > done && rate > 0)
        used += (size_t)snprintf(buf + used, capacity - used, "  %.0f s left",
                                 (double)(p->total - done) / rate);
    if (note != NULL && used < capacity)
        snprintf(buf + used, capacity - used, "  %s", note);
}

/* The bar takes what title and text leave of the line, at most 30 columns. */
static void progress_bar(const struct cli_progress *p, uint64_t done, const char *text)
{
    unsigned columns = terminal_columns() - 1; /* a full last column would scroll some terminals */
    size_t taken = strlen(p->title) + strlen(text) + 4;
    unsigned width = taken + 10 > columns ? 0 : (unsigned)(columns - taken);
    if (width > 30)
        width = 30;
    char bar[36] = "";
    if (p->total > 0 && width > 0) {
        unsigned filled = (unsigned)((double)width * (double)done / (double)p->total);
        bar[0] = '[';
        for (unsigned i = 0; i < width; i++)
            bar[1 + i] = i < filled ? '#' : '.';
        memcpy(bar + 1 + width, "] ", 3);
    }
    char line[512];
    snprintf(line, sizeof line, "%s %s%s", p->title, bar, text);
    fprintf(stderr, "\r%.*s\033[K", (int)columns, line);
    fflush(stderr);
}

void cli_progress_show(struct cli_progress *p, uint64_t done, const char *note)
{
    uint64_t now = cli_now_ns();
    if (p->quiet || now - p->shown_ns < (p->terminal ? TERMINAL_PERIOD_NS : PIPE_PERIOD_NS))
        return;
    p->shown_ns = now;
    if (p->total > 0 && done > p->total)
        done = p->total;
    char text[320];
    progress_text(p, done, now, note, text, sizeof text);
    if (p->terminal)
        progress_bar(p, done, text);
    else
        fprintf(stderr, "%s: %s\n", p->title, text + strspn(text, " "));
}

void cli_progress_end(struct cli_progress *p)
{
    if (!p->quiet && p->terminal && p->shown_ns != p->begun_ns)
        fputs("\r\033[K", stderr);
}

static void json_write(struct json_t *root, size_t flags)
{
    if (root == NULL || json_dumpf(root, stdout, flags | JSON_REAL_PRECISION(10)) != 0)
        cli_fail(CLI_CANNOT, "JSON output: out of memory or standard output failed");
    putchar('\n');
    fflush(stdout);
    json_decref(root);
}

void cli_json_print(struct json_t *root)
{
    json_write(root, JSON_INDENT(2));
}

void cli_json_line(struct json_t *root)
{
    json_write(root, JSON_COMPACT);
}
