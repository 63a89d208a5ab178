/* bench_locks.h - what the parts of `lk bench locks` share.  C and C++: one peer is C++. */
#ifndef LK_BENCH_LOCKS_H
#define LK_BENCH_LOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the lock under measurement guards: the two are equal but inside a write section. */
struct lock_data {
    uint64_t first, second;
} __attribute__((aligned(128)));

/* One thread of a window. */
struct lock_thread {
    void *lock;
    struct lock_data *data;
    const uint32_t *stop; /* not 0: end */
    uint64_t window_ns;   /* of the timed form, which looks at the clock itself: who came to stop it
                             would take a CPU from the other, often inside the lock */
    unsigned write_percent;
    unsigned work;   /* rounds of lock_work() in each section */
    uint64_t random; /* any number but 0 */
    uint64_t reads, writes, torn;
    uint64_t waits, wait_ns, longest_ns; /* of the timed form */
} __attribute__((aligned(128)));

/* A lock to measure.  `pairs` locks and unlocks n times, for reading or writing, nothing inside. */
struct lock_peer {
    const char *name;
    const char *version;
    void (*init)(void *lock); /* 4 KiB of zeroed memory, aligned to a page */
    void (*pairs_read)(void *lock, size_t n);
    void (*pairs_write)(void *lock, size_t n); /* NULL: it has only readers */
    void (*mixed)(struct lock_thread *t);
    void (*timed)(struct lock_thread *t);
};

static inline uint64_t lock_multiply(uint64_t x)
{
    x = x * UINT64_C(6364136223846793005) + 1;
    __asm__ volatile("" : "+r"(x));
    return x;
}

/* Work that takes the same time wherever it stands: multiplications, each waiting for the last.  By
 * fours, so that the end of a short section is predicted every time: with a loop of single ones it
 * was in some runs and not in others, and their sections were half as long. */
static inline void lock_work(unsigned rounds)
{
    uint64_t x = rounds;
    for (unsigned i = 0; i < rounds / 4; i++)
        x = lock_multiply(lock_multiply(lock_multiply(lock_multiply(x))));
    for (unsigned i = 0; i < rounds % 4; i++)
        x = lock_multiply(x);
}

static inline uint64_t lock_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static inline uint64_t lock_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* lock_work() inside a lock.  The reading of the clock waits for all that stands before it: without
 * it the work begins while the lock's own instructions still wait for its line. */
static inline void lock_work_inside(unsigned rounds)
{
    if (rounds == 0)
        return;
    (void)lock_now_ns();
    lock_work(rounds);
}

static inline void lock_section(struct lock_thread *t, int write)
{
    volatile struct lock_data *d = t->data;
    if (write) {
        d->first++;
        lock_work_inside(t->work);
        d->second++;
        t->writes++;
    } else {
        uint64_t first = d->first;
        lock_work_inside(t->work);
        t->torn += first != d->second;
        t->reads++;
    }
}

static inline void lock_waited(struct lock_thread *t, uint64_t begun_ns, uint64_t end_ns)
{
    uint64_t now_ns = lock_now_ns(), ns = now_ns - begun_ns;
    if (now_ns > end_ns)
        return; /* the other may have ended, and the main thread have its CPU */
    t->waits++;
    t->wait_ns += ns;
    if (ns > t->longest_ns)
        t->longest_ns = ns;
}

/* The loops of one lock, with its calls inline where they are: RL(l) RU(l) WL(l) WU(l). */
#define LOCK_LOOPS(NAME, TYPE, RL, RU, WL, WU)                                                     \
    static void NAME##_pairs_read(void *lock, size_t n)                                            \
    {                                                                                              \
        TYPE *l = (TYPE *)lock;                                                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            RL(l);                                                                                 \
            RU(l);                                                                                 \
        }                                                                                          \
    }                                                                                              \
    static void NAME##_pairs_write(void *lock, size_t n)                                           \
    {                                                                                              \
        TYPE *l = (TYPE *)lock;                                                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            WL(l);                                                                                 \
            WU(l);                                                                                 \
        }                                                                                          \
    }                                                                                              \
    static inline                                                                                  \
        __attribute__((always_inline)) void NAME##_loop(struct lock_thread *t, int timed)          \
    {                                                                                              \
        TYPE *l = (TYPE *)t->lock;                                                                 \
        uint64_t end_ns = timed ? lock_now_ns() + t->window_ns : 0;                                \
        while (timed || __atomic_load_n(t->stop, __ATOMIC_RELAXED) == 0) {                         \
            int write = lock_random(&t->random) >> 32 < t->write_percent * (1ull << 32) / 100;     \
            uint64_t begun_ns = timed ? lock_now_ns() : 0;                                         \
            if (timed && begun_ns >= end_ns)                                                       \
                break;                                                                             \
            if (write)                                                                             \
                WL(l);                                                                             \
            else                                                                                   \
                RL(l);                                                                             \
            if (timed)                                                                             \
                lock_waited(t, begun_ns, end_ns);                                                  \
            lock_section(t, write);                                                                \
            if (write)                                                                             \
                WU(l);                                                                             \
            else                                                                                   \
                RU(l);                                                                             \
        }                                                                                          \
    }                                                                                              \
    static void NAME##_mixed(struct lock_thread *t)                                                \
    {                                                                                              \
        NAME##_loop(t, 0);                                                                         \
    }                                                                                              \
    static void NAME##_timed(struct lock_thread *t)                                                \
    {                                                                                              \
        NAME##_loop(t, 1);                                                                         \
    }

#define LOCK_PEER(NAME, TEXT, VERSION)                                                             \
    {                                                                                              \
        TEXT, VERSION, NAME##_init, NAME##_pairs_read, NAME##_pairs_write, NAME##_mixed,           \
            NAME##_timed                                                                           \
    }

/* Each ends with a peer without a name.  lock_peers_tbb and lock_peers_std are in libraries of
 * their own, which are loaded if they were built. */
extern const struct lock_peer lock_peers_ours[], lock_peers_glibc[], lock_peers_ck[],
    lock_peers_tbb[], lock_peers_std[];

/* Copy 16 bytes n times, plainly or through a sequence lock. */
void lock_copy_plain(void *guarded, size_t n);
void lock_copy_seqlock(void *guarded, size_t n);

#ifdef __cplusplus
}
#endif
#endif
