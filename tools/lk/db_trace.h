/* db_trace.h - the text of the ordered-map oracle's traces (format 1): tokens and lists. */
#ifndef LK_DB_TRACE_H
#define LK_DB_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "latchkey/db.h"

enum { TRACE_TOKEN_MAX = 256 };

/* A file of lines, or one that gzip unpacks. */
struct trace_file {
    FILE *in;
    int child; /* of gzip; 0 = none */
};
/* False: errno says why. */
bool trace_open(struct trace_file *f, const char *path);
/* False if gzip failed. */
bool trace_close(struct trace_file *f);

/* Keys and values are 64-bit integers, or strings. */
enum trace_family { TRACE_INTEGERS, TRACE_STRINGS };

struct trace_bytes {
    unsigned char at[TRACE_TOKEN_MAX];
    size_t size;
};
struct lk_bytes trace_view(const struct trace_bytes *b);
/* A token as the bytes that are stored; false if it is none of the family. */
bool trace_read(enum trace_family family, const char *token, struct trace_bytes *out);
/* Stored bytes as a token, appended to text. */
void trace_write(FILE *text, enum trace_family family, struct lk_bytes bytes);
int64_t trace_integer(struct lk_bytes bytes);

/* A list that is being collected. */
struct trace_list {
    char *text; /* tokens, a blank behind each */
    size_t size;
    FILE *to;
    uint64_t items;
};
bool trace_list_begin(struct trace_list *l);
/* Append one item: a key, and a value if it is not NULL. */
void trace_list_add(struct trace_list *l, enum trace_family family, struct lk_bytes key,
                    const struct lk_bytes *value);
/* Append a token as it stands. */
void trace_list_token(struct trace_list *l, const char *token);
/* Write "[n] ..." or "{n} hash first last" to `to`, and free it. */
void trace_list_end(struct trace_list *l, FILE *to);

#endif
