/* order.h - the graph's parts: classes, locks, segments of threads, nodes. */
#ifndef LKI_ORDER_H
#define LKI_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchkey/order.h"

struct lki_class {
    const char *name, *here;
    uint32_t number;
    struct lki_class *next, *in_bucket;
};

struct lki_node;

/* A watched lock, by its id. */
struct lki_watched {
    struct lki_class *class_;
    struct lki_node *first;  /* occurrences in all trees */
    struct lki_node *marked; /* is it on the path of this node? (of the search under way) */
};

/* A piece of a thread's life between two starts or joins: `knows[t]` = how many segments of thread
 * t came to an end before it began. */
struct lki_segment {
    uint32_t thread, index, n_known;
    const uint32_t *knows;
};

/* A held stack: `lock` on top of what `parent` has.  The root of a segment has lock 0. */
struct lki_node {
    struct lki_node *parent, *child, *sibling, *same;
    struct lki_node *last_child; /* a guess */
    const struct lki_segment *segment;
    const char *here;
    uint64_t seen_ns;
    uint32_t lock;
    bool wanted; /* waited for, not only tried */
};

/* Memory that is never given back; under the graph's lock. */
void *lki_order_alloc(size_t size);

struct lki_watched *lki_order_watched(uint32_t id);
void lki_order_name(uint32_t id, char *text, size_t size);

/* A node that waits has been made: look for rings through it. */
void lki_order_search(struct lki_node *n);

/* For the writers, under the graph's lock. */
void lki_order_each_node(void (*fn)(const struct lki_node *n, void *arg), void *arg);
struct lki_class *lki_order_classes(void);
void lki_order_hold(void);
void lki_order_let_go(void);
uint64_t lki_order_now(void);

/* Rings that were found (search.c). */
struct lki_ring {
    struct lk_order_ring ring;
    struct lki_ring *next;
};
const struct lki_ring *lki_order_found(void);
size_t lki_order_given_up(void);

#endif
