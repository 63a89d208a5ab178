/* refs.c - the nodes in memory: counted, and found by number.
 *
 * A node is counted by each node above it whose state is there and by each tree whose root it is.
 * Whoever can reach a node in a section has come from one of those, and a state that a section sees
 * is not freed, so it keeps counting: a node whose count is 0 can be reached by nobody. */
#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/error.h"
#include "object/tree.h"

/* gcc 12 does not see that what is allocated here is kept by the table. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

enum { FIRST_BUCKETS = 1024 };

static int load_node(lk_object *o, void *arg, void **state, size_t *bytes);
static void free_node(void *state);

static const struct lk_class node_class = {.name = "node", .load = load_node, .free = free_node};

int lki_nodes_init(struct lki_nodes *nodes, const struct lk_heap_options *limit)
{
    *nodes = (struct lki_nodes){.buckets = FIRST_BUCKETS, .edits = 1};
    nodes->bucket = calloc(nodes->buckets, sizeof(struct lki_ref *));
    if (nodes->bucket == NULL)
        return ENOMEM;
    int rc = lk_heap_new(&nodes->heap, limit);
    if (rc != 0)
        free(nodes->bucket);
    return rc;
}

void lki_nodes_destroy(struct lki_nodes *nodes)
{
    /* All are gone but those of damaged records that stand below themselves: they count each other
     * until one of them forgets its children. */
    for (size_t i = 0; i < nodes->buckets; i++)
        for (struct lki_ref *r = nodes->bucket[i]; r != NULL;) {
            bool loaded = r->object.state_ != NULL;
            if (loaded && !lk_object_evict(nodes->heap, &r->object))
                break; /* no memory */
            r = loaded ? nodes->bucket[i] : r->next;
        }
    lk_heap_free(nodes->heap); /* what was evicted drops its children */
    free(nodes->bucket);
}

static struct lki_ref **find(struct lki_nodes *nodes, uint64_t oid)
{
    uint64_t hash = oid * UINT64_C(0x9e3779b97f4a7c15) >> 24;
    struct lki_ref **at = &nodes->bucket[hash & (nodes->buckets - 1)];
    while (*at != NULL && (*at)->oid != oid)
        at = &(*at)->next;
    return at;
}

static void grow(struct lki_nodes *nodes)
{
    size_t before = nodes->buckets;
    struct lki_ref **old = nodes->bucket, **wide = calloc(before * 4, sizeof *wide);
    if (wide == NULL)
        return;
    nodes->bucket = wide;
    nodes->buckets = before * 4;
    for (size_t i = 0; i < before; i++)
        while (old[i] != NULL) {
            struct lki_ref *r = old[i], **at;
            old[i] = r->next;
            at = find(nodes, r->oid);
            r->next = *at;
            *at = r;
        }
    free(old);
}

static void list(struct lki_nodes *nodes, struct lki_ref *r)
{
    if (nodes->listed > nodes->buckets)
        grow(nodes);
    struct lki_ref **at = find(nodes, r->oid);
    if (*at != NULL)
        return; /* loaded by somebody meanwhile: both are right */
    *at = r;
    r->next = NULL;
    r->listed = true;
    nodes->listed++;
}

/* nodes->mu is held.  One that is not sure to stay is reached from nodes of the same write only: it
 * is not in the table, where its number may be another node's by the time that the write fails. */
static struct lki_ref *get(struct lki_nodes *nodes, uint64_t oid, bool sure)
{
    struct lki_ref *r = sure ? *find(nodes, oid) : NULL;
    if (r == NULL && (r = calloc(1, sizeof *r)) != NULL) {
        r->object.class_ = &node_class;
        r->oid = oid;
        r->nodes = nodes;
        if (sure)
            list(nodes, r);
    }
    if (r != NULL)
        r->refs++;
    return r;
}

static bool is_sure(const struct lki_source *from, uint64_t oid)
{
    return from->unsure == 0 || oid < from->unsure;
}

struct lki_ref *lki_ref_get(struct lki_nodes *nodes, uint64_t oid)
{
    lk_mutex_lock(&nodes->mu);
    struct lki_ref *r = get(nodes, oid, true);
    lk_mutex_unlock(&nodes->mu);
    return r;
}

struct lki_ref *lki_ref_get_from(const struct lki_source *from, uint64_t oid)
{
    lk_mutex_lock(&from->nodes->mu);
    struct lki_ref *r = get(from->nodes, oid, is_sure(from, oid));
    lk_mutex_unlock(&from->nodes->mu);
    return r;
}

struct lki_ref *lki_ref_new(struct lki_nodes *nodes, struct lki_node *node)
{
    struct lki_ref *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    node->nodes = nodes;
    *r = (struct lki_ref){.refs = 1, .owned = true, .nodes = nodes};
    r->object.class_ = &node_class;
    /* [refs.1] relaxed: the edit's own thread uses it until it is committed. */
    lk_store_rlx_u64((uint64_t *)(void *)&r->object.state_, (uint64_t)(uintptr_t)node);
    return r;
}

void lki_ref_keep_all(struct lki_nodes *nodes, struct lki_ref *const *refs, uint32_t n)
{
    lk_mutex_lock(&nodes->mu);
    for (uint32_t i = 0; i < n; i++)
        refs[i]->refs++;
    lk_mutex_unlock(&nodes->mu);
}

void lki_ref_keep(struct lki_ref *ref)
{
    lki_ref_keep_all(ref->nodes, &ref, 1);
}

static void unlist(struct lki_nodes *nodes, struct lki_ref *r)
{
    struct lki_ref **at = find(nodes, r->oid);
    *at = r->next;
    nodes->listed--;
}

/* Count down; those that reach 0 are chained, out of the table. */
static struct lki_ref *let_go(struct lki_nodes *nodes, struct lki_ref *const *refs, uint32_t n)
{
    struct lki_ref *dead = NULL;
    lk_mutex_lock(&nodes->mu);
    for (uint32_t i = 0; i < n; i++) {
        struct lki_ref *r = refs[i];
        if (r == NULL || --r->refs != 0)
            continue;
        if (r->listed)
            unlist(nodes, r);
        r->next = dead;
        dead = r;
    }
    lk_mutex_unlock(&nodes->mu);
    return dead;
}

/* Freeing a state drops its children, and so on: as deep as the tree, whose levels fall
 * strictly. */
static void bury(struct lki_nodes *nodes, struct lki_ref *dead)
{
    while (dead != NULL) {
        struct lki_ref *next = dead->next;
        if (dead->owned)
            free_node(dead->object.state_);
        else
            lk_object_drop(nodes->heap, &dead->object);
        free(dead);
        dead = next;
    }
}

void lki_ref_drop(struct lki_ref *ref)
{
    if (ref != NULL) {
        struct lki_nodes *nodes = ref->nodes;
        bury(nodes, let_go(nodes, &ref, 1));
    }
}

static void free_node(void *state)
{
    struct lki_node *n = state;
    if (n->child != NULL)
        bury(n->nodes, let_go(n->nodes, n->child, n->page->count));
    lki_node_free(n);
}

static size_t bytes_of(const struct lki_node *n)
{
    return sizeof *n + sizeof(struct lki_ref) + n->size + 2 * sizeof(void *) * n->child_room;
}

void lki_ref_stored(struct lki_ref *ref)
{
    struct lki_nodes *nodes = ref->nodes;
    struct lki_node *n = ref->object.state_, *even = NULL;
    n->edit = 0;
    if (n->page->level == 0 && (even = lki_node_even(n)) != NULL) {
        lki_node_free(n);
        n = even;
    }
    ref->object.state_ = NULL; /* whoever finds it by its number before we are done loads it */
    ref->owned = false;
    ref->guess = 0;
    lk_mutex_lock(&nodes->mu);
    list(nodes, ref);
    lk_mutex_unlock(&nodes->mu);
    if (lk_object_adopt(nodes->heap, &ref->object, n, bytes_of(n)) != 0)
        free_node(n);
}

uint64_t lki_edit_new(struct lki_nodes *nodes)
{
    lk_mutex_lock(&nodes->mu);
    uint64_t edit = nodes->edits++;
    lk_mutex_unlock(&nodes->mu);
    return edit;
}

struct taken {
    uint64_t oid;
    struct lki_node *node;
};

static int take(void *arg, const void *bytes, size_t size)
{
    struct taken *t = arg;
    return lki_node_parse(bytes, size, t->oid, &t->node);
}

/* Let a node that was read have its children, ghosts where they are not there. */
static int connect_children(const struct lki_source *from, struct lki_node *n)
{
    n->nodes = from->nodes;
    bool whole = true;
    if (n->child != NULL) {
        lk_mutex_lock(&from->nodes->mu);
        for (uint32_t i = 0; i < n->page->count; i++) {
            uint64_t oid = lki_node_below(n, i).oid;
            n->child[i] = get(from->nodes, oid, is_sure(from, oid));
            whole = whole && n->child[i] != NULL;
        }
        lk_mutex_unlock(&from->nodes->mu);
    }
    if (!whole) {
        free_node(n);
        return ENOMEM;
    }
    return 0;
}

static int missing(const struct lki_ref *ref)
{
    return lki_fail(LK_ECORRUPT, "node %llx is missing", (unsigned long long)ref->oid);
}

static int load_node(lk_object *o, void *arg, void **state, size_t *bytes)
{
    struct lki_ref *ref = (struct lki_ref *)(void *)o;
    const struct lki_source *from = arg;
    struct taken t = {ref->oid, NULL};
    int rc = from->store->ops->load(from->store->at, from->snap, ref->oid, take, &t);
    if (rc == 0)
        rc = connect_children(from, t.node);
    if (rc != 0)
        return rc == ENOENT ? missing(ref) : rc;
    *state = t.node;
    *bytes = bytes_of(t.node);
    return 0;
}

struct many {
    const struct lki_source *from;
    struct lki_ref *const *refs;
};

static int take_nth(void *arg, size_t i, const void *bytes, size_t size)
{
    const struct many *m = arg;
    struct lki_ref *ref = m->refs[i];
    struct lki_node *n;
    int rc = lki_node_parse(bytes, size, ref->oid, &n);
    if (rc == 0)
        rc = connect_children(m->from, n);
    if (rc == 0 && lk_object_adopt(m->from->nodes->heap, &ref->object, n, bytes_of(n)) != 0)
        free_node(n); /* another has loaded it meanwhile */
    return rc;
}

int lki_ref_load_many(const struct lki_source *from, struct lki_ref *const *refs, size_t n)
{
    uint64_t *oid = malloc(n * sizeof *oid + 1);
    struct many m = {from, refs};
    if (oid == NULL)
        return ENOMEM;
    for (size_t i = 0; i < n; i++)
        oid[i] = refs[i]->oid;
    int rc = from->store->ops->load_many(from->store->at, from->snap, oid, n, take_nth, &m);
    free(oid);
    return rc;
}

int lki_wrong_level(const struct lki_ref *ref, const struct lki_node *n, int level)
{
    return lki_fail(LK_ECORRUPT, "node %llx: level %u, expected %d", (unsigned long long)ref->oid,
                    n->page->level, level);
}

int lki_oids_add(struct lki_oids *list, uint64_t oid)
{
    if (oid == 0)
        return 0;
    if (list->n == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        uint64_t *more = realloc(list->oid, room * sizeof *more);
        if (more == NULL)
            return ENOMEM;
        list->oid = more;
        list->room = room;
    }
    list->oid[list->n++] = oid;
    return 0;
}
