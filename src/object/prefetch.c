/* prefetch.c - loading the nodes of a range before they are needed, a level at a time. */
#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "object/tree.h"

struct level {
    struct lki_ref **ref;
    size_t n, room;
};

static int add(struct level *l, struct lki_ref *ref)
{
    if (l->n == l->room) {
        size_t room = l->room * 2 + 64;
        struct lki_ref **more = realloc(l->ref, room * sizeof(struct lki_ref *));
        if (more == NULL)
            return ENOMEM;
        l->ref = more;
        l->room = room;
    }
    l->ref[l->n++] = ref;
    return 0;
}

static bool is_there(const struct lki_ref *ref)
{
    /* [prefetch.1] relaxed: a guess; who uses the node looks again. */
    return lk_load_rlx_u64((const uint64_t *)(const void *)&ref->object.state_) != 0;
}

/* Have the store give all that are not there at once, if it can. */
static int load_missing(lk_tree *t, const struct level *l, uint64_t *nodes)
{
    struct level ghosts = {0};
    int rc = 0;
    for (size_t i = 0; i < l->n && rc == 0; i++)
        if (!is_there(l->ref[i]))
            rc = add(&ghosts, l->ref[i]);
    *nodes += ghosts.n;
    if (rc == 0 && ghosts.n > 1 && t->source.store->ops->load_many != NULL)
        rc = lki_ref_load_many(&t->source, ghosts.ref, ghosts.n);
    free(ghosts.ref);
    return rc;
}

/* The children of `ref` that keys of the range may be in; *level = that of the node.  A leaf is
 * only looked at if it is still not there: a node is loaded by looking at it. */
static int add_children(lk_tree *t, struct lki_ref *ref, const struct lk_range *r,
                        struct level *below, int *level)
{
    struct lki_node *n;
    int rc = *level == 0 && is_there(ref) ? 0 : lki_use(t, ref, *level, &n);
    if (rc != 0 || *level == 0)
        return rc;
    *level = n->page->level;
    if (*level == 0)
        return 0;
    uint32_t at = r->low != NULL ? lki_node_child(n, *r->low) : 0;
    uint32_t last = r->high != NULL ? lki_node_child(n, *r->high) : n->page->count - 1;
    for (; at <= last && rc == 0; at++)
        rc = add(below, n->child[at]);
    return rc;
}

int lk_tree_prefetch(lk_tree *t, const struct lk_range *range, uint64_t *nodes)
{
    static const struct lk_range all;
    struct level now = {0}, below = {0};
    uint64_t loaded = 0;
    int rc = lki_in_section(), level = -1;
    if (rc == 0 && t->root != NULL)
        rc = add(&now, t->root);
    while (rc == 0 && now.n > 0) {
        rc = load_missing(t, &now, &loaded);
        below.n = 0;
        int of = level;
        for (size_t i = 0; i < now.n && rc == 0; i++) {
            of = level;
            rc = add_children(t, now.ref[i], range != NULL ? range : &all, &below, &of);
        }
        struct level swap = now;
        now = below;
        below = swap;
        level = of - 1;
    }
    free(now.ref);
    free(below.ref);
    if (rc == 0 && nodes != NULL)
        *nodes = loaded;
    return rc;
}
