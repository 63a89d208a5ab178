/* thread.c - a key for each thread: made at its first take, and what its end does.
 *
 * A thread that ends inside a scope without having been compiled with -fexceptions does not run the
 * scope's end; then the destructor below unlocks.  By that time the thread's stack is reused, so a
 * hold whose members lay there cannot be given back; those of the key are in the key. */
#include <pthread.h>
#include <stdlib.h>

#include "base/robust.h"
#include "key/key.h"

static pthread_key_t at_end;
static pthread_once_t at_end_made = PTHREAD_ONCE_INIT;

/* Guards the list of keys. */
static lk_mutex list_lock;
static struct lk_key_ list = {.next_ = &list, .previous_ = &list};

static bool is_within(const void *p, const void *begin, size_t size)
{
    return (uintptr_t)p - (uintptr_t)begin < size;
}

static bool is_on_stack(const void *p)
{
    pthread_attr_t attr;
    void *base = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return true;
    (void)pthread_attr_getstack(&attr, &base, &size);
    (void)pthread_attr_destroy(&attr);
    /* The thread's own variables lie in the same piece of memory, above all frames. */
    bool in_frames = (uintptr_t)p < (uintptr_t)__builtin_frame_address(0) + 1024;
    return is_within(p, base, size) && in_frames;
}

static void end_thread(void *arg)
{
    struct lk_key_ *k = arg;
    if (k->claim_ != NULL)
        lki_claim_end_thread(k);
    while (k->depth_ > 0) {
        struct lk_hold_ *h = lki_hold_top(k);
        if (h->member_ != NULL && !is_within(h->member_, k, sizeof *k) &&
            is_on_stack(h->member_)) /* built there, and gone */
            h->n_ = 0;
        lki_hold_unlock(k, true);
    }
    lk_mutex_lock(&list_lock);
    k->next_->previous_ = k->previous_;
    k->previous_->next_ = k->next_;
    lk_mutex_unlock(&list_lock);
    lki_key_mine = NULL;
    free(k);
}

/* In a child of fork there is one thread, and nobody else's key. */
static void in_child(void)
{
    struct lk_key_ *k = lki_key_mine;
    lk_mutex_init(&list_lock, 0);
    list.next_ = list.previous_ = &list;
    if (k == NULL)
        return;
    k->next_ = k->previous_ = &list;
    list.next_ = list.previous_ = k;
    k->thread_ = lki_thread_id();
}

static void make(void)
{
    (void)pthread_key_create(&at_end, end_thread);
    (void)pthread_atfork(NULL, NULL, in_child);
}

void lki_key_enlist(struct lk_key_ *k)
{
    k->thread_ = lki_thread_id();
    lk_mutex_lock(&list_lock);
    k->next_ = list.next_;
    k->previous_ = &list;
    list.next_->previous_ = k;
    list.next_ = k;
    lk_mutex_unlock(&list_lock);
}

/* On the heap: of a library that is loaded late, thread-local variables must be few. */
struct lk_key_ *lki_key_first(void)
{
    (void)pthread_once(&at_end_made, make);
    struct lk_key_ *k = calloc(1, sizeof *k);
    if (k == NULL || pthread_setspecific(at_end, k) != 0) {
        free(k);
        return NULL;
    }
    lki_key_enlist(k);
    k->thread_pointer_ = __builtin_thread_pointer();
    lki_key_mine = k;
    return k;
}

const struct lk_key_ *lki_key_list(void)
{
    return &list;
}

static void each(void (*fn)(struct lk_key_ *k, void *arg), void *arg)
{
    for (struct lk_key_ *k = list.next_; k != &list; k = k->next_)
        fn(k, arg);
    lk_mutex_unlock(&list_lock);
}

void lki_key_each(void (*fn)(struct lk_key_ *k, void *arg), void *arg)
{
    lk_mutex_lock(&list_lock);
    each(fn, arg);
}

bool lki_key_try_each(void (*fn)(struct lk_key_ *k, void *arg), void *arg)
{
    if (lk_mutex_trylock(&list_lock) != 0)
        return false;
    each(fn, arg);
    return true;
}
