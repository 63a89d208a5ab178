/* set.c - unions, intersections and differences of trees, one entry at a time; order by value. */
#include <errno.h>
#include <stdlib.h>

#include "object/tree.h"

struct member {
    lk_cursor cursor;
    struct lk_bytes key, value;
    bool there; /* key and value are those of its next entry */
};

struct lk_set {
    enum lk_set_kind kind;
    size_t n;
    struct member member[];
};

static int advance(struct member *m)
{
    int rc = lk_cursor_next(&m->cursor, &m->key, &m->value);
    m->there = rc == 0;
    return rc == ENOENT ? 0 : rc;
}

int lk_set_begin(lk_set **set, enum lk_set_kind kind, lk_tree *const *trees, size_t n)
{
    if (kind > LK_SET_DIFFERENCE || (kind == LK_SET_DIFFERENCE && n == 0))
        return EINVAL;
    lk_set *s = calloc(1, sizeof *s + n * sizeof(struct member));
    if (s == NULL)
        return ENOMEM;
    int rc = lki_in_section();
    s->kind = kind;
    for (; s->n < n && rc == 0; s->n++) {
        rc = lk_cursor_begin(&s->member[s->n].cursor, trees[s->n], NULL, false);
        if (rc == 0)
            rc = advance(&s->member[s->n]);
    }
    if (rc != 0)
        lk_set_end(s);
    else
        *set = s;
    return rc;
}

void lk_set_end(lk_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        lk_cursor_end(&s->member[i].cursor);
    free(s);
}

/* The smallest key that any member stands at. */
static bool smallest(const lk_set *s, struct lk_bytes *key)
{
    bool found = false;
    for (size_t i = 0; i < s->n; i++)
        if (s->member[i].there && (!found || lki_compare(s->member[i].key, *key) < 0)) {
            *key = s->member[i].key;
            found = true;
        }
    return found;
}

static bool has(const struct member *m, struct lk_bytes key)
{
    return m->there && lki_compare(m->key, key) == 0;
}

static bool belongs(const lk_set *s, struct lk_bytes key)
{
    size_t with = 0;
    for (size_t i = 0; i < s->n; i++)
        with += has(&s->member[i], key);
    switch (s->kind) {
    case LK_SET_UNION:
        return true;
    case LK_SET_INTERSECTION:
        return with == s->n;
    default:
        return with == 1 && has(&s->member[0], key);
    }
}

int lk_set_next(lk_set *s, struct lk_bytes *key, struct lk_bytes *values)
{
    struct lk_bytes k;
    while (smallest(s, &k)) {
        bool wanted = belongs(s, k);
        for (size_t i = 0; i < s->n; i++) {
            bool with = has(&s->member[i], k);
            if (wanted && values != NULL)
                values[i] = with ? s->member[i].value : (struct lk_bytes){NULL, 0};
            /* In a transaction a cursor's step keeps the nodes: k stays valid. */
            int rc = with ? advance(&s->member[i]) : 0;
            if (rc != 0)
                return rc;
        }
        if (wanted) {
            *key = k;
            return 0;
        }
    }
    return ENOENT;
}

struct pair {
    struct lk_bytes key, value;
};

static int larger_first(const void *x, const void *y)
{
    const struct pair *a = x, *b = y;
    int c = lki_compare(b->value, a->value);
    return c != 0 ? c : lki_compare(b->key, a->key);
}

static int collect(lk_tree *t, struct lk_bytes least, struct pair **pairs, size_t *n)
{
    lk_cursor c;
    struct pair p;
    size_t room = 0;
    int rc = lk_cursor_begin(&c, t, NULL, false);
    if (rc != 0)
        return rc;
    while ((rc = lk_cursor_next(&c, &p.key, &p.value)) == 0) {
        if (lki_compare(p.value, least) < 0)
            continue;
        if (*n == room) {
            room = room * 2 + 64;
            struct pair *more = realloc(*pairs, room * sizeof *more);
            if (more == NULL) {
                rc = ENOMEM;
                break;
            }
            *pairs = more;
        }
        (*pairs)[(*n)++] = p;
    }
    lk_cursor_end(&c);
    return rc == ENOENT ? 0 : rc;
}

int lk_tree_by_value(lk_tree *t, struct lk_bytes least,
                     int (*fn)(void *arg, struct lk_bytes key, struct lk_bytes value), void *arg)
{
    struct pair *pairs = NULL;
    size_t n = 0;
    int rc = collect(t, least, &pairs, &n);
    if (rc == 0 && n > 0)
        qsort(pairs, n, sizeof *pairs, larger_first);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = fn(arg, pairs[i].key, pairs[i].value);
    free(pairs);
    return rc;
}
