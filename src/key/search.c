/* search.c - rings through a node that has just been made.
 *
 * The new node N: a thread that holds P(N) wants lock L.  From each occurrence of L in the tree of
 * another thread, look at what is wanted below it (X, by a thread that holds L): if X is in P(N)
 * the ring is closed, else go on from the occurrences of X.  Every edge of a ring is of another
 * thread, so a ring has as many edges as there are threads at most; and no lock may be held by two
 * of its edges (a gate): what the edges so far hold is marked, and a subtree below a marked lock is
 * left out. */
#include <stdio.h>
#include <string.h>

#include "key/order.h"

enum { EDGES = 16, LOOKS = 2000000 };

static struct lki_ring *found, *last;
static size_t n_found, n_given_up;
static void (*on_ring)(const struct lk_order_ring *ring, void *arg);
static void *on_ring_arg;

struct search {
    struct lki_node *edge[EDGES]; /* wanted by; the first is N */
    size_t n;
    size_t looks;
};

/* ---- marks: which edge holds a lock
 * ------------------------------------------------------------- */

static void mark(const struct lki_node *wanted, struct lki_node *by)
{
    for (const struct lki_node *a = wanted->parent; a->lock != 0; a = a->parent)
        lki_order_watched(a->lock)->marked = by;
}

static bool is_marked(uint32_t lock)
{
    return lki_order_watched(lock)->marked != NULL;
}

/* ---- rings
 * ---------------------------------------------------------------------------------------- */

static const char *kept(const char *text)
{
    char *copy = lki_order_alloc(strlen(text) + 1);
    return strcpy(copy, text);
}

static const char *kept_name(uint32_t lock)
{
    char text[200];
    lki_order_name(lock, text, sizeof text);
    return kept(text);
}

/* Where the lock was locked on the way to the node. */
static const struct lki_node *holding(const struct lki_node *n, uint32_t lock)
{
    const struct lki_node *a = n->parent;
    while (a->lock != lock)
        a = a->parent;
    return a;
}

static bool was_found(const struct search *s)
{
    for (const struct lki_ring *r = found; r != NULL; r = r->next) {
        size_t same = 0;
        if (r->ring.n != s->n)
            continue;
        for (size_t i = 0; i < s->n; i++)
            for (size_t j = 0; j < s->n; j++)
                same += strcmp(r->ring.edge[j].wants_at, s->edge[i]->here) == 0;
        if (same >= s->n)
            return true;
    }
    return false;
}

static void print(const struct lk_order_ring *ring)
{
    (void)fprintf(stderr, "latchkey: %zu threads can wait for each other:\n", ring->n);
    for (size_t i = 0; i < ring->n; i++)
        (void)fprintf(stderr, "  thread %u holds %s (%s) and wants %s (%s)\n", ring->edge[i].thread,
                      ring->edge[i].holds, ring->edge[i].holds_at, ring->edge[i].wants,
                      ring->edge[i].wants_at);
}

/* edge[i] wants what edge[i + 1] holds. */
static void report(const struct search *s)
{
    if (was_found(s))
        return;
    struct lk_order_edge *edge = lki_order_alloc(s->n * sizeof *edge);
    for (size_t i = 0; i < s->n; i++) {
        const struct lki_node *n = s->edge[i];
        uint32_t holds = s->edge[(i + s->n - 1) % s->n]->lock;
        edge[i] =
            (struct lk_order_edge){n->segment->thread, kept_name(holds), holding(n, holds)->here,
                                   kept_name(n->lock), n->here,          n->seen_ns};
    }
    struct lki_ring *r = lki_order_alloc(sizeof *r);
    *r = (struct lki_ring){{edge, s->n}, NULL};
    if (last == NULL)
        found = r;
    else
        last->next = r;
    last = r;
    n_found++;
    if (on_ring != NULL)
        on_ring(&r->ring, on_ring_arg);
    else
        print(&r->ring);
}

/* ---- the search
 * ----------------------------------------------------------------------------------- */

static bool before(const struct lki_segment *a, const struct lki_segment *b)
{
    return a->thread < b->n_known && b->knows[a->thread] >= a->index;
}

/* May this tree's thread be the next in the ring? */
static bool fits(const struct search *s, const struct lki_segment *segment)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct lki_segment *other = s->edge[i]->segment;
        if (other->thread == segment->thread || before(other, segment) || before(segment, other))
            return false;
    }
    return true;
}

static bool is_gated(const struct lki_node *occurrence)
{
    for (const struct lki_node *a = occurrence->parent; a->lock != 0; a = a->parent)
        if (is_marked(a->lock))
            return true;
    return false;
}

static void go_on(struct search *s);

/* A node below an occurrence: what it wants, its thread holds the last edge's lock. */
static void try_edge(struct search *s, struct lki_node *n)
{
    if (!n->wanted)
        return;
    struct lki_node *by = lki_order_watched(n->lock)->marked;
    if (by != NULL && by != s->edge[0])
        return; /* an inner ring: found from another node */
    s->edge[s->n++] = n;
    if (by != NULL) {
        report(s);
    } else if (s->n < EDGES) {
        mark(n, n);
        go_on(s);
        mark(n, NULL);
    } else {
        n_given_up++;
    }
    s->n--;
}

static struct lki_node *next_below(struct lki_node *n, const struct lki_node *top, bool descend)
{
    if (descend && n->child != NULL)
        return n->child;
    while (n != top && n->sibling == NULL)
        n = n->parent;
    return n == top ? NULL : n->sibling;
}

static void go_on(struct search *s)
{
    uint32_t lock = s->edge[s->n - 1]->lock;
    for (struct lki_node *o = lki_order_watched(lock)->first; o != NULL; o = o->same) {
        if (++s->looks > LOOKS)
            break;
        if (o->child == NULL || !fits(s, o->segment) || is_gated(o))
            continue;
        bool descend = true;
        for (struct lki_node *n = o->child; n != NULL; n = next_below(n, o, descend)) {
            if (++s->looks > LOOKS) {
                n_given_up++;
                return;
            }
            descend = !is_marked(n->lock);
            try_edge(s, n);
        }
    }
}

/* The same lock again, in the same stack. */
static bool is_own(struct lki_node *n)
{
    for (const struct lki_node *a = n->parent; a->lock != 0; a = a->parent)
        if (a->lock == n->lock)
            return true;
    return false;
}

void lki_order_search(struct lki_node *n)
{
    struct search s = {.edge = {n}, .n = 1};
    if (n->parent->lock == 0)
        return;
    if (is_own(n)) {
        report(&s);
        return;
    }
    mark(n, n);
    go_on(&s);
    mark(n, NULL);
}

const struct lki_ring *lki_order_found(void)
{
    return found;
}

size_t lki_order_given_up(void)
{
    return n_given_up;
}

size_t lk_order_rings(void)
{
    lki_order_hold();
    size_t n = n_found;
    lki_order_let_go();
    return n;
}

void lk_order_on_ring(void (*fn)(const struct lk_order_ring *ring, void *arg), void *arg)
{
    lki_order_hold();
    on_ring = fn;
    on_ring_arg = arg;
    lki_order_let_go();
}
