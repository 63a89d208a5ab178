/* key.h - what the disciplines share: one lock at a time by its kind, the hold stack, the stop. */
#ifndef LKI_KEY_H
#define LKI_KEY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/key.h"
#include "latchkey/set.h"

/* ---- one member (member.c) ------------------------------------------------------------------- */

/* Lock one member.  Waiting is the caller's right only if nothing that the key holds lies behind it
 * in the order.  0, EOWNERDEAD (locked), or the lock's own failure. */
int lki_member_try(const lk_member *m, bool reading);
int lki_member_lock(struct lk_key_ *k, const lk_member *m, bool reading, const char *here,
                    const struct timespec *deadline);
/* torn: its holder did not come to its end. */
void lki_member_unlock(const lk_member *m, bool reading, bool torn);
/* Did somebody die inside, and nobody has declared it whole?  While it is held. */
bool lki_member_dead(const lk_member *m);
/* Times that it was held for writing, or -1: it does not count. */
int64_t lki_member_changes(const lk_member *m);

static inline unsigned lki_member_how(const lk_member *m)
{
    return (unsigned)(m->what_ & 0xff);
}

static inline uint32_t lki_member_level(const lk_member *m)
{
    return (uint32_t)(m->what_ >> 16 & 0xffff);
}

static inline uint32_t lki_member_at(const lk_member *m)
{
    return (uint32_t)(m->what_ >> 32);
}

static inline void lki_member_number(lk_member *m, size_t at)
{
    m->what_ = (m->what_ & 0xffffffffu) | (uint64_t)at << 32;
}

static inline bool lki_member_before(const lk_member *a, const lk_member *b)
{
    if (lki_member_level(a) != lki_member_level(b))
        return lki_member_level(a) < lki_member_level(b);
    return (uintptr_t)a->lock_ < (uintptr_t)b->lock_;
}

/* Sort; then the positions of one lock that is there twice (first < second), or false. */
void lki_members_sort(lk_member *m, size_t n);
void lki_members_sort_declared(lk_member *m, size_t n);
bool lki_members_twice(const lk_member *m, size_t n, struct lk_twice *twice);

/* ---- the key (key.c, thread.c)
 * ---------------------------------------------------------------- */

/* The calling thread's own. */
extern __thread struct lk_key_ *lki_key_mine __attribute__((tls_model("initial-exec")));
/* Made and entered in the process's list at a thread's first take (thread.c).  NULL: no memory. */
struct lk_key_ *lki_key_first(void);
void lki_key_each(void (*fn)(struct lk_key_ *k, void *arg), void *arg);
/* The same from a signal handler; false if the list is being changed. */
bool lki_key_try_each(void (*fn)(struct lk_key_ *k, void *arg), void *arg);
void lki_key_enlist(struct lk_key_ *k);
/* The head of the list. */
const struct lk_key_ *lki_key_list(void);

/* Name both places and stop; EDEADLK if lk_key_on_stop()'s function returns. */
int lki_key_stop(const char *what, const char *here, const char *before);

static inline bool lki_key_is_here(const struct lk_key_ *k)
{
    return k != NULL && k->taken_at_ != NULL && (k == lki_key_mine || k->fiber_ != 0);
}

/* Free, and this thread's?  Else the stop. */
int lki_key_misused(const struct lk_key_ *k, const char *here);

static inline int lki_key_want(const struct lk_key_ *k, const char *here)
{
    if (__builtin_expect(lki_key_is_here(k) && k->depth_ == 0, 1))
        return 0;
    (void)lki_key_misused(k, here);
    return EDEADLK;
}

/* ---- holds (set.c)
 * ---------------------------------------------------------------------------- */

static inline struct lk_hold_ *lki_hold_top(struct lk_key_ *k)
{
    return &k->hold_[k->depth_ - 1];
}

static inline bool lki_hold_has(const struct lk_hold_ *h, const lk_member *m)
{
    return lki_member_at(m) < (h->limit_ & LK_LIST_ALL_);
}

/* Bring level_ and used_ up to date: the inline ways into the first hold do not write them. */
void lki_key_account(struct lk_key_ *k);
/* Lock a list on top of what the key holds.  try_only: nothing waits. */
int lki_hold_lock(struct lk_key_ *k, const lk_list *list, const struct timespec *deadline,
                  bool try_only, const char *here);
/* Unlock the innermost hold, or the claim that it stands for. */
void lki_hold_unlock(struct lk_key_ *k, bool torn);
/* Give the locks of the only hold up, and take them again: 0, EOWNERDEAD, or a failure, after which
 * the key holds nothing. */
void lki_hold_release(struct lk_key_ *k);
int lki_hold_relock(struct lk_key_ *k);

/* Unlock all that the key's claim has (claim.c). */
void lki_claim_abandon(struct lk_key_ *k, bool torn);
/* The same when the claim itself may be gone with its thread's stack. */
void lki_claim_end_thread(struct lk_key_ *k);

#endif
