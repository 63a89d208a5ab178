/* txn.c - transactions up to their commit. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "object/db.h"

enum { LEAF_MAX = 64, INNER_MAX = 128, NODE_MAX = 4096, NAME_BYTES = 255 };

int lk_txn_begin(lk_db *db, lk_txn **out)
{
    lk_txn *x = calloc(1, sizeof *x);
    if (x == NULL)
        return ENOMEM;
    x->db = db;
    int rc = lk_db_view(db, &x->base);
    if (rc != 0) {
        free(x);
        return rc;
    }
    x->edit = lki_edit_new(&db->nodes);
    *out = x;
    return 0;
}

lk_view *lk_txn_base(lk_txn *txn)
{
    return txn->base;
}

static bool sizes_of(const struct lk_tree_options *options, struct lk_tree_options *sizes)
{
    *sizes = (struct lk_tree_options){LEAF_MAX, INNER_MAX};
    if (options != NULL && options->leaf_max != 0)
        sizes->leaf_max = options->leaf_max;
    if (options != NULL && options->inner_max != 0)
        sizes->inner_max = options->inner_max;
    return sizes->leaf_max >= 2 && sizes->leaf_max <= NODE_MAX && sizes->inner_max >= 3 &&
           sizes->inner_max <= NODE_MAX;
}

int lk_txn_tree(lk_txn *x, const char *name, const struct lk_tree_options *options, lk_tree **tree)
{
    struct lki_source source = lki_view_source(x->base);
    struct lk_tree_options sizes;
    for (lk_tree *t = x->trees; t != NULL; t = t->next)
        if (strcmp(t->name, name) == 0) {
            *tree = t;
            return 0;
        }
    if (*name == '\0' || strlen(name) > NAME_BYTES || !sizes_of(options, &sizes))
        return EINVAL;
    lk_tree *t = NULL;
    int rc = lki_open_named(x->base->names, &source, name, &t);
    if (rc == ENOENT) {
        t = lki_tree_new(name, &source, NULL, 0, &sizes);
        rc = t != NULL ? 0 : ENOMEM;
        if (t != NULL)
            t->changed = true; /* even if it stays empty: its name is new */
    }
    if (rc != 0)
        return rc;
    t->edit = x->edit;
    t->base_root = t->root;
    t->base_entries = t->entries;
    if (t->root != NULL)
        lki_ref_keep(t->root);
    t->next = x->trees;
    x->trees = t;
    *tree = t;
    return 0;
}

/* From here on, nodes that are there are copied before they change. */
static void new_edit(lk_txn *x)
{
    x->edit = lki_edit_new(&x->db->nodes);
    for (lk_tree *t = x->trees; t != NULL; t = t->next)
        t->edit = x->edit;
}

static void free_savepoint(struct savepoint *s)
{
    for (size_t i = 0; i < s->n; i++)
        lki_ref_drop(s->tree[i].root);
    free(s->tree);
    free(s);
}

int lk_txn_savepoint(lk_txn *x, unsigned *mark)
{
    size_t n = 0;
    int rc = lki_privates_save(x);
    if (rc != 0)
        return rc;
    for (lk_tree *t = x->trees; t != NULL; t = t->next)
        n++;
    struct savepoint *s = calloc(1, sizeof *s);
    if (s == NULL || (s->tree = calloc(n + 1, sizeof *s->tree)) == NULL) {
        free(s);
        return ENOMEM;
    }
    for (lk_tree *t = x->trees; t != NULL; t = t->next) {
        s->tree[s->n++] =
            (struct saved_tree){t, t->root, t->entries, t->freed.n, t->changed, t->load};
        if (t->root != NULL)
            lki_ref_keep(t->root);
    }
    s->mark = ++x->marks;
    s->older = x->savepoints;
    x->savepoints = s;
    new_edit(x);
    *mark = s->mark;
    return 0;
}

static void restore(lk_tree *t, const struct saved_tree *to)
{
    if (to->root != NULL)
        lki_ref_keep(to->root);
    lki_ref_drop(t->root);
    t->root = to->root;
    t->entries = to->entries;
    t->freed.n = to->freed;
    t->changed = to->changed;
    t->load = to->load;
    t->broken = 0;
    t->changes++;
}

int lk_txn_rollback(lk_txn *x, unsigned mark)
{
    struct savepoint *s = x->savepoints;
    while (s != NULL && s->mark != mark)
        s = s->older;
    if (s == NULL)
        return EINVAL;
    while (x->savepoints != s) {
        struct savepoint *later = x->savepoints;
        x->savepoints = later->older;
        free_savepoint(later);
    }
    for (lk_tree *t = x->trees; t != NULL; t = t->next) {
        size_t i = 0;
        while (i < s->n && s->tree[i].tree != t)
            i++;
        restore(t, i < s->n
                       ? &s->tree[i]
                       : &(struct saved_tree){.root = t->base_root, .entries = t->base_entries});
    }
    lki_privates_drop(x, false);
    new_edit(x);
    return 0;
}

int lk_txn_require(lk_txn *x, lk_tree *t, struct lk_bytes key)
{
    if (key.size > LK_KEY_MAX)
        return EINVAL;
    struct required *r = malloc(sizeof *r + key.size);
    if (r == NULL)
        return ENOMEM;
    *r = (struct required){x->required, t, key.size};
    if (key.size > 0)
        memcpy(r->key, key.at, key.size);
    x->required = r;
    return 0;
}

int lk_txn_note(lk_txn *x, const char *text)
{
    size_t size = strlen(text);
    if (size > LKI_NOTE_MAX)
        return EINVAL;
    memcpy(x->note, text, size + 1);
    return 0;
}

void lk_txn_abort(lk_txn *x)
{
    if (x == NULL)
        return;
    while (x->savepoints != NULL) {
        struct savepoint *s = x->savepoints;
        x->savepoints = s->older;
        free_savepoint(s);
    }
    while (x->required != NULL) {
        struct required *r = x->required;
        x->required = r->next;
        free(r);
    }
    lki_privates_drop(x, true);
    while (x->trees != NULL) {
        lk_tree *t = x->trees;
        x->trees = t->next;
        lki_tree_free(t);
    }
    free(x->conflict_key);
    lk_view_end(x->base);
    free(x);
}

/* ---- who was in the way --------------------------------------------------------------------- */

/* Has `key` the value in the state behind `tid` that it had in the base?  *there: is the state? */
static int same_as_base(lk_txn *x, uint64_t tid, bool *same, bool *there)
{
    struct lk_bytes key = {x->conflict_key, x->conflict_size}, a, b;
    lk_view *v;
    lk_tree *old = NULL, *new = NULL;
    int rc = lk_db_view_at(x->db, tid, &v);
    *there = rc == 0;
    if (rc != 0)
        return rc == ENOENT ? 0 : rc;
    rc = lk_section_begin();
    if (rc == 0) {
        int ra = lk_view_tree(x->base, x->conflict_tree->name, &old);
        int rb = lk_view_tree(v, x->conflict_tree->name, &new);
        ra = ra == 0 ? lk_tree_get(old, key, &a) : ra;
        rb = rb == 0 ? lk_tree_get(new, key, &b) : rb;
        *same = ra == rb && (ra != 0 || lki_compare(a, b) == 0);
        rc = ra != 0 && ra != ENOENT ? ra : rb != ENOENT ? rb : 0;
        lk_section_end();
    }
    lk_view_end(v);
    return rc;
}

int lk_txn_conflict(lk_txn *x, struct lk_conflict *conflict)
{
    lk_view *now;
    if (x->conflict_tree == NULL)
        return ENOENT;
    int rc = lk_db_view(x->db, &now);
    if (rc != 0)
        return rc;
    uint64_t last = lk_view_tid(now), tid = lk_view_tid(x->base) + 1;
    lk_view_end(now);
    for (; tid < last; tid++) {
        bool same = true, there = false;
        rc = same_as_base(x, tid, &same, &there);
        if (rc != 0)
            return rc;
        if (there && !same)
            break;
    }
    *conflict =
        (struct lk_conflict){x->conflict_tree->name, {x->conflict_key, x->conflict_size}, tid};
    return 0;
}
