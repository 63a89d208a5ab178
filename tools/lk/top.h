/* top.h - what the parts of lk top share: samples of all segments of the user. */
#ifndef LK_TOP_H
#define LK_TOP_H

#include <sys/types.h>

#include "cli.h"
#include "latchkey/latchkey.h"

#define TOP_HISTORY 120

enum top_kind { TOP_CACHE, TOP_MEMORY, TOP_BROKEN };

/* One segment and its last two samples. */
struct top_row {
    char name[LK_SEG_NAME_MAX + 1];
    char shown[4 * LK_SEG_NAME_MAX + 1]; /* the name with nothing in it that moves a cursor */
    enum top_kind kind;
    int rc;      /* why it is TOP_BROKEN */
    lk_cache *c; /* attached read-only while the name leads to the same file */
    dev_t device;
    ino_t inode;
    uint64_t bytes; /* TOP_MEMORY: of the user's memory */
    struct lk_cache_stat now, before;
    uint64_t now_ns, before_ns;  /* 0: no such sample yet */
    double history[TOP_HISTORY]; /* gets per second, newest last */
    size_t history_count;
    bool seen;
};

struct top {
    struct top_row **rows; /* ordered by top_sort() */
    size_t count, room;
    char directory[4096];
    uint64_t interval_ns;
    int rc; /* of listing the directory */
};

enum top_order { TOP_BY_NAME, TOP_BY_GETS, TOP_BY_SETS, TOP_BY_USED, TOP_ORDERS };

/* top_sample.c */
bool top_begin(struct top *t);
void top_end(struct top *t);
void top_sample(struct top *t);
void top_sort(struct top *t, enum top_order order);
/* What happened between the last two samples, per second; a negative number: not known yet. */
double top_rate(const struct top_row *r, uint64_t now, uint64_t before);
double top_gets(const struct top_row *r);
double top_sets(const struct top_row *r);
double top_hit_ratio(const struct top_row *r); /* of the interval, 0..1 */

/* top_table.c: the columns that fit into `width` columns of text. */
void top_header_text(char *out, size_t capacity, unsigned width);
void top_row_text(const struct top_row *r, char *out, size_t capacity, unsigned width);
void top_print(const struct top *t, unsigned width);
void top_print_json(const struct top *t);
/* "1.25M", "512": a rate in five columns; "-" for a negative one. */
const char *top_rate_text(char buf[32], double rate);

/* top_screen.c: the live view until q (CLI_OK) or a signal (CLI_STOPPED); -1: no such terminal. */
int top_screen(struct top *t);

/* top_terminal.c: does ncurses know $TERM?  (newterm() leaks when it does not.) */
bool top_terminal_known(void);

#endif
