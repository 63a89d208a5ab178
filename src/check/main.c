/* main.c - the main function of a program that lk check has linked (with --wrap=main): explores the
 * program's own main, tells what was found. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

int __real_main(int argc, char **argv, char **envp);
int __wrap_main(int argc, char **argv);

enum { EXIT_SOUND = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_BOUND = 3 };

struct settings {
    struct lk_check_options opt;
    const char *html, *witness;
    bool json;
};

static void *run_main(void *name)
{
    char *args[] = {name, NULL};
    (void)__real_main(1, args, NULL);
    return NULL;
}

static const struct option options[] = {
    {"model", required_argument, NULL, 'm'},
    {"executions", required_argument, NULL, 'n'},
    {"time", required_argument, NULL, 't'},
    {"deaths", required_argument, NULL, 'd'},
    {"loops", required_argument, NULL, 'l'},
    {"walks", required_argument, NULL, 'w'},
    {"preemptions", required_argument, NULL, 'p'},
    {"states", no_argument, NULL, 'T'},
    {"random", no_argument, NULL, 'r'},
    {"seed", required_argument, NULL, 's'},
    {"no-liveness", no_argument, NULL, 'L'},
    {"weak-fails", no_argument, NULL, 'W'},
    {"spurious", no_argument, NULL, 'S'},
    {"pid-reuse", no_argument, NULL, 'P'},
    {"no-leaks", no_argument, NULL, 'K'},
    {"keep-going", no_argument, NULL, 'k'},
    {"json", no_argument, NULL, 'j'},
    {"html", required_argument, NULL, 'H'},
    {"quiet", no_argument, NULL, 'q'},
    {"witness", required_argument, NULL, 'x'},
    {"replay-execution", required_argument, NULL, 'R'},
    {NULL, 0, NULL, 0},
};

static bool set_model(struct settings *s, const char *name)
{
    static const char *const names[] = {"rc11", "sc", "tso"};
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            s->opt.model = (enum lk_check_model)i;
            return true;
        }
    return false;
}

static bool set_number(uint64_t *n, const char *text)
{
    char *end;
    *n = strtoull(text, &end, 10);
    return end != text && *end == 0;
}

static bool set_option(struct settings *s, int c, const char *arg)
{
    struct lk_check_options *o = &s->opt;
    uint64_t n = 0;
    switch (c) {
    case 'm':
        return set_model(s, arg);
    case 'n':
        return set_number(&o->max_executions, arg);
    case 't':
        o->max_ns = (uint64_t)(strtod(arg, NULL) * 1e9);
        return o->max_ns != 0;
    case 'd':
        o->max_deaths = (uint32_t)strtoul(arg, NULL, 10);
        return true;
    case 'l':
        o->max_events = (uint32_t)strtoul(arg, NULL, 10);
        return o->max_events != 0;
    case 'w':
        o->walks = (uint32_t)strtoul(arg, NULL, 10);
        return set_number(&n, arg);
    case 'p':
        o->bound_preemptions = true;
        o->preemptions = (uint32_t)strtoul(arg, NULL, 10);
        return set_number(&n, arg);
    case 'T':
        o->states = true;
        return true;
    case 'r':
        o->random_only = true;
        return true;
    case 's':
        return set_number(&o->seed, arg);
    case 'L':
        o->no_liveness = true;
        return true;
    case 'W':
        o->weak_fails = true;
        return true;
    case 'S':
        o->spurious_wakes = true;
        return true;
    case 'P':
        o->pid_reuse = true;
        return true;
    case 'K':
        o->no_leaks = true;
        return true;
    case 'k':
        o->keep_going = true;
        return true;
    case 'j':
        s->json = true;
        return true;
    case 'H':
        s->html = arg;
        return true;
    case 'x':
        s->witness = arg;
        return true;
    case 'R':
        return set_number(&o->replay, arg);
    case 'q':
        o->quiet = true;
        return true;
    default:
        return false;
    }
}

static void json_string(const char *text)
{
    putchar('"');
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= 0x20)
            putchar(*text);
    }
    putchar('"');
}

static void print_json(const struct lk_check_report *r, enum lk_check_model model)
{
    static const char *const names[] = {"rc11", "sc", "tso"};
    printf("{\"complete\": %" PRIu64 ", \"blocked\": %" PRIu64 ", \"errors\": [", r->complete,
           r->blocked);
    for (uint32_t i = 0; i < r->nerrors; i++) {
        const struct lk_check_found *e = &r->error[i];
        printf("%s{\"kind\": \"%s\", \"place\": ", i > 0 ? ", " : "", lk_check_error_name(e->kind));
        json_string(e->place);
        printf(", \"text\": ");
        json_string(e->text);
        printf(", \"times\": %" PRIu64 ", \"sc\": %s, \"tso\": %s}", e->times,
               e->sc ? "true" : "false", e->tso ? "true" : "false");
    }
    printf("], \"seconds\": %.6f, \"executions_per_second\": %.1f, \"bounded\": %s, ", r->seconds,
           r->executions_per_second, r->bounded ? "true" : "false");
    printf("\"wasted\": %" PRIu64 ", \"preempted\": %" PRIu64 ", \"backstops\": %" PRIu64
           ", \"walked\": %" PRIu64 ", \"estimate\": %.1f, ",
           r->wasted, r->preempted, r->backstops, r->walked, r->estimate);
    printf("\"states\": %" PRIu64 ", \"steps\": %" PRIu64 ", ", r->states, r->steps);
    printf("\"by_walk\": %s, \"peak_rss_bytes\": %" PRIu64 ", \"peak_pending_bytes\": %" PRIu64
           ", \"model\": \"%s\"}\n",
           r->by_walk ? "true" : "false", r->peak_rss_bytes, r->peak_pending_bytes, names[model]);
}

static void print_text(const struct lk_check_report *r)
{
    for (const struct failure *f = lkc->failures; f != NULL; f = f->next)
        report_counterexample(stdout, f);
    printf("%s%" PRIu64 " complete executions, %" PRIu64 " blocked, %" PRIu64 " wasted, %" PRIu64
           " random walks; %.2f s, %.0f a second, %.1f MiB\n",
           r->nerrors > 0 ? "\n" : "", r->complete, r->blocked, r->wasted, r->walked, r->seconds,
           r->executions_per_second, (double)r->peak_rss_bytes / 1048576);
    if (r->states > 0)
        printf("%" PRIu64 " states, %" PRIu64 " steps between them\n", r->states, r->steps);
    if (r->preempted > 0)
        printf("%" PRIu64 " left out: they need more preemptions\n", r->preempted);
    if (r->backstops > 0)
        printf("%" PRIu64 " needed a timer to end a sleep\n", r->backstops);
    if (r->nerrors > 0)
        printf("%u kinds of error, first met %s\n", r->nerrors,
               r->by_walk ? "on a random walk" : "in the exhaustive search");
    else if (r->bounded)
        printf("no error seen, but a bound was hit: not proved%s\n",
               r->estimate > 0 ? "; see the estimate with --json" : "");
    else
        printf("no error in any %s\n", r->states > 0 ? "state" : "execution");
}

static int usage(const char *what)
{
    fprintf(stderr, "lk check: %s; lk check --help\n", what);
    return EXIT_USAGE;
}

/* The search is deterministic, so the number of the execution and the same options say which. */
static bool write_witness(const char *path, const struct failure *f)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return false;
    fprintf(out, "lk-check-execution %" PRIu64 "\n%s: %s\n", f->execution,
            lk_check_error_name(f->kind), f->text);
    return fclose(out) == 0;
}

int __wrap_main(int argc, char **argv)
{
    struct settings s = {.opt = {.walks = 200}};
    struct lk_check_report rep;
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!set_option(&s, c, optarg))
            return usage("bad option or value");
    static char name[] = "program";
    (void)signal(SIGINT, SIG_IGN); /* it ends the search, not what is said of it */
    int rc = lk_check_run(run_main, name, &s.opt, &rep);
    if (s.json)
        print_json(&rep, lkc->opt.model);
    else
        print_text(&rep);
    if (s.html != NULL && lkc->failures != NULL && !report_html(s.html, lkc->failures))
        return usage("cannot write the page");
    if (s.witness != NULL && lkc->failures != NULL && !write_witness(s.witness, lkc->failures))
        return usage("cannot write the witness");
    return rc;
}
