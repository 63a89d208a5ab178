/* top_screen.c - lk top on a terminal: table, chosen segment below, keys. */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <string.h>
#include <time.h>

#include "top.h"

#define PANEL_LINES 8
#define PANEL_FROM_LINES 18 /* shorter terminals get the table alone */
#define INTERVAL_MIN_NS UINT64_C(100000000)
#define INTERVAL_MAX_NS UINT64_C(60000000000)

enum { COLOUR_BAD = 1, COLOUR_WARN, COLOUR_GOOD };

struct view {
    struct top *top;
    enum top_order order;
    size_t chosen, first; /* row under the cursor, first row shown */
    char chosen_name[LK_SEG_NAME_MAX + 1];
    bool utf8;
};

static const char *const order_names[TOP_ORDERS] = {"name", "gets", "sets", "used"};

static attr_t colour(int pair)
{
    if (has_colors())
        return (attr_t)COLOR_PAIR(pair);
    return pair == COLOUR_GOOD ? A_NORMAL : A_BOLD;
}

static void look(attr_t attribute)
{
    (void)attrset((int)attribute);
}

/* One whole line in one attribute. */
static void put_line(int y, attr_t attribute, const char *text)
{
    look(attribute);
    mvhline(y, 0, ' ', COLS);
    mvaddstr(y, 0, text);
    look(A_NORMAL);
}

static void draw_title(const struct view *v)
{
    char left[512], line[640], clock_text[16], span[32];
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(clock_text, sizeof clock_text, "%H:%M:%S", &local);
    snprintf(left, sizeof left, " lk top  %.200s  %zu segment%s  every %s  by %s",
             v->top->directory, v->top->count, v->top->count == 1 ? "" : "s",
             cli_span(span, v->top->interval_ns), order_names[v->order]);
    int gap = COLS - (int)strlen(clock_text) - 2;
    snprintf(line, sizeof line, "%-*.*s %s ", gap > 0 ? gap : 0, gap > 0 ? gap : 0, left,
             clock_text);
    put_line(0, A_REVERSE, line);
}

/* Sums over all caches. */
struct totals {
    double gets, sets;
    double hits;
    uint64_t threads, deaths, repairs, backstops, orphans;
};

static void sum_rows(const struct top *t, struct totals *s)
{
    *s = (struct totals){0};
    for (size_t i = 0; i < t->count; i++) {
        const struct top_row *r = t->rows[i];
        if (r->kind != TOP_CACHE)
            continue;
        double gets = top_gets(r), ratio = top_hit_ratio(r);
        if (gets > 0) {
            s->gets += gets;
            s->sets += top_sets(r);
            s->hits += gets * ratio;
        } else if (gets == 0) {
            s->sets += top_sets(r);
        }
        s->threads += r->now.threads;
        s->deaths += r->now.deaths;
        s->repairs += r->now.repairs;
        s->backstops += r->now.backstops;
        s->orphans += r->now.shards_dead;
    }
}

/* "label value" at *x, if it fits into the line; *x moves behind it. */
static void put_pair(int y, int *x, const char *label, const char *value, attr_t attribute)
{
    int width = (int)(strlen(label) + 1 + strlen(value));
    if (*x + width >= COLS)
        return;
    mvprintw(y, *x, "%s ", label);
    look(attribute);
    addstr(value);
    look(A_NORMAL);
    *x += width + 3;
}

static void draw_totals(const struct view *v)
{
    struct totals s;
    char text[32];
    int x = 1;
    sum_rows(v->top, &s);
    put_pair(1, &x, "get/s", top_rate_text(text, s.gets), A_NORMAL);
    put_pair(1, &x, "set/s", top_rate_text(text, s.sets), A_NORMAL);
    (void)snprintf(text, sizeof text, s.gets > 0 ? "%.1f%%" : "-", 100 * s.hits / s.gets);
    put_pair(1, &x, "hit", text, A_NORMAL);
    put_pair(1, &x, "orphans", cli_count(text, s.orphans),
             s.orphans > 0 ? colour(COLOUR_BAD) : A_NORMAL);
    put_pair(1, &x, "backstops", cli_count(text, s.backstops),
             s.backstops > 0 ? colour(COLOUR_WARN) : A_NORMAL);
    put_pair(1, &x, "deaths", cli_count(text, s.deaths), A_NORMAL);
    put_pair(1, &x, "repairs", cli_count(text, s.repairs), A_NORMAL);
    put_pair(1, &x, "threads", cli_count(text, s.threads), A_NORMAL);
}

static attr_t row_attribute(const struct view *v, size_t i)
{
    const struct top_row *r = v->top->rows[i];
    attr_t attribute = A_NORMAL;
    if (r->kind == TOP_BROKEN || (r->kind == TOP_CACHE && r->now.shards_dead > 0))
        attribute = colour(COLOUR_BAD);
    else if (r->kind == TOP_CACHE && r->now.backstops > 0)
        attribute = colour(COLOUR_WARN);
    return i == v->chosen ? attribute | A_REVERSE : attribute;
}

/* The rows between lines `from` and `to`, scrolled so that the chosen one shows. */
static void draw_rows(struct view *v, int from, int to)
{
    char text[1024];
    size_t lines = to > from ? (size_t)(to - from) : 0;
    unsigned width = COLS > 2 ? (unsigned)COLS - 2 : 0; /* one column free on either side */
    if (v->chosen < v->first)
        v->first = v->chosen;
    if (lines > 0 && v->chosen >= v->first + lines)
        v->first = v->chosen - lines + 1;
    text[0] = ' ';
    for (size_t i = 0; i < lines && v->first + i < v->top->count; i++) {
        top_row_text(v->top->rows[v->first + i], text + 1, sizeof text - 1, width);
        put_line(from + (int)i, row_attribute(v, v->first + i), text);
    }
    if (v->top->count == 0)
        mvprintw(from, 1, v->top->rc != 0 ? "cannot be read: %s" : "no segments here yet%.0s",
                 lk_strerror(v->top->rc));
}

/* The newest rates as blocks of eight heights. */
static void draw_history(const struct view *v, const struct top_row *r, int y, int x)
{
    static const char *const blocks[] = {" ",      "\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"};
    static const char *const plain[] = {" ", "_", ".", "-", "-", "=", "=", "#", "#"};
    char text[32];
    double most = 0;
    int room = COLS - x - 16;
    size_t shown = room > 0 ? (size_t)room : 0;
    if (shown > r->history_count)
        shown = r->history_count;
    const double *newest = r->history + r->history_count - shown;
    for (size_t i = 0; i < shown; i++)
        most = newest[i] > most ? newest[i] : most;
    move(y, x);
    look(colour(COLOUR_GOOD));
    for (size_t i = 0; i < shown; i++) {
        int height = most > 0 ? (int)(newest[i] / most * 8 + 0.5) : 0;
        if (height == 0 && newest[i] > 0)
            height = 1;
        addstr(v->utf8 ? blocks[height] : plain[height]);
    }
    look(A_NORMAL);
    printw(" max %s/s", top_rate_text(text, most));
}

static void draw_bar(const struct top_row *r, int y, int x)
{
    char a[32], b[32];
    double part =
        r->now.capacity_bytes > 0 ? (double)r->now.used_bytes / (double)r->now.capacity_bytes : 0;
    int width = COLS - x - 36;
    width = width > 40 ? 40 : width < 4 ? 4 : width;
    mvaddch(y, x, '[');
    for (int i = 0; i < width; i++)
        addch((double)i + 0.5 < part * width ? '#' : '.');
    printw("] %.1f%%  %s of %s", 100 * part, cli_size(a, r->now.used_bytes),
           cli_size(b, r->now.capacity_bytes));
}

struct figure {
    const char *label;
    uint64_t value;
    attr_t attribute;
};

static void draw_figures(int y, const char *title, const struct figure *f, size_t n)
{
    char text[32];
    int x = 10;
    look(A_BOLD);
    mvaddstr(y, 1, title);
    look(A_NORMAL);
    for (size_t i = 0; i < n; i++)
        put_pair(y, &x, f[i].label, cli_count(text, f[i].value), f[i].attribute);
}

static void draw_counts(const struct lk_cache_stat *s, int y)
{
    attr_t bad = s->shards_dead > 0 ? colour(COLOUR_BAD) : A_NORMAL;
    attr_t warn = s->backstops > 0 ? colour(COLOUR_WARN) : A_NORMAL;
    const struct figure reads[] = {
        {"entries", s->entries, 0}, {"hits", s->hits, 0},        {"misses", s->misses, 0},
        {"leases", s->leases, 0},   {"held", s->leases_held, 0}, {"waits", s->lease_waits, 0},
    };
    const struct figure changes[] = {
        {"sets", s->sets, 0},           {"deletes", s->deletes, 0},
        {"evicted", s->evictions, 0},   {"expired", s->expirations, 0},
        {"promoted", s->promotions, 0}, {"index full", s->index_full, 0},
    };
    const struct figure locks[] = {
        {"shards", s->shards, 0},          {"locked", s->shards_locked, 0},
        {"orphaned", s->shards_dead, bad}, {"waits", s->lock_waits, 0},
        {"backstops", s->backstops, warn},
    };
    const struct figure life[] = {
        {"threads", s->threads, 0},   {"slots", s->threads_max, 0},
        {"dead", s->threads_dead, 0}, {"deaths in a lock", s->deaths, 0},
        {"repairs", s->repairs, 0},   {"leases of the dead", s->lease_deaths, 0},
    };
#define FIGURES(a) (a), sizeof(a) / sizeof(a)[0]
    draw_figures(y, "reads", FIGURES(reads));
    draw_figures(y + 1, "changes", FIGURES(changes));
    draw_figures(y + 2, "locks", FIGURES(locks));
    draw_figures(y + 3, "life", FIGURES(life));
#undef FIGURES
}

static void draw_panel(const struct view *v, int y)
{
    const struct top_row *r = v->top->rows[v->chosen];
    mvhline(y, 0, ACS_HLINE, COLS);
    look(A_BOLD);
    mvprintw(y, 2, " %.*s ", COLS > 8 ? COLS - 8 : 0, r->shown);
    look(A_NORMAL);
    if (r->kind == TOP_BROKEN) {
        mvprintw(y + 1, 1, "cannot be opened: %s", lk_strerror(r->rc));
    } else if (r->kind == TOP_MEMORY) {
        mvprintw(y + 1, 1, "plain memory of a program: no figures in it");
    } else {
        look(A_BOLD);
        mvaddstr(y + 1, 1, "get/s");
        mvaddstr(y + 2, 1, "used");
        look(A_NORMAL);
        draw_history(v, r, y + 1, 10);
        draw_bar(r, y + 2, 10);
        draw_counts(&r->now, y + 3);
    }
}

static void draw(struct view *v)
{
    char header[1024] = " ";
    bool panel = LINES >= PANEL_FROM_LINES && v->top->count > 0;
    int rows_end = LINES - 1 - (panel ? PANEL_LINES : 0);
    erase();
    draw_title(v);
    draw_totals(v);
    top_header_text(header + 1, sizeof header - 1, COLS > 2 ? (unsigned)COLS - 2 : 0);
    put_line(3, A_BOLD | A_UNDERLINE, header);
    draw_rows(v, 4, rows_end);
    if (panel)
        draw_panel(v, rows_end);
    look(A_DIM);
    mvaddnstr(LINES - 1, 1, "q quit  up/down choose  s sort  +/- interval  space refresh",
              COLS - 2);
    look(A_NORMAL);
    refresh();
}

/* After sampling and sorting the chosen segment may stand elsewhere, or be gone. */
static void follow_chosen(struct view *v)
{
    for (size_t i = 0; i < v->top->count; i++)
        if (strcmp(v->top->rows[i]->name, v->chosen_name) == 0)
            v->chosen = i;
    if (v->chosen >= v->top->count)
        v->chosen = v->top->count > 0 ? v->top->count - 1 : 0;
}

static void choose(struct view *v, size_t row)
{
    if (v->top->count == 0)
        return;
    v->chosen = row < v->top->count ? row : v->top->count - 1;
    snprintf(v->chosen_name, sizeof v->chosen_name, "%s", v->top->rows[v->chosen]->name);
}

/* What a key does; true if a new sample is due at once. */
static bool on_key(struct view *v, int key)
{
    size_t page = LINES > 14 ? (size_t)LINES - 14 : 1;
    uint64_t *interval = &v->top->interval_ns;
    switch (key) {
    case KEY_UP:
    case 'k':
        choose(v, v->chosen > 0 ? v->chosen - 1 : 0);
        return false;
    case KEY_DOWN:
    case 'j':
        choose(v, v->chosen + 1);
        return false;
    case KEY_PPAGE:
        choose(v, v->chosen > page ? v->chosen - page : 0);
        return false;
    case KEY_NPAGE:
        choose(v, v->chosen + page);
        return false;
    case KEY_HOME:
        choose(v, 0);
        return false;
    case KEY_END:
        choose(v, SIZE_MAX);
        return false;
    case '+':
        *interval = *interval * 2 < INTERVAL_MAX_NS ? *interval * 2 : INTERVAL_MAX_NS;
        break;
    case '-':
        *interval = *interval / 2 > INTERVAL_MIN_NS ? *interval / 2 : INTERVAL_MIN_NS;
        break;
    case 's':
        choose(v, v->chosen);
        v->order = (v->order + 1) % TOP_ORDERS;
        top_sort(v->top, v->order);
        follow_chosen(v);
        break;
    default:
        return key == ' ';
    }
    return false;
}

/* Keys until the next sample is due; false: quit. */
static bool keys_until(struct view *v, uint64_t begun_ns)
{
    for (;;) {
        uint64_t now = cli_now_ns(), due = begun_ns + v->top->interval_ns;
        if (cli_stop || now >= due)
            return !cli_stop;
        timeout((int)((due - now) / 1000000u) + 1);
        int key = getch();
        if (key == 'q' || key == 'Q' || cli_stop)
            return false;
        if (key == ERR && cli_now_ns() < due) /* no terminal any more: do not spin */
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        if (key != ERR && on_key(v, key))
            return true;
        if (key != ERR)
            draw(v);
    }
}

static void begin_screen(void)
{
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(COLOUR_BAD, COLOR_RED, -1);
        init_pair(COLOUR_WARN, COLOR_YELLOW, -1);
        init_pair(COLOUR_GOOD, COLOR_GREEN, -1);
    }
}

int top_screen(struct top *t)
{
    struct view v = {.top = t};
    setlocale(LC_CTYPE, "");
    v.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    SCREEN *screen = top_terminal_known() ? newterm(NULL, stdout, stdin) : NULL;
    if (screen == NULL)
        return -1;
    begin_screen();
    bool going = true;
    while (going) {
        uint64_t begun = cli_now_ns();
        top_sample(t);
        top_sort(t, v.order);
        follow_chosen(&v);
        draw(&v);
        going = keys_until(&v, begun);
    }
    endwin();
    delscreen(screen);
    return cli_stop ? CLI_STOPPED : CLI_OK;
}
