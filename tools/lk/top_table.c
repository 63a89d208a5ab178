/* top_table.c - lk top as text and as JSON: one table of columns for both views. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "cache_cmd.h"
#include "top.h"

const char *top_rate_text(char buf[32], double rate)
{
    static const char units[] = " kMGT";
    size_t unit = 0;
    if (rate < 0)
        return strcpy(buf, "-");
    for (; rate >= 999.5 && unit < 4; unit++)
        rate /= 1000;
    if (unit == 0)
        snprintf(buf, 32, "%.0f", rate);
    else
        snprintf(buf, 32, rate < 99.95 ? "%.1f%c" : "%.0f%c", rate, units[unit]);
    return buf;
}

typedef const char *column_fn(const struct top_row *r, char buf[32]);

static const char *gets_text(const struct top_row *r, char buf[32])
{
    return top_rate_text(buf, top_gets(r));
}

static const char *sets_text(const struct top_row *r, char buf[32])
{
    return top_rate_text(buf, top_sets(r));
}

static const char *evicts_text(const struct top_row *r, char buf[32])
{
    return top_rate_text(buf, top_rate(r, r->now.evictions, r->before.evictions));
}

static const char *hit_text(const struct top_row *r, char buf[32])
{
    double ratio = top_hit_ratio(r);
    if (ratio < 0)
        return "-";
    snprintf(buf, 32, "%.1f%%", 100 * ratio);
    return buf;
}

static const char *used_text(const struct top_row *r, char buf[32])
{
    return r->kind == TOP_CACHE ? cli_size(buf, r->now.used_bytes) : "-";
}

static const char *size_text(const struct top_row *r, char buf[32])
{
    return cli_size(buf, r->kind == TOP_CACHE ? r->now.capacity_bytes : r->bytes);
}

static const char *count_text(const struct top_row *r, char buf[32], uint64_t n)
{
    return r->kind == TOP_CACHE ? cli_count(buf, n) : "-";
}

#define COUNT_COLUMN(field)                                                                        \
    static const char *field##_text(const struct top_row *r, char buf[32])                         \
    {                                                                                              \
        return count_text(r, buf, r->now.field);                                                   \
    }
COUNT_COLUMN(entries)
COUNT_COLUMN(threads)
COUNT_COLUMN(threads_dead)
COUNT_COLUMN(shards_locked)
COUNT_COLUMN(shards_dead)
COUNT_COLUMN(deaths)
COUNT_COLUMN(repairs)
COUNT_COLUMN(backstops)

/* In the order of the screen; rank says which stay when the terminal is narrow (1 = longest). */
static const struct column {
    const char *title;
    unsigned width, rank;
    column_fn *text;
} columns[] = {
    {"GET/S", 6, 1, gets_text},
    {"SET/S", 6, 2, sets_text},
    {"HIT", 6, 3, hit_text},
    {"EVICT/S", 7, 11, evicts_text},
    {"ENTRIES", 10, 10, entries_text},
    {"USED", 8, 4, used_text},
    {"OF", 8, 5, size_text},
    {"THREADS", 7, 6, threads_text},
    {"DEAD", 4, 12, threads_dead_text},    /* threads that died, slot not yet reused */
    {"LOCKED", 6, 13, shards_locked_text}, /* shards */
    {"ORPHAN", 6, 8, shards_dead_text},    /* shards whose holder is dead */
    {"DEATHS", 6, 7, deaths_text},
    {"REPAIRS", 7, 9, repairs_text},
    {"BACKSTOPS", 9, 14, backstops_text},
};
#define N_COLUMNS (sizeof columns / sizeof columns[0])
#define NAME_MIN 12u
#define NAME_MAX_WIDTH 24u

/* The rank up to which columns fit into width, and what is left for the name. */
static unsigned fitting_rank(unsigned width, unsigned *name_width)
{
    unsigned rank = 0, used = NAME_MIN;
    for (unsigned next = 1; next <= N_COLUMNS; next++) {
        for (size_t i = 0; i < N_COLUMNS; i++)
            if (columns[i].rank == next)
                used += columns[i].width + 2;
        if (used > width)
            break;
        rank = next;
        *name_width = width - used + NAME_MIN;
    }
    if (rank == 0)
        *name_width = width;
    else if (*name_width > NAME_MAX_WIDTH)
        *name_width = NAME_MAX_WIDTH;
    return rank;
}

/* How many bytes of a UTF-8 name make at most `width` characters; *shown says how many they are. */
static int name_bytes(const char *name, unsigned width, unsigned *shown)
{
    int n = 0;
    for (*shown = 0; name[n] != '\0' && *shown < width; (*shown)++)
        do
            n++;
        while ((name[n] & 0xc0) == 0x80);
    return n;
}

static size_t put_name(const char *name, unsigned width, char *out, size_t capacity)
{
    unsigned shown;
    int bytes = name_bytes(name, width, &shown);
    int n = snprintf(out, capacity, "%.*s%*s", bytes, name, (int)(width - shown), "");
    return (size_t)n < capacity ? (size_t)n : capacity - 1;
}

void top_header_text(char *out, size_t capacity, unsigned width)
{
    unsigned name_width;
    unsigned rank = fitting_rank(width, &name_width);
    size_t used = put_name("SEGMENT", name_width, out, capacity);
    for (size_t i = 0; i < N_COLUMNS && used < capacity; i++)
        if (columns[i].rank <= rank)
            used += (size_t)snprintf(out + used, capacity - used, "  %*s", (int)columns[i].width,
                                     columns[i].title);
}

void top_row_text(const struct top_row *r, char *out, size_t capacity, unsigned width)
{
    unsigned name_width;
    unsigned rank = fitting_rank(width, &name_width);
    size_t used = put_name(r->shown, name_width, out, capacity);
    if (r->kind == TOP_BROKEN) {
        snprintf(out + used, capacity - used, "  %.*s",
                 width > name_width + 2 ? (int)(width - name_width - 2) : 0, lk_strerror(r->rc));
        return;
    }
    char buf[32];
    for (size_t i = 0; i < N_COLUMNS && used < capacity; i++)
        if (columns[i].rank <= rank)
            used += (size_t)snprintf(out + used, capacity - used, "  %*s", (int)columns[i].width,
                                     columns[i].text(r, buf));
}

void top_print(const struct top *t, unsigned width)
{
    char line[1024];
    if (t->count == 0) {
        printf("no segments in %s\n", t->directory);
    } else {
        top_header_text(line, sizeof line, width);
        printf("%s\n", line);
    }
    for (size_t i = 0; i < t->count; i++) {
        top_row_text(t->rows[i], line, sizeof line, width);
        printf("%s\n", line);
    }
    fflush(stdout);
}

static json_t *rate_json(double rate)
{
    return rate < 0 ? json_null() : json_real(rate);
}

static json_t *row_json(const struct top_row *r)
{
    static const char *const kinds[] = {"cache", "memory", "error"};
    json_t *row = json_object();
    cli_json_set_bytes(row, "name", r->name, strlen(r->name));
    json_object_set_new(row, "kind", json_string(kinds[r->kind]));
    if (r->kind == TOP_BROKEN)
        json_object_set_new(row, "error", json_string(lk_strerror(r->rc)));
    if (r->kind == TOP_MEMORY)
        json_object_set_new(row, "size_bytes", json_integer((json_int_t)r->bytes));
    if (r->kind == TOP_CACHE) {
        json_object_set_new(row, "gets_per_s", rate_json(top_gets(r)));
        json_object_set_new(row, "sets_per_s", rate_json(top_sets(r)));
        json_object_set_new(row, "evictions_per_s",
                            rate_json(top_rate(r, r->now.evictions, r->before.evictions)));
        json_object_set_new(row, "hit_ratio", rate_json(top_hit_ratio(r)));
        json_object_set_new(row, "stat", cache_stat_json(&r->now));
    }
    return row;
}

void top_print_json(const struct top *t)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    json_t *rows = json_array();
    for (size_t i = 0; i < t->count; i++)
        json_array_append_new(rows, row_json(t->rows[i]));
    json_t *root = json_object();
    json_int_t time_ms = (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    json_object_set_new(root, "time_ms", json_integer(time_ms));
    json_object_set_new(root, "interval_s", json_real((double)t->interval_ns / 1e9));
    json_object_set_new(root, "directory", json_string(t->directory));
    json_object_set_new(root, "segments", rows);
    cli_json_line(root);
}
