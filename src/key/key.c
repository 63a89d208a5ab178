/* key.c - taking and giving back the key, and what happens when it is misused. */
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/error.h"
#include "key/key.h"

__thread struct lk_key_ *lki_key_mine __attribute__((tls_model("initial-exec")));

static void print_and_abort(const char *text)
{
    (void)fprintf(stderr, "latchkey: %s\n", text);
    abort();
}

static void (*on_stop)(const char *text) = print_and_abort;

void lk_key_on_stop(void (*stop)(const char *text))
{
    on_stop = stop != NULL ? stop : print_and_abort;
}

int lki_key_stop(const char *what, const char *here, const char *before)
{
    char text[512];
    (void)snprintf(text, sizeof text, "%s: %s%s%s", here, what, before != NULL ? "; since " : "",
                   before != NULL ? before : "");
    (void)lki_fail(EDEADLK, "%s", text);
    on_stop(text);
    return EDEADLK;
}

int lki_key_misused(const struct lk_key_ *k, const char *here)
{
    if (k == NULL || k->taken_at_ == NULL)
        return lki_key_stop("locks with a key that is not taken", here, NULL);
    if (k != lki_key_mine && k->fiber_ == 0)
        return lki_key_stop("uses another thread's key", here, k->taken_at_);
    return lki_key_stop("wants locks with a spent key, which holds some", here,
                        k->hold_[k->depth_ - 1].here_);
}

lk_key lk_key_take_at_(const char *here)
{
    struct lk_key_ *k = lki_key_mine;
    lk_key key;
    if (__builtin_expect(k == NULL, 0))
        k = lki_key_first();
    if (__builtin_expect(k == NULL, 0))
        (void)lki_key_stop("finds no memory for the thread's key", here, NULL);
    else if (__builtin_expect(k->taken_at_ != NULL, 0))
        (void)lki_key_stop("takes the thread's key, which is taken", here, k->taken_at_);
    else
        k->taken_at_ = here;
    key.k_ = k;
    return key;
}

int lk_key_try_take_at_(lk_key *key, const char *here)
{
    struct lk_key_ *k = lki_key_mine;
    if (k == NULL)
        k = lki_key_first();
    if (k == NULL)
        return lki_fail(ENOMEM, "%s: no memory for the thread's key", here);
    if (k->taken_at_ != NULL)
        return lki_fail(EDEADLK, "%s: the thread's key is taken; since %s", here, k->taken_at_);
    k->taken_at_ = here;
    key->k_ = k;
    return 0;
}

void lk_key_give_slowly_(struct lk_key_ *k)
{
    (void)lki_key_stop("gives back a key that holds locks", "lk_key_give",
                       k != NULL && k->depth_ != 0 ? k->hold_[k->depth_ - 1].here_ : NULL);
}

lk_key lk_key_of_fiber_at_(lk_fiber_key *f, const char *here)
{
    lk_key key;
    if (f->key_.fiber_ == 0) {
        f->key_.fiber_ = 1;
        lki_key_enlist(&f->key_);
    }
    if (f->key_.taken_at_ != NULL)
        (void)lki_key_stop("takes the fiber's key, which is taken", here, f->key_.taken_at_);
    else
        f->key_.taken_at_ = here;
    key.k_ = &f->key_;
    return key;
}

void lk_key_unwind(lk_key key)
{
    while (key.k_->depth_ > 0)
        lki_hold_unlock(key.k_, true);
}

void lk_key_poison(struct lk_key_ *k)
{
    k->torn_ = 1;
}

size_t lk_key_held(const struct lk_key_ *k)
{
    size_t n = 0;
    for (uint32_t d = 0; d < k->depth_; d++)
        for (uint32_t i = 0; i < k->hold_[d].n_; i++)
            n += lki_hold_has(&k->hold_[d], &k->hold_[d].member_[i]);
    return n;
}
