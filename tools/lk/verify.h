/* verify.h - what lk verify and lk repair share. */
#ifndef LK_VERIFY_H
#define LK_VERIFY_H

#include "cli.h"
#include "latchkey/latchkey.h"

/* The verdict on one segment. */
struct verify {
    const char *name;
    struct json_t *list; /* problems are collected here; NULL: printed at once */
    const char *kind;    /* "cache", "memory"; NULL: not opened */
    int rc;
    uint64_t problems;
    bool has_stat;
    struct lk_cache_stat stat;
};

void verify_segment(struct verify *v); /* opens v->name itself */
void verify_cache(struct verify *v, lk_cache *c);
int verify_code(const struct verify *v);      /* exit code */
void verify_print(const struct verify *v);    /* the summary */
struct json_t *verify_json(struct verify *v); /* takes v->list */

#endif
