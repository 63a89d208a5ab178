/* latchkey/set.h - several locks at once: all of them, or none.
 *
 * A set is written where it is needed, or built beforehand:
 *
 *     lk_scope (key, LK_SET(LK_LOCK(&from->mutex), LK_READ(&rates))) { ... }
 *
 *     lk_member room[3] = {LK_LOCK(&a), LK_LOCK(&b), LK_READ(&c)};
 *     lk_set set;
 *     rc = lk_set_init(&set, room, 3);                // sorted once
 *     lk_scope (key, LK_OF(&set)) { ... }
 *
 * Members: lk_mutex, lk_rwlock (LK_READ, or LK_LOCK for writing), lk_rmutex, lk_rrwlock, lk_kmutex,
 * lk_krwlock, mixed as you like, and other sets (LK_NESTED).  One lock twice is refused: EDEADLK,
 * lk_set_twice() says at which positions; where the text of two members of LK_SET is the same, it
 * does not compile.
 *
 * Order: by (level, address), so any two threads lock what they have in common in one order.  Locks
 * that several processes share must lie in one mapping, or have a level for each mapping
 * (LK_LOCK_LEVEL), because mappings may lie in another order elsewhere.
 * A set written in place is first tried in the order it is written in, without waiting; only if one
 * of its locks is taken it is sorted, and locked in order.  Nothing is allocated: up to
 * LK_KEY_MEMBERS members are copied into the key; a larger one (LK_ARRAY) is sorted where it is and
 * must stay until it is unlocked. */
#ifndef LATCHKEY_SET_H
#define LATCHKEY_SET_H

#include "latchkey/cond.h"
#include "latchkey/key.h"
#include "latchkey/rmutex.h"
#include "latchkey/robust.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a member is locked.  The read form of each reader-writer lock is one behind its write
 * form. */
enum lk_how_ {
    LK_HOW_MUTEX_,
    LK_HOW_WRITE_,
    LK_HOW_READ_,
    LK_HOW_RMUTEX_,
    LK_HOW_RWRITE_,
    LK_HOW_RREAD_,
    LK_HOW_KMUTEX_,
    LK_HOW_KWRITE_,
    LK_HOW_KREAD_,
    LK_HOW_SET_
};

typedef struct lk_set {
    lk_member *member_;
    uint32_t n_, room_;
    uint32_t flags_; /* 0 or LK_LIST_READ_ */
} lk_set;

/* What the calls below take: LK_SET(), LK_ARRAY(), LK_OF(), LK_FIRST(). */
#define LK_LIST_BUILT_ 0x80000000u /* in order, no duplicates */
#define LK_LIST_READ_ 0x40000000u
#define LK_LIST_ALL_ 0x3fffffffu
#define LK_LIST_EVERY_ (LK_LIST_ALL_ | LK_LIST_BUILT_) /* of a built one, for writing */
typedef struct lk_list {
    lk_member *member_;
    uint32_t n_;
    uint32_t limit_; /* the flags above, and the positions from which on members are left out */
} lk_list;

#define LK_WRITE_OF_(l)                                                                            \
    _Generic((l), lk_mutex *                                                                       \
             : LK_HOW_MUTEX_, lk_rwlock *                                                          \
             : LK_HOW_WRITE_, lk_rmutex *                                                          \
             : LK_HOW_RMUTEX_, lk_rrwlock *                                                        \
             : LK_HOW_RWRITE_, lk_kmutex *                                                         \
             : LK_HOW_KMUTEX_, lk_krwlock *                                                        \
             : LK_HOW_KWRITE_)
#define LK_READ_OF_(l)                                                                             \
    _Generic((l), lk_rwlock *                                                                      \
             : LK_HOW_READ_, lk_rrwlock *                                                          \
             : LK_HOW_RREAD_, lk_krwlock *                                                         \
             : LK_HOW_KREAD_)

/* Members. */
#define LK_LOCK(l) LK_LOCK_LEVEL(l, 0)
#define LK_READ(l) LK_READ_LEVEL(l, 0)
#define LK_LOCK_LEVEL(l, level) ((lk_member){(l), LK_WRITE_OF_(l) | (uint64_t)(level) << 16})
#define LK_READ_LEVEL(l, level) ((lk_member){(l), LK_READ_OF_(l) | (uint64_t)(level) << 16})
#define LK_NESTED(set) ((lk_member){_Generic((set), lk_set * : (set)), LK_HOW_SET_})

/* A list written in place.  sizeof: the members are named twice and evaluated once. */
#define LK_SET(...)                                                                                \
    ((lk_list){(lk_member[]){__VA_ARGS__},                                                         \
               sizeof((lk_member[]){__VA_ARGS__}) / sizeof(lk_member) + LK_DIFFER_(__VA_ARGS__),   \
               LK_LIST_ALL_})
/* `n` members of an array. */
#define LK_ARRAY(members, n) ((lk_list){(members), (uint32_t)(n), LK_LIST_ALL_})
/* A set built beforehand; and those of its members that were declared first, k of them. */
#define LK_OF(set) LK_FIRST(set, LK_LIST_ALL_)
#define LK_FIRST(set, k) ((lk_list){(set)->member_, (set)->n_, (uint32_t)(k) | LK_LIST_BUILT_})
/* The same list, every member locked for reading; mutexes in it are EINVAL. */
#define LK_READING(list) lk_list_reading_(list)
static inline lk_list lk_list_reading_(lk_list l)
{
    l.limit_ |= LK_LIST_READ_;
    return l;
}

/* ---- building ---------------------------------------------------------------------------------
 *
 * The array belongs to the caller and must live as long as the set; it may have room for more than
 * the n members that are there.
 * lk_set_init          sorts it.  Returns 0, EDEADLK (one lock twice; the array is sorted, the set
 * is
 *                      empty; lk_error_text() and *twice, unless NULL, say where)
 * lk_set_new           the same, and a lock twice stops the program
 * lk_set_init_owned    keeps the declared order: for locks that are locked through this set and no
 *                      other way
 * lk_set_init_unchecked   takes the array as it is: sorted, without duplicates, says the caller
 * lk_set_init_reading  every member is read; one lock twice is harmless and taken once; a mutex
 *                      is EINVAL
 * lk_set_add, lk_set_remove   while nobody holds or locks it.  Returns 0, ENOSPC, EDEADLK, ENOENT.
 * Nested sets are flattened (ENOSPC if there is no room for their members). */
struct lk_twice {
    size_t first, second;
};
LK_API LK_MUST_USE int lk_set_init(lk_set *s, lk_member *members, size_t n, size_t room,
                                   struct lk_twice *twice);
LK_API void lk_set_new(lk_set *s, lk_member *members, size_t n, size_t room);
LK_API LK_MUST_USE int lk_set_init_owned(lk_set *s, lk_member *members, size_t n, size_t room,
                                         struct lk_twice *twice);
LK_API void lk_set_init_unchecked(lk_set *s, lk_member *members, size_t n, size_t room);
LK_API LK_MUST_USE int lk_set_init_reading(lk_set *s, lk_member *members, size_t n, size_t room);
LK_API LK_MUST_USE int lk_set_add_member_(lk_set *s, const lk_member *m);
#define lk_set_add(s, ...) lk_set_add_member_(s, (lk_member[]){__VA_ARGS__})
LK_API LK_MUST_USE int lk_set_remove(lk_set *s, const void *lock);

/* ---- locking ----------------------------------------------------------------------------------
 *
 * Returns     0           all are locked
 *             EOWNERDEAD  all are locked; somebody died inside of at least one: lk_set_dead()
 *             EDEADLK     one lock is there twice; or the key was spent (lk_key_on_stop())
 *             EBUSY (try), ETIMEDOUT, EINVAL (deadline; a mutex to be read; no segment),
 *             ENOTRECOVERABLE, E2BIG (nested sets of more than LK_KEY_MEMBERS members), and what
 *             the robust locks return: nothing is locked, lk_set_failed() says which one it was
 * Unlocking returns the key.  deadline: absolute CLOCK_MONOTONIC, NULL = never. */
LK_API int lk_set_lock_at_(lk_key key, lk_list list, const char *here)
    LK_TSA_(acquire_capability(key.k_));
LK_API LK_MUST_USE int lk_set_until_at_(lk_key key, lk_list list, const struct timespec *deadline,
                                        const char *here)
    LK_TSA_(try_acquire_capability(0, key.k_));
LK_API LK_MUST_USE int lk_set_trylock_at_(lk_key key, lk_list list, const char *here)
    LK_TSA_(try_acquire_capability(0, key.k_));
LK_API lk_key lk_set_unlock(lk_key key) LK_TSA_(release_capability(key.k_));

#define lk_set_lock(key, list) lk_set_lock_at_(key, list, LK_HERE_)
#define lk_set_lock_until(key, list, deadline) lk_set_until_at_(key, list, deadline, LK_HERE_)
#define lk_set_trylock(key, list) lk_set_trylock_at_(key, list, LK_HERE_)
#define lk_set_read(key, list) lk_set_lock_at_(key, LK_READING(list), LK_HERE_)
#define lk_set_tryread(key, list) lk_set_trylock_at_(key, LK_READING(list), LK_HERE_)

/* After a failure: the position of the member that could not be locked; after EDEADLK, of the
 * second of the two.  Positions are those of the declaration. */
LK_API size_t lk_set_failed(const struct lk_key_ *k);
LK_API struct lk_twice lk_set_twice_(const struct lk_key_ *k);
#define lk_set_twice(key) lk_set_twice_((key).k_)

/* After EOWNERDEAD, in the innermost hold: the least position, from `from` on, of a member inside
 * of which somebody died (a robust lock that is not declared consistent yet, a poisoned one), or
 * -1. */
LK_API long lk_set_dead_(const struct lk_key_ *k, size_t from);
#define lk_set_dead(key, from) lk_set_dead_((key).k_, from)

/* Waits, with the innermost hold given up meanwhile and taken again: all of it is held before and
 * after, whatever is returned, but ENOTRECOVERABLE (nothing is).  `key` is a spent one, of a set;
 * under several levels it is EDEADLK.
 * wait_for: until holds(arg), which is called with the locks held.  0, ETIMEDOUT, EOWNERDEAD,
 * EINVAL. wait: may return for no reason. */
LK_API LK_MUST_USE int lk_set_wait_(struct lk_key_ *k, lk_cond *c, const struct timespec *deadline);
LK_API LK_MUST_USE int lk_set_wait_for_(struct lk_key_ *k, lk_cond *c, bool (*holds)(void *arg),
                                        void *arg, const struct timespec *deadline);
#define lk_set_wait(key, c, deadline) lk_set_wait_((key).k_, c, deadline)
#define lk_set_wait_for(key, c, holds, arg, deadline)                                              \
    lk_set_wait_for_((key).k_, c, holds, arg, deadline)

/* Lock the list, copy `size` guarded bytes out, in, or both ways, unlock.  Return as locking
 * does. */
LK_API LK_MUST_USE int lk_key_read_copy_at_(lk_key key, lk_list list, void *to, const void *guarded,
                                            size_t size, const char *here) LK_NEEDS(key);
LK_API LK_MUST_USE int lk_key_swap_at_(lk_key key, lk_list list, void *guarded, void *with,
                                       size_t size, const char *here) LK_NEEDS(key);
LK_API LK_MUST_USE int lk_key_take_bytes_at_(lk_key key, lk_list list, void *to, void *guarded,
                                             size_t size, const char *here) LK_NEEDS(key);
#define lk_key_read_copy(key, list, to, guarded, size)                                             \
    lk_key_read_copy_at_(key, list, to, guarded, size, LK_HERE_)
#define lk_key_swap(key, list, guarded, with, size)                                                \
    lk_key_swap_at_(key, list, guarded, with, size, LK_HERE_)
/* take: copies out and leaves zero bytes. */
#define lk_key_take_bytes(key, list, to, guarded, size)                                            \
    lk_key_take_bytes_at_(key, list, to, guarded, size, LK_HERE_)

/* ---- scopes -----------------------------------------------------------------------------------
 *
 * lk_scope (key, list) { ... }                     any failure stops the program
 * lk_scope_rc (key, rc, list) { ... }              rc = result; the body runs on 0 and EOWNERDEAD
 * lk_scope_try (key, rc, list), lk_scope_until (key, rc, list, deadline)
 * Inside, `key` is an lk_spent. */
struct lk_scope_ {
    struct lk_key_ *k_;
};
LK_API struct lk_scope_ lk_scope_slowly_(lk_key key, lk_list list, const char *here) LK_NEEDS(key);
LK_API struct lk_scope_ lk_scope_rc_(lk_key key, int *rc, lk_list list, const char *here)
    LK_NEEDS(key);
LK_API struct lk_scope_ lk_scope_try_(lk_key key, int *rc, lk_list list, const char *here)
    LK_NEEDS(key);
LK_API struct lk_scope_ lk_scope_until_(lk_key key, int *rc, lk_list list,
                                        const struct timespec *deadline, const char *here)
    LK_NEEDS(key);
LK_API void lk_scope_end_(struct lk_scope_ *s);

/* Else the compiler makes functions of what is to be a few instructions. */
#define LK_ALWAYS_ __attribute__((always_inline))

/* What lk_scope has locked.  n_ = 0: lk_scope_end_() finds it in the key.  Else the hold is the one
 * that `here_` names, of n_ mutexes: of few_, or of built_. */
enum { LK_FEW_ = 8 };
struct lk_held_ {
    struct lk_key_ *k_;
    const char *here_;
    const lk_member *built_;
    uint32_t n_;
    lk_mutex *few_[LK_FEW_];
};

/* The key's first n members are the list, and its first hold says so.  Up to LK_FEW_: mutexes, of
 * which the first `got` are locked and the next was not free.  More: nothing has been tried. */
LK_API struct lk_scope_ lk_scope_there_(lk_key key, uint32_t n, uint32_t got, const char *here)
    LK_NEEDS(key);

static inline LK_ALWAYS_ bool lk_key_ready_(const struct lk_key_ *k)
{
    return k != NULL && k->thread_pointer_ == __builtin_thread_pointer() && k->taken_at_ != NULL &&
           k->depth_ == 0;
}

/* Two neighbours, as one store: left to itself, the compiler loads the pair from memory. */
static inline LK_ALWAYS_ void lk_store_both_(uint32_t *first, uint32_t a, uint32_t b)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t both = a | (uint64_t)b << 32;
#else
    const uint64_t both = b | (uint64_t)a << 32;
#endif
    __builtin_memcpy(first, &both, sizeof both);
}

/* The key's first hold.  As few stores as there can be, since the next locked instruction waits for
 * them: level_ and used_ are left to lki_key_account(). */
static inline LK_ALWAYS_ void lk_hold_(struct lk_key_ *k, const lk_member *member, uint32_t n,
                                       uint32_t limit, const char *here)
{
    k->hold_[0].member_ = member;
    k->hold_[0].here_ = here;
    lk_store_both_(&k->hold_[0].n_, n, limit);
}

/* From here on others see it.  torn_ is 0 already; but the two are read as one word, which must
 * have been written as one. */
static inline LK_ALWAYS_ void lk_hold_begin_(struct lk_key_ *k)
{
    lk_store_both_(&k->depth_, 1, 0);
}

/* No loops: n is a constant. */
static inline LK_ALWAYS_ void lk_few_unlock_(lk_mutex *const *m, uint32_t n)
{
    if (n > 7)
        lk_mutex_unlock(m[7]);
    if (n > 6)
        lk_mutex_unlock(m[6]);
    if (n > 5)
        lk_mutex_unlock(m[5]);
    if (n > 4)
        lk_mutex_unlock(m[4]);
    if (n > 3)
        lk_mutex_unlock(m[3]);
    if (n > 2)
        lk_mutex_unlock(m[2]);
    if (n > 1)
        lk_mutex_unlock(m[1]);
    if (n > 0)
        lk_mutex_unlock(m[0]);
}

/* The first that is not free, or n. */
static inline LK_ALWAYS_ uint32_t lk_few_trylock_(lk_mutex *const *m, uint32_t n)
{
    if (n > 0 && !LK_LIKELY(lk_mutex_trylock(m[0]) == 0))
        return 0;
    if (n > 1 && !LK_LIKELY(lk_mutex_trylock(m[1]) == 0))
        return 1;
    if (n > 2 && !LK_LIKELY(lk_mutex_trylock(m[2]) == 0))
        return 2;
    if (n > 3 && !LK_LIKELY(lk_mutex_trylock(m[3]) == 0))
        return 3;
    if (n > 4 && !LK_LIKELY(lk_mutex_trylock(m[4]) == 0))
        return 4;
    if (n > 5 && !LK_LIKELY(lk_mutex_trylock(m[5]) == 0))
        return 5;
    if (n > 6 && !LK_LIKELY(lk_mutex_trylock(m[6]) == 0))
        return 6;
    if (n > 7 && !LK_LIKELY(lk_mutex_trylock(m[7]) == 0))
        return 7;
    return n;
}

static inline LK_ALWAYS_ void lk_few_member_(struct lk_key_ *k, lk_member m, uint32_t at,
                                             uint32_t n)
{
    if (at < n) {
        k->member_[at].lock_ = m.lock_;
        k->member_[at].what_ = m.what_ | (uint64_t)at << 32;
    }
}

/* A few mutexes, written in place, and free: the least that can be done.  Everything is written
 * down before the first is locked.  What is not so goes to lk_scope_slowly_(), with a copy of the
 * list, so that this one stays in registers. */
static inline LK_ALWAYS_ struct lk_held_ lk_scope_few_(lk_key key, lk_list list, const char *here)
    LK_NEEDS(key) LK_TSA_(no_thread_safety_analysis);
static inline LK_ALWAYS_ struct lk_held_ lk_scope_few_(lk_key key, lk_list list, const char *here)
{
    struct lk_key_ *k = key.k_;
    const uint32_t n = list.n_;
    const lk_member a = list.member_[0], b = list.member_[n > 1 ? 1 : 0],
                    c = list.member_[n > 2 ? 2 : 0], d = list.member_[n > 3 ? 3 : 0],
                    e = list.member_[n > 4 ? 4 : 0], f = list.member_[n > 5 ? 5 : 0],
                    g = list.member_[n > 6 ? 6 : 0], h = list.member_[n > 7 ? 7 : 0];
    const bool mutexes =
        ((a.what_ | b.what_ | c.what_ | d.what_ | e.what_ | f.what_ | g.what_ | h.what_) & 0xff) ==
        LK_HOW_MUTEX_;
    struct lk_held_ held = {k,
                            here,
                            NULL,
                            mutexes ? n : 0,
                            {(lk_mutex *)a.lock_, (lk_mutex *)b.lock_, (lk_mutex *)c.lock_,
                             (lk_mutex *)d.lock_, (lk_mutex *)e.lock_, (lk_mutex *)f.lock_,
                             (lk_mutex *)g.lock_, (lk_mutex *)h.lock_}};
    if (LK_LIKELY(mutexes && lk_key_ready_(k))) {
        lk_few_member_(k, a, 0, n);
        lk_few_member_(k, b, 1, n);
        lk_few_member_(k, c, 2, n);
        lk_few_member_(k, d, 3, n);
        lk_few_member_(k, e, 4, n);
        lk_few_member_(k, f, 5, n);
        lk_few_member_(k, g, 6, n);
        lk_few_member_(k, h, 7, n);
        lk_hold_(k, k->member_, n, LK_LIST_ALL_, here);
        uint32_t got = lk_few_trylock_(held.few_, n);
        if (LK_LIKELY(got == n))
            lk_hold_begin_(k);
        else
            held.k_ = lk_scope_there_(key, n, got, here).k_;
        return held;
    }
    lk_member copy[LK_FEW_] = {a, b, c, d, e, f, g, h};
    lk_list same = {copy, n, LK_LIST_ALL_};
    held.k_ = lk_scope_slowly_(key, same, here).k_;
    return held;
}

/* A list written in place that is longer: its members are written once, into the key.  (The
 * compiler makes no list of them elsewhere, once the loops are gone.) */
static inline LK_ALWAYS_ struct lk_scope_ lk_scope_many_(lk_key key, lk_list list, const char *here)
    LK_NEEDS(key) LK_TSA_(no_thread_safety_analysis);
static inline LK_ALWAYS_ struct lk_scope_ lk_scope_many_(lk_key key, lk_list list, const char *here)
{
    struct lk_key_ *k = key.k_;
    if (LK_LIKELY(lk_key_ready_(k))) {
#pragma GCC unroll 64
        for (uint32_t i = 0; i < list.n_; i++) {
            k->member_[i].lock_ = list.member_[i].lock_;
            k->member_[i].what_ = list.member_[i].what_ | (uint64_t)i << 32;
        }
        lk_hold_(k, k->member_, list.n_, LK_LIST_ALL_, here);
        return lk_scope_there_(key, list.n_, 0, here);
    }
    lk_member copy[LK_KEY_MEMBERS];
#pragma GCC unroll 64
    for (uint32_t i = 0; i < list.n_; i++)
        copy[i] = list.member_[i];
    lk_list same = {copy, list.n_, LK_LIST_ALL_};
    return lk_scope_slowly_(key, same, here);
}

static inline LK_ALWAYS_ void lk_built_unlock_(const lk_member *m, uint32_t n)
{
    while (n-- > 0)
        lk_mutex_unlock((lk_mutex *)m[n].lock_);
}

/* A built set of mutexes that are free. */
static inline LK_ALWAYS_ struct lk_held_ lk_scope_built_(lk_key key, lk_list list, const char *here)
    LK_NEEDS(key) LK_TSA_(no_thread_safety_analysis);
static inline LK_ALWAYS_ struct lk_held_ lk_scope_built_(lk_key key, lk_list list, const char *here)
{
    struct lk_key_ *k = key.k_;
    if (LK_LIKELY(lk_key_ready_(k))) {
        uint32_t i = 0;
        lk_hold_(k, list.member_, list.n_, LK_LIST_EVERY_, here);
        for (; i < list.n_; i++) {
            const lk_member *m = &list.member_[i];
            if (!LK_LIKELY((m->what_ & 0xff) == LK_HOW_MUTEX_ &&
                           lk_mutex_trylock((lk_mutex *)m->lock_) == 0))
                break;
        }
        if (LK_LIKELY(i == list.n_ && i > 0)) {
            struct lk_held_ held = {k, here, list.member_, i, {NULL}};
            lk_hold_begin_(k);
            return held;
        }
        lk_built_unlock_(list.member_, i);
    }
    struct lk_held_ held = {lk_scope_slowly_(key, list, here).k_, NULL, NULL, 0, {NULL}};
    return held;
}

static inline LK_ALWAYS_ struct lk_held_ lk_scope_begin_(lk_key key, lk_list list, const char *here)
    LK_NEEDS(key) LK_TSA_(no_thread_safety_analysis);
static inline LK_ALWAYS_ struct lk_held_ lk_scope_begin_(lk_key key, lk_list list, const char *here)
{
    if (__builtin_constant_p(list.n_ - 1 < LK_FEW_ && list.limit_ == LK_LIST_ALL_) &&
        list.n_ - 1 < LK_FEW_ && list.limit_ == LK_LIST_ALL_)
        return lk_scope_few_(key, list, here);
    if (__builtin_constant_p(list.n_ <= LK_KEY_MEMBERS && list.limit_ == LK_LIST_ALL_) &&
        list.n_ <= LK_KEY_MEMBERS && list.n_ != 0 && list.limit_ == LK_LIST_ALL_) {
        struct lk_held_ held = {lk_scope_many_(key, list, here).k_, NULL, NULL, 0, {NULL}};
        return held;
    }
    if (__builtin_constant_p(list.limit_ == LK_LIST_EVERY_) && list.limit_ == LK_LIST_EVERY_)
        return lk_scope_built_(key, list, here);
    struct lk_held_ held = {lk_scope_slowly_(key, list, here).k_, NULL, NULL, 0, {NULL}};
    return held;
}

/* What was locked here is still what the key holds, and whole?  Else the key knows what to do. */
static inline LK_ALWAYS_ void lk_scope_leave_(struct lk_held_ *s)
    LK_TSA_(no_thread_safety_analysis);
static inline LK_ALWAYS_ void lk_scope_leave_(struct lk_held_ *s)
{
    struct lk_key_ *k = s->k_;
    if (s->n_ != 0 && LK_LIKELY(k->depth_ == 1 && k->torn_ == 0 && k->hold_[0].here_ == s->here_)) {
        if (s->built_ != NULL)
            lk_built_unlock_(s->built_, s->n_);
        else
            lk_few_unlock_(s->few_, s->n_);
        k->depth_ = 0;
    } else if (k != NULL) {
        struct lk_scope_ scope = {k};
        lk_scope_end_(&scope);
    }
}

/* To clang, the key is held from here on. */
static inline lk_spent lk_spend_(struct lk_key_ *k) LK_TSA_(assert_capability(k))
    LK_TSA_(no_thread_safety_analysis);
static inline lk_spent lk_spend_(struct lk_key_ *k)
{
    lk_spent s;
    s.k_ = k;
    return s;
}

#define LK_JOIN__(a, b) a##b
#define LK_JOIN_(a, b) LK_JOIN__(a, b)
#define LK_UNSHADOW_ _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wshadow\"")

/* The first loop owns the locks, the second one spends the key; each goes round once. */
#define LK_SCOPE_WITH_(held, leave, key, type, spend, begin, s, once)                              \
    LK_UNSHADOW_                                                                                   \
    for (held s __attribute__((cleanup(leave))) = begin, *once = &s; once != NULL && s.k_ != NULL; \
         once = NULL)                                                                              \
        for (type key __attribute__((unused)) = spend(s.k_); once != NULL; once = NULL)            \
    _Pragma("GCC diagnostic pop")
#define LK_SCOPE_(key, type, spend, begin, s, once)                                                \
    LK_SCOPE_WITH_(struct lk_scope_, lk_scope_end_, key, type, spend, begin, s, once)
#define LK_SCOPE_OF_(key, begin)                                                                   \
    LK_SCOPE_(key, lk_spent, lk_spend_, begin, LK_JOIN_(lk_scope_of_, __LINE__),                   \
              LK_JOIN_(lk_once_of_, __LINE__))

#define lk_scope(key, list)                                                                        \
    LK_SCOPE_WITH_(struct lk_held_, lk_scope_leave_, key, lk_spent, lk_spend_,                     \
                   lk_scope_begin_(key, list, LK_HERE_), LK_JOIN_(lk_scope_of_, __LINE__),         \
                   LK_JOIN_(lk_once_of_, __LINE__))
#define lk_scope_read(key, list) lk_scope (key, LK_READING(list))
#define lk_scope_rc(key, rc, list) LK_SCOPE_OF_(key, lk_scope_rc_(key, &(rc), list, LK_HERE_))
#define lk_scope_try(key, rc, list) LK_SCOPE_OF_(key, lk_scope_try_(key, &(rc), list, LK_HERE_))
#define lk_scope_until(key, rc, list, deadline)                                                    \
    LK_SCOPE_OF_(key, lk_scope_until_(key, &(rc), list, deadline, LK_HERE_))

/* ---- the texts of the first eight members of LK_SET, each compared with each
 * ------------------ */

#define LK_TWICE_(i, j, a, b)                                                                      \
    _Static_assert(__builtin_strcmp(a, b) != 0,                                                    \
                   "latchkey: one lock is twice in this set, at positions " #i " and " #j);
#define LK_DIFFER_(...) LK_PAIRS_(__VA_ARGS__, 1, 2, 3, 4, 5, 6, 7, 8, )
#define LK_PAIRS_(a, b, c, d, e, f, g, h, ...)                                                     \
    0 * sizeof(struct {                                                                            \
        LK_TWICE_(0, 1, #a, #b)                                                                    \
        LK_TWICE_(0, 2, #a, #c)                                                                    \
        LK_TWICE_(0, 3, #a, #d)                                                                    \
        LK_TWICE_(0, 4, #a, #e)                                                                    \
        LK_TWICE_(0, 5, #a, #f)                                                                    \
        LK_TWICE_(0, 6, #a, #g)                                                                    \
        LK_TWICE_(0, 7, #a, #h)                                                                    \
        LK_TWICE_(1, 2, #b, #c)                                                                    \
        LK_TWICE_(1, 3, #b, #d)                                                                    \
        LK_TWICE_(1, 4, #b, #e)                                                                    \
        LK_TWICE_(1, 5, #b, #f)                                                                    \
        LK_TWICE_(1, 6, #b, #g)                                                                    \
        LK_TWICE_(1, 7, #b, #h)                                                                    \
        LK_TWICE_(2, 3, #c, #d)                                                                    \
        LK_TWICE_(2, 4, #c, #e)                                                                    \
        LK_TWICE_(2, 5, #c, #f)                                                                    \
        LK_TWICE_(2, 6, #c, #g)                                                                    \
        LK_TWICE_(2, 7, #c, #h)                                                                    \
        LK_TWICE_(3, 4, #d, #e)                                                                    \
        LK_TWICE_(3, 5, #d, #f)                                                                    \
        LK_TWICE_(3, 6, #d, #g)                                                                    \
        LK_TWICE_(3, 7, #d, #h)                                                                    \
        LK_TWICE_(4, 5, #e, #f)                                                                    \
        LK_TWICE_(4, 6, #e, #g)                                                                    \
        LK_TWICE_(4, 7, #e, #h)                                                                    \
        LK_TWICE_(5, 6, #f, #g)                                                                    \
        LK_TWICE_(5, 7, #f, #h)                                                                    \
        LK_TWICE_(6, 7, #g, #h)                                                                    \
        char one;                                                                                  \
    })

#ifdef __cplusplus
}
#endif
#endif
