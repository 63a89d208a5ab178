/* order.c - learning: each thread walks along its tree of held stacks. */
#include "key/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/clock.h"

enum { CHUNK = 1 << 20, IDS_BITS = 26, BUCKETS = 16384 };

/* All of this under graph_lock. */
static lk_mutex graph_lock;
static char *chunk;
static size_t chunk_left;
static struct lki_class *classes, unnamed = {.name = "unnamed", .here = "?"};
static struct lki_class *buckets[BUCKETS];
static struct lki_watched *watched; /* [1 << IDS_BITS], of which the kernel gives what is used */
static uint32_t n_classes, n_threads;
static uint32_t n_locks;
static size_t n_nodes;
static struct lki_node **table; /* (parent, lock) -> node; open addressing */
static size_t table_size;

static uint32_t watching;

struct walker {
    struct lki_node *at;
    struct lki_segment *segment;
    uint32_t thread;
};
static __thread struct walker me __attribute__((tls_model("initial-exec")));

void lki_order_hold(void)
{
    lk_mutex_lock(&graph_lock);
}

void lki_order_let_go(void)
{
    lk_mutex_unlock(&graph_lock);
}

uint64_t lki_order_now(void)
{
    return lki_mono_ns();
}

/* Zeroed pages, given by the kernel as they are touched. */
static void *pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED) {
        (void)fputs("latchkey: no memory for the order graph\n", stderr);
        abort();
    }
    return p;
}

void *lki_order_alloc(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (size > CHUNK / 4)
        return pages(size);
    if (size > chunk_left) {
        chunk = pages(CHUNK);
        chunk_left = CHUNK;
    }
    chunk_left -= size;
    return chunk + chunk_left;
}

struct lki_watched *lki_order_watched(uint32_t id)
{
    return &watched[id];
}

struct lki_class *lki_order_classes(void)
{
    return classes;
}

void lki_order_name(uint32_t id, char *text, size_t size)
{
    (void)snprintf(text, size, "%s#%u", watched[id].class_->name, id);
}

static void begin_watching(void)
{
    if (watched != NULL)
        return;
    watched = pages(sizeof *watched << IDS_BITS);
    unnamed.next = NULL;
    classes = &unnamed;
    n_classes = 1;
}

/* ---- classes and locks
 * ------------------------------------------------------------------------ */

static struct lki_class **bucket_of(const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *c = name; *c != 0; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    return &buckets[h % BUCKETS];
}

static struct lki_class *class_of(const char *name, const char *here)
{
    struct lki_class **bucket = bucket_of(name);
    for (struct lki_class *c = *bucket; c != NULL; c = c->in_bucket)
        if (c->here == here && strcmp(c->name, name) == 0)
            return c;
    struct lki_class *c = lki_order_alloc(sizeof *c);
    char *kept = lki_order_alloc(strlen(name) + 1);
    *c = (struct lki_class){strcpy(kept, name), here, n_classes++, classes, *bucket};
    classes = *bucket = c;
    return c;
}

static uint32_t new_lock(struct lki_class *c)
{
    if (n_locks + 1 == 1u << IDS_BITS)
        return 0;
    watched[++n_locks].class_ = c;
    return n_locks;
}

void lk_order_mutex_init_(lk_order_mutex *m, const char *name, const char *here)
{
    lki_order_hold();
    begin_watching();
    lk_mutex_init(&m->lock_, 0);
    m->id_ = new_lock(class_of(name, here));
    lki_order_let_go();
}

static inline uint32_t id_seen(const lk_order_mutex *m)
{
    /* [order.1] relaxed: made once, under the graph's lock; a 0 is looked at again there. */
    return lk_load_rlx_u32(&m->id_);
}

/* A lock that nobody named gets its id at its first use. */
static uint32_t id_of(lk_order_mutex *m)
{
    uint32_t id = id_seen(m);
    if (id != 0)
        return id;
    lki_order_hold();
    begin_watching();
    if (m->id_ == 0)
        /* [order.2] relaxed: as [order.1]. */
        lk_store_rlx_u32(&m->id_, new_lock(&unnamed));
    id = m->id_;
    lki_order_let_go();
    return id;
}

/* ---- nodes
 * ------------------------------------------------------------------------------------ */

static size_t place(const struct lki_node *parent, uint32_t lock)
{
    uint64_t h = ((uint64_t)(uintptr_t)parent >> 4) * UINT64_C(0x9e3779b97f4a7c15) +
                 lock * UINT64_C(0xff51afd7ed558ccd);
    return (size_t)(h ^ h >> 29) & (table_size - 1);
}

static void enter_in_table(struct lki_node *n)
{
    size_t i = place(n->parent, n->lock);
    while (table[i] != NULL)
        i = (i + 1) & (table_size - 1);
    table[i] = n;
}

static void grow(void)
{
    struct lki_node **old = table;
    size_t n = table_size;
    table_size = n == 0 ? 4096 : 2 * n;
    table = pages(table_size * sizeof(struct lki_node *));
    for (size_t i = 0; i < n; i++)
        if (old[i] != NULL)
            enter_in_table(old[i]);
    if (n != 0)
        (void)munmap(old, n * sizeof(struct lki_node *));
}

static struct lki_node *find(const struct lki_node *parent, uint32_t lock)
{
    if (table_size == 0)
        return NULL;
    for (size_t i = place(parent, lock); table[i] != NULL; i = (i + 1) & (table_size - 1))
        if (table[i]->parent == parent && table[i]->lock == lock)
            return table[i];
    return NULL;
}

static struct lki_node *new_node(struct lki_node *parent, uint32_t lock, const char *here)
{
    struct lki_node *n = lki_order_alloc(sizeof *n);
    *n = (struct lki_node){.parent = parent,
                           .segment = parent->segment,
                           .sibling = parent->child,
                           .same = watched[lock].first,
                           .lock = lock,
                           .here = here,
                           .seen_ns = lki_order_now()};
    parent->child = n;
    watched[lock].first = n;
    if (2 * ++n_nodes > table_size)
        grow();
    enter_in_table(n);
    return n;
}

void lki_order_each_node(void (*fn)(const struct lki_node *n, void *arg), void *arg)
{
    for (size_t i = 0; i < table_size; i++)
        if (table[i] != NULL)
            fn(table[i], arg);
}

/* ---- threads
 * ---------------------------------------------------------------------------------- */

static void begin_segment(const uint32_t *knows, uint32_t n_known)
{
    struct lki_segment *s = lki_order_alloc(sizeof *s);
    struct lki_node *root = lki_order_alloc(sizeof *root);
    if (me.thread == 0)
        me.thread = ++n_threads;
    *s = (struct lki_segment){me.thread, me.segment == NULL ? 1 : me.segment->index + 1, n_known,
                              knows};
    *root = (struct lki_node){.segment = s};
    me.segment = s;
    me.at = root;
}

/* What this thread knows, and room for `more` threads. */
static uint32_t *knowledge(uint32_t n)
{
    uint32_t *knows = lki_order_alloc(n * sizeof *knows);
    memset(knows, 0, n * sizeof *knows);
    if (me.segment != NULL && me.segment->n_known != 0)
        memcpy(knows, me.segment->knows, me.segment->n_known * sizeof *knows);
    return knows;
}

/* Keep what is held when a new segment begins: the same stack below the new root. */
static struct lki_node *copy_path(const struct lki_node *n)
{
    if (n->lock == 0)
        return me.at;
    struct lki_node *parent = copy_path(n->parent);
    struct lki_node *copy = find(parent, n->lock);
    return copy != NULL ? copy : new_node(parent, n->lock, n->here);
}

static void next_segment(const uint32_t *knows, uint32_t n)
{
    const struct lki_node *held = me.at;
    begin_segment(knows, n);
    if (held != NULL)
        me.at = copy_path(held);
}

struct started {
    void *(*fn)(void *);
    void *arg;
    const uint32_t *knows;
    uint32_t n_known;
    void *result;
    struct lki_segment *last;
};

static void *run(void *arg)
{
    struct started *s = arg;
    lki_order_hold();
    begin_watching();
    begin_segment(s->knows, s->n_known);
    lki_order_let_go();
    s->result = s->fn(s->arg);
    s->last = me.segment;
    return s;
}

int lk_order_create(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    lki_order_hold();
    begin_watching();
    if (me.at == NULL)
        begin_segment(NULL, 0);
    struct started *s = lki_order_alloc(sizeof *s);
    uint32_t n = n_threads + 1;
    uint32_t *knows = knowledge(n);
    knows[me.thread] = me.segment->index; /* all of this thread's segments by now have ended */
    *s = (struct started){fn, arg, knows, n, NULL, NULL};
    next_segment(knowledge(n), n);
    lki_order_let_go();
    return pthread_create(thread, NULL, run, s);
}

int lk_order_join(pthread_t thread, void **result)
{
    void *ended = NULL;
    int rc = pthread_join(thread, &ended);
    if (rc != 0 || ended == PTHREAD_CANCELED)
        return rc;
    const struct started *s = ended;
    lki_order_hold();
    if (me.at == NULL)
        begin_segment(NULL, 0);
    uint32_t n = n_threads + 1;
    uint32_t *knows = knowledge(n);
    for (uint32_t t = 0; t < s->last->n_known; t++)
        if (s->last->knows[t] > knows[t])
            knows[t] = s->last->knows[t];
    knows[s->last->thread] = s->last->index;
    next_segment(knows, n);
    lki_order_let_go();
    if (result != NULL)
        *result = s->result;
    return 0;
}

/* ---- locking
 * ---------------------------------------------------------------------------------- */

static struct lki_node *step_slowly(uint32_t id, const char *here, bool wanted)
{
    lki_order_hold();
    begin_watching();
    if (me.at == NULL)
        begin_segment(NULL, 0);
    struct lki_node *n = find(me.at, id);
    if (n == NULL)
        n = new_node(me.at, id, here);
    if (wanted && !n->wanted) {
        n->wanted = true;
        n->here = here;
        lki_order_search(n);
    }
    me.at->last_child = n;
    lki_order_let_go();
    return n;
}

/* Go on to the node of what is held with this lock on top, if it is the one that followed last
 * time.  No lock has the id 0. */
static inline bool step_again(uint32_t id, bool wanted)
{
    const struct lki_node *at = me.at;
    if (__builtin_expect(at == NULL, 0))
        return false;
    struct lki_node *n = at->last_child;
    if (__builtin_expect(n == NULL || n->lock != id || n->wanted < wanted, 0))
        return false;
    me.at = n;
    return true;
}

static inline bool is_watching(void)
{
    /* [order.3] relaxed: a switch; nothing hangs on when it is seen. */
    return lk_load_rlx_u32(&watching) != 0;
}

/* Apart, so that the common path saves no registers. */
static __attribute__((noinline)) void lock_slowly(lk_order_mutex *m, const char *here)
{
    me.at = step_slowly(id_of(m), here, true);
    lk_mutex_lock(&m->lock_);
}

void lk_order_lock_(lk_order_mutex *m, const char *here)
{
    /* Before it may wait for ever. */
    if (is_watching() && __builtin_expect(!step_again(id_seen(m), true), 0))
        lock_slowly(m, here);
    else
        lk_mutex_lock(&m->lock_);
}

int lk_order_trylock_(lk_order_mutex *m, const char *here)
{
    int rc = lk_mutex_trylock(&m->lock_);
    if (rc == 0 && is_watching() && !step_again(id_seen(m), false))
        me.at = step_slowly(id_of(m), here, false);
    return rc;
}

/* The stack `from` without its node `gone`. */
static struct lki_node *without(const struct lki_node *from, const struct lki_node *gone)
{
    if (from == gone)
        return gone->parent;
    struct lki_node *parent = without(from->parent, gone);
    struct lki_node *n = find(parent, from->lock);
    return n != NULL ? n : new_node(parent, from->lock, from->here);
}

/* Not the innermost: the stack without it. */
static void leave_slowly(uint32_t id)
{
    const struct lki_node *from = me.at;
    const struct lki_node *n = from;
    while (n != NULL && n->lock != id)
        n = n->parent;
    if (n == NULL || n->lock == 0)
        return; /* locked before watching began */
    lki_order_hold();
    me.at = without(from, n);
    lki_order_let_go();
}

static __attribute__((noinline)) void unlock_slowly(lk_order_mutex *m)
{
    if (me.at != NULL)
        leave_slowly(m->id_);
    lk_mutex_unlock(&m->lock_);
}

/* Back to the stack below, if the innermost is this lock. */
static inline bool leave(uint32_t id)
{
    const struct lki_node *at = me.at;
    if (__builtin_expect(at == NULL || at->lock != id || at->parent == NULL, 0))
        return false;
    me.at = at->parent;
    return true;
}

void lk_order_unlock(lk_order_mutex *m)
{
    if (is_watching() && __builtin_expect(!leave(id_seen(m)), 0))
        unlock_slowly(m);
    else
        lk_mutex_unlock(&m->lock_);
}

void lk_order_on(bool on)
{
    lki_order_hold();
    begin_watching();
    lki_order_let_go();
    /* [order.4] relaxed: as [order.3]. */
    lk_store_rlx_u32(&watching, on);
}

void lk_order_count(struct lk_order_counts *out)
{
    lki_order_hold();
    *out = (struct lk_order_counts){n_classes, n_locks, n_nodes, 0, lki_order_given_up()};
    for (const struct lki_ring *r = lki_order_found(); r != NULL; r = r->next)
        out->rings++;
    lki_order_let_go();
}
