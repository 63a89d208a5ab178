/* robust.c - the segment of presence slots, and a lock for one alone over the robust reader-writer
 * lock's writing side: it is the form that may lie outside the segment. */
#include "robust.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SLOTS = 256 };
static lk_once segment_once = LK_ONCE_INIT;
static lk_seg *segment;

static int open_segment(void *arg)
{
    const char *name = arg;
    for (int tries = 0; tries < 3; tries++) {
        int rc = lk_seg_open(&segment, name);
        if (rc == LK_EBOOT)
            rc = lk_seg_unlink(name) == 0 ? ENOENT : rc;
        if (rc == ENOENT)
            rc = lk_seg_create(&segment, name, sizeof(atomic_uint), SLOTS);
        if (rc == 0)
            return 0;
        if (rc != EEXIST)
            break;
    }
    (void)fprintf(stderr, "latchkey-pthread: process-shared locks are not robust: %s\n",
                  lk_error_text());
    return 0; /* once is enough */
}

bool lkp_have_segment(void)
{
    const char *name = lkp_robust_name();
    if (name == NULL)
        return false;
    (void)!lk_once_call(&segment_once, open_segment, (void *)(uintptr_t)name);
    return segment != NULL;
}

/* Keys are given out once; after 2^30 locks they would come again. */
uint32_t lkp_new_key(void)
{
    atomic_uint *last = lk_seg_memory(segment);
    return atomic_fetch_add_explicit(last, 1, memory_order_relaxed) % LK_RRWLOCK_KEY_MAX + 1;
}

struct lk_rrwlock_place lkp_place(uint32_t key)
{
    return (struct lk_rrwlock_place){lk_seg_memory(segment), key};
}

int lkp_robust_lock(lk_rrwlock *l, uint32_t key, const struct timespec *deadline, bool tries)
{
    struct lk_rrwlock_place at = lkp_place(key);
    int rc = tries ? lk_rrwlock_trywrlock_at(l, &at) : lk_rrwlock_wrlock_at(l, &at, deadline);
    if (tries && rc == EDEADLK)
        return EBUSY; /* the caller's own */
    return rc == EOWNERDEAD ? lk_rrwlock_consistent_at(l, &at) : rc;
}

int lkp_robust_unlock(lk_rrwlock *l, uint32_t key)
{
    struct lk_rrwlock_place at = lkp_place(key);
    return lk_rrwlock_unlock_at(l, &at);
}

void lkp_to_monotonic(clockid_t clock, const struct timespec *t, struct timespec *out)
{
    struct timespec now, mono;
    *out = *t;
    if (clock == CLOCK_MONOTONIC)
        return;
    (void)clock_gettime(clock, &now);
    (void)clock_gettime(CLOCK_MONOTONIC, &mono);
    int64_t left_ns = (int64_t)(t->tv_sec - now.tv_sec) * 1000000000 + (t->tv_nsec - now.tv_nsec);
    int64_t at_ns = (int64_t)mono.tv_sec * 1000000000 + mono.tv_nsec + (left_ns > 0 ? left_ns : 0);
    *out = (struct timespec){at_ns / 1000000000, at_ns % 1000000000};
}
