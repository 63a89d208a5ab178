/* report.c - the storm as one self-contained page. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "report.h"
#include "report_svg.h"

static const char page_style[] =
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"
    "'Segoe UI',Helvetica,Arial,sans-serif}main{max-width:900px;margin:0 auto;padding:28px 20px "
    "60px}"
    "h1{font-size:27px;line-height:1.25;margin:0 0 6px}h2{font-size:19px;margin:38px 0 8px}"
    "p.l{color:var(--soft);margin:0 0 22px}.cards{display:flex;flex-wrap:wrap;gap:12px;margin:0 0 "
    "30px}"
    ".card{flex:1 1 "
    "140px;box-sizing:border-box;background:var(--card);border-radius:10px;padding:12px 16px}"
    ".card b{display:block;font-size:25px;line-height:1.3}.card "
    "span{color:var(--soft);font-size:14px}"
    ".ok b{color:var(--lk)}.no b{color:var(--bad)}svg{max-width:100%;height:auto;margin:10px 0 "
    "18px}"
    "table{border-collapse:collapse;width:100%}td,th{padding:6px 10px;text-align:right;"
    "border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}"
    "td:first-child,th:first-child{text-align:left}th{color:var(--soft);font-weight:600}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px "
    "18px;margin:0}dt{color:var(--soft)}"
    "dd{margin:0}code{background:var(--card);padding:1px 5px;border-radius:4px}";

/* Text from outside, as text. */
static void put_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc(*text, out);
        }
}

static void card(FILE *out, bool good, const char *figure, const char *what)
{
    (void)fprintf(out, "<div class=\"card %s\"><b>%s</b><span>%s</span></div>\n",
                  good ? "ok" : "no", figure, what);
}

static void cards(FILE *out, const struct storm_result *r)
{
    char text[32];
    (void)fputs("<div class=\"cards\">\n", out);
    card(out, true, cli_count(text, r->kills), "workers killed");
    if (r->has_stat)
        card(out, true, cli_count(text, r->stat.deaths), "of them inside a lock");
    card(out, r->wrong == 0, cli_count(text, r->wrong), "wrong values");
    card(out, r->wedges == 0, cli_count(text, r->wedges), "wedges");
    card(out, r->wedges == 0 && r->longest_ns < 100000000u,
         r->wedges ? "for ever" : cli_span(text, r->longest_ns), "longest stall");
    (void)fputs("</div>\n", out);
}

/* ------------------------------------------------------------------ the table */

typedef void cell_fn(FILE *out, const struct storm_result *r);

static void put_count(FILE *out, uint64_t n)
{
    char text[32];
    (void)fputs(cli_count(text, n), out);
}

static void put_span(FILE *out, uint64_t ns)
{
    char text[32];
    (void)fputs(cli_span(text, ns), out);
}

/* What only latchkey counts. */
static void put_stat(FILE *out, const struct storm_result *r, uint64_t n)
{
    if (r->has_stat)
        put_count(out, n);
    else
        (void)fputs("&ndash;", out);
}

static void cell_seconds(FILE *out, const struct storm_result *r)
{
    (void)fprintf(out, "%.1f s", r->seconds);
}
static void cell_operations(FILE *out, const struct storm_result *r)
{
    put_count(out, r->operations);
}
static void cell_hits(FILE *out, const struct storm_result *r)
{
    double asked = (double)(r->hits + r->misses);
    put_count(out, r->hits);
    (void)fprintf(out, " (%.1f %%)", asked > 0 ? 100 * (double)r->hits / asked : 0.0);
}
static void cell_kills(FILE *out, const struct storm_result *r)
{
    put_count(out, r->kills);
}
static void cell_writing(FILE *out, const struct storm_result *r)
{
    put_count(out, r->kills_writing);
}
static void cell_deaths(FILE *out, const struct storm_result *r)
{
    put_stat(out, r, r->stat.deaths);
}
static void cell_repairs(FILE *out, const struct storm_result *r)
{
    put_stat(out, r, r->stat.repairs);
}
static void cell_backstops(FILE *out, const struct storm_result *r)
{
    put_stat(out, r, r->stat.backstops);
}
static void cell_p50(FILE *out, const struct storm_result *r)
{
    put_span(out, r->p50_ns);
}
static void cell_p99(FILE *out, const struct storm_result *r)
{
    put_span(out, r->p99_ns);
}
static void cell_p999(FILE *out, const struct storm_result *r)
{
    put_span(out, r->p999_ns);
}
static void cell_longest(FILE *out, const struct storm_result *r)
{
    if (r->wedges)
        (void)fputs("for ever", out);
    else
        put_span(out, r->longest_ns);
}
static void cell_own(FILE *out, const struct storm_result *r)
{
    if (r->wedges)
        (void)fputs("&ndash;", out);
    else
        put_span(out, r->longest_own_ns);
}
static void cell_wrong(FILE *out, const struct storm_result *r)
{
    put_count(out, r->wrong);
}
static void cell_wedges(FILE *out, const struct storm_result *r)
{
    put_count(out, r->wedges);
}

static void table(FILE *out, const struct report *about)
{
    static const struct {
        const char *title;
        cell_fn *cell;
    } rows[] = {
        {"ran for", cell_seconds},
        {"operations", cell_operations},
        {"hits", cell_hits},
        {"kills", cell_kills},
        {"kills in a changing call", cell_writing},
        {"deaths inside a lock", cell_deaths},
        {"repairs", cell_repairs},
        {"backstop time-outs", cell_backstops},
        {"stall, median", cell_p50},
        {"stall, 99 %", cell_p99},
        {"stall, 99.9 %", cell_p999},
        {"longest stall", cell_longest},
        {"longest without waiting for a CPU", cell_own},
        {"wrong values", cell_wrong},
        {"wedges", cell_wedges},
    };
    (void)fputs("<table><tr><th></th>", out);
    for (size_t i = 0; i < about->count; i++)
        (void)fprintf(out, "<th>%s</th>", about->result[i].lock);
    (void)fputs("</tr>\n", out);
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        (void)fprintf(out, "<tr><td>%s</td>", rows[row].title);
        for (size_t i = 0; i < about->count; i++) {
            (void)fputs("<td>", out);
            rows[row].cell(out, &about->result[i]);
            (void)fputs("</td>", out);
        }
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table>\n", out);
}

/* ------------------------------------------------------------------ the rest of the page */

static void cpu_name(char *name, size_t size)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "re");
    (void)snprintf(name, size, "unknown processor");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(name, size, "%s", colon + 2);
        break;
    }
    (void)fclose(f);
}

static void machine(FILE *out, const struct report *about)
{
    char cpu[128], when[64], bytes[32], files[32], capacity[32];
    struct utsname os;
    time_t now = time(NULL);
    struct tm tm;
    cpu_name(cpu, sizeof cpu);
    if (uname(&os) != 0)
        memset(&os, 0, sizeof os);
    (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &tm));
    (void)fputs("<h2>The run</h2>\n<dl>\n<dt>files</dt><dd>", out);
    (void)fprintf(out, "%s under <code>", cli_count(files, about->files->count));
    put_text(out, about->options->dir);
    (void)fprintf(out, "</code>, %s, cut into values of up to %" PRIu32 " bytes</dd>\n",
                  cli_size(bytes, about->files->total_bytes), about->files->chunk_bytes);
    (void)fprintf(out, "<dt>cache</dt><dd>%s, room for about %" PRIu64 " entries</dd>\n",
                  cli_size(capacity, about->plan->capacity_bytes), about->plan->entries);
    (void)fprintf(out,
                  "<dt>storm</dt><dd>%u workers, seed %" PRIu64 ", %u %% of the kills aimed at "
                  "workers inside a changing call</dd>\n",
                  about->options->workers, about->options->seed, about->options->aim_percent);
    (void)fputs("<dt>machine</dt><dd>", out);
    put_text(out, cpu);
    (void)fprintf(out, ", %ld CPUs, %s %s</dd>\n", sysconf(_SC_NPROCESSORS_ONLN), os.sysname,
                  os.release);
    (void)fprintf(out, "<dt>latchkey</dt><dd>%s</dd>\n<dt>time</dt><dd>%s</dd>\n</dl>\n",
                  lk_version(), when);
}

static void method(FILE *out)
{
    (void)fputs(
        "<h2>What was measured</h2>\n"
        "<p>Worker processes serve files through one cache in shared memory that is much smaller "
        "than the files: gets, sets, adds, replaces, compare-and-swaps, deletes, touches, "
        "counters, "
        "leases, expiring entries, flushes, iteration. A killer sends <code>SIGKILL</code> to "
        "random "
        "workers at random moments and starts new ones at once. Each value served is compared with "
        "the file; each stored version of it is masked with its own number, so that a mix of two "
        "versions cannot pass; counters may only grow; nothing overwritten, deleted or expired may "
        "come back.</p>\n"
        "<p>A stall is the time from the end of one operation of a worker to the end of its next: "
        "wall time, with reading files, page faults and waiting for a processor all in it. A "
        "worker "
        "that has not moved for 20 ms is spared by the killer, so that no stall is cut short. "
        "<b>ttas</b> is the published broken design, restated: a test-and-test-and-set writer lock "
        "and a sequence counter. It is there to show that the watcher sees a stall when there is "
        "one.</p>\n",
        out);
}

static void chart(FILE *out, double height, const char *label,
                  void (*draw)(FILE *, const struct report *), const struct report *about)
{
    (void)fprintf(out,
                  "<svg viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" role=\"img\" "
                  "aria-label=\"%s\">\n",
                  REPORT_WIDTH, height, REPORT_WIDTH, height, label);
    draw(out, about);
    (void)fputs("</svg>\n", out);
}

int report_html(const struct report *about, const char *path)
{
    const struct storm_result *r = &about->result[0];
    FILE *out = fopen(path, "we");
    if (!out)
        return -1;
    (void)fprintf(out,
                  "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n"
                  "<title>lk storm</title>\n<style>%s%s</style>\n</head>\n<body>\n<main>\n",
                  report_style, page_style);
    (void)fprintf(
        out, "<h1>%s</h1>\n<p class=\"l\">Result of <code>lk storm</code>, latchkey %s.</p>\n",
        !storm_sound(r) ? (r->wedges ? "The storm wedged the cache" : "The storm found a fault")
                        : "A cache that no kill can wedge",
        lk_version());
    cards(out, r);
    chart(out, report_timeline_height(about->count), "operations and kills per second",
          report_chart_timeline, about);
    chart(out, report_stalls_height(), "distribution of stalls", report_chart_stalls, about);
    table(out, about);
    method(out);
    machine(out, about);
    (void)fputs("</main>\n</body>\n</html>\n", out);
    int failed = ferror(out);
    return fclose(out) != 0 || failed ? -1 : 0;
}
