/* storm.c - the command `lk storm`: options, the one or two storms, the verdict. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli.h"
#include "report.h"
#include "storm.h"
#include "storm_locks.h"

#define SECOND 1000000000ull
#define DEMO_KILLS_MIN 2000u /* in DEMO_NS */
#define DEMO_NS (20 * SECOND)
#define DEMO_STALL_MAX_NS 100000000u
#define DEMO_TTAS_NS (60 * SECOND) /* it wedges within a few; if not, the watcher proves nothing */

enum {
    O_WORKERS = 'w',
    O_KILLS = 'k',
    O_SECONDS = 's',
    O_LOCK = 'l',
    O_JSON = 'j',
    O_QUIET = 'q',
    O_HELP = 'h',
    O_DEMO = 256,
    O_ENTRIES,
    O_SIZE,
    O_SHARDS,
    O_SEED,
    O_HTML,
    O_SVG,
    O_RATE,
    O_AIM,
    O_WEDGE,
    O_CALM,
    O_STOPS,
    O_CHECKSUM,
    O_NAME,
    O_KEEP,
    O_LOCKS,
};

static const struct cli_option options[] = {
    {O_SECONDS, "seconds", "S", "how long (20, or without end if --kills is given)"},
    {O_KILLS, "kills", "N", "end after N kills"},
    {O_LOCK, "lock", "LOCK", "latchkey; ttas wedges, torn serves wrong values: to see it seen"},
    {O_LOCKS, "locks", NULL,
     "the robust locks alone (also --holders): see lk storm --locks --help"},
    {O_DEMO, "demo", NULL, "20 s of latchkey, then ttas until it wedges"},
    {O_WORKERS, "workers", "N", "worker processes (4)"},
    {O_SIZE, "size", "BYTES", "capacity of the cache (4M)"},
    {O_ENTRIES, "entries", "N", "make the cache for N entries; files are cut to fit"},
    {O_SHARDS, "shards", "N", "shards of the cache (as lk cache create)"},
    {O_CHECKSUM, "checksum", NULL, "with a CRC32C in every entry"},
    {O_RATE, "rate", "N", "kills per second, on average (170; 0 = as many as can be)"},
    {O_AIM, "aim", "PERCENT", "kills aimed at workers inside a changing call (50)"},
    {O_STOPS, "stops", NULL, "also stop workers (SIGSTOP) for 1 to 20 ms"},
    {O_WEDGE, "wedge", "TIME", "no progress for so long is a wedge (2s)"},
    {O_CALM, "calm", "TIME", "before the first kill (0; with --demo 1s)"},
    {O_SEED, "seed", "N", "start of the random numbers"},
    {O_NAME, "name", "NAME", "name of the cache's segment (storm-PID)"},
    {O_KEEP, "keep", NULL, "leave the cache there afterwards"},
    {O_HTML, "html", "FILE", "write a report with the stall distribution"},
    {O_SVG, "svg", "FILE", "write the report's picture alone"},
    {O_JSON, "json", NULL, "JSON on standard output"},
    {O_QUIET, "quiet", NULL, "no progress"},
    {O_HELP, "help", NULL, "this text"},
};

static int help(void)
{
    (void)fputs(
        "usage: lk storm [options] DIR\n"
        "Workers serve the files under DIR through one cache much smaller than the files: gets,\n"
        "sets, evictions, deletes, leases, counters, expiry.  A killer sends SIGKILL to random\n"
        "workers at random moments and starts new ones.  Every value served is compared with the\n"
        "file, and a watcher measures the longest time that any worker made no progress.\n\n",
        stdout);
    cli_print_options(options, sizeof options / sizeof options[0]);
    return cli_help("\nexit: 0 sound, 1 a wrong value, a wedge or a damaged cache, 2 bad usage,\n"
                    "      3 cannot run, 130 stopped by a signal (and sound so far).\n"
                    "      With --demo 0 needs ttas to have wedged.\n");
}

static bool parse_lock(const char *text, enum storm_lock *lock)
{
    if (strcmp(text, "latchkey") == 0)
        *lock = STORM_LATCHKEY;
    else if (strcmp(text, "ttas") == 0)
        *lock = STORM_TTAS;
    else if (strcmp(text, "torn") == 0)
        *lock = STORM_TORN;
    else
        return cli_usage("--lock: '%s' is neither latchkey nor ttas nor torn", text), false;
    return true;
}

static bool parse_number(const char *name, const char *text, uint64_t low, uint64_t high,
                         unsigned *n)
{
    uint64_t value;
    if (!cli_parse_count(name, text, low, high, &value))
        return false;
    *n = (unsigned)value;
    return true;
}

/* One option into *o. */
static bool take(struct storm_options *o, int letter, const char *value)
{
    unsigned rate;
    switch (letter) {
    case O_WORKERS:
        return parse_number("--workers", value, 1, STORM_WORKERS_MAX, &o->workers);
    case O_SHARDS:
        return parse_number("--shards", value, 1, 1024, &o->shards);
    case O_AIM:
        return parse_number("--aim", value, 0, 100, &o->aim_percent);
    case O_KILLS:
        return cli_parse_count("--kills", value, 1, UINT64_MAX, &o->kills);
    case O_ENTRIES:
        return cli_parse_count("--entries", value, 1, 100000000, &o->entries);
    case O_SEED:
        return cli_parse_count("--seed", value, 0, UINT64_MAX, &o->seed);
    case O_SECONDS:
        return cli_parse_time("--seconds", value, &o->run_ns);
    case O_WEDGE:
        return cli_parse_time("--wedge", value, &o->wedge_ns);
    case O_CALM:
        return cli_parse_time("--calm", value, &o->calm_ns);
    case O_SIZE:
        return cli_parse_size("--size", value, &o->size_bytes);
    case O_LOCK:
        return parse_lock(value, &o->lock);
    case O_RATE:
        if (!parse_number("--rate", value, 0, 100000, &rate))
            return false;
        o->kills_per_second = rate;
        return true;
    case O_NAME:
        o->name = value;
        return true;
    case O_HTML:
        o->html = value;
        return true;
    case O_SVG:
        o->svg = value;
        return true;
    case O_DEMO:
        o->demo = true;
        return true;
    case O_STOPS:
        o->stops = true;
        return true;
    case O_CHECKSUM:
        o->checksum = true;
        return true;
    case O_KEEP:
        o->keep = true;
        return true;
    case O_JSON:
        o->json = true;
        return true;
    case O_QUIET:
        o->quiet = true;
        return true;
    default:
        return false;
    }
}

/* CLI_OK: go on; -1: help was asked for. */
static int parse(struct storm_options *o, int argc, char **argv)
{
    struct cli_args a = {.argc = argc,
                         .argv = argv,
                         .options = options,
                         .n_options = sizeof options / sizeof options[0]};
    for (int letter; (letter = cli_args_next(&a)) != 0;) {
        if (letter == O_HELP)
            return -1;
        if (letter < 0 || !take(o, letter, a.value))
            return CLI_USAGE;
    }
    if (a.n_words != 1)
        return cli_usage("expected one directory, got %d words", a.n_words);
    if (o->wedge_ns < SECOND / 10)
        return cli_usage("--wedge: at least 100ms");
    if (o->demo && (o->kills || o->run_ns))
        return cli_usage("--demo sets its own end; leave --kills and --seconds out");
    o->dir = a.words[0];
    if (o->demo && !o->calm_ns)
        o->calm_ns = SECOND;
    if (!o->kills && !o->run_ns)
        o->run_ns = DEMO_NS;
    return CLI_OK;
}

/* What the demo promises beside soundness; says what did not hold. */
static bool demo_held(const struct storm_result *r, size_t n)
{
    bool held = true;
    if (r[0].interrupted)
        return true;
    if (r[0].kills < DEMO_KILLS_MIN)
        held = cli_fail(0, "%llu kills; %u were promised", (unsigned long long)r[0].kills,
                        DEMO_KILLS_MIN) != 0;
    if (r[0].longest_ns >= DEMO_STALL_MAX_NS && r[0].longest_own_ns < DEMO_STALL_MAX_NS)
        (void)cli_fail(0,
                       "longest stall %.0f ms, but all of it except %.0f ms at most was waiting "
                       "for a processor: the machine is busy with other work",
                       (double)r[0].longest_ns * 1e-6, (double)r[0].longest_own_ns * 1e-6);
    else if (r[0].longest_ns >= DEMO_STALL_MAX_NS)
        held = cli_fail(0, "longest stall %.0f ms; less than %u ms was promised",
                        (double)r[0].longest_ns * 1e-6, DEMO_STALL_MAX_NS / 1000000) != 0;
    if (n == 2 && !r[1].stopped_by_wedge && !r[1].interrupted)
        held = cli_fail(0, "ttas did not wedge: this run does not show that a stall is seen") != 0;
    return held;
}

static int verdict(const struct storm_options *o, const struct storm_result *r, size_t n)
{
    if (!storm_sound(&r[0]) || (o->demo && !demo_held(r, n)))
        return CLI_PROBLEM;
    return cli_stop ? CLI_STOPPED : CLI_OK;
}

static int run_all(struct storm_options *o, struct storm_files *f, const struct storm_plan *plan,
                   struct storm_result *r, size_t *n)
{
    int code = storm_run(o, f, plan, o->demo ? STORM_LATCHKEY : o->lock, &r[0]);
    if (code != CLI_OK)
        return code;
    *n = 1;
    if (!o->demo || cli_stop)
        return code;
    o->run_ns = DEMO_TTAS_NS;
    code = storm_run(o, f, plan, STORM_TTAS, &r[1]);
    if (code == CLI_OK)
        *n = 2;
    return code;
}

static int tell(const struct storm_options *o, const struct storm_files *f,
                const struct storm_plan *plan, const struct storm_result *r, size_t n)
{
    int code = verdict(o, r, n);
    if (o->json)
        cli_json_print(storm_json(o, f, plan, r, n));
    else
        storm_print(o, f, plan, r, n);
    const struct report about = {o, f, plan, r, n};
    if (o->html && report_html(&about, o->html) != 0)
        return cli_fail(CLI_CANNOT, "%s: %s", o->html, strerror(errno));
    if (o->svg && report_svg(&about, o->svg) != 0)
        return cli_fail(CLI_CANNOT, "%s: %s", o->svg, strerror(errno));
    return code;
}

int cmd_storm(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--locks") == 0)
            return storm_locks(argc, argv);
    struct storm_options o = {
        .workers = 4, .aim_percent = 50, .kills_per_second = 170, .wedge_ns = 2 * SECOND};
    if (getrandom(&o.seed, sizeof o.seed, 0) != sizeof o.seed)
        o.seed = cli_now_ns();
    o.seed %= 1000000000u; /* short enough to be typed again */
    int code = parse(&o, argc, argv);
    if (code != CLI_OK)
        return code < 0 ? help() : code;
    char name[32];
    (void)snprintf(name, sizeof name, "storm-%d", (int)getpid());
    if (!o.name)
        o.name = name;
    cli_catch_stop();

    struct storm_files f;
    struct storm_plan plan;
    struct storm_result *r = calloc(2, sizeof *r);
    size_t n = 0;
    int rc = r ? storm_files_load(&f, o.dir, o.seed) : ENOMEM;
    if (rc != 0) {
        free(r);
        return cli_fail(CLI_CANNOT, "%s: %s", o.dir,
                        rc == ENOENT ? "no such directory, or no readable file in it"
                                     : strerror(rc));
    }
    code = storm_plan_make(&o, &f, &plan);
    if (code == CLI_OK)
        code = run_all(&o, &f, &plan, r, &n);
    if (code == CLI_OK)
        code = tell(&o, &f, &plan, r, n);
    for (size_t i = 0; i < 2; i++)
        free(r[i].timeline);
    free(r);
    storm_files_free(&f);
    return cli_finish(code);
}
