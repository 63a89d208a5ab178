/* bench_keys_ours.c - sets of ours, and sorted pthread mutexes, for lk bench keys. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench_keys_ours.h"
#include "latchkey/latchkey.h"

static struct {
    lk_mutex m;
} __attribute__((aligned(64))) locks[KEYS_MOST], forks[KEYS_SEATS];

static struct {
    pthread_mutex_t m;
} __attribute__((aligned(64))) plain[KEYS_MOST];

static struct {
    atomic_uint w;
} __attribute__((aligned(64))) words[KEYS_MOST];

#define L(i) LK_LOCK(&locks[i].m)
#define L4(i) L(i), L((i) + 1), L((i) + 2), L((i) + 3)
#define L16(i) L4(i), L4((i) + 4), L4((i) + 8), L4((i) + 12)

/* A window's loop around one form of locking. */
#define PAIRS(lock)                                                                                \
    while (!keys_stopped(t)) {                                                                     \
        for (int i = 0; i < 64; i++)                                                               \
            lock __asm__ volatile("" ::: "memory");                                                \
        t->done += 64;                                                                             \
    }

static void ad_hoc(struct keys_thread *t)
{
    lk_key key = lk_key_take();
    switch (t->k) {
    case 1:
        PAIRS(lk_scope (key, LK_SET(L(0))))
        break;
    case 2:
        PAIRS(lk_scope (key, LK_SET(L(0), L(1))))
        break;
    case 4:
        PAIRS(lk_scope (key, LK_SET(L4(0))))
        break;
    case 8:
        PAIRS(lk_scope (key, LK_SET(L4(0), L4(4))))
        break;
    default:
        PAIRS(lk_scope (key, LK_SET(L16(0), L16(16))))
        break;
    }
    lk_key_give(key);
}

static void built(struct keys_thread *t)
{
    lk_key key = lk_key_take();
    lk_member members[KEYS_MOST];
    lk_set set;
    for (unsigned i = 0; i < t->k; i++)
        members[i] = L(i);
    lk_set_new(&set, members, t->k, t->k);
    PAIRS(lk_scope (key, LK_OF(&set)))
    lk_key_give(key);
}

static int by_address(const void *a, const void *b)
{
    const pthread_mutex_t *x = *(pthread_mutex_t *const *)a, *y = *(pthread_mutex_t *const *)b;
    return (x > y) - (x < y);
}

/* What a careful program does by hand: sort by address, lock in order.  Insertion, as it is
 * short. */
static void sorted(struct keys_thread *t)
{
    pthread_mutex_t *m[KEYS_MOST];
    while (!keys_stopped(t)) {
        for (int i = 0; i < 64; i++) {
            for (unsigned j = 0; j < t->k; j++) {
                unsigned at = j;
                for (; at > 0 && by_address(&(pthread_mutex_t *){&plain[j].m}, &m[at - 1]) < 0;
                     at--)
                    m[at] = m[at - 1];
                m[at] = &plain[j].m;
            }
            for (unsigned j = 0; j < t->k; j++)
                (void)pthread_mutex_lock(m[j]);
            __asm__ volatile("" ::: "memory");
            for (unsigned j = t->k; j-- > 0;)
                (void)pthread_mutex_unlock(m[j]);
        }
        t->done += 64;
    }
}

/* What no lock of two atomic instructions can beat, and no lock that must know whether to wake
 * somebody has fewer: one compare-and-swap each way, with nothing around, not even a loop where K
 * is small.  (An exchange, `lock bts`, `lock dec` take as long.)  With two threads it excludes as a
 * spinlock does. */
static inline __attribute__((always_inline)) void bare_of(struct keys_thread *t, const unsigned k)
{
    while (!keys_stopped(t)) {
        for (int i = 0; i < 64; i++) {
#pragma GCC unroll 32
            for (unsigned j = 0; j < k; j++) {
                unsigned none = 0;
                while (!atomic_compare_exchange_strong(&words[j].w, &none, 1))
                    none = 0;
            }
            __asm__ volatile("" ::: "memory");
#pragma GCC unroll 32
            for (unsigned j = k; j-- > 0;) {
                unsigned held = 1;
                (void)atomic_compare_exchange_strong(&words[j].w, &held, 0);
            }
        }
        t->done += 64;
    }
}

static void bare(struct keys_thread *t)
{
    switch (t->k) {
    case 1:
        bare_of(t, 1);
        break;
    case 2:
        bare_of(t, 2);
        break;
    case 4:
        bare_of(t, 4);
        break;
    case 8:
        bare_of(t, 8);
        break;
    default:
        bare_of(t, KEYS_MOST);
        break;
    }
}

static void dines(struct keys_thread *t)
{
    lk_key key = lk_key_take();
    while (!keys_stopped(t)) {
        lk_scope (key,
                  LK_SET(LK_LOCK(&forks[t->seat].m), LK_LOCK(&forks[(t->seat + 1) % t->seats].m)))
            t->meals[t->seat]++;
        t->done++;
    }
    lk_key_give(key);
}

const struct keys_peer keys_peers_ours[] = {
    {"ad hoc set", ad_hoc, dines}, {"built set", built, NULL}, {"sorted pthread", sorted, NULL},
    {"bare atomics", bare, NULL},  {NULL, NULL, NULL},
};

/* ---- what the parts cost
 * ------------------------------------------------------------------------ */

void keys_nothing(struct keys_thread *t)
{
    PAIRS()
}

void keys_take_and_give(struct keys_thread *t)
{
    while (!keys_stopped(t)) {
        for (int i = 0; i < 64; i++) {
            lk_key key = lk_key_take();
            __asm__ volatile("" ::: "memory");
            lk_key_give(key);
        }
        t->done += 64;
    }
}

static lk_order_mutex outer, inner;

static void watched(struct keys_thread *t)
{
    while (!keys_stopped(t)) {
        for (int i = 0; i < 64; i++) {
            lk_order_lock(&outer);
            lk_order_lock(&inner);
            __asm__ volatile("" ::: "memory");
            lk_order_unlock(&inner);
            lk_order_unlock(&outer);
        }
        t->done += 128; /* locks */
    }
}

void keys_order_off(struct keys_thread *t)
{
    lk_order_on(false);
    watched(t);
}

void keys_order_on(struct keys_thread *t)
{
    lk_order_on(true);
    watched(t);
    lk_order_on(false);
}
