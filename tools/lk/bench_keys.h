/* bench_keys.h - what the parts of `lk bench keys` share.  C and C++: one peer is C++. */
#ifndef LK_BENCH_KEYS_H
#define LK_BENCH_KEYS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KEYS_MOST = 32, KEYS_SEATS = 50 };

/* One thread of a window.  The counts are on cache lines of their own. */
struct keys_thread {
    unsigned k;           /* locks in a set; seats at the table */
    unsigned seat, seats; /* philosophers: this thread's share, and the table */
    const uint32_t *stop; /* not 0: end */
    uint64_t done;
    uint64_t meals[KEYS_SEATS];
} __attribute__((aligned(128)));

typedef void keys_fn(struct keys_thread *t);

struct keys_peer {
    const char *name;
    keys_fn *sets;  /* lock the first k locks, unlock, until stopped; or NULL */
    keys_fn *dines; /* two forks, for each seat of this thread in turn; or NULL */
};

static inline uint32_t keys_stopped(const struct keys_thread *t)
{
    return __atomic_load_n(t->stop, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif
#endif
