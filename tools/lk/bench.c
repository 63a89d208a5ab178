/* bench.c - lk bench: options and the choice of the measurement. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char help[] =
    "usage: lk bench peers   [--entries N] [--value BYTES] [--skew S] [--only NAME,...]\n"
    "                        [--rounds N] [--window TIME]\n"
    "       lk bench scale   [--entries N] [--processes N] [--rounds N] [--window TIME]\n"
    "       lk bench get|set [--entries N] [--value BYTES] [--threads N | --processes N]\n"
    "                        [--seconds TIME] [--skew S] [--shards N]\n"
    "       lk bench replay TRACE.u32[.xz] --objects N [--shards S] [--policy-compare CSV]\n"
    "       lk bench repair  [--entries N] [--shards N] [--rounds N] [--kills N]\n"
    "       lk bench collide [--rounds N]\n"
    "       lk bench memory  [--value BYTES] [--shards N]\n"
    "       lk bench keys    [--rounds N] [--window TIME]\n"
    "       lk bench locks   [--threads N] [--rounds N] [--window TIME] [--sweep]\n"
    "\n"
    "  peers    latchkey, a plain hash table, LMDB, Redis, memcached, APCu side by side\n"
    "  scale    hits and sets of one to N processes, values of 16 bytes to 16 KiB\n"
    "  get set  rate and latency of the cache alone\n"
    "  replay   a recorded trace through a cache of exactly N objects: requests, hits, ratio\n"
    "  repair   time to rebuild a whole cache; wait of the next writer after a kill\n"
    "  collide  16,384 keys that collide under hashes without a key, beside random keys\n"
    "  memory   bytes per entry, all in\n"
    "  keys     sets of locks beside std::scoped_lock and sorted pthread mutexes; philosophers\n"
    "  locks    mutex, rwlocks, seqlock beside glibc, oneTBB, absl, nsync, ... (windows a tenth as "
    "long)\n"
    "           --sweep: over lengths of section and numbers of threads, as JSON for bench/locks\n"
    "\n"
    "  --check  exit 1 if one of the printed limits does not hold\n"
    "  --json   machine-readable      -q, --quiet  no progress      -h, --help  this text\n"
    "defaults: 100,000 entries, values of 100 bytes, Zipf 0.99, 31 rounds of 50ms, 3 seconds,\n"
    "          300 kills.  Requests are made beforehand; values are compared; CPUs are pinned.\n"
    "exit: 0 done, 1 a limit does not hold (with --check) or a value was wrong, 2 bad usage,\n"
    "      3 a cache, peer or file cannot be opened or made, 130 interrupted\n";

/* Letters of the long options, and which measurement takes which. */
static const struct option longs[] = {
    {"entries", required_argument, NULL, 'e'},
    {"value", required_argument, NULL, 'v'},
    {"skew", required_argument, NULL, 'z'},
    {"rounds", required_argument, NULL, 'r'},
    {"window", required_argument, NULL, 'w'},
    {"seconds", required_argument, NULL, 's'},
    {"threads", required_argument, NULL, 't'},
    {"processes", required_argument, NULL, 'p'},
    {"shards", required_argument, NULL, 'S'},
    {"objects", required_argument, NULL, 'o'},
    {"policy-compare", required_argument, NULL, 'P'},
    {"only", required_argument, NULL, 'O'},
    {"kills", required_argument, NULL, 'k'},
    {"check", no_argument, NULL, 'c'},
    {"sweep", no_argument, NULL, 'W'},
    {"json", no_argument, NULL, 'j'},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const struct measurement {
    const char *name;
    bench_run_fn *run;
    const char *takes; /* beside c j q h */
    bool operand;
} measurements[] = {
    {"peers", bench_peers, "evzrwO", false}, {"scale", bench_scale, "ezprw", false},
    {"get", bench_get, "evzstpS", false},    {"set", bench_set, "evzstpS", false},
    {"replay", bench_replay, "oSP", true},   {"repair", bench_repair, "evzSrk", false},
    {"collide", bench_collide, "r", false},  {"memory", bench_memory, "vS", false},
    {"locks", bench_locks, "trwW", false},   {"keys", bench_keys, "rw", false},
};

#define N_MEASUREMENTS (sizeof measurements / sizeof measurements[0])

static bool parse_skew(const char *text, double *skew)
{
    char *end;
    errno = 0;
    double x = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(x >= 0 && x <= 5)) {
        cli_fail(CLI_USAGE, "--skew %s: a number from 0 (uniform) to 5", text);
        return false;
    }
    *skew = x;
    return true;
}

static bool parse_value(const char *text, uint64_t *bytes)
{
    if (!cli_parse_size("--value", text, bytes))
        return false;
    if (*bytes >= 8 && *bytes <= 65536)
        return true;
    cli_fail(CLI_USAGE, "--value %s: from 8 bytes (the mark that is compared) to 64k", text);
    return false;
}

static bool parse_span(const char *option, const char *text, uint64_t least, uint64_t *ns)
{
    if (!cli_parse_time(option, text, ns))
        return false;
    if (*ns >= least && *ns <= UINT64_C(3600000000000))
        return true;
    cli_fail(CLI_USAGE, "%s %s: too short or over an hour", option, text);
    return false;
}

static bool parse_one(int letter, const char *text, struct bench_options *o)
{
    switch (letter) {
    case 'e':
        return cli_parse_count("--entries", text, 1, 100000000, &o->entries);
    case 'v':
        return parse_value(text, &o->value_size);
    case 'z':
        return parse_skew(text, &o->skew);
    case 'r':
        return cli_parse_count("--rounds", text, 1, 1000, &o->rounds);
    case 'w':
        return parse_span("--window", text, 1000000, &o->window_ns);
    case 's':
        return parse_span("--seconds", text, 1000000, &o->run_ns);
    case 't':
        return cli_parse_count("--threads", text, 1, 64, &o->threads);
    case 'p':
        return cli_parse_count("--processes", text, 1, 64, &o->processes);
    case 'S':
        return cli_parse_count("--shards", text, 1, 1024, &o->shards);
    case 'o':
        return cli_parse_count("--objects", text, 1, UINT32_MAX, &o->objects);
    case 'k':
        return cli_parse_count("--kills", text, 0, 100000, &o->kills);
    case 'O':
        o->only = text;
        return true;
    case 'P':
        o->policies = text;
        return true;
    case 'W':
        o->sweep = o->json = true;
        return true;
    case 'c':
        o->check = true;
        return true;
    case 'j':
        o->json = true;
        return true;
    default:
        o->quiet = true;
        return true;
    }
}

/* -1: go on, else the exit code. */
static int parse(const struct measurement *m, int argc, char **argv, struct bench_options *o)
{
    optind = 0; /* GNU: begin anew, argv[0] is the measurement's name */
    opterr = 0;
    for (int letter, index;
         index = -1, (letter = getopt_long(argc, argv, "jqh", longs, &index)) != -1;) {
        if (letter == 'h')
            return cli_help(help);
        if (letter == '?')
            return cli_usage("%s: unknown option or missing argument: '%s'", m->name,
                             argv[optind - 1]);
        if (strchr("cjq", letter) == NULL && strchr(m->takes, letter) == NULL)
            return cli_usage("%s does not take --%s", m->name,
                             index >= 0 ? longs[index].name : "that option");
        if (!parse_one(letter, optarg, o))
            return CLI_USAGE;
    }
    if (argc - optind != (m->operand ? 1 : 0))
        return m->operand ? cli_usage("%s needs one trace file", m->name)
                          : cli_usage("%s: unexpected '%s'", m->name, argv[optind]);
    o->operand = m->operand ? argv[optind] : NULL;
    return -1;
}

int cmd_bench(int argc, char **argv)
{
    const char *names[N_MEASUREMENTS];
    if (argc < 2)
        return cli_usage(
            "what to measure: peers, scale, get, set, replay, repair, collide, memory, locks, "
            "keys");
    if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
        return cli_help(help);
    for (size_t i = 0; i < N_MEASUREMENTS; i++) {
        names[i] = measurements[i].name;
        if (strcmp(argv[1], names[i]) != 0)
            continue;
        struct bench_options o = {.entries = 100000,
                                  .value_size = 100,
                                  .skew = 0.99,
                                  .rounds = 31,
                                  .window_ns = 50000000,
                                  .run_ns = 3000000000u,
                                  .kills = 300};
        int code = parse(&measurements[i], argc - 1, argv + 1, &o);
        if (code >= 0)
            return code;
        cli_catch_stop();
        return measurements[i].run(&o);
    }
    const char *near = cli_nearest(argv[1], names, N_MEASUREMENTS);
    if (near != NULL)
        return cli_usage("unknown measurement '%s'; did you mean '%s'?", argv[1], near);
    return cli_usage("unknown measurement '%s'", argv[1]);
}
