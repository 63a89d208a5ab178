/* tree.c - looking into trees: searches, order, ranks, checks. */
#include "object/tree.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"

lk_tree *lki_tree_new(const char *name, const struct lki_source *source, struct lki_ref *root,
                      uint64_t entries, const struct lk_tree_options *options)
{
    size_t size = strlen(name) + 1;
    lk_tree *t = calloc(1, sizeof *t + size);
    if (t == NULL)
        return NULL;
    memcpy(t->name, name, size);
    t->source = *source;
    t->root = root;
    t->entries = entries;
    t->leaf_max = options->leaf_max;
    t->inner_max = options->inner_max;
    return t;
}

void lki_tree_free(lk_tree *t)
{
    lki_ref_drop(t->root);
    lki_ref_drop(t->base_root);
    free(t->freed.oid);
    free(t);
}

int lki_descend(lk_tree *t, struct lk_bytes key, struct lki_path *path, bool *equal)
{
    path->depth = 0;
    *equal = false;
    if (t->root == NULL)
        return 0;
    struct lki_step *s = &path->step[path->depth];
    s->ref = t->root;
    int rc = lki_use(t, t->root, -1, &s->node);
    while (rc == 0) {
        path->depth++; /* levels fall from below LK_DEPTH_MAX_ to 0 */
        if (s->node->page->level == 0) {
            s->at = lki_node_search(s->node, key, equal);
            return 0;
        }
        s->at = lki_node_child(s->node, key);
        s[1].ref = s->node->child[s->at];
        rc = lki_use_child(t, s->node, s->at, key, &s[1].node);
        s++;
    }
    return rc;
}

int lk_tree_get(lk_tree *t, struct lk_bytes key, struct lk_bytes *value)
{
    struct lki_node *n;
    bool equal;
    int rc = lki_in_section();
    if (rc == 0 && t->root == NULL)
        rc = ENOENT;
    if (rc == 0)
        rc = lki_use(t, t->root, -1, &n);
    while (rc == 0 && n->page->level > 0)
        rc = lki_use_child(t, n, lki_node_child(n, key), key, &n);
    if (rc != 0)
        return rc;
    uint32_t at = lki_node_search(n, key, &equal);
    if (!equal)
        return ENOENT;
    *value = lki_node_value(n, at);
    return 0;
}

static int first_of(lk_tree *t, const struct lk_range *range, bool down, struct lk_bytes *key,
                    struct lk_bytes *value)
{
    lk_cursor c;
    int rc = lk_cursor_begin(&c, t, range, down);
    if (rc != 0)
        return rc;
    rc = lk_cursor_next(&c, key, value);
    lk_cursor_end(&c);
    return rc;
}

int lk_tree_min(lk_tree *t, const struct lk_bytes *at, struct lk_bytes *key, struct lk_bytes *value)
{
    return first_of(t, &(struct lk_range){.low = at}, false, key, value);
}

int lk_tree_max(lk_tree *t, const struct lk_bytes *at, struct lk_bytes *key, struct lk_bytes *value)
{
    return first_of(t, &(struct lk_range){.high = at}, true, key, value);
}

/* How many entries are below `key`; if `with`, it counts too. */
static int rank(lk_tree *t, struct lk_bytes key, bool with, uint64_t *n)
{
    struct lki_path path;
    bool equal;
    int rc = lki_descend(t, key, &path, &equal);
    *n = 0;
    if (rc != 0 || path.depth == 0)
        return rc;
    for (uint32_t i = 0; i + 1 < path.depth; i++)
        for (uint32_t k = 0; k < path.step[i].at; k++)
            *n += lki_node_below(path.step[i].node, k).entries;
    *n += path.step[path.depth - 1].at + (equal && with);
    return 0;
}

/* Ranks of the range's ends: [*low, *high). */
static int ends(lk_tree *t, const struct lk_range *r, uint64_t *low, uint64_t *high)
{
    static const struct lk_range all;
    int rc = lki_in_section();
    r = r != NULL ? r : &all;
    *low = r->low_open && t->entries > 0;
    *high = t->entries - (r->high_open && t->entries > 0);
    if (rc == 0 && r->low != NULL)
        rc = rank(t, *r->low, r->low_open, low);
    if (rc == 0 && r->high != NULL)
        rc = rank(t, *r->high, !r->high_open, high);
    if (*high < *low)
        *high = *low;
    return rc;
}

int lk_tree_count(lk_tree *t, const struct lk_range *range, uint64_t *n)
{
    uint64_t low, high;
    int rc = ends(t, range, &low, &high);
    if (rc == 0)
        *n = high - low;
    return rc;
}

int lk_tree_nth(lk_tree *t, const struct lk_range *range, int64_t n, struct lk_bytes *key,
                struct lk_bytes *value)
{
    uint64_t low, high;
    int rc = ends(t, range, &low, &high), level = -1;
    if (rc != 0)
        return rc;
    uint64_t back = n < 0 ? (uint64_t) - (n + 1) + 1 : 0;
    if (n < 0 ? back > high - low : (uint64_t)n >= high - low)
        return ERANGE;
    uint64_t at = n < 0 ? high - back : low + (uint64_t)n;
    for (struct lki_ref *ref = t->root;;) {
        struct lki_node *node;
        rc = ref != NULL ? lki_use(t, ref, level, &node) : LK_ECORRUPT;
        if (rc != 0)
            return rc;
        level = node->page->level - 1;
        uint32_t i = 0, count = node->page->count;
        if (level < 0) {
            if (at >= count)
                return lki_fail(LK_ECORRUPT, "'%s': a node counts too many entries", t->name);
            *key = lki_node_key(node, (uint32_t)at);
            if (value != NULL)
                *value = lki_node_value(node, (uint32_t)at);
            return 0;
        }
        for (; i + 1 < count && at >= lki_node_below(node, i).entries; i++)
            at -= lki_node_below(node, i).entries;
        ref = node->child[i];
    }
}

/* ---- every node ----------------------------------------------------------------------------- */

struct visit {
    struct lki_node *node;
    struct lki_ref *ref;
    const struct lk_bytes *low, *high; /* that its keys lie between; NULL = none */
    uint64_t expected;                 /* entries, as the node above has it */
    bool edge;                         /* on the right edge: may be less than a quarter full */
};
typedef int visit_fn(lk_tree *t, void *arg, const struct visit *v);

struct walk {
    struct lki_path path;
    struct lk_bytes low[LK_DEPTH_MAX_], high[LK_DEPTH_MAX_];
    bool has_low[LK_DEPTH_MAX_], has_high[LK_DEPTH_MAX_], edge[LK_DEPTH_MAX_];
};

/* What lies between the keys around child `at` of the node at step i. */
static void set_bounds(struct walk *w, uint32_t i)
{
    const struct lki_step *s = &w->path.step[i];
    bool first = s->at == 0, last = s->at + 1 == s->node->page->count;
    w->has_low[i + 1] = !first || w->has_low[i];
    w->low[i + 1] = first ? w->low[i] : lki_node_key(s->node, s->at);
    w->has_high[i + 1] = !last || w->has_high[i];
    w->high[i + 1] = last ? w->high[i] : lki_node_key(s->node, s->at + 1);
    w->edge[i + 1] = w->edge[i] && last;
}

static int enter(lk_tree *t, struct walk *w, struct lki_ref *ref, uint64_t expected, visit_fn *fn,
                 void *arg)
{
    uint32_t i = w->path.depth;
    struct lki_step *s = &w->path.step[i];
    *s = (struct lki_step){.ref = ref};
    int rc = lki_use(t, ref, i == 0 ? -1 : w->path.step[i - 1].node->page->level - 1, &s->node);
    if (rc != 0)
        return rc;
    w->path.depth++;
    struct visit v = {
        s->node,  ref,       w->has_low[i] ? &w->low[i] : NULL, w->has_high[i] ? &w->high[i] : NULL,
        expected, w->edge[i]};
    return fn(t, arg, &v);
}

/* All nodes, a node before those below it. */
static int walk(lk_tree *t, visit_fn *fn, void *arg)
{
    struct walk w = {.edge = {true}};
    int rc = t->root != NULL ? enter(t, &w, t->root, t->entries, fn, arg) : 0;
    while (rc == 0 && w.path.depth > 0) {
        struct lki_step *s = &w.path.step[w.path.depth - 1];
        if (s->node->page->level == 0 || s->at == s->node->page->count) {
            w.path.depth--;
            if (w.path.depth > 0)
                w.path.step[w.path.depth - 1].at++;
            continue;
        }
        set_bounds(&w, w.path.depth - 1);
        rc = enter(t, &w, s->node->child[s->at], lki_node_below(s->node, s->at).entries, fn, arg);
    }
    return rc;
}

static int check_node(lk_tree *t, void *arg, const struct visit *v)
{
    const struct lki_node *n = v->node;
    unsigned long long oid = v->ref->oid;
    uint32_t begin = n->page->level > 0, count = n->page->count;
    uint32_t most = n->page->level > 0 ? t->inner_max : t->leaf_max;
    (void)arg;
    if (lki_node_entries(n) != v->expected)
        return lki_fail(LK_ECORRUPT, "'%s', node %llx: %llu entries, the node above says %llu",
                        t->name, oid, (unsigned long long)lki_node_entries(n),
                        (unsigned long long)v->expected);
    for (uint32_t i = begin; i < count; i++) {
        struct lk_bytes key = lki_node_key(n, i);
        bool equal;
        if ((i > begin && lki_compare(lki_node_key(n, i - 1), key) >= 0) ||
            (v->low != NULL && lki_compare(key, *v->low) < 0) ||
            (v->high != NULL && lki_compare(key, *v->high) >= 0))
            return lki_fail(LK_ECORRUPT, "'%s', node %llx: key %u is out of order", t->name, oid,
                            i);
        if (lki_node_search(n, key, &equal) != i || !equal)
            return lki_fail(LK_ECORRUPT, "'%s', node %llx: key %u is not found", t->name, oid, i);
    }
    if (count > most || (!v->edge && v->ref != t->root && count * 4 < most &&
                         lki_node_bytes(n) * 4 < LKI_SPLIT_BYTES))
        return lki_fail(LK_ECORRUPT, "'%s', node %llx: %u entries of %u", t->name, oid, count,
                        most);
    return 0;
}

int lk_tree_check(lk_tree *t)
{
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    if (t->root == NULL && t->entries != 0)
        rc = lki_fail(LK_ECORRUPT, "'%s' is empty, and is said to have entries", t->name);
    if (rc == 0)
        rc = walk(t, check_node, NULL);
    lk_section_end();
    return rc;
}

static int count_node(lk_tree *t, void *arg, const struct visit *v)
{
    struct lk_tree_stat *s = arg;
    (void)t;
    s->bytes += v->node->size;
    if (v->node->page->level > 0)
        s->inner++;
    else
        s->leaves++;
    if (v->node->page->level + 1u > s->height)
        s->height = v->node->page->level + 1u;
    return 0;
}

int lk_tree_stat(lk_tree *t, struct lk_tree_stat *stat)
{
    struct lk_tree_stat s = {
        .entries = t->entries, .leaf_max = t->leaf_max, .inner_max = t->inner_max};
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = walk(t, count_node, &s);
    lk_section_end();
    if (rc == 0)
        *stat = s;
    return rc;
}

struct leaves {
    int (*fn)(void *arg, uint32_t entries);
    void *arg;
};

static int give_leaf(lk_tree *t, void *arg, const struct visit *v)
{
    struct leaves *l = arg;
    (void)t;
    return v->node->page->level == 0 ? l->fn(l->arg, v->node->page->count) : 0;
}

int lk_tree_leaves(lk_tree *t, int (*fn)(void *arg, uint32_t entries), void *arg)
{
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = walk(t, give_leaf, &(struct leaves){fn, arg});
    lk_section_end();
    return rc;
}
