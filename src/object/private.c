/* private.c - objects that a transaction changes: its own states, saved when it commits. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "object/db.h"

/* gcc 12 does not see that what is allocated here is kept by the table. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct lki_private {
    struct lki_private *next;
    lk_tree *tree;
    const struct lk_class *class;
    void *state;                 /* NULL: given up, or not there any more */
    struct lki_bytes_kept *kept; /* values that a merge has made */
    size_t size;
    unsigned char key[];
};

struct lki_bytes_kept {
    struct lki_bytes_kept *next;
    unsigned char at[];
};

enum { BUCKETS = 1024, FIRST_ROOM = 256 };

static struct lk_bytes key_of(const struct lki_private *p)
{
    return (struct lk_bytes){p->key, p->size};
}

/* Where it stands in the table, or would; x->privates is there. */
static struct lki_private **find(lk_txn *x, const lk_tree *t, struct lk_bytes key)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < key.size; i++)
        h = (h ^ ((const unsigned char *)key.at)[i]) * 16777619u;
    struct lki_private **at = &x->privates[(h ^ h >> 15) % BUCKETS];
    while (*at != NULL && ((*at)->tree != t || lki_compare(key_of(*at), key) != 0))
        at = &(*at)->next;
    return at;
}

/* The record of an object, made if there is none. */
static struct lki_private *get(lk_txn *x, lk_tree *t, struct lk_bytes key,
                               const struct lk_class *class)
{
    if (x->privates == NULL)
        x->privates = calloc(BUCKETS, sizeof(struct lki_private *));
    if (x->privates == NULL)
        return NULL;
    struct lki_private **at = find(x, t, key), *p = *at;
    if (p == NULL && (p = calloc(1, sizeof *p + key.size)) != NULL) {
        p->tree = t;
        p->size = key.size;
        if (key.size > 0)
            memcpy(p->key, key.at, key.size);
        *at = p;
    }
    if (p != NULL && p->state == NULL)
        p->class = class;
    return p;
}

static void drop_state(struct lki_private *p)
{
    if (p->state != NULL)
        p->class->free(p->state);
    p->state = NULL;
}

/* A state of one's own from an entry's value. */
static int load_value(lk_txn *x, const struct lki_private *p, const struct lk_bytes *value,
                      void **state)
{
    struct lk_entry entry = {x->base, p->tree->name, key_of(p), *value};
    size_t bytes;
    void *made = NULL;
    int rc = p->class->load(NULL, &entry, &made, &bytes);
    if (rc == 0 && made == NULL)
        rc = EINVAL;
    if (rc == 0)
        *state = made;
    return rc;
}

int lk_txn_object(lk_txn *x, lk_tree *t, struct lk_bytes key, const struct lk_class *class,
                  void **state)
{
    struct lk_bytes value;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    struct lki_private *p = get(x, t, key, class);
    rc = p == NULL ? ENOMEM : p->state != NULL && p->class != class ? EINVAL : 0;
    if (rc == 0 && p->state == NULL) {
        rc = lk_tree_get(t, key, &value);
        if (rc == 0)
            rc = load_value(x, p, &value, &p->state);
    }
    lk_section_end();
    if (rc == 0)
        *state = p->state;
    return rc;
}

/* Call the class's save with as much room as it wants.  *out is the caller's. */
static int save_value(const struct lki_private *p, struct lki_bytes_kept **out, size_t *size)
{
    if (p->class->save == NULL)
        return lki_fail(ENOTSUP, "objects of class %s are not saved", p->class->name);
    for (size_t room = FIRST_ROOM;; room = *size) {
        struct lki_bytes_kept *k = malloc(sizeof *k + room);
        if (k == NULL)
            return ENOMEM;
        int rc = p->class->save(p->state, k->at, room, size);
        if (rc == 0 && *size <= room) {
            *out = k;
            return 0;
        }
        free(k);
        if (rc != ENOBUFS || *size <= room || *size > LK_VALUE_MAX)
            return rc != 0 ? rc : EINVAL;
    }
}

/* What it was before is no change. */
static int save_one(const struct lki_private *p)
{
    struct lki_bytes_kept *k = NULL;
    struct lk_bytes value = {0}, now;
    int rc = save_value(p, &k, &value.size);
    if (rc != 0)
        return rc;
    value.at = k->at;
    rc = lk_tree_get(p->tree, key_of(p), &now);
    if (rc == ENOENT || (rc == 0 && lki_compare(now, value) != 0))
        rc = lk_tree_put(p->tree, key_of(p), value, NULL);
    free(k);
    return rc;
}

int lki_privates_save(lk_txn *x)
{
    if (x->privates == NULL)
        return 0;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < BUCKETS && rc == 0; i++)
        for (const struct lki_private *p = x->privates[i]; p != NULL && rc == 0; p = p->next)
            rc = p->state != NULL ? save_one(p) : 0;
    lk_section_end();
    return rc;
}

int lk_txn_save(lk_txn *x)
{
    return lki_privates_save(x);
}

int lk_txn_add_object(lk_txn *x, lk_tree *t, struct lk_bytes key, const struct lk_class *class,
                      void *state)
{
    struct lk_bytes value;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_tree_get(t, key, &value);
    lk_section_end();
    if (rc != ENOENT)
        return rc == 0 ? EEXIST : rc;
    struct lki_private *p = get(x, t, key, class);
    if (p == NULL || p->state != NULL)
        return p == NULL ? ENOMEM : EEXIST;
    p->state = state;
    return 0;
}

int lk_txn_drop_object(lk_txn *x, lk_tree *t, struct lk_bytes key)
{
    struct lki_private *p = x->privates != NULL ? *find(x, t, key) : NULL;
    if (p == NULL || p->state == NULL)
        return ENOENT;
    drop_state(p);
    return 0;
}

void lki_privates_drop(lk_txn *x, bool whole)
{
    for (size_t i = 0; i < BUCKETS && x->privates != NULL; i++)
        for (struct lki_private *p = x->privates[i], *next; p != NULL; p = next) {
            next = p->next;
            drop_state(p);
            while (whole && p->kept != NULL) {
                struct lki_bytes_kept *k = p->kept;
                p->kept = k->next;
                free(k);
            }
            if (whole)
                free(p);
        }
    if (whole)
        free(x->privates);
}

/* The class's merge on three states; the result is p's state. */
static int merge(lk_txn *x, struct lki_private *p, const struct lk_bytes *old,
                 const struct lk_bytes *theirs)
{
    void *before = NULL, *other = NULL;
    int rc = old != NULL ? load_value(x, p, old, &before) : 0;
    if (rc == 0 && theirs != NULL)
        rc = load_value(x, p, theirs, &other);
    if (rc == 0)
        rc = p->class->merge(before, other, p->state);
    if (before != NULL)
        p->class->free(before);
    if (other != NULL)
        p->class->free(other);
    return rc;
}

int lki_private_merge(lk_txn *x, lk_tree *t, struct lk_bytes key, const struct lk_bytes *old,
                      const struct lk_bytes *theirs, struct lk_bytes *out)
{
    struct lki_private *p = x->privates != NULL ? *find(x, t, key) : NULL;
    struct lki_bytes_kept *k = NULL;
    size_t size = 0;
    if (p == NULL || p->state == NULL || p->class->merge == NULL)
        return ENOENT;
    int rc = merge(x, p, old, theirs);
    if (rc == 0)
        rc = save_value(p, &k, &size);
    if (rc != 0)
        return rc;
    k->next = p->kept;
    p->kept = k;
    *out = (struct lk_bytes){k->at, size};
    return 0;
}
