/* html.c - a failing execution as a picture: one self-contained page, threads as columns.
 *
 * Events stand in an order that respects po and rf, one row each; rf, mo and fr go across as
 * curves. */
#include <string.h>

#include "report.h"

enum { COLUMN = 400, ROW = 34, LEFT = 20, TOP = 60, BOX = 370, HEIGHT = 24 };

struct picture {
    FILE *out;
    const struct graph *g;
    const struct failure *f;
    uint32_t *row[EV_TID_MAX + 1]; /* of each event */
    uint32_t rows;
};

static void escaped(FILE *out, const char *text)
{
    for (; *text != 0; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else if (*text == '"')
            fputs("&quot;", out);
        else
            fputc(*text, out);
    }
}

/* ---- rows
 * --------------------------------------------------------------------------------------- */

/* An event may be drawn when what it reads from has been; stamps break ties. */
static bool drawable(const struct picture *p, const uint32_t *done, uint32_t t)
{
    const struct event *e = &p->g->t[t].ev[done[t]];
    bool sourced = e->kind == EK_READ || e->kind == EK_BEGIN || e->kind == EK_JOIN;
    return !sourced || e->rf == EV_INIT || done[ev_tid(e->rf)] > ev_pos(e->rf);
}

static void assign_rows(struct picture *p)
{
    const struct graph *g = p->g;
    uint32_t *done = lkc_alloc((g->nthreads + 1) * sizeof *done);
    memset(done, 0, (g->nthreads + 1) * sizeof *done);
    for (uint32_t t = 0; t < g->nthreads; t++)
        p->row[t] = lkc_alloc((g->t[t].len + 1) * sizeof(uint32_t));
    for (;;) {
        uint32_t best = UINT32_MAX, stamp = UINT32_MAX;
        for (uint32_t t = 0; t < g->nthreads; t++)
            if (done[t] < g->t[t].len && drawable(p, done, t) &&
                g->t[t].ev[done[t]].stamp < stamp) {
                best = t;
                stamp = g->t[t].ev[done[t]].stamp;
            }
        if (best == UINT32_MAX)
            break;
        const struct event *e = &g->t[best].ev[done[best]];
        bool second = e->kind == EK_WRITE && e->flags & EF_RMW;
        p->row[best][done[best]++] = second ? p->rows - 1 : p->rows++;
    }
    lkc_free(done, (g->nthreads + 1) * sizeof *done);
}

static uint32_t left_of(uint32_t t)
{
    return LEFT + t * COLUMN;
}
static uint32_t top_of(const struct picture *p, evid e)
{
    return TOP + p->row[ev_tid(e)][ev_pos(e)] * ROW;
}

/* ---- boxes and curves
 * --------------------------------------------------------------------------- */

static void box(struct picture *p, evid id)
{
    const struct event *e = graph_ev(p->g, id);
    const struct gthread *t = &p->g->t[ev_tid(id)];
    char text[256];
    if (e->kind == EK_WRITE && e->flags & EF_RMW)
        return;
    report_event(p->g, id, text, sizeof text);
    bool last = ev_pos(id) + 1 == t->len || (e->flags & EF_RMW && ev_pos(id) + 2 == t->len);
    bool culprit = last && ev_tid(id) == p->f->tid;
    bool asleep = last && t->stuck != STUCK_NO && e->kind != EK_END;
    fprintf(p->out,
            "<g class=\"event%s%s\" id=\"T%u.%u\"><title>%s</title>"
            "<rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"%d\" rx=\"4\"/><text x=\"%u\" y=\"%u\">",
            culprit ? " culprit" : "", asleep ? " asleep" : "", ev_tid(id), ev_pos(id),
            report_place(e->pc), left_of(ev_tid(id)), top_of(p, id), BOX, HEIGHT,
            left_of(ev_tid(id)) + 6, top_of(p, id) + 16);
    text[50] = 0;
    escaped(p->out, text);
    fprintf(p->out, "</text><text class=\"place\" x=\"%u\" y=\"%u\">",
            left_of(ev_tid(id)) + BOX - 4, top_of(p, id) + 33);
    escaped(p->out, report_place(e->pc));
    fputs("</text></g>\n", p->out);
}

static void curve(struct picture *p, const char *kind, evid from, evid to)
{
    uint32_t a = left_of(ev_tid(from)), b = left_of(ev_tid(to));
    uint32_t y1 = top_of(p, from) + HEIGHT / 2, y2 = top_of(p, to) + HEIGHT / 2;
    uint32_t x1 = a < b ? a + BOX : a, x2 = a < b ? b : b + BOX, middle = (x1 + x2) / 2;
    if (a == b) {
        x1 = x2 = a + BOX;
        middle = x1 + 25;
    }
    fprintf(p->out,
            "<path class=\"%s\" marker-end=\"url(#%s-end)\" d=\"M%u %uC%u %u %u %u %u %u\">"
            "<title>%s</title></path>\n",
            kind, kind, x1, y1, middle, y1, middle, y2, x2, y2, kind);
}

static void curves(struct picture *p)
{
    const struct graph *g = p->g;
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        for (uint32_t k = 0; k < l->nrd; k++) {
            const struct event *e = graph_ev(g, l->rd[k]);
            int64_t next = graph_copos(g, e->rf) + 1;
            if (e->rf != EV_INIT)
                curve(p, "rf", e->rf, l->rd[k]);
            if (next < l->nco && ev_tid(l->co[next]) != ev_tid(l->rd[k]))
                curve(p, "fr", l->rd[k], l->co[next]);
        }
        for (uint32_t k = 1; k < l->nco; k++)
            curve(p, "mo", l->co[k - 1], l->co[k]);
    }
    for (uint32_t t = 0; t < g->nthreads; t++)
        for (uint32_t i = 0; i < g->t[t].len; i++) {
            const struct event *e = &g->t[t].ev[i];
            if ((e->kind == EK_BEGIN || e->kind == EK_JOIN) && e->rf != EV_INIT)
                curve(p, "hb", e->rf, ev_id(t, i));
        }
}

static const char style[] =
    "body{font:14px system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}"
    "svg text{font:12px ui-monospace,monospace}svg .place{font-size:9px;fill:#888;text-anchor:end}"
    "rect{fill:#f4f6fa;stroke:#b8c2d6}.culprit rect{fill:#ffe3e0;stroke:#c62828;stroke-width:2}"
    ".asleep rect{fill:#fff3cd;stroke:#b8860b;stroke-width:2}"
    "path{fill:none;stroke-width:1.4}.rf{stroke:#1b7f3b}.mo{stroke:#2457c5;stroke-dasharray:5 3}"
    ".fr{stroke:#c62828;stroke-dasharray:2 3}.hb{stroke:#999}"
    "pre{background:#f7f7f7;padding:1em;overflow:auto}"
    "@media(prefers-color-scheme:dark){body{background:#16181d;color:#ddd}rect{fill:#22262f}"
    "svg text{fill:#ddd}pre{background:#22262f}.culprit rect{fill:#4a1f1f}.asleep "
    "rect{fill:#4a3d12}}";

static void head(struct picture *p)
{
    static const char *const kinds[] = {"rf", "mo", "fr", "hb"};
    static const char *const colours[] = {"#1b7f3b", "#2457c5", "#c62828", "#999"};
    fprintf(p->out,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>lk check: %s</title>"
            "<style>%s</style>\n<h1>%s</h1><p>",
            lk_check_error_name(p->f->kind), style, lk_check_error_name(p->f->kind));
    escaped(p->out, p->f->text);
    fputs("</p><p><span style=\"color:#1b7f3b\">rf: reads from</span> &middot; "
          "<span style=\"color:#2457c5\">mo: order of the stores</span> &middot; "
          "<span style=\"color:#c62828\">fr: read before that store</span> &middot; "
          "<span style=\"color:#999\">hb: thread begins, is joined</span>. "
          "Red box: where the error is. Yellow box: waits.</p>\n",
          p->out);
    fprintf(p->out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\"><defs>",
            LEFT + p->g->nthreads * COLUMN + 40, TOP + (p->rows + 1) * ROW);
    for (int i = 0; i < 4; i++)
        fprintf(p->out,
                "<marker id=\"%s-end\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
                "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"%s\" "
                "style=\"fill:%s\"/></marker>",
                kinds[i], colours[i], colours[i]);
    fputs("</defs>\n", p->out);
}

static void draw(struct picture *p)
{
    head(p);
    for (uint32_t t = 0; t < p->g->nthreads; t++)
        if (p->g->t[t].live)
            fprintf(p->out,
                    "<text class=\"thread\" x=\"%u\" y=\"%d\" font-weight=\"bold\">T%u%s</text>\n",
                    left_of(t) + 6, TOP - 20, t, t == 0 ? " (main)" : "");
    curves(p);
    for (uint32_t t = 0; t < p->g->nthreads; t++)
        for (uint32_t i = 0; i < p->g->t[t].len; i++)
            box(p, ev_id(t, i));
    fputs("</svg>\n", p->out);
}

bool report_html(const char *path, const struct failure *f)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return false;
    /* Mapped: what is static is put back before each run, at the search's cost. */
    struct picture *p = lkc_alloc(sizeof *p);
    report_graph(f, &lkc->g);
    memset(p, 0, sizeof *p);
    p->out = out;
    p->g = &lkc->g;
    p->f = f;
    assign_rows(p);
    report_learn_graph(f);
    draw(p);
    lkc_free(p, sizeof *p);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory != NULL) {
        report_counterexample(memory, f);
        (void)fclose(memory);
        fputs("<h2>In words</h2><pre>", out);
        escaped(out, text);
        fputs("</pre>", out);
    }
    fputs("</html>\n", out);
    return fclose(out) == 0;
}
