/* top_sample.c - lk top: who is there, and their figures.  Attaches read-only: disturbs nobody. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "top.h"

bool top_begin(struct top *t)
{
    *t = (struct top){.interval_ns = 1000000000u};
    int rc = lk_seg_directory(t->directory, sizeof t->directory);
    if (rc != 0)
        cli_fail_rc("directory of segments", rc);
    return rc == 0;
}

static void row_free(struct top_row *r)
{
    lk_cache_close(r->c);
    free(r);
}

void top_end(struct top *t)
{
    for (size_t i = 0; i < t->count; i++)
        row_free(t->rows[i]);
    free(t->rows);
    t->rows = NULL;
    t->count = t->room = 0;
}

static struct top_row *find_row(const struct top *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i]->name, name) == 0)
            return t->rows[i];
    return NULL;
}

static struct top_row *add_row(struct top *t, const char *name)
{
    if (t->count == t->room) {
        size_t room = t->room > 0 ? 2 * t->room : 16;
        struct top_row **rows = realloc(t->rows, room * sizeof *rows);
        if (rows == NULL)
            return NULL;
        t->rows = rows;
        t->room = room;
    }
    struct top_row *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    snprintf(r->name, sizeof r->name, "%s", name);
    char *escaped = cli_escaped(name, strlen(name));
    snprintf(r->shown, sizeof r->shown, "%s", escaped != NULL ? escaped : "?");
    free(escaped);
    t->rows[t->count++] = r;
    return r;
}

/* A name that leads to another file now is another segment: forget the old one. */
static void check_identity(const struct top *t, struct top_row *r)
{
    char path[sizeof t->directory + LK_SEG_NAME_MAX + 2];
    struct stat file;
    snprintf(path, sizeof path, "%s/%s", t->directory, r->name);
    if (lstat(path, &file) != 0 || (r->device == file.st_dev && r->inode == file.st_ino))
        return;
    lk_cache_close(r->c);
    r->c = NULL;
    r->device = file.st_dev;
    r->inode = file.st_ino;
    r->now_ns = r->before_ns = 0;
    r->history_count = 0;
}

static void attach(struct top_row *r)
{
    r->rc = lk_cache_open(&r->c, r->name, &(struct lk_cache_options){.flags = LK_CACHE_READ_ONLY});
    r->kind = TOP_CACHE;
    if (r->rc == 0)
        return;
    r->c = NULL;
    r->kind = TOP_BROKEN;
    lk_seg *seg;
    if (r->rc != LK_EKIND || (r->rc = lk_seg_open(&seg, r->name)) != 0)
        return;
    r->kind = TOP_MEMORY;
    r->bytes = lk_seg_size(seg);
    lk_seg_close(seg);
}

static void add_history(struct top_row *r, double gets)
{
    if (r->history_count == TOP_HISTORY) {
        memmove(r->history, r->history + 1, (TOP_HISTORY - 1) * sizeof *r->history);
        r->history_count--;
    }
    r->history[r->history_count++] = gets;
}

static int sample_one(const char *name, void *arg)
{
    struct top *t = arg;
    struct top_row *r = find_row(t, name);
    if (r == NULL && (r = add_row(t, name)) == NULL)
        return 0; /* out of memory: the row is missing this time */
    check_identity(t, r);
    r->seen = true;
    if (r->c == NULL)
        attach(r);
    if (r->c == NULL)
        return 0;
    r->before = r->now;
    r->before_ns = r->now_ns;
    r->rc = lk_cache_stat(r->c, &r->now);
    r->kind = r->rc == 0 ? TOP_CACHE : TOP_BROKEN;
    r->now_ns = r->rc == 0 ? cli_now_ns() : 0;
    double gets = top_gets(r);
    if (gets >= 0)
        add_history(r, gets);
    return 0;
}

void top_sample(struct top *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->rows[i]->seen = false;
    t->rc = lk_seg_each_name(sample_one, t);
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->rows[i]->seen)
            t->rows[kept++] = t->rows[i];
        else
            row_free(t->rows[i]);
    }
    t->count = kept;
}

double top_rate(const struct top_row *r, uint64_t now, uint64_t before)
{
    if (r->kind != TOP_CACHE || r->before_ns == 0 || r->now_ns <= r->before_ns)
        return -1;
    /* counters are read one by one while others add: a sum may seem to fall */
    uint64_t count = now > before ? now - before : 0;
    return (double)count * 1e9 / (double)(r->now_ns - r->before_ns);
}

double top_gets(const struct top_row *r)
{
    return top_rate(r, r->now.hits + r->now.misses, r->before.hits + r->before.misses);
}

double top_sets(const struct top_row *r)
{
    return top_rate(r, r->now.sets, r->before.sets);
}

double top_hit_ratio(const struct top_row *r)
{
    double hits = top_rate(r, r->now.hits, r->before.hits), gets = top_gets(r);
    if (gets <= 0)
        return -1;
    return hits < gets ? hits / gets : 1;
}

static double sort_key(const struct top_row *r, enum top_order order)
{
    switch (order) {
    case TOP_BY_GETS:
        return top_gets(r);
    case TOP_BY_SETS:
        return top_sets(r);
    case TOP_BY_USED:
        return r->kind == TOP_CACHE ? (double)r->now.used_bytes : (double)r->bytes;
    default:
        return 0;
    }
}

void top_sort(struct top *t, enum top_order order)
{
    for (size_t i = 1; i < t->count; i++) { /* few rows, nearly sorted: by insertion */
        struct top_row *r = t->rows[i];
        double key = sort_key(r, order);
        size_t at = i;
        for (; at > 0; at--) {
            const struct top_row *p = t->rows[at - 1];
            double other = sort_key(p, order);
            if (other > key || (other >= key && strcmp(p->name, r->name) < 0))
                break;
            t->rows[at] = t->rows[at - 1];
        }
        t->rows[at] = r;
    }
}
