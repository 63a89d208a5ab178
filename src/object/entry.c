/* entry.c - entries of trees that are objects.
 *
 * An entry's object stands for the entry in one leaf, which never changes: (class, leaf, key).
 * Views in which the entry lies in the same leaf find the same object in the database's table; each
 * view counts it once and lets it go when it ends.  The object counts its leaf, so the leaf's
 * number is nobody else's meanwhile; leaf and state are evicted and loaded independently. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "object/db.h"

/* gcc 12 does not see that what is allocated here is kept by the tables. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* What an object's class is here: its loader is ours, the rest is the caller's class's. */
struct lki_kind {
    struct lk_class class;
    const struct lk_class *given;
    struct lki_kind *next;
};

struct lki_entry {
    lk_object object;
    struct lki_entry *next; /* in the table */
    struct lki_kind *kind;
    struct lki_ref *leaf;
    uint32_t views; /* under entries->mu */
    char *tree;
    size_t size;
    unsigned char key[];
};

enum { FIRST_BUCKETS = 256, FIRST_HELD = 64 };

static uint64_t hash_of(const struct lki_kind *kind, const struct lki_ref *leaf,
                        struct lk_bytes key)
{
    uint64_t h = (uint64_t)(uintptr_t)kind ^ leaf->oid * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < key.size; i++)
        h = (h ^ ((const unsigned char *)key.at)[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static struct lk_bytes key_of(const struct lki_entry *e)
{
    return (struct lk_bytes){e->key, e->size};
}

/* Where it stands in the table, or would. */
static struct lki_entry **find(struct lki_entries *all, const struct lki_kind *kind,
                               const struct lki_ref *leaf, struct lk_bytes key)
{
    struct lki_entry **at = &all->bucket[hash_of(kind, leaf, key) & (all->buckets - 1)];
    while (*at != NULL && ((*at)->kind != kind || (*at)->leaf->oid != leaf->oid ||
                           lki_compare(key_of(*at), key) != 0))
        at = &(*at)->next;
    return at;
}

/* Room for one more; a table that cannot grow is a slow one, but for the first. */
static bool make_room(struct lki_entries *all)
{
    if (all->bucket != NULL && all->n < all->buckets)
        return true;
    size_t before = all->buckets, buckets = before == 0 ? FIRST_BUCKETS : before * 4;
    struct lki_entry **old = all->bucket, **wide = calloc(buckets, sizeof(struct lki_entry *));
    if (wide == NULL)
        return old != NULL;
    all->bucket = wide;
    all->buckets = buckets;
    for (size_t i = 0; i < before; i++)
        while (old[i] != NULL) {
            struct lki_entry *e = old[i], **at;
            old[i] = e->next;
            at = find(all, e->kind, e->leaf, key_of(e));
            e->next = *at;
            *at = e;
        }
    free(old);
    return true;
}

/* Build the state from the entry in its leaf.  `arg`: the view that it is used in. */
static int load_entry(lk_object *o, void *arg, void **state, size_t *bytes)
{
    struct lki_entry *e = (struct lki_entry *)(void *)o;
    lk_view *v = arg;
    struct lki_source source = lki_view_source(v);
    void *leaf;
    bool equal;
    int rc = lk_object_use(source.nodes->heap, &e->leaf->object, &source, &leaf);
    if (rc != 0)
        return rc;
    const struct lki_node *n = leaf;
    uint32_t at = lki_node_search(n, key_of(e), &equal);
    if (!equal)
        return lki_fail(LK_ECORRUPT, "node %llx has lost a key", (unsigned long long)e->leaf->oid);
    struct lk_entry entry = {v, e->tree, key_of(e), lki_node_value(n, at)};
    *state = NULL;
    rc = e->kind->given->load(o, &entry, state, bytes);
    return rc == 0 && *state == NULL ? EINVAL : rc;
}

/* all->mu is held.  NULL: out of memory. */
static struct lki_kind *kind_of(struct lki_entries *all, const struct lk_class *given)
{
    struct lki_kind *k = all->kinds;
    while (k != NULL && k->given != given)
        k = k->next;
    if (k == NULL && (k = malloc(sizeof *k)) != NULL) {
        *k = (struct lki_kind){*given, given, all->kinds};
        k->class.load = load_entry;
        all->kinds = k;
    }
    return k;
}

static struct lki_entry *entry_new(struct lki_kind *kind, struct lki_ref *leaf, const char *tree,
                                   struct lk_bytes key)
{
    size_t name = strlen(tree) + 1;
    struct lki_entry *e = calloc(1, sizeof *e + key.size + name);
    if (e == NULL)
        return NULL;
    e->object.class_ = &kind->class;
    e->kind = kind;
    e->leaf = leaf;
    e->size = key.size;
    if (key.size > 0)
        memcpy(e->key, key.at, key.size);
    e->tree = (char *)e->key + key.size;
    memcpy(e->tree, tree, name);
    lki_ref_keep(leaf);
    return e;
}

/* ---- what a view holds ---------------------------------------------------------------------- */

/* Where `e` stands in the view's table, or would. */
static size_t place_of(const lk_view *v, const struct lki_entry *e)
{
    size_t at = (size_t)((uintptr_t)e >> 4) * 31;
    for (at &= v->held_room - 1; v->held[at] != NULL && v->held[at] != e;)
        at = (at + 1) & (v->held_room - 1);
    return at;
}

static bool widen(lk_view *v)
{
    size_t before = v->held_room, room = before == 0 ? FIRST_HELD : before * 2;
    struct lki_entry **old = v->held, **wide = calloc(room, sizeof(struct lki_entry *));
    if (wide == NULL)
        return false;
    v->held = wide;
    v->held_room = room;
    for (size_t i = 0; i < before; i++)
        if (old[i] != NULL)
            v->held[place_of(v, old[i])] = old[i];
    free(old);
    return true;
}

/* The view counts `e` if it did not yet; v->mu and the table's lock are held. */
static bool hold(lk_view *v, struct lki_entry *e)
{
    if (v->held_n * 2 >= v->held_room && !widen(v))
        return false;
    size_t at = place_of(v, e);
    if (v->held[at] == NULL) {
        v->held[at] = e;
        v->held_n++;
        e->views++;
    }
    return true;
}

/* Nobody counts it, and it is out of the table. */
static void bury(lk_db *db, struct lki_entry *e)
{
    lk_object_drop(db->nodes.heap, &e->object);
    lki_ref_drop(e->leaf);
    free(e);
}

/* Out of the table if no view counts it; all->mu is held. */
static bool unlist(struct lki_entries *all, struct lki_entry *e)
{
    if (e->views != 0)
        return false;
    *find(all, e->kind, e->leaf, key_of(e)) = e->next;
    all->n--;
    return true;
}

void lki_entries_let_go(lk_view *v)
{
    struct lki_entries *all = &v->db->entries;
    for (size_t i = 0; i < v->held_room; i++) {
        struct lki_entry *e = v->held[i];
        if (e == NULL)
            continue;
        lk_mutex_lock(&all->mu);
        e->views--;
        bool last = unlist(all, e);
        lk_mutex_unlock(&all->mu);
        if (last)
            bury(v->db, e);
    }
    free(v->held);
    v->held = NULL;
}

void lki_entries_destroy(lk_db *db)
{
    while (db->entries.kinds != NULL) {
        struct lki_kind *k = db->entries.kinds;
        db->entries.kinds = k->next;
        free(k);
    }
    free(db->entries.bucket);
}

/* The object of an entry in `leaf`, counted by the view. */
static int get_entry(lk_view *v, struct lki_ref *leaf, const char *tree, struct lk_bytes key,
                     const struct lk_class *given, lk_object **object)
{
    struct lki_entries *all = &v->db->entries;
    struct lki_entry *e = NULL;
    lk_mutex_lock(&v->mu);
    lk_mutex_lock(&all->mu);
    struct lki_kind *kind = kind_of(all, given);
    if (kind != NULL && make_room(all)) {
        struct lki_entry **at = find(all, kind, leaf, key);
        if (*at == NULL && (*at = entry_new(kind, leaf, tree, key)) != NULL)
            all->n++;
        e = *at;
    }
    bool held = e != NULL && hold(v, e), unused = e != NULL && !held && unlist(all, e);
    lk_mutex_unlock(&all->mu);
    lk_mutex_unlock(&v->mu);
    if (unused)
        bury(v->db, e);
    if (!held)
        return ENOMEM;
    *object = &e->object;
    return 0;
}

int lk_view_object(lk_view *v, const char *name, struct lk_bytes key, const struct lk_class *given,
                   lk_object **object)
{
    struct lki_path path;
    lk_tree *t;
    bool equal = false;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_view_tree(v, name, &t);
    if (rc == 0)
        rc = lki_descend(t, key, &path, &equal);
    if (rc == 0)
        rc = equal ? get_entry(v, path.step[path.depth - 1].ref, name, key, given, object) : ENOENT;
    lk_section_end();
    return rc;
}

/* ---- what they refer to --------------------------------------------------------------------- */

/* Objects that are to be loaded, then those that these refer to. */
struct fetch {
    lk_view *v;
    lk_object **object;
    size_t n, room;
};

static int fetch_add(void *arg, const char *tree, struct lk_bytes key, const struct lk_class *class)
{
    struct fetch *f = arg;
    if (f->n == f->room) {
        size_t room = f->room * 2 + 64;
        lk_object **more = realloc(f->object, room * sizeof *more);
        if (more == NULL)
            return ENOMEM;
        f->object = more;
        f->room = room;
    }
    int rc = lk_view_object(f->v, tree, key, class, &f->object[f->n]);
    f->n += rc == 0;
    return rc == ENOENT ? 0 : rc;
}

/* Load those from `begin` to `end`, and add what they refer to if it is asked for. */
static int fetch_step(struct fetch *f, size_t begin, size_t end, bool further)
{
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    for (size_t i = begin; i < end && rc == 0; i++) {
        void *state;
        const struct lki_entry *e = (const struct lki_entry *)(const void *)f->object[i];
        rc = lk_object_use(f->v->db->nodes.heap, f->object[i], f->v, &state);
        if (rc == 0 && further && e->kind->given->refs != NULL)
            rc = e->kind->given->refs(state, fetch_add, f);
    }
    lk_section_end();
    return rc;
}

/* The leaves of all keys, by one question for each level of the tree where the store can. */
static int fetch_leaves(lk_view *v, const char *tree, const struct lk_bytes *keys, size_t n)
{
    struct lk_range range = {.low = &keys[0], .high = &keys[0]};
    lk_tree *t;
    for (size_t i = 1; i < n; i++) {
        range.low = lki_compare(keys[i], *range.low) < 0 ? &keys[i] : range.low;
        range.high = lki_compare(keys[i], *range.high) > 0 ? &keys[i] : range.high;
    }
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_view_tree(v, tree, &t);
    uint64_t between = 0;
    if (rc == 0)
        rc = lk_tree_count(t, &range, &between);
    if (rc == 0 && between / 4 <= n) /* else most of what lies between would be loaded in vain */
        rc = lk_tree_prefetch(t, &range, NULL);
    lk_section_end();
    return rc;
}

int lk_view_prefetch(lk_view *v, const char *tree, const struct lk_bytes *keys, size_t n,
                     const struct lk_class *class, unsigned steps, uint64_t *loaded)
{
    struct fetch f = {.v = v};
    size_t done = 0;
    int rc = n > 0 ? fetch_leaves(v, tree, keys, n) : 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = fetch_add(&f, tree, keys[i], class);
    for (unsigned step = 0; rc == 0 && done < f.n; step++) {
        size_t end = f.n;
        rc = fetch_step(&f, done, end, step < steps);
        done = end;
    }
    free(f.object);
    if (rc == 0 && loaded != NULL)
        *loaded = done;
    return rc;
}

struct checked {
    lk_view *v;
    const char *tree;
    struct lk_bytes key;
};

static int check_ref(void *arg, const char *tree, struct lk_bytes key, const struct lk_class *class)
{
    const struct checked *c = arg;
    lk_object *o;
    int rc = lk_view_object(c->v, tree, key, class, &o);
    if (rc != ENOENT)
        return rc;
    return lki_fail(
        LK_ECORRUPT,
        "'%s': an entry with a key of %zu bytes refers to one of '%s' that is not there", c->tree,
        c->key.size, tree);
}

static int check_entry(lk_view *v, const char *tree, struct lk_bytes key,
                       const struct lk_class *class)
{
    lk_object *o;
    void *state;
    int rc = lk_view_object(v, tree, key, class, &o);
    if (rc == 0)
        rc = lk_object_use(v->db->nodes.heap, o, v, &state);
    if (rc != 0 && rc != ENOMEM && rc != LK_ECORRUPT)
        rc = lki_fail(LK_ECORRUPT, "'%s': an entry with a key of %zu bytes is no %s (%d)", tree,
                      key.size, class->name, rc);
    if (rc == 0 && class->refs != NULL)
        rc = class->refs(state, check_ref, &(struct checked){v, tree, key});
    return rc;
}

int lk_view_check_objects(lk_view *v, const char *tree, const struct lk_class *class, uint64_t *n)
{
    lk_cursor c;
    lk_tree *t;
    struct lk_bytes key;
    uint64_t objects = 0;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_view_tree(v, tree, &t);
    if (rc == 0 && (rc = lk_cursor_begin(&c, t, NULL, false)) == 0) {
        for (; (rc = lk_cursor_next(&c, &key, NULL)) == 0; objects++)
            if ((rc = check_entry(v, tree, key, class)) != 0)
                break;
        lk_cursor_end(&c);
        rc = rc == ENOENT ? 0 : rc;
    }
    lk_section_end();
    if (rc == 0 && n != NULL)
        *n = objects;
    return rc;
}
