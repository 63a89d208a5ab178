/* edit.c - changing the tree of a transaction.
 *
 * Nodes that are stored never change.  An edit copies a node before its first change, and with it
 * the nodes above; what it has copied it changes in place (node->edit says whose it is).  A
 * savepoint is the root as it is then, and a new edit. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "object/tree.h"

static const struct lk_bytes no_key = {"", 0};

/* Replace the node of step i by a copy of our own, unless it is that. */
static int own(lk_tree *t, struct lki_path *p, uint32_t i)
{
    struct lki_step *s = &p->step[i];
    if (s->node->edit == t->edit)
        return 0;
    struct lki_node *copy = lki_node_copy(s->node, t->edit);
    struct lki_ref *ref = copy != NULL ? lki_ref_new(t->source.nodes, copy) : NULL;
    if (ref == NULL || lki_oids_add(&t->freed, s->ref->oid) != 0) {
        lki_node_free(copy);
        free(ref);
        return ENOMEM;
    }
    if (copy->child != NULL)
        lki_ref_keep_all(t->source.nodes, copy->child, copy->page->count);
    if (i == 0)
        t->root = ref;
    else
        p->step[i - 1].node->child[p->step[i - 1].at] = ref;
    lki_ref_drop(s->ref);
    s->ref = ref;
    s->node = copy;
    return 0;
}

static int own_all(lk_tree *t, struct lki_path *p)
{
    int rc = 0;
    for (uint32_t i = 0; i < p->depth && rc == 0; i++)
        rc = own(t, p, i);
    return rc;
}

/* Every node above the leaf has `more` entries more below. */
static void add_entries(struct lki_path *p, int64_t more)
{
    for (uint32_t i = 0; i + 1 < p->depth; i++) {
        struct lki_below b = lki_node_below(p->step[i].node, p->step[i].at);
        b.entries += (uint64_t)more;
        lki_node_set_below(p->step[i].node, p->step[i].at, b);
    }
}

static uint32_t most_of(const lk_tree *t, const struct lki_node *n)
{
    return n->page->level > 0 ? t->inner_max : t->leaf_max;
}

static bool overfull(const lk_tree *t, const struct lki_node *n)
{
    return n->page->count > most_of(t, n) ||
           (n->page->count >= 4 && lki_node_bytes(n) > LKI_SPLIT_BYTES);
}

static bool underfull(const lk_tree *t, const struct lki_node *n)
{
    if (n->page->level > 0 && n->page->count < 2)
        return true;
    return n->page->count * 4 < most_of(t, n) && lki_node_bytes(n) * 4 < LKI_SPLIT_BYTES;
}

static bool fit_together(const lk_tree *t, const struct lki_node *a, const struct lki_node *b)
{
    uint32_t count = a->page->count + b->page->count;
    return count <= most_of(t, a) &&
           (count < 4 || lki_node_bytes(a) + lki_node_bytes(b) <= LKI_SPLIT_BYTES);
}

/* Move what is behind `cut` to `right`, which is empty.  *key = the key that parts them, on the
 * heap. */
static int part(struct lki_node *n, uint32_t cut, struct lki_node *right, struct lk_bytes *key)
{
    struct lk_bytes first = lki_node_key(n, cut);
    size_t size = n->page->level > 0 ? first.size : lki_separator(lki_node_key(n, cut - 1), first);
    unsigned char *copy = malloc(size + 1);
    if (copy == NULL)
        return ENOMEM;
    memcpy(copy, first.at, size);
    *key = (struct lk_bytes){copy, size};
    int rc = lki_node_move(n, cut, right, n->page->level > 0 ? &no_key : NULL);
    if (rc != 0)
        free(copy);
    return rc;
}

/* Put `ref` behind child `at` of `n`. */
static int add_child(struct lki_node *n, uint32_t at, struct lk_bytes key, struct lki_ref *ref)
{
    struct lki_below below = {0, lki_node_entries(ref->object.state_)};
    return lki_node_insert(n, at, key, (struct lk_bytes){&below, sizeof below}, ref);
}

/* A new root above the old one and `right`. */
static int grow(lk_tree *t, unsigned level, struct lk_bytes key, struct lki_ref *right)
{
    struct lki_node *n = lki_node_new(level, t->edit);
    struct lki_ref *ref = n != NULL ? lki_ref_new(t->source.nodes, n) : NULL;
    if (ref == NULL) {
        lki_node_free(n);
        return ENOMEM;
    }
    int rc = add_child(n, 0, no_key, t->root);
    if (rc == 0) {
        t->root = ref; /* its count of the old root is the tree's */
        rc = add_child(n, 1, key, right);
    } else {
        lki_ref_drop(ref);
    }
    return rc;
}

static int split(lk_tree *t, struct lki_path *p, uint32_t i, bool at_end)
{
    struct lki_node *n = p->step[i].node;
    uint32_t cut = at_end ? n->page->count - 1 : n->page->count / 2;
    struct lki_node *right = lki_node_new(n->page->level, t->edit);
    struct lki_ref *ref = right != NULL ? lki_ref_new(t->source.nodes, right) : NULL;
    struct lk_bytes key;
    int rc = ref != NULL ? part(n, cut, right, &key) : ENOMEM;
    if (rc != 0) {
        lki_node_free(right);
        free(ref);
        return rc;
    }
    if (i == 0) {
        rc = grow(t, n->page->level + 1u, key, ref);
    } else {
        struct lki_step *above = &p->step[i - 1];
        struct lki_below below = lki_node_below(above->node, above->at);
        below.entries = lki_node_entries(n);
        lki_node_set_below(above->node, above->at, below);
        rc = add_child(above->node, above->at + 1, key, ref);
    }
    free((void *)(uintptr_t)key.at);
    return rc;
}

static int split_all(lk_tree *t, struct lki_path *p)
{
    /* A key behind all others: leave what is there full. */
    bool at_end = true;
    for (uint32_t i = 0; i < p->depth; i++)
        at_end = at_end && p->step[i].at + 1 == p->step[i].node->page->count;
    int rc = 0;
    for (uint32_t i = p->depth; i-- > 0 && rc == 0 && overfull(t, p->step[i].node);) {
        if (i == 0 && p->step[0].node->page->level + 1 >= LK_DEPTH_MAX_)
            return EFBIG;
        rc = split(t, p, i, at_end);
    }
    return rc;
}

/* A change that failed half way: what can be seen of the tree is sound no more. */
static int done(lk_tree *t, int rc)
{
    if (rc != 0)
        t->broken = rc;
    t->changes++;
    t->changed = true;
    return rc;
}

static int put_first(lk_tree *t, struct lk_bytes key, struct lk_bytes value)
{
    struct lki_node *n = lki_node_new(0, t->edit);
    struct lki_ref *ref = n != NULL ? lki_ref_new(t->source.nodes, n) : NULL;
    if (ref == NULL) {
        lki_node_free(n);
        return ENOMEM;
    }
    int rc = lki_node_insert(n, 0, key, value, NULL);
    if (rc != 0) {
        lki_ref_drop(ref);
        return rc;
    }
    t->root = ref;
    t->entries = 1;
    return done(t, 0);
}

static int begin(lk_tree *t, struct lk_bytes key, struct lk_bytes value)
{
    if (t->edit == 0)
        return EPERM;
    if (t->broken != 0)
        return t->broken;
    if (t->load != NULL)
        return EBUSY;
    if (key.size > LK_KEY_MAX || value.size > LK_VALUE_MAX)
        return EINVAL;
    return lk_section_begin();
}

static int insert(lk_tree *t, struct lki_path *p, struct lk_bytes key, struct lk_bytes value)
{
    struct lki_step *leaf = &p->step[p->depth - 1];
    int rc = own_all(t, p);
    if (rc == 0)
        rc = lki_node_insert(leaf->node, leaf->at, key, value, NULL);
    if (rc == 0) {
        lki_filled_guess(leaf->ref, leaf->node);
        add_entries(p, 1);
        t->entries++;
        rc = split_all(t, p);
    }
    return done(t, rc);
}

static int replace(lk_tree *t, struct lki_path *p, struct lk_bytes value)
{
    struct lki_step *leaf = &p->step[p->depth - 1];
    struct lk_bytes old = lki_node_value(leaf->node, leaf->at);
    if (lki_compare(old, value) == 0)
        return 0;
    int rc = own_all(t, p);
    if (rc == 0)
        rc = lki_node_set_value(leaf->node, leaf->at, value);
    if (rc == 0 && overfull(t, leaf->node))
        rc = split_all(t, p);
    return done(t, rc);
}

/* Which of the two states of a key a change wants to find. */
enum wanted { ANY, ABSENT, OLD };

static int put(lk_tree *t, struct lk_bytes key, struct lk_bytes value, enum wanted wanted,
               struct lk_bytes old, bool *is_new)
{
    struct lki_path path;
    bool equal;
    int rc = begin(t, key, value);
    if (rc != 0)
        return rc;
    rc = lki_descend(t, key, &path, &equal);
    struct lki_step *leaf = &path.step[path.depth > 0 ? path.depth - 1 : 0];
    if (rc != 0)
        ;
    else if (equal && wanted == ABSENT)
        rc = EEXIST;
    else if (!equal && wanted == OLD)
        rc = ENOENT;
    else if (wanted == OLD && lki_compare(lki_node_value(leaf->node, leaf->at), old) != 0)
        rc = LK_ECHANGED;
    else if (equal)
        rc = replace(t, &path, value);
    else
        rc = path.depth == 0 ? put_first(t, key, value) : insert(t, &path, key, value);
    lk_section_end();
    if (rc == 0 && is_new != NULL)
        *is_new = !equal;
    return rc;
}

int lk_tree_put(lk_tree *t, struct lk_bytes key, struct lk_bytes value, bool *is_new)
{
    return put(t, key, value, ANY, no_key, is_new);
}

int lk_tree_add(lk_tree *t, struct lk_bytes key, struct lk_bytes value)
{
    return put(t, key, value, ABSENT, no_key, NULL);
}

int lk_tree_swap(lk_tree *t, struct lk_bytes key, struct lk_bytes old, struct lk_bytes value)
{
    return put(t, key, value, OLD, old, NULL);
}

/* ---- removing ------------------------------------------------------------------------------- */

/* Take child `at` out of its parent; the parent's count of it is the caller's. */
static struct lki_ref *take_child(struct lki_node *n, uint32_t at)
{
    struct lki_ref *ref = n->child[at];
    lki_node_remove(n, at);
    return ref;
}

static void set_entries(struct lki_node *n, uint32_t at)
{
    lki_node_set_below(n, at, (struct lki_below){0, lki_node_entries(n->child[at]->object.state_)});
}

/* The node of step i is too empty: share with, or give to, the one beside it. */
static int mend(lk_tree *t, struct lki_path *p, uint32_t i)
{
    struct lki_node *above = p->step[i - 1].node;
    uint32_t at = p->step[i - 1].at;
    uint32_t right = at + 1 < above->page->count ? at + 1 : at, left = right - 1;
    uint32_t other = at == left ? right : left;
    struct lki_path beside = *p;
    beside.step[i - 1].at = other;
    beside.step[i].ref = above->child[other];
    int rc = lki_use(t, beside.step[i].ref, p->step[i].node->page->level, &beside.step[i].node);
    if (rc == 0)
        rc = own(t, &beside, i);
    if (rc != 0)
        return rc;
    struct lki_node *a = above->child[left]->object.state_;
    struct lki_node *b = above->child[right]->object.state_;
    bool fit = fit_together(t, a, b);
    struct lk_bytes key = lki_node_key(above, right);
    rc = lki_node_move(b, 0, a, b->page->level > 0 ? &key : NULL);
    if (rc != 0)
        return rc;
    struct lki_ref *ref = take_child(above, right);
    if (fit) {
        lki_ref_drop(ref);
    } else {
        rc = part(a, a->page->count / 2, b, &key);
        if (rc == 0) {
            rc = add_child(above, right, key, ref);
            free((void *)(uintptr_t)key.at);
        }
        if (rc != 0)
            lki_ref_drop(ref);
    }
    set_entries(above, left);
    return rc;
}

/* The root has nothing, or one child. */
static int shrink(lk_tree *t)
{
    for (;;) {
        struct lki_node *n;
        int rc = lki_use(t, t->root, -1, &n);
        if (rc != 0 || n->page->count > (n->page->level > 0))
            return rc;
        struct lki_ref *old = t->root, *child = n->page->count > 0 ? n->child[0] : NULL;
        rc = lki_oids_add(&t->freed, old->oid);
        if (rc != 0)
            return rc;
        if (child != NULL)
            lki_ref_keep(child);
        t->root = child;
        lki_ref_drop(old);
        if (child == NULL)
            return 0;
    }
}

static int mend_all(lk_tree *t, struct lki_path *p)
{
    int rc = 0;
    for (uint32_t i = p->depth; i-- > 1 && rc == 0;) {
        struct lki_node *n = p->step[i].node, *above = p->step[i - 1].node;
        if (n->page->count == 0)
            lki_ref_drop(take_child(above, p->step[i - 1].at));
        else if (underfull(t, n) && above->page->count > 1)
            rc = mend(t, p, i);
        else
            break;
    }
    return rc != 0 ? rc : shrink(t);
}

int lk_tree_del(lk_tree *t, struct lk_bytes key)
{
    struct lki_path path;
    bool equal;
    int rc = begin(t, key, no_key);
    if (rc != 0)
        return rc;
    rc = lki_descend(t, key, &path, &equal);
    if (rc == 0 && !equal)
        rc = ENOENT;
    if (rc == 0) {
        struct lki_step *leaf = &path.step[path.depth - 1];
        rc = own_all(t, &path);
        if (rc == 0) {
            lki_node_remove(leaf->node, leaf->at);
            add_entries(&path, -1);
            t->entries--;
            rc = mend_all(t, &path);
        }
        (void)done(t, rc);
    }
    lk_section_end();
    return rc;
}

/* The numbers of all nodes: those above the leaves are read, the leaves are not. */
static int free_all(lk_tree *t)
{
    struct lki_path p = {.depth = 0};
    int rc = lki_oids_add(&t->freed, t->root->oid);
    struct lki_ref *down = t->root;
    while (rc == 0) {
        struct lki_step *s;
        if (down != NULL) {
            s = &p.step[p.depth];
            *s = (struct lki_step){.ref = down};
            rc = lki_use(t, down, p.depth == 0 ? -1 : p.step[p.depth - 1].node->page->level - 1,
                         &s->node);
            if (rc != 0)
                return rc;
            p.depth++;
            for (uint32_t i = 0; s->node->page->level > 0 && i < s->node->page->count; i++)
                rc = rc != 0 ? rc : lki_oids_add(&t->freed, s->node->child[i]->oid);
        }
        s = &p.step[p.depth - 1];
        down = s->node->page->level > 1 && s->at < s->node->page->count ? s->node->child[s->at++]
                                                                        : NULL;
        if (down == NULL && --p.depth == 0)
            return rc;
    }
    return rc;
}

int lk_tree_clear(lk_tree *t)
{
    int rc = begin(t, no_key, no_key);
    if (rc != 0)
        return rc;
    if (t->root != NULL) {
        rc = free_all(t);
        if (rc == 0) {
            lki_ref_drop(t->root);
            t->root = NULL;
            t->entries = 0;
        }
        (void)done(t, rc);
    }
    lk_section_end();
    return rc;
}

int lk_tree_load(lk_tree *t, lk_load_fn *fn, void *arg)
{
    if (t->edit == 0)
        return EPERM;
    if (t->broken != 0)
        return t->broken;
    if (t->root != NULL || t->load != NULL)
        return EEXIST;
    t->load = fn;
    t->load_arg = arg;
    return done(t, 0);
}
