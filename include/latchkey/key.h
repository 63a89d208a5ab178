/* latchkey/key.h - the thread's key: who wants locks must have it, and loses it while it holds
 * them.
 *
 * A thread has one key.  Locking takes it, unlocking gives it back, so a thread that holds locks
 * has nothing to lock others with, and "holds some and waits for more" cannot be written.  Three
 * disciplines stand on it: a set (set.h: all at once), levels (level.h: ascending), a claim
 * (claim.h: any order).  docs/KEYS.md says why no mixture of them can deadlock.
 *
 *     lk_key key = lk_key_take();
 *     lk_scope (key, LK_SET(LK_LOCK(&a->mutex), LK_LOCK(&b->mutex))) {
 *         a->coins -= 1;         // here `key` is another type: lk_scope (key, ...) does not
 *         compile b->coins += 1;
 *     }                          // unlocked, also by return, break, goto
 *     lk_key_give(key);
 *
 * Who notices what: nesting in one function, and handing a spent key to a function that wants a
 * free one, the compiler (gcc, clang, without any option); a free key kept under another name, and
 * locking in a function that a holder calls, clang with -Wthread-safety -Wthread-safety-negative
 * if such functions are declared LK_NEEDS(key); the rest, at run time, the key itself: it stops the
 * program, naming both places (lk_key_on_stop()), before anything is locked or marked.
 *
 * The end of a thread inside a scope (pthread_exit, cancellation) unlocks what it holds; longjmp
 * out of a scope does, if lk_key_unwind() is called where it arrives.
 * Cost: taking and giving back some 2 ns; no memory is allocated behind a thread's first take.
 * fork: the child's thread has its parent's key, and the locks of one process that it holds.
 * Signals: not from handlers.
 *
 * Source: the idea of a key is Rust's happylock's and, before it, total allocation (E. Coffman,
 * M. Elphick, A. Shoshani, "System Deadlocks", 1971). */
#ifndef LATCHKEY_KEY_H
#define LATCHKEY_KEY_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/barrier.h"
#include "latchkey/err.h"
#include "latchkey/mutex.h"
#include "latchkey/once.h"
#include "latchkey/rwlock.h"
#include "latchkey/sem.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __clang__
#define LK_TSA_(x) __attribute__((x))
#else
#define LK_TSA_(x)
#endif

/* "FILE:LINE" of the macro's user. */
#define LK_TEXT__(x) #x
#define LK_TEXT_(x) LK_TEXT__(x)
#define LK_HERE_ __FILE__ ":" LK_TEXT_(__LINE__)

/* A function that locks with its parameter `key` is declared  void f(lk_key key) LK_NEEDS(key);
 * clang with -Wthread-safety -Wthread-safety-negative then refuses callers that hold locks. */
#define LK_NEEDS(key) LK_TSA_(requires_capability(!(key).k_))

enum { LK_KEY_MEMBERS = 64, LK_KEY_DEPTH = 16, LK_LEVEL_MAX = 65534 };

/* One lock of a set, and how it is wanted: LK_LOCK(), LK_READ() of set.h make them. */
typedef struct lk_member {
    void *lock_;
    uint64_t what_; /* how:8, level:16 << 16, position:32 << 32 */
} lk_member;

struct lk_claimed_ {
    lk_member member_;
    int64_t changes_;
};

struct lk_hold_ {
    const lk_member *member_;
    const char *here_;
    uint32_t n_, limit_; /* limit_: as in lk_list */
    uint32_t level_before_, used_before_;
};

struct LK_TSA_(capability("key")) lk_key_ {
    const char *taken_at_;
    const void *thread_pointer_; /* of the thread whose key it is; NULL: a fiber's */
    uint32_t depth_, torn_;      /* written as one word, and read so */
    uint32_t failed_, twice_;
    uint32_t level_, used_;
    uint32_t claimed_n_, fiber_;
    struct lk_claim *claim_;
    void *waits_for_;
    void *waits_at_; /* a text */
    struct lk_key_ *next_, *previous_;
    uint64_t thread_;
    struct lk_hold_ hold_[LK_KEY_DEPTH];
    lk_member member_[LK_KEY_MEMBERS];
    struct lk_claimed_ claimed_[LK_KEY_MEMBERS];
};

/* A free key.  `level_` has no bytes; its type says above which level the key may lock. */
typedef struct lk_key {
    struct lk_key_ *k_;
    __extension__ char level_[0][1];
} lk_key;

/* A spent one: the parameter of a function that is called with locks held and takes none. */
typedef struct lk_spent {
    struct lk_key_ *k_;
    __extension__ char level_[0][LK_LEVEL_MAX + 2];
} lk_spent;

/* The parts behind the macros. */
LK_API lk_key lk_key_take_at_(const char *here);
LK_API int lk_key_try_take_at_(lk_key *key, const char *here);
LK_API void lk_key_give_slowly_(struct lk_key_ *k);

/* The calling thread's key.  Taking it twice stops the program; lk_key_try_take() answers
 * EDEADLK instead, and lk_error_text() names where it was taken.  A thread's first take allocates
 * the key, which its end frees: without memory lk_key_take() stops, lk_key_try_take() answers
 * ENOMEM. */
#define lk_key_take() lk_key_take_at_(LK_HERE_)
#define lk_key_try_take(key) lk_key_try_take_at_(key, LK_HERE_)

/* Give it back, so that it can be taken again.  With locks held the program stops. */
static inline void lk_key_give(lk_key key) LK_NEEDS(key);
static inline void lk_key_give(lk_key key)
{
    if (LK_LIKELY(key.k_ != NULL && key.k_->depth_ == 0))
        key.k_->taken_at_ = NULL;
    else
        lk_key_give_slowly_(key.k_);
}

/* What is done about a misuse that only run time sees: `text` names both places.  The default
 * prints it and calls abort().  If the function returns, the call that was misused returns EDEADLK
 * and has done nothing; it may also longjmp.  NULL: the default again. */
LK_API void lk_key_on_stop(void (*stop)(const char *text));

/* Where a scope that longjmp left began: unlock all that the key holds, and mark those locks that
 * can be poisoned (lk_kmutex, below).  Call it where setjmp returned a second time. */
LK_API void lk_key_unwind(lk_key key);

/* What a key holds is half changed: the kmutexes and krwlocks among it that can be poisoned are,
 * when they are unlocked. */
LK_API void lk_key_poison(struct lk_key_ *k);
#define lk_poison(key) lk_key_poison((key).k_)

/* How many locks it holds; where the innermost hold began ("FILE:LINE", or NULL). */
LK_API size_t lk_key_held(const struct lk_key_ *k);
#define lk_held(key) lk_key_held((key).k_)

/* ---- fibers ---------------------------------------------------------------------------------- */

/* A fiber that may move between threads carries its key: all zero bytes, then lk_key_of_fiber().
 * Two fibers of one thread then hold locks at the same time; a fiber must not sleep for a lock that
 * a fiber of the same thread holds: between fibers use try and deadline forms. */
typedef struct lk_fiber_key {
    struct lk_key_ key_;
} lk_fiber_key;
LK_API lk_key lk_key_of_fiber_at_(lk_fiber_key *f, const char *here);
#define lk_key_of_fiber(f) lk_key_of_fiber_at_(f, LK_HERE_)

/* ---- locks that remember ----------------------------------------------------------------------
 *
 * A mutex and a reader-writer lock that count the times they were held for writing (claim.h), and
 * that can be poisoned: unlocked by the end of a thread, by lk_key_unwind() or after lk_poison(),
 * the next to lock them gets EOWNERDEAD, until lk_kmutex_clear().  All zero bytes: cannot be
 * poisoned. */
#define LK_CAN_POISON_ 0x40000000u
#define LK_POISONED_ 0x80000000u
typedef struct lk_kmutex {
    lk_mutex lock_;
    uint32_t record_;
} lk_kmutex;
typedef struct lk_krwlock {
    lk_rwlock lock_;
    uint32_t record_;
    uint32_t unused_;
} lk_krwlock;

#define LK_KMUTEX_POISON_INIT                                                                      \
    {                                                                                              \
        LK_MUTEX_INIT, LK_CAN_POISON_                                                              \
    }
#define LK_KRWLOCK_POISON_INIT(kind)                                                               \
    {                                                                                              \
        LK_RWLOCK_INIT(kind), LK_CAN_POISON_, 0                                                    \
    }

/* With the lock held for writing: what it guards is whole again. */
static inline void lk_kmutex_clear(lk_kmutex *m)
{
    m->record_ &= ~LK_POISONED_;
}
static inline void lk_krwlock_clear(lk_krwlock *l)
{
    l->record_ &= ~LK_POISONED_;
}

/* ---- waiting needs the key --------------------------------------------------------------------
 *
 * Who waits for another thread while it holds a lock waits for ever if that one needs the lock.
 * These forms take a free key, so they cannot be called with locks held.  Waiting under locks for
 * a condition is lk_set_wait() of set.h, which gives them up meanwhile. */
LK_API LK_MUST_USE int lk_key_join_at_(lk_key key, pthread_t thread, void **result,
                                       const char *here) LK_NEEDS(key);
LK_API int lk_key_barrier_at_(lk_key key, lk_barrier *b, const struct timespec *deadline,
                              const char *here) LK_NEEDS(key);
LK_API LK_MUST_USE int lk_key_sem_at_(lk_key key, lk_sem *s, const struct timespec *deadline,
                                      const char *here) LK_NEEDS(key);
LK_API LK_MUST_USE int lk_key_once_at_(lk_key key, lk_once *o, int (*fn)(lk_key key, void *arg),
                                       void *arg, const char *name, const char *here) LK_NEEDS(key);

/* pthread_join(); lk_barrier_wait_until(); lk_sem_wait_until(). */
#define lk_key_join(key, thread, result) lk_key_join_at_(key, thread, result, LK_HERE_)
#define lk_key_barrier_wait(key, b, deadline) lk_key_barrier_at_(key, b, deadline, LK_HERE_)
#define lk_key_sem_wait(key, s, deadline) lk_key_sem_at_(key, s, deadline, LK_HERE_)

/* lk_once_call(); fn gets the free key, so it may lock.  EDEADLK also if the thread that is inside
 * fn waits, perhaps through others, for something that this thread is inside of: lk_error_text()
 * names both.  All that initialise one lk_once do so through this form. */
#define lk_key_once(key, o, fn, arg) lk_key_once_at_(key, o, fn, arg, #o, LK_HERE_)

/* ---- copies, and cells that need no key ------------------------------------------------------ */

/* A cell: data of any size behind a mutex of its own, which is held only while bytes are copied.
 * No key is needed, as nothing can be locked meanwhile. */
typedef struct lk_cell {
    lk_mutex lock_;
} lk_cell;

static inline void lk_cell_get(lk_cell *c, void *to, const void *guarded, size_t size)
{
    lk_mutex_lock(&c->lock_);
    __builtin_memcpy(to, guarded, size);
    lk_mutex_unlock(&c->lock_);
}
static inline void lk_cell_set(lk_cell *c, void *guarded, const void *from, size_t size)
{
    lk_mutex_lock(&c->lock_);
    __builtin_memcpy(guarded, from, size);
    lk_mutex_unlock(&c->lock_);
}
/* Exchange `size` bytes between the guarded and private ones. */
LK_API void lk_cell_swap(lk_cell *c, void *guarded, void *with, size_t size);

#ifdef __cplusplus
}
#endif
#endif
