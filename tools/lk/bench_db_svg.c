/* bench_db_svg.c - cost against size as a picture: one panel for each work, both axes in powers of
 * ten, a line for each peer. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench_db_peers.h"
#include "report_svg.h"

enum {
    COLUMNS = 2,
    TOP = 40,
    LEFT = 62,
    PLOT_WIDTH = 330,
    PLOT_HEIGHT = 190,
    GAP_X = 430,
    GAP_Y = 280,
    LEGEND = 26
};

/* The panel being drawn: where, and the powers of ten of its edges. */
struct panel {
    double x, y, low_n, high_n, low_ns, high_ns;
};

static double panel_x(const struct panel *p, double n)
{
    return p->x + PLOT_WIDTH * (log10(n) - p->low_n) / (p->high_n - p->low_n);
}

static double panel_y(const struct panel *p, double ns)
{
    return p->y + PLOT_HEIGHT * (1 - (log10(ns) - p->low_ns) / (p->high_ns - p->low_ns));
}

static void edges(struct panel *p, const struct db_chart *chart)
{
    p->low_n = p->low_ns = 1e9;
    p->high_n = p->high_ns = -1e9;
    for (size_t c = 0; c < chart->n; c++)
        for (size_t i = 0; i < chart->curve[c].n; i++) {
            double n = chart->curve[c].at[i], ns = chart->curve[c].ns[i];
            if (!(ns > 0))
                continue;
            p->low_n = fmin(p->low_n, floor(log10(n)));
            p->high_n = fmax(p->high_n, ceil(log10(n)));
            p->low_ns = fmin(p->low_ns, floor(log10(ns)));
            p->high_ns = fmax(p->high_ns, ceil(log10(ns)));
        }
    p->high_n = fmax(p->high_n, p->low_n + 1); /* one size only */
    p->high_ns = fmax(p->high_ns, p->low_ns + 1);
}

static void draw_grid(FILE *out, const struct panel *p)
{
    static const char *const units[] = {"1 ns",        "10 ns", "100 ns", "1 \u00b5s", "10 \u00b5s",
                                        "100 \u00b5s", "1 ms",  "10 ms",  "100 ms"};
    for (int d = (int)p->low_n; d <= p->high_n; d++) {
        double x = panel_x(p, pow(10, d));
        (void)fprintf(out, "<line class=\"g\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                      x, p->y, x, p->y + PLOT_HEIGHT);
        (void)fprintf(out,
                      "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">10<tspan "
                      "dy=\"-5\" font-size=\"9\">%d</tspan></text>\n",
                      x, p->y + PLOT_HEIGHT + 18, d);
    }
    for (int d = (int)p->low_ns; d <= p->high_ns; d++) {
        double y = panel_y(p, pow(10, d));
        (void)fprintf(out, "<line class=\"g\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
                      p->x, y, p->x + PLOT_WIDTH, y);
        if (d >= 0 && (size_t)d < sizeof units / sizeof units[0])
            (void)fprintf(out,
                          "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                          p->x - 8, y + 4, units[d]);
    }
}

static void draw_curve(FILE *out, const struct panel *p, const struct db_curve *c, size_t colour)
{
    char command = 'M';
    (void)fprintf(out, "<path class=\"c%zu\" d=\"", colour);
    for (size_t i = 0; i < c->n; i++)
        if (c->ns[i] > 0) {
            (void)fprintf(out, "%c%.1f %.1f", command, panel_x(p, c->at[i]), panel_y(p, c->ns[i]));
            command = 'L';
        }
    (void)fputs("\"/>\n", out);
    for (size_t i = 0; i < c->n; i++)
        if (c->ns[i] > 0)
            (void)fprintf(out, "<circle class=\"d%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", colour,
                          panel_x(p, c->at[i]), panel_y(p, c->ns[i]));
}

static void draw_legend(FILE *out, const struct db_chart *chart)
{
    for (size_t c = 0; c < chart->n; c++)
        (void)fprintf(out,
                      "<circle class=\"d%zu\" cx=\"%zu\" cy=\"16\" r=\"5\"/>"
                      "<text x=\"%zu\" y=\"20\">%s</text>\n",
                      c, LEFT + c * 170, LEFT + c * 170 + 12, chart->curve[c].name);
}

static void draw(FILE *out, const struct db_chart *charts, size_t n)
{
    size_t rows = (n + COLUMNS - 1) / COLUMNS;
    (void)fprintf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %zu\" role=\"img\" "
                  "aria-label=\"cost against the number of keys\"><style>%s"
                  ".c0{stroke:var(--lk)}.c1{stroke:var(--kill)}.c2{stroke:var(--bad)}"
                  ".c0,.c1,.c2{stroke-width:2.2;fill:none;stroke-linejoin:round}"
                  ".d0{fill:var(--lk)}.d1{fill:var(--kill)}.d2{fill:var(--bad)}</style>\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"var(--paper)\"/>\n",
                  REPORT_WIDTH, TOP + LEGEND + rows * GAP_Y, report_style);
    draw_legend(out, &charts[0]);
    for (size_t i = 0; i < n; i++) {
        size_t row = i / COLUMNS, column = i % COLUMNS;
        struct panel p = {.x = (double)(LEFT + column * GAP_X),
                          .y = (double)(TOP + LEGEND + row * GAP_Y)};
        edges(&p, &charts[i]);
        (void)fprintf(out, "<text class=\"t\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", p.x, p.y - 12,
                      charts[i].title);
        draw_grid(out, &p);
        for (size_t c = 0; c < charts[i].n; c++)
            draw_curve(out, &p, &charts[i].curve[c], c);
        (void)fprintf(
            out, "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">keys</text>\n",
            p.x + PLOT_WIDTH / 2.0, p.y + PLOT_HEIGHT + 36);
    }
    (void)fputs("</svg>\n", out);
}

bool db_charts_write(const char *path, const struct db_chart *charts, size_t n)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return false;
    draw(out, charts, n);
    bool failed = ferror(out) != 0;
    return fclose(out) == 0 && !failed;
}
