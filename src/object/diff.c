/* diff.c - what differs between two states of a tree, and merging by it. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "object/tree.h"

/* gcc 12 does not see that a side has as many steps as its depth says. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-use-of-uninitialized-value"
#endif

/* A place in one of the two trees.  What stands there is an entry of a leaf, or a whole child. */
struct side {
    lk_tree *t;
    uint32_t depth;
    struct {
        struct lki_node *node;
        uint32_t at;
    } path[LK_DEPTH_MAX_];
};

static int enter(struct side *s, struct lki_ref *ref, int level)
{
    struct lki_node *n;
    int rc = lki_use(s->t, ref, level, &n);
    if (rc == 0) {
        s->path[s->depth].node = n;
        s->path[s->depth++].at = 0;
    }
    return rc;
}

static int begin(struct side *s, lk_tree *t)
{
    *s = (struct side){.t = t};
    return t->root != NULL ? enter(s, t->root, -1) : 0;
}

static void step(struct side *s)
{
    s->path[s->depth - 1].at++;
    while (s->depth > 0 && s->path[s->depth - 1].at == s->path[s->depth - 1].node->page->count)
        if (--s->depth > 0)
            s->path[s->depth - 1].at++;
}

/* -1: at the end; 0: an entry; else the level of the node whose child it is. */
static int level_of(const struct side *s)
{
    return s->depth == 0 ? -1 : s->path[s->depth - 1].node->page->level;
}

static struct lki_ref *child_of(const struct side *s)
{
    return s->path[s->depth - 1].node->child[s->path[s->depth - 1].at];
}

static int open_child(struct side *s)
{
    return enter(s, child_of(s), level_of(s) - 1);
}

static bool same(const struct lki_ref *a, const struct lki_ref *b)
{
    return a == b || (a->oid != 0 && a->oid == b->oid);
}

/* Both stand at entries, or one does and the other is at its end. */
static int give(struct side *a, struct side *b, lk_diff_fn *fn, void *arg)
{
    struct lk_bytes ka = {0}, kb = {0}, va = {0}, vb = {0};
    if (a->depth > 0) {
        ka = lki_node_key(a->path[a->depth - 1].node, a->path[a->depth - 1].at);
        va = lki_node_value(a->path[a->depth - 1].node, a->path[a->depth - 1].at);
    }
    if (b->depth > 0) {
        kb = lki_node_key(b->path[b->depth - 1].node, b->path[b->depth - 1].at);
        vb = lki_node_value(b->path[b->depth - 1].node, b->path[b->depth - 1].at);
    }
    int order = a->depth == 0 ? 1 : b->depth == 0 ? -1 : lki_compare(ka, kb);
    int rc = 0;
    if (order != 0 || lki_compare(va, vb) != 0)
        rc = fn(arg, order <= 0 ? ka : kb, order <= 0 ? &va : NULL, order >= 0 ? &vb : NULL);
    if (order <= 0)
        step(a);
    if (order >= 0)
        step(b);
    return rc;
}

int lk_tree_diff(lk_tree *before, lk_tree *after, lk_diff_fn *fn, void *arg)
{
    struct side a, b;
    if (before->root == after->root ||
        (before->root != NULL && after->root != NULL && same(before->root, after->root)))
        return 0;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = begin(&a, before);
    if (rc == 0)
        rc = begin(&b, after);
    while (rc == 0 && (a.depth > 0 || b.depth > 0)) {
        int la = level_of(&a), lb = level_of(&b);
        if (la > 0 && la == lb && same(child_of(&a), child_of(&b))) {
            step(&a);
            step(&b);
        } else if (la > 0 && la >= lb) {
            rc = open_child(&a);
        } else if (lb > 0) {
            rc = open_child(&b);
        } else {
            rc = give(&a, &b, fn, arg);
        }
    }
    lk_section_end();
    return rc;
}

struct merge {
    lk_tree *mine;
    lk_resolve_fn *resolve;
    void *arg;
};

static bool equal(const struct lk_bytes *a, const struct lk_bytes *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return lki_compare(*a, *b) == 0;
}

static int set(lk_tree *t, struct lk_bytes key, const struct lk_bytes *value)
{
    return value != NULL ? lk_tree_put(t, key, *value, NULL) : lk_tree_del(t, key);
}

/* What they changed: bring it over unless we changed it too. */
static int bring(void *arg, struct lk_bytes key, const struct lk_bytes *old,
                 const struct lk_bytes *theirs)
{
    struct merge *m = arg;
    struct lk_bytes value, out = {NULL, 0};
    int rc = lk_tree_get(m->mine, key, &value);
    if (rc != 0 && rc != ENOENT)
        return rc;
    const struct lk_bytes *mine = rc == 0 ? &value : NULL;
    if (equal(old, mine))
        return set(m->mine, key, theirs);
    if (m->resolve == NULL)
        return LK_ECHANGED;
    rc = m->resolve(m->arg, key, old, theirs, mine, &out);
    if (rc != 0)
        return rc;
    const struct lk_bytes *wanted = out.at != NULL ? &out : NULL;
    return equal(wanted, mine) ? 0 : set(m->mine, key, wanted);
}

int lk_tree_merge(lk_tree *old, lk_tree *theirs, lk_tree *mine, lk_resolve_fn *resolve, void *arg)
{
    return lk_tree_diff(old, theirs, bring, &(struct merge){mine, resolve, arg});
}
