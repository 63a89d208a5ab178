/* latchkey/order.h - which lock was held when which was taken: the order graph.
 *
 * For programs that lock one mutex inside another without a key: lk_order_mutex is a mutex that is
 * watched.  Every acquisition is a node in its thread's tree of held stacks; a potential deadlock
 * is a ring of at least two threads in which each holds what the next wants.  It is found the
 * moment its last edge is seen for the first time, whether it blocks then or not.
 *
 * No alarm for what cannot deadlock: a ring whose threads all hold a common lock (gate), whose
 * edges come from one thread, whose threads cannot run at the same time (started or joined in
 * between: lk_order_create, lk_order_join), or in which a lock is only tried for.  Hand-over-hand
 * is no ring. No table has a limit: nodes are made as they are needed, by mmap, once for each
 * different stack. Cost when a stack has been seen before: a comparison and a store each for lock
 * and unlock.  Off (lk_order_on(false), the beginning): a load and a branch.
 *
 *     lk_order_mutex m;  lk_order_mutex_init(&m, "account");
 *     lk_order_lock(&m);  lk_order_unlock(&m);
 *
 * Source: K. Havelund, "Using Runtime Analysis to Guide Model Checking of Java Programs", 2000
 * (lock trees, gate locks); S. Bensalem, K. Havelund, 2005 (segments of threads). */
#ifndef LATCHKEY_ORDER_H
#define LATCHKEY_ORDER_H

#include <pthread.h>
#include <stdbool.h>

#include "latchkey/key.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All zero bytes: an unlocked one of the class "unnamed". */
typedef struct lk_order_mutex {
    lk_mutex lock_;
    uint32_t id_;
} lk_order_mutex;

/* Watch from now on, or no more.  Do it while the calling thread holds no watched lock. */
LK_API void lk_order_on(bool on);

/* An unlocked mutex of the class `name`: those made with one name at one place are one class. */
LK_API void lk_order_mutex_init_(lk_order_mutex *m, const char *name, const char *here);
#define lk_order_mutex_init(m, name) lk_order_mutex_init_(m, name, LK_HERE_)

LK_API void lk_order_lock_(lk_order_mutex *m, const char *here);
LK_API LK_MUST_USE int lk_order_trylock_(lk_order_mutex *m, const char *here);
LK_API void lk_order_unlock(lk_order_mutex *m);
#define lk_order_lock(m) lk_order_lock_(m, LK_HERE_)
#define lk_order_trylock(m) lk_order_trylock_(m, LK_HERE_)

/* pthread_create() and pthread_join(), which also say what comes before what. */
LK_API LK_MUST_USE int lk_order_create(pthread_t *thread, void *(*fn)(void *), void *arg);
LK_API LK_MUST_USE int lk_order_join(pthread_t thread, void **result);

/* One edge of a ring: a thread holds `holds`, locked at holds_at, and wants `wants` at wants_at. */
struct lk_order_edge {
    unsigned thread; /* in the order of their first watched lock, from 1 */
    const char *holds, *holds_at, *wants, *wants_at;
    uint64_t age_ns; /* since it was first seen */
};
struct lk_order_ring {
    const struct lk_order_edge *edge;
    size_t n;
};

/* Called for each new ring, by the thread that closed it, which holds the graph's lock: fn must
 * lock nothing watched.  The default prints it on stderr.  NULL: the default. */
LK_API void lk_order_on_ring(void (*fn)(const struct lk_order_ring *ring, void *arg), void *arg);
/* Rings so far. */
LK_API size_t lk_order_rings(void);

struct lk_order_counts {
    size_t classes, locks, stacks, rings, given_up;
};
LK_API void lk_order_count(struct lk_order_counts *out);

/* Write what has been learned: "text" (rings, with a cure), "json" (for lk order), "dot".
 * Returns 0, EINVAL, or an error of write(2). */
LK_API int lk_order_write(int fd, const char *format);

/* What every key holds and waits for, and since where, as lines of text: a picture, not a moment.
 * lk_key_dump_on(SIGQUIT) makes a signal write it on stderr, and lets `lk order locks PID` read it
 * from outside: it leaves a memfd that says where the keys are.  Returns 0 or errno's value. */
LK_API int lk_key_dump(int fd);
LK_API int lk_key_dump_on(int signo);

/* What that memfd holds. */
#define LK_KEY_ROOT_NAME_ "latchkey-keys"
struct lk_key_root_ {
    uint64_t key_size, list;
};

#ifdef __cplusplus
}
#endif
#endif
