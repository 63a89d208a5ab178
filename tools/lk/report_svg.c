/* report_svg.c - the two charts of a storm: how long operations took, and what went on when.
 *
 * Colours are CSS variables, defined by the page or by the picture for light and for dark. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "cli.h"
#include "report.h"
#include "report_svg.h"

const char report_style[] =
    ":root{--paper:#ffffff;--ink:#1b1f24;--soft:#5a6472;--line:#d7dce2;--lk:#1d63d8;--lkfill:#"
    "1d63d8;"
    "--bad:#c8321f;--kill:#8a6d1d;--card:#f5f7f9}"
    "@media(prefers-color-scheme:dark){:root{--paper:#12161b;--ink:#e6eaee;--soft:#97a3b0;"
    "--line:#2c343d;--lk:#6ea8ff;--lkfill:#6ea8ff;--bad:#ff7a66;--kill:#d9b450;--card:#1a2027}}"
    "svg text{font:13px system-ui,-apple-system,'Segoe "
    "UI',Helvetica,Arial,sans-serif;fill:var(--ink)}"
    "svg .t{font-weight:600;font-size:15px}svg .s{fill:var(--soft);font-size:12px}"
    "svg .g{stroke:var(--line);stroke-width:1;fill:none}svg .a{stroke:var(--soft);stroke-width:1}"
    "svg .lk{stroke:var(--lk);stroke-width:2.2;fill:none;stroke-linejoin:round}"
    "svg .bad{stroke:var(--bad);stroke-width:2.2;fill:none;stroke-linejoin:round}"
    "svg .area{fill:var(--lkfill);opacity:.16;stroke:none}"
    "svg .areabad{fill:var(--bad);opacity:.16;stroke:none}svg .kill{fill:var(--kill);stroke:none}"
    "svg text.clk{fill:var(--lk);font-weight:600}svg text.cbad{fill:var(--bad);font-weight:600}"
    "svg text.clk,svg text.cbad{paint-order:stroke;stroke:var(--paper);stroke-width:5px;"
    "stroke-linejoin:round}"
    "svg text.ckill{fill:var(--kill);font-size:12px}svg .dlk{fill:var(--lk)}svg "
    ".dbad{fill:var(--bad)}"
    "svg .p{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:5 4;fill:none}"
    "svg .never{stroke:var(--bad);stroke-width:2.2;stroke-dasharray:2 5;stroke-linecap:round}";

static void text_at(FILE *out, double x, double y, const char *class, const char *anchor,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));
static void text_at(FILE *out, double x, double y, const char *class, const char *anchor,
                    const char *format, ...)
{
    va_list args;
    (void)fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, class,
                  anchor);
    va_start(args, format);
    (void)vfprintf(out, format, args);
    va_end(args);
    (void)fputs("</text>\n", out);
}

static void line_at(FILE *out, const char *class, double x1, double y1, double x2, double y2)
{
    (void)fprintf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                  class, x1, y1, x2, y2);
}

static bool is_broken(const struct storm_result *r)
{
    return strcmp(r->lock, "latchkey") != 0;
}

/* ------------------------------------------------------------------ stalls */

enum { LEFT = 78, RIGHT = 24, INNER = REPORT_WIDTH - LEFT - RIGHT };
enum { STALL_TOP = 44, STALL_INNER = 270 };
#define X_LOW_NS 1e2
#define X_DECADES 8.0 /* 100 ns .. 10 s */

struct stall_axes {
    double decades; /* of the fraction, downwards from 1 */
};

static double stall_x(double ns)
{
    double at = log10(ns / X_LOW_NS) / X_DECADES;
    return LEFT + INNER * (at < 0 ? 0 : at > 1 ? 1 : at);
}

static double stall_y(const struct stall_axes *a, double fraction)
{
    double at = -log10(fraction) / a->decades;
    return STALL_TOP + STALL_INNER * (at > 1 ? 1 : at);
}

static const char *superscript(unsigned n)
{
    static const char *const digits[] = {"\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074",
                                         "\u2075", "\u2076", "\u2077", "\u2078", "\u2079"};
    return n < 10 ? digits[n] : "";
}

static void stall_grid(FILE *out, const struct stall_axes *a)
{
    static const char *const ticks[] = {"100 ns", "1 \u00b5s", "10 \u00b5s", "100 \u00b5s", "1 ms",
                                        "10 ms",  "100 ms",    "1 s",        "10 s"};
    double bottom = STALL_TOP + STALL_INNER;
    for (unsigned i = 0; i <= (unsigned)X_DECADES; i++) {
        double x = stall_x(X_LOW_NS * pow(10, i));
        line_at(out, "g", x, STALL_TOP, x, bottom);
        text_at(out, x, bottom + 18, "s", i == 8 ? "end" : "middle", "%s", ticks[i]);
    }
    for (unsigned i = 0; i <= (unsigned)a->decades; i++) {
        double y = stall_y(a, pow(10, -(double)i));
        line_at(out, "g", LEFT, y, LEFT + INNER, y);
        if (i == 0)
            text_at(out, LEFT - 8, y + 4, "s", "end", "all");
        else
            text_at(out, LEFT - 8, y + 4, "s", "end", "10\u207b%s", superscript(i));
    }
    text_at(out, LEFT + INNER / 2.0, bottom + 36, "s", "middle",
            "time between the ends of two operations of one worker");
    double promise = stall_x(1e8);
    line_at(out, "p", promise, STALL_TOP - 6, promise, bottom);
    text_at(out, promise - 6, STALL_TOP + 10, "s", "end", "promise: under 100 ms");
}

/* Operations of this storm, those that never ended with them. */
static double stall_total(const struct storm_result *r)
{
    return (double)storm_hist_total(&r->hist) + r->open_stalls;
}

/* Fraction of the operations slower than t, for every t; the stalls that never ended stay to the
 * right edge. */
static void stall_curve(FILE *out, const struct stall_axes *a, const struct storm_result *r)
{
    double total = stall_total(r), left = total, x = LEFT, y = stall_y(a, 1);
    (void)fprintf(out, "<path class=\"%s\" d=\"M%.1f %.1f", is_broken(r) ? "bad" : "lk", x, y);
    for (unsigned i = 0; i < STORM_BUCKETS; i++) {
        double n = (double)storm_read(&r->hist.count[i]);
        if (n <= 0)
            continue;
        left -= n;
        x = stall_x((double)storm_hist_floor(i + 1));
        y = left > 0.5 ? stall_y(a, left / total) : STALL_TOP + STALL_INNER;
        (void)fprintf(out, "H%.1fV%.1f", x, y);
    }
    if (r->open_stalls)
        (void)fprintf(out, "H%d", LEFT + INNER - 9);
    (void)fputs("\"/>\n", out);
}

/* What the curve ends in. */
static void stall_words(FILE *out, const struct stall_axes *a, const struct storm_result *r)
{
    const char *class = is_broken(r) ? "cbad" : "clk", *dot = is_broken(r) ? "dbad" : "dlk";
    char count[32], span[32];
    if (r->open_stalls) {
        double y = stall_y(a, r->open_stalls / stall_total(r));
        (void)fprintf(out, "<path class=\"%s\" d=\"M%d %.1fl-11 -5.5v11z\"/>\n", dot, LEFT + INNER,
                      y);
        text_at(out, LEFT + INNER - 6, y - 10, class, "end", "%s: %" PRIu32 " never came back",
                r->lock, r->open_stalls);
        return;
    }
    double x = stall_x((double)r->longest_ns), y = STALL_TOP + STALL_INNER;
    (void)fprintf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", dot, x, y);
    text_at(out, x - 12, y - 26, class, "end", "%s: longest of %s", r->lock,
            cli_count(count, r->operations));
    text_at(out, x - 12, y - 9, class, "end", "operations took %s", cli_span(span, r->longest_ns));
}

void report_chart_stalls(FILE *out, const struct report *about)
{
    struct stall_axes a = {3};
    for (size_t i = 0; i < about->count; i++) {
        double n = log10((double)about->result[i].operations + 1);
        if (ceil(n) > a.decades)
            a.decades = ceil(n) < 9 ? ceil(n) : 9;
    }
    text_at(out, 0, 18, "t", "start", "Operations slower than \u2026 (fraction of all)");
    stall_grid(out, &a);
    for (size_t i = 0; i < about->count; i++)
        stall_curve(out, &a, &about->result[i]);
    for (size_t i = 0; i < about->count; i++)
        stall_words(out, &a, &about->result[i]);
}

/* ------------------------------------------------------------------ timeline */

enum { PANEL = 176, PANEL_TOP = 34, PLOT = 84, STRIP = 18, STRIP_GAP = 6 };

struct time_axes {
    double seconds, top, decades; /* top: y of the panel; decades of its rates, from RATE_LOW up */
};

static double time_x(const struct time_axes *a, double seconds)
{
    return LEFT + INNER * (seconds > a->seconds ? 1 : seconds / a->seconds);
}

/* The next 1, 2 or 5 times a power of ten. */
static double round_up(double x)
{
    double power = pow(10, floor(log10(x > 0 ? x : 1)));
    double digit = x / power;
    return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

/* Rates differ by powers of ten: what the workers do undisturbed, among kills, and not at all. */
#define RATE_LOW 100.0

static double rate_y(const struct time_axes *a, double rate)
{
    double at = rate > RATE_LOW ? log10(rate / RATE_LOW) / a->decades : 0;
    return a->top + PLOT * (1 - (at < 1 ? at : 1));
}

static double rate_at(const struct storm_result *r, size_t i)
{
    const struct storm_sample *s = &r->timeline[i];
    double span = s[0].at_s - s[-1].at_s;
    return span > 0.02 ? (double)(s[0].operations - s[-1].operations) / span : 0;
}

static void rate_label(FILE *out, double y, double rate)
{
    if (rate >= 1e6)
        text_at(out, LEFT - 8, y + 4, "s", "end", "%g M/s", rate / 1e6);
    else if (rate >= 1e3)
        text_at(out, LEFT - 8, y + 4, "s", "end", "%g k/s", rate / 1e3);
    else
        text_at(out, LEFT - 8, y + 4, "s", "end", "%g/s", rate);
}

static void time_path(FILE *out, const struct time_axes *a, const struct storm_result *r, bool area)
{
    double bottom = a->top + PLOT;
    const char *const class[2][2] = {{"lk", "area"}, {"bad", "areabad"}};
    (void)fprintf(out, "<path class=\"%s\" d=\"M%.1f %.1f", class[is_broken(r)][area], time_x(a, 0),
                  area ? bottom : rate_y(a, rate_at(r, 1)));
    for (size_t i = 1; i < r->timeline_count; i++) {
        if (r->timeline[i].at_s - r->timeline[i - 1].at_s < 0.02)
            continue;
        double middle = (r->timeline[i].at_s + r->timeline[i - 1].at_s) / 2;
        (void)fprintf(out, "L%.1f %.1f", time_x(a, middle), rate_y(a, rate_at(r, i)));
    }
    if (area)
        (void)fprintf(out, "V%.1fZ", bottom);
    (void)fputs("\"/>\n", out);
}

/* Kills in each sample as bars of one strip under the plot. */
static void kill_strip(FILE *out, const struct time_axes *a, const struct storm_result *r)
{
    double bottom = a->top + PLOT + STRIP_GAP + STRIP, most = 1;
    for (size_t i = 1; i < r->timeline_count; i++) {
        double n = (double)(r->timeline[i].kills - r->timeline[i - 1].kills);
        most = n > most ? n : most;
    }
    (void)fputs("<path class=\"kill\" d=\"", out);
    for (size_t i = 1; i < r->timeline_count; i++) {
        double n = (double)(r->timeline[i].kills - r->timeline[i - 1].kills);
        double x = time_x(a, r->timeline[i - 1].at_s), w = time_x(a, r->timeline[i].at_s) - x;
        if (n > 0 && w > 0)
            (void)fprintf(out, "M%.1f %.1fv-%.1fh%.1fV%.1fz", x, bottom, STRIP * n / most,
                          w > 1.5 ? w - 0.8 : w, bottom);
    }
    (void)fputs("\"/>\n", out);
    text_at(out, LEFT - 8, bottom - 4, "ckill", "end", "kills");
}

static double last_progress(const struct storm_result *r)
{
    size_t i = r->timeline_count;
    while (i > 1 && r->timeline[i - 1].operations == r->timeline[i - 2].operations)
        i--;
    return i ? r->timeline[i - 1].at_s : 0;
}

static void panel_words(FILE *out, const struct time_axes *a, const struct storm_result *r)
{
    char operations[32], kills[32], span[32];
    const char *class = is_broken(r) ? "cbad" : "clk";
    double title = a->top - 10, bottom = a->top + PLOT;
    if (r->stopped_by_wedge) {
        double x = time_x(a, r->seconds), last = time_x(a, last_progress(r));
        text_at(out, LEFT, title, class, "start", "%s: wedged after %s kills", r->lock,
                cli_count(kills, r->kills));
        (void)fprintf(out,
                      "<line class=\"never\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", x,
                      bottom, LEFT + INNER, bottom);
        bool right = last < LEFT + INNER / 2.0;
        text_at(out, right ? last + 14 : last - 14, bottom - 12, class, right ? "start" : "end",
                "from here on no worker ever ended an operation");
        return;
    }
    text_at(out, LEFT, title, class, "start",
            "%s: %s operations through %s kills, %" PRIu64 " wrong values, longest stall %s",
            r->lock, cli_count(operations, r->operations), cli_count(kills, r->kills), r->wrong,
            cli_span(span, r->longest_ns));
}

static void panel(FILE *out, const struct time_axes *a, const struct storm_result *r)
{
    for (unsigned i = 0; i <= (unsigned)a->decades; i++) {
        double rate = RATE_LOW * pow(10, i), y = rate_y(a, rate);
        line_at(out, "g", LEFT, y, LEFT + INNER, y);
        if (i > 0)
            rate_label(out, y, rate);
        else
            text_at(out, LEFT - 8, y + 4, "s", "end", "\u2264 %g/s", rate);
    }
    if (r->timeline_count > 1) {
        time_path(out, a, r, true);
        time_path(out, a, r, false);
        kill_strip(out, a, r);
    }
    panel_words(out, a, r);
}

static double highest_rate(const struct report *about)
{
    double highest = 10 * RATE_LOW;
    for (size_t i = 0; i < about->count; i++)
        for (size_t j = 1; j < about->result[i].timeline_count; j++)
            highest = fmax(highest, rate_at(&about->result[i], j));
    return highest;
}

double report_timeline_height(size_t panels)
{
    return (double)panels * PANEL + 20;
}

void report_chart_timeline(FILE *out, const struct report *about)
{
    struct time_axes a = {1, 0, ceil(log10(highest_rate(about) / RATE_LOW) - 1e-9)};
    double bottom = 0;
    for (size_t i = 0; i < about->count; i++)
        if (about->result[i].seconds > a.seconds)
            a.seconds = about->result[i].seconds;
    text_at(out, 0, 18, "t", "start", "Operations per second, all workers, and kills");
    for (size_t i = 0; i < about->count; i++) {
        a.top = (double)i * (PANEL - 26) + PANEL_TOP + 26;
        panel(out, &a, &about->result[i]);
        bottom = a.top + PLOT + STRIP_GAP + STRIP;
    }
    double every = round_up(a.seconds / 12);
    line_at(out, "a", LEFT, bottom + 4, LEFT + INNER, bottom + 4);
    for (unsigned i = 0; i * every <= a.seconds + 1e-9; i++)
        text_at(out, time_x(&a, i * every), bottom + 20, "s", "middle", i ? "%g s" : "%g",
                i * every);
}

double report_stalls_height(void)
{
    return STALL_TOP + STALL_INNER + 46;
}

int report_svg(const struct report *about, const char *path)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return -1;
    double first = report_timeline_height(about->count),
           height = first + report_stalls_height() + 36;
    (void)fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
        "height=\"%.0f\" role=\"img\">\n<title>lk storm: workers killed at random moments "
        "while they share one cache</title>\n<style>%s</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" rx=\"8\" fill=\"var(--paper)\"/>\n"
        "<g transform=\"translate(18 16)\">\n",
        REPORT_WIDTH + 36, height, REPORT_WIDTH + 36, height, report_style);
    report_chart_timeline(out, about);
    (void)fprintf(out, "</g>\n<g transform=\"translate(18 %.0f)\">\n", first + 22);
    report_chart_stalls(out, about);
    (void)fputs("</g>\n</svg>\n", out);
    int failed = ferror(out);
    return fclose(out) != 0 || failed ? -1 : 0;
}
