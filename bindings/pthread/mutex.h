/* mutex.h - pthread_mutex_t as this library uses it; conditions need to know. */
#ifndef LKP_MUTEX_H
#define LKP_MUTEX_H

#include "order.h"
#include "robust.h"

/* Over a pthread_mutex_t. */
struct lkp_mutex {
    lk_mutex lock;
    uint32_t count;    /* recursive: how many times over */
    uint32_t owner;    /* recursive and error-checking: thread id, 0 none */
    uint32_t order;    /* its number in the order graph, 0 none yet */
    uint32_t kind;     /* glibc's place and values */
    lk_rrwlock robust; /* in place of `lock`, if there is a key */
    uint32_t key;      /* of a process-shared normal one, with $LK_PTHREAD_ROBUST; else 0 */
};
_Static_assert(sizeof(struct lkp_mutex) <= sizeof(pthread_mutex_t), "fits");
_Static_assert(offsetof(struct lkp_mutex, kind) == offsetof(pthread_mutex_t, __data.__kind),
               "static initialisers write the kind");

/* glibc's bits: robust 16, priority inheritance 32, priority protection 64. */
#define LKP_KIND_REAL 0x70u
#define LKP_KIND_TYPE 3u
#define LKP_KIND_SHARED 128u

static inline struct lkp_mutex *lkp_mutex(pthread_mutex_t *m)
{
    return (struct lkp_mutex *)(void *)m;
}

static inline bool lkp_mutex_ours(const struct lkp_mutex *m)
{
    return lkp_chosen(LKP_MUTEX) && (m->kind & LKP_KIND_REAL) == 0;
}

/* Normal and adaptive ones have no owner. */
static inline bool lkp_mutex_plain(const struct lkp_mutex *m)
{
    uint32_t type = m->kind & LKP_KIND_TYPE;
    return type == PTHREAD_MUTEX_NORMAL || type == PTHREAD_MUTEX_ADAPTIVE_NP;
}

static inline bool lkp_mutex_robust(const struct lkp_mutex *m)
{
    return __builtin_expect(m->key != 0, 0) && lkp_have_segment();
}

/* For the order graph, which is of one process. */
#define lkp_mutex_entered(m, waits)                                                                \
    do {                                                                                           \
        if (((m)->kind & LKP_KIND_SHARED) == 0)                                                    \
            lkp_order_enter(&(m)->order, m, "mutex", waits);                                       \
    } while (0)

static inline void lkp_mutex_left(const struct lkp_mutex *m)
{
    lkp_order_leave(&m->order);
}

/* Another thread may read it while this one writes. */
static inline uint32_t lkp_owner(const uint32_t *owner)
{
    return __atomic_load_n(owner, __ATOMIC_RELAXED);
}

static inline void lkp_set_owner(uint32_t *owner, uint32_t tid)
{
    __atomic_store_n(owner, tid, __ATOMIC_RELAXED);
}

#endif
