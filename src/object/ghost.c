/* ghost.c - objects that load themselves.
 *
 * Word: an object's state_, NULL (a ghost) or a complete state.
 * Only a thread that holds `lock` writes the word: NULL -> state at the end of a load or by adopt,
 * state -> NULL by eviction.  A *claim* says that an object is being loaded, by whom, and who
 * waits; it exists during the load only.  One lock for all claims, so that a circle of waiting
 * threads is seen whole.  Loaders, `free` and sleeping are outside the lock.
 * Legal: a claim whose object has a state already (adopted meanwhile; the loader's is freed).
 * Illegal: a state that a loader is still writing; two claims of one object. */
#include "latchkey/object.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "latchkey/mutex.h"
#include "object/epoch.h"

/* gcc 12 does not see that what is allocated here is kept by the heap. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
/* Nor that who waits for a claim keeps it from being freed. */
#pragma GCC diagnostic ignored "-Wanalyzer-use-after-free"
#endif

struct lki_claim {
    struct lki_claim *next;
    lk_object *object;
    struct lki_thread *owner;
    uint32_t done;    /* 0, then 1: waiters sleep on it */
    uint32_t waiters; /* the last one frees the claim of a load that has ended */
    int rc;
};

/* A state that sections may still see. */
struct retired {
    struct retired *next;
    uint64_t epoch;
    void *state;
    void (*free)(void *state);
};

struct lk_heap {
    struct lk_heap_options limit;
    lk_object loaded; /* head of the ring; eviction looks at the oldest, its prev_ */
    struct retired *retired;
    struct lk_heap_stat stat;
};

static lk_mutex lock; /* claims, rings, the words' changes */
static struct lki_claim *claims;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    lk_mutex_lock(&lock);
}

static void after_fork(void)
{
    lk_mutex_unlock(&lock);
}

/* The other threads' loads will never end. */
static void in_child(void)
{
    lk_mutex_init(&lock, 0);
    struct lki_thread *self = lki_thread_self();
    for (struct lki_claim **at = &claims; *at != NULL;) {
        if ((*at)->owner == self)
            at = &(*at)->next;
        else
            *at = (*at)->next;
    }
    lki_epoch_forked();
}

static void prepare_for_fork(void)
{
    (void)pthread_atfork(before_fork, after_fork, in_child);
}

int lk_heap_new(lk_heap **heap, const struct lk_heap_options *options)
{
    lk_heap *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ENOMEM;
    (void)pthread_once(&once, prepare_for_fork);
    if (options != NULL)
        h->limit = *options;
    h->loaded.next_ = h->loaded.prev_ = &h->loaded;
    *heap = h;
    return 0;
}

/* What nobody can see any more, taken off the list; `lock` is held. */
static struct retired *collect(lk_heap *h)
{
    if (h->retired == NULL)
        return NULL;
    struct retired *out = NULL;
    uint64_t oldest = lki_epoch_oldest();
    for (struct retired **at = &h->retired; *at != NULL;) {
        struct retired *r = *at;
        if (r->epoch < oldest) {
            *at = r->next;
            r->next = out;
            out = r;
            h->stat.retired--;
            h->stat.freed++;
        } else {
            at = &r->next;
        }
    }
    return out;
}

/* Outside the lock: `free` may take others. */
static void free_all(struct retired *r)
{
    while (r != NULL) {
        struct retired *next = r->next;
        r->free(r->state);
        free(r);
        r = next;
    }
}

void lk_heap_collect(lk_heap *h)
{
    lk_mutex_lock(&lock);
    struct retired *gone = collect(h);
    lk_mutex_unlock(&lock);
    free_all(gone);
}

void lk_heap_free(lk_heap *h)
{
    if (h == NULL)
        return;
    free_all(h->retired);
    free(h);
}

static void *state_of(const lk_object *o)
{
    /* [ghost.2] relaxed: the lock is held, or nobody else uses it. */
    return (void *)(uintptr_t)lk_load_rlx_u64((const uint64_t *)(const void *)&o->state_);
}

static void link_loaded(lk_heap *h, lk_object *o, void *state, size_t bytes)
{
    o->bytes_ = bytes;
    o->next_ = h->loaded.next_;
    o->prev_ = &h->loaded;
    o->next_->prev_ = o;
    h->loaded.next_ = o;
    h->stat.objects++;
    h->stat.bytes += bytes;
    /* [ghost.1] release, pairs with [object.1]: the state is complete. */
    lk_store_rel_ptr(&o->state_, state);
}

static void *unlink_loaded(lk_heap *h, lk_object *o)
{
    void *state = state_of(o);
    o->next_->prev_ = o->prev_;
    o->prev_->next_ = o->next_;
    o->next_ = o->prev_ = NULL;
    h->stat.objects--;
    h->stat.bytes -= o->bytes_;
    /* [ghost.3] relaxed: whoever must not see the old state sees this through the epoch. */
    lk_store_rlx_u64((uint64_t *)(void *)&o->state_, 0);
    return state;
}

/* False: no memory to remember it by; it stays. */
static bool evict(lk_heap *h, lk_object *o)
{
    struct retired *r = malloc(sizeof *r);
    if (r == NULL)
        return false;
    void *state = unlink_loaded(h, o);
    *r = (struct retired){h->retired, lki_epoch_retire(), state, o->class_->free};
    h->retired = r;
    h->stat.retired++;
    h->stat.evicted++;
    return true;
}

static bool over_limit(const lk_heap *h)
{
    return (h->limit.limit_bytes != 0 && h->stat.bytes > h->limit.limit_bytes) ||
           (h->limit.limit_objects != 0 && h->stat.objects > h->limit.limit_objects);
}

/* Oldest first; one that was used since it was looked at last gets a second round. */
static void evict_surplus(lk_heap *h)
{
    uint64_t rounds = 2 * h->stat.objects;
    while (over_limit(h) && rounds-- > 0) {
        lk_object *o = h->loaded.prev_;
        /* [ghost.4] relaxed: a hint. */
        if (lk_load_rlx_u32(&o->used_) == 0) {
            if (!evict(h, o))
                return;
            continue;
        }
        lk_store_rlx_u32(&o->used_, 0); /* [ghost.5] relaxed: a hint. */
        o->prev_->next_ = o->next_;
        o->next_->prev_ = o->prev_;
        o->next_ = h->loaded.next_;
        o->prev_ = &h->loaded;
        o->next_->prev_ = o;
        h->loaded.next_ = o;
    }
}

/* A load in progress, on its thread's stack. */
struct load {
    lk_heap *heap;
    struct lki_claim *claim;
    void *state;
    size_t bytes;
    int rc;
    void **out;
};

static void unlist(struct lki_claim *c)
{
    struct lki_claim **at = &claims;
    while (*at != NULL && *at != c)
        at = &(*at)->next;
    if (*at != NULL)
        *at = c->next;
}

/* The loader has returned, or its thread is being unwound (rc is ECANCELED then). */
static void end_load(struct load *l)
{
    struct lki_claim *c = l->claim;
    lk_object *o = c->object;
    void *unwanted = NULL;
    lk_mutex_lock(&lock);
    if (l->rc == 0 && state_of(o) == NULL) {
        link_loaded(l->heap, o, l->state, l->bytes);
    } else if (l->rc == 0) {
        unwanted = l->state;
        l->state = state_of(o);
    }
    if (l->rc == 0)
        *l->out = l->state;
    l->heap->stat.loads++;
    l->heap->stat.failed += l->rc != 0;
    unlist(c);
    c->rc = l->rc;
    uint32_t waiters = c->waiters;
    /* [ghost.6] relaxed: who sees it takes the lock, which is held, before it looks at the result;
     * for who sleeps, the kernel's own lock orders it before the wake. */
    lk_store_rlx_u32(&c->done, 1);
    if (waiters > 0)
        (void)lki_futex_rouse(&c->done, INT32_MAX, false);
    else
        free(c);
    evict_surplus(l->heap);
    struct retired *gone = collect(l->heap);
    lk_mutex_unlock(&lock);
    free_all(gone);
    if (unwanted != NULL)
        o->class_->free(unwanted);
}

/* The lock is held, and is not any more behind this. */
static int load(lk_heap *h, lk_object *o, struct lki_thread *self, void *arg, void **state)
{
    struct lki_claim *c = malloc(sizeof *c);
    if (c == NULL) {
        lk_mutex_unlock(&lock);
        return ENOMEM;
    }
    *c = (struct lki_claim){.next = claims, .object = o, .owner = self};
    claims = c;
    lk_mutex_unlock(&lock);
    /* Ended when it goes out of scope, also if the thread ends inside it. */
    struct load l __attribute__((cleanup(end_load))) = {h, c, NULL, 0, ECANCELED, state};
    l.rc = o->class_->load(o, arg, &l.state, &l.bytes);
    return l.rc;
}

/* Would waiting for c close a circle?  Its owner may wait for a claim whose owner waits ... for
 * us. */
static bool closes_circle(const struct lki_claim *c, const struct lki_thread *self)
{
    while (c != NULL) {
        if (c->owner == self)
            return true;
        c = c->owner->waits;
    }
    return false;
}

/* The lock is held, and is not any more behind this.  Returns the load's result. */
static int wait_for(lk_heap *h, struct lki_claim *c, struct lki_thread *self)
{
    c->waiters++;
    self->waits = c;
    h->stat.waited++;
    lk_mutex_unlock(&lock);
    /* [ghost.7] relaxed: as [ghost.6]. */
    while (lk_load_rlx_u32(&c->done) == 0)
        (void)lki_futex_sleep(&c->done, 0, false, &(struct lki_deadline){NULL, CLOCK_MONOTONIC});
    lk_mutex_lock(&lock);
    self->waits = NULL;
    int rc = c->rc;
    bool last = --c->waiters == 0;
    lk_mutex_unlock(&lock);
    if (last)
        free(c);
    return rc;
}

void lk_object_used_(lk_object *o)
{
    lk_store_rlx_u32(&o->used_, 1); /* [ghost.8] relaxed: a hint. */
}

int lk_object_use_slowly_(lk_heap *h, lk_object *o, void *arg, void **state)
{
    struct lki_thread *self = lki_thread_self();
    if (self == NULL)
        return ENOMEM;
    if (self->nest == 0)
        return EPERM;
    for (;;) {
        lk_mutex_lock(&lock);
        void *seen = state_of(o);
        if (seen != NULL) {
            lk_mutex_unlock(&lock);
            *state = seen;
            return 0;
        }
        struct lki_claim *c = claims;
        while (c != NULL && c->object != o)
            c = c->next;
        if (c == NULL)
            return load(h, o, self, arg, state);
        if (closes_circle(c, self)) {
            lk_mutex_unlock(&lock);
            return EDEADLK;
        }
        int rc = wait_for(h, c, self);
        if (rc != 0)
            return rc;
    }
}

int lk_object_adopt(lk_heap *h, lk_object *o, void *state, size_t bytes)
{
    lk_mutex_lock(&lock);
    bool ghost = state_of(o) == NULL;
    if (ghost)
        link_loaded(h, o, state, bytes);
    evict_surplus(h);
    struct retired *gone = collect(h);
    lk_mutex_unlock(&lock);
    free_all(gone);
    return ghost ? 0 : EEXIST;
}

bool lk_object_evict(lk_heap *h, lk_object *o)
{
    lk_mutex_lock(&lock);
    bool evicted = state_of(o) != NULL && evict(h, o);
    struct retired *gone = collect(h);
    lk_mutex_unlock(&lock);
    free_all(gone);
    return evicted;
}

void lk_object_drop(lk_heap *h, lk_object *o)
{
    lk_mutex_lock(&lock);
    void *state = state_of(o) != NULL ? unlink_loaded(h, o) : NULL;
    lk_mutex_unlock(&lock);
    if (state != NULL)
        o->class_->free(state);
}

enum lk_object_state lk_object_state(lk_heap *h, lk_object *o)
{
    (void)h;
    lk_mutex_lock(&lock);
    enum lk_object_state state = state_of(o) != NULL ? LK_OBJECT_LOADED : LK_OBJECT_GHOST;
    for (struct lki_claim *c = claims; c != NULL && state == LK_OBJECT_GHOST; c = c->next)
        if (c->object == o)
            state = LK_OBJECT_LOADING;
    lk_mutex_unlock(&lock);
    return state;
}

void lk_heap_stat(lk_heap *h, struct lk_heap_stat *stat)
{
    lk_mutex_lock(&lock);
    *stat = h->stat;
    lk_mutex_unlock(&lock);
}
