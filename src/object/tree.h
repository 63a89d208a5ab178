/* tree.h - what the files about trees share. */
#ifndef LKI_TREE_H
#define LKI_TREE_H

#include <errno.h>

#include "latchkey/db.h"
#include "latchkey/mutex.h"
#include "base/atomic.h"
#include "object/epoch.h"
#include "object/node.h"

/* A node's object, counted: by the nodes above it and by trees. */
struct lki_ref {
    lk_object object;
    uint64_t guess;       /* of a leaf that an edit fills: see lki_filled_guess() */
    struct lki_ref *next; /* in the table */
    uint64_t oid;         /* 0 = not stored yet */
    uint32_t refs;        /* under nodes->mu */
    bool listed;          /* in the table */
    bool owned; /* its state is not the heap's: an edit's, or one that is being committed */
    struct lki_nodes *nodes;
};

/* All nodes that a database has in memory. */
struct lki_nodes {
    lk_heap *heap;
    lk_mutex mu; /* table, counts, edits; inside it only the ghosts' lock */
    struct lki_ref **bucket;
    size_t buckets, listed;
    uint64_t edits;
};

/* Where to load from: the argument of lk_object_use(). */
struct lki_source {
    struct lki_nodes *nodes;
    const lk_store *store;
    void *snap;
    uint64_t unsure; /* see lk_writing: such nodes are not shared; 0 = none */
};

int lki_nodes_init(struct lki_nodes *nodes, const struct lk_heap_options *limit);
void lki_nodes_destroy(struct lki_nodes *nodes);
/* The node `oid`, a ghost if it is not there; counted.  NULL: out of memory. */
struct lki_ref *lki_ref_get(struct lki_nodes *nodes, uint64_t oid);
/* The same, but nobody else finds it if the source is not sure that it is there to stay. */
struct lki_ref *lki_ref_get_from(const struct lki_source *from, uint64_t oid);
/* A new node, owned; counted. */
struct lki_ref *lki_ref_new(struct lki_nodes *nodes, struct lki_node *node);
void lki_ref_keep(struct lki_ref *ref);
void lki_ref_drop(struct lki_ref *ref); /* NULL is none */
/* Count a new copy's children. */
void lki_ref_keep_all(struct lki_nodes *nodes, struct lki_ref *const *refs, uint32_t n);
/* It is stored: the heap's from now on. */
void lki_ref_stored(struct lki_ref *ref);
/* Load stored nodes in one call of the store, which must have load_many(); what is missing stays a
 * ghost. */
int lki_ref_load_many(const struct lki_source *from, struct lki_ref *const *refs, size_t n);
uint64_t lki_edit_new(struct lki_nodes *nodes);

/* Numbers that a transaction has replaced. */
struct lki_oids {
    uint64_t *oid;
    size_t n, room;
};
int lki_oids_add(struct lki_oids *list, uint64_t oid);

struct lk_tree {
    struct lki_source source;
    struct lki_ref *root; /* NULL: empty */
    uint64_t entries;
    uint32_t leaf_max, inner_max;
    uint64_t edit; /* 0: a view's */
    uint64_t changes;
    struct lki_oids freed; /* numbers that its changes have replaced */
    int broken;            /* a change failed half way: no commit */
    /* Of its view or transaction. */
    lk_tree *next;
    struct lki_ref *base_root;
    uint64_t base_entries;
    bool changed;     /* against its base */
    lk_load_fn *load; /* it will be filled from this when it is committed; NULL = no */
    void *load_arg;
    char name[];
};

struct lki_path {
    uint32_t depth; /* steps; the last is the leaf */
    struct lki_step {
        struct lki_ref *ref;
        struct lki_node *node;
        uint32_t at;
    } step[LK_DEPTH_MAX_];
};

/* What lki_use() says of a node that is of another level. */
int lki_wrong_level(const struct lki_ref *ref, const struct lki_node *n, int level);

/* Where a child's node was last: its address in the low 48 bits; of an even leaf the bytes of its
 * entries / 8 above them. */
enum { LKI_GUESS_BITS = 48 };

static inline uint64_t lki_guess(const void *address, uint64_t eights)
{
    uint64_t at = (uint64_t)(uintptr_t)address;
    bool fits = at >> LKI_GUESS_BITS == 0 && eights <= UINT16_MAX;
    return fits ? at | eights << LKI_GUESS_BITS : 0;
}

static inline uint64_t lki_guess_of(const struct lki_node *n)
{
    return lki_guess(n, (uint64_t)n->stride * n->page->count / 8);
}

static inline uintptr_t lki_guess_node(uint64_t guess)
{
    return (uintptr_t)(guess & ((UINT64_C(1) << LKI_GUESS_BITS) - 1));
}

/* How much of `whole` is before `key` below the slot `at`, if keys lie evenly there. */
static inline __attribute__((always_inline)) uint64_t lki_part_before(const struct lki_node *above,
                                                                      uint32_t at,
                                                                      struct lk_bytes key,
                                                                      uint64_t whole)
{
    if (at > 0 && at + 1 < above->page->count) {
        const struct lki_slot *s = lki_slots(above->page) + at;
        uint32_t first = lki_first_of(key, above->page->prefix), span = s[1].first - s[0].first;
        if (first - s[0].first < span)
            return whole * (first - s[0].first) / span;
    }
    return whole / 2;
}

/* These must be inlined: gcc drops calls of functions that only prefetch. */

/* An even leaf: its head and numbers, and where the entry is if keys lie evenly; where they do not,
 * it is waited for once more. */
static inline __attribute__((always_inline)) void lki_even_prefetch(uint64_t guess,
                                                                    const struct lki_node *above,
                                                                    uint32_t at,
                                                                    struct lk_bytes key)
{
    enum { HEAD = sizeof(struct lki_node) + sizeof(struct lki_page), FIRSTS = 256, BEFORE = 24 };
    uintptr_t n = lki_guess_node(guess), entries = (uintptr_t)(guess >> LKI_GUESS_BITS << 3);
    lk_prefetch((const void *)n);
    lk_prefetch((const void *)(n + HEAD - 1));
    for (uint32_t i = 0; i <= FIRSTS; i += 64)
        lk_prefetch((const void *)(n + HEAD + entries + i));
    uintptr_t entry = n + HEAD + (uintptr_t)lki_part_before(above, at, key, entries) - BEFORE;
    lk_prefetch((const void *)entry);
    lk_prefetch((const void *)(entry + 64));
}

/* Another node, whose page lies behind its head: its slots, of leaves the cells as well. */
static inline __attribute__((always_inline)) void lki_node_prefetch(uint64_t guess, int level)
{
    enum { LEAF = 1280, INNER = 1024 };
    uintptr_t n = lki_guess_node(guess);
#pragma GCC unroll 16
    for (uint32_t at = 0; at < INNER; at += 64)
        lk_prefetch((const void *)(n + at));
    if (level == 0)
        for (uint32_t at = INNER; at < LEAF; at += 64)
            lk_prefetch((const void *)(n + at));
}

/* Of a leaf that an edit fills: where its page is, and above that address where in it the last cell
 * is, 8 bytes counting as one. */
static inline void lki_filled_guess(struct lki_ref *ref, const struct lki_node *n)
{
    ref->guess = lki_guess(n->page, (n->size - n->page->used) / 8);
}

/* Its slots, and where the next cell goes. */
static inline __attribute__((always_inline)) void lki_filled_prefetch(const struct lki_ref *ref)
{
    enum { SLOTS = 576, CELL = 32 };
    uintptr_t page = lki_guess_node(ref->guess), cell = page + (ref->guess >> LKI_GUESS_BITS << 3);
    if (page == 0)
        return;
    for (uint32_t at = 0; at < SLOTS; at += 64)
        lk_prefetch((const void *)(page + at));
    lk_prefetch((const void *)cell);
    lk_prefetch((const void *)(cell - CELL));
}

/* What the search in an inner node is likely to end at. */
static inline __attribute__((always_inline)) void lki_child_prefetch(const struct lki_node *n,
                                                                     const struct lki_node *above,
                                                                     uint32_t at,
                                                                     struct lk_bytes key)
{
    uint64_t i = lki_part_before(above, at, key, n->page->count);
    if (n->guess != NULL)
        lk_prefetch(n->guess + i);
    lk_prefetch(n->child + i);
}

static inline int lki_check_level(const struct lki_ref *ref, const struct lki_node *n, int level)
{
    if (__builtin_expect(level >= 0 && n->page->level != level, 0))
        return lki_wrong_level(ref, n, level);
    return 0;
}

/* The node of `ref`, loaded; level < 0: any, else LK_ECORRUPT if it is another. */
static inline int lki_use(lk_tree *t, struct lki_ref *ref, int level, struct lki_node **node)
{
    void *state;
    int rc = lk_object_use(t->source.nodes->heap, &ref->object, &t->source, &state);
    if (__builtin_expect(rc != 0, 0))
        return rc;
    *node = state;
    return lki_check_level(ref, *node, level);
}

/* The child of `above` at `at`, of the level below, to look for `key` in.  Where its node was last
 * is asked for before its object has said where it is. */
static inline __attribute__((always_inline)) int lki_use_child(lk_tree *t,
                                                               const struct lki_node *above,
                                                               uint32_t at, struct lk_bytes key,
                                                               struct lki_node **node)
{
    struct lki_ref *ref = above->child[at];
    int level = above->page->level - 1;
    void *state;
    uint64_t guess = 0;
    if (above->guess != NULL) {
        /* [tree.1] relaxed: a guess that decides nothing. */
        guess = lk_load_rlx_u64(&above->guess[at]);
        if (guess >> LKI_GUESS_BITS != 0)
            lki_even_prefetch(guess, above, at, key);
        else
            lki_node_prefetch(guess, level);
    } else if (level == 0) {
        lki_filled_prefetch(ref);
    }
    int rc = lk_object_use(t->source.nodes->heap, &ref->object, &t->source, &state);
    if (__builtin_expect(rc != 0, 0))
        return rc;
    *node = state;
    if (__builtin_expect(lki_guess_node(guess) == (uintptr_t)state, 1)) {
        /* The same address, by the way that came first: the search need not wait for the object to
         * know where it goes on, which the branch has foretold.  The compiler is not to see that
         * they are the same.  The acquire of the object's word stands before all that follows. */
        uintptr_t same = lki_guess_node(guess);
        __asm__("" : "+r"(same));
        *node = (struct lki_node *)same;
        if (level > 0)
            lki_child_prefetch(*node, above, at, key);
    } else if (above->guess != NULL) {
        /* [tree.2] relaxed: the next one's guess. */
        lk_store_rlx_u64(&above->guess[at], lki_guess_of(*node));
        lki_node_prefetch((uint64_t)(uintptr_t)state, level);
    }
    return lki_check_level(ref, *node, level);
}

/* 0 inside a section, EPERM outside. */
static inline int lki_in_section(void)
{
    return lki_section_serial() != 0 ? 0 : EPERM;
}
/* The way down to `key`; *equal: the leaf's slot has it.  depth 0: the tree is empty. */
int lki_descend(lk_tree *t, struct lk_bytes key, struct lki_path *path, bool *equal);

lk_tree *lki_tree_new(const char *name, const struct lki_source *source, struct lki_ref *root,
                      uint64_t entries, const struct lk_tree_options *options);
void lki_tree_free(lk_tree *t);

#endif
