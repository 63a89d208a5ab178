/* wait.c - waiting for others with a free key, and for a condition under a set. */
#include "base/atomic.h"
#include "base/clock.h"
#include "base/error.h"
#include "key/key.h"

int lk_key_join_at_(lk_key key, pthread_t thread, void **result, const char *here)
{
    int rc = lki_key_want(key.k_, here);
    return rc != 0 ? rc : pthread_join(thread, result);
}

int lk_key_barrier_at_(lk_key key, lk_barrier *b, const struct timespec *deadline, const char *here)
{
    int rc = lki_key_want(key.k_, here);
    return rc != 0 ? rc : lk_barrier_wait_until(b, deadline);
}

int lk_key_sem_at_(lk_key key, lk_sem *s, const struct timespec *deadline, const char *here)
{
    int rc = lki_key_want(key.k_, here);
    return rc != 0 ? rc : lk_sem_wait_until(s, deadline);
}

/* ---- initialisers that wait for each other
 * ------------------------------------------------------ */

/* A thread inside an initialiser, and what it waits for.  On that thread's stack; `guard` guards
 * the list.  Who is about to wait looks along the chain first: whoever closes a ring comes last,
 * and sees it. */
struct running {
    const lk_once *once;
    const char *name, *here;
    struct lk_key_ *key;
    const lk_once *wants;
    struct running *next;
};
static lk_mutex guard;
static struct running *all;

static struct running *runner_of(const lk_once *o)
{
    struct running *r = all;
    while (r != NULL && r->once != o)
        r = r->next;
    return r;
}

/* The initialiser that `k` is in, the innermost. */
static struct running *inside(const struct lk_key_ *k)
{
    struct running *r = all;
    while (r != NULL && r->key != k)
        r = r->next;
    return r;
}

/* Announce that k waits for o.  EDEADLK if the runner of o waits, in the end, for k. */
static int want(struct lk_key_ *k, const lk_once *o, const char *name, const char *here)
{
    int rc = 0;
    lk_mutex_lock(&guard);
    struct running *me = inside(k), *r = runner_of(o);
    for (const struct running *at = r; me != NULL && at != NULL && rc == 0;) {
        const struct running *innermost = inside(at->key);
        if (at->key == k)
            rc = lki_fail(EDEADLK, "%s: %s is waited for inside of %s (%s), which it waits for",
                          here, name, me->name, me->here);
        at = innermost->wants != NULL ? runner_of(innermost->wants) : NULL;
    }
    if (me != NULL && rc == 0)
        me->wants = o;
    lk_mutex_unlock(&guard);
    return rc;
}

static void want_no_more(struct lk_key_ *k)
{
    lk_mutex_lock(&guard);
    struct running *me = inside(k);
    if (me != NULL)
        me->wants = NULL;
    lk_mutex_unlock(&guard);
}

struct call {
    struct running running;
    int (*fn)(lk_key key, void *arg);
    void *arg;
    lk_key key;
};

static void leave(struct running *r)
{
    lk_mutex_lock(&guard);
    struct running **at = &all;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    lk_mutex_unlock(&guard);
}

static void leave_call(struct call **c)
{
    leave(&(*c)->running);
}

static int run(void *arg)
{
    struct call *c __attribute__((cleanup(leave_call))) = arg;
    lk_mutex_lock(&guard);
    c->running.next = all;
    all = &c->running;
    lk_mutex_unlock(&guard);
    return c->fn(c->key, c->arg);
}

int lk_key_once_at_(lk_key key, lk_once *o, int (*fn)(lk_key key, void *arg), void *arg,
                    const char *name, const char *here)
{
    struct call c = {{o, name, here, key.k_, NULL, NULL}, fn, arg, key};
    int rc = lki_key_want(key.k_, here);
    if (rc != 0)
        return rc;
    /* [wait.1] relaxed: a guess; lk_once_call() looks again. */
    if (lk_load_rlx_u32(&o->word_) == LK_ONCE_DONE_)
        return lk_once_call(o, run, &c);
    rc = want(key.k_, o, name, here);
    if (rc != 0)
        return rc;
    rc = lk_once_call(o, run, &c);
    want_no_more(key.k_);
    return rc;
}

/* ---- a condition under a whole set
 * --------------------------------------------------------------- */

struct whole {
    struct lk_key_ *k;
    int rc;
};

static void unlock_whole(void *arg)
{
    struct whole *w = arg;
    lki_hold_release(w->k);
}

static void relock_whole(void *arg)
{
    struct whole *w = arg;
    w->rc = lki_hold_relock(w->k);
}

int lk_set_wait_(struct lk_key_ *k, lk_cond *c, const struct timespec *deadline)
{
    struct whole w = {.k = k};
    if (!lki_key_is_here(k) || k->depth_ != 1)
        return lki_fail(EDEADLK, "a wait needs exactly one hold");
    struct lk_cond_lock all_of_it = {&w, unlock_whole, relock_whole};
    int rc = lk_cond_wait_with(c, &all_of_it, CLOCK_MONOTONIC, deadline);
    return w.rc != 0 ? w.rc : rc;
}

int lk_set_wait_for_(struct lk_key_ *k, lk_cond *c, bool (*holds)(void *arg), void *arg,
                     const struct timespec *deadline)
{
    while (!holds(arg)) {
        int rc = lk_set_wait_(k, c, deadline);
        if (rc == ETIMEDOUT)
            return holds(arg) ? 0 : ETIMEDOUT;
        if (rc != 0)
            return rc;
    }
    return 0;
}
