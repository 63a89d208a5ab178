/* rrwlock_public.c - latchkey/robust.h's reader-writer lock: find the segment and the thread's
 * attachment, then rrwlock.c. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "latchkey/robust.h"
#include "life/find.h"
#include "life/rrwlock.h"

_Static_assert(sizeof(lk_rrwlock) == 8, "two words");

/* Keys of locks in the segment are their places, those of others have this bit. */
#define OUTSIDE 0x40000000u

/* The key of a lock at `offset` in the segment; 0 if that is none. */
static inline uint32_t key_at(size_t offset)
{
    size_t key = offset / sizeof(uint32_t) + 1;
    return offset % sizeof(uint32_t) == 0 && key < OUTSIDE ? (uint32_t)key : 0;
}

/* Put the hold of the quick way where the others look for it. */
static void forget_quick(void)
{
    if (lki_quick.held) {
        lki_quick.self->depth[0] = 1;
        lki_quick.self->reading = 1;
    }
    lki_quick.lock = NULL;
    lki_quick.held = 0;
}

/* The thread has unlocked *l: the next time may be quick. */
static void remember(const lk_rrwlock *l, const struct lki_rrwlock *lock, struct lki_self *self)
{
    if (self->reading != 0)
        return;
    /* [rrwlock_public.2] relaxed: see [attach.4]. */
    uint32_t unmaps = lk_load_rlx_u32(&lki_unmaps);
    lki_quick = (struct lki_quick){.lock = l,
                                   .hold = self->holds,
                                   .self = self,
                                   .key = lock->key,
                                   .epoch = self->epoch,
                                   .unmaps = unmaps};
}

static inline bool lock_quickly(lk_rrwlock *l)
{
    struct lki_quick *q = &lki_quick;
    /* [rrwlock_public.3] relaxed: see [attach.4]. */
    if (q->lock != l || q->held || q->unmaps != lk_load_rlx_u32(&lki_unmaps) ||
        !lki_fork_same(q->epoch))
        return false;
    if (!lki_rrwlock_enter(&l->word_, q->key, q->hold))
        return false;
    q->held = 1;
    return true;
}

static inline bool unlock_quickly(const lk_rrwlock *l)
{
    struct lki_quick *q = &lki_quick;
    if (q->lock != l || !q->held || !lki_fork_same(q->epoch))
        return false;
    q->held = 0;
    lki_hold_leave(q->hold);
    return true;
}

static int find(lk_rrwlock *l, const struct lk_rrwlock_place *at, struct lki_rrwlock *lock,
                struct lki_self **self)
{
    int rc =
        at != NULL ? lki_find_self(at->memory, 1, self) : lki_find_self(l, sizeof l->word_, self);
    if (rc != 0)
        return rc;
    uint32_t key = 0;
    forget_quick();
    if (at == NULL)
        key = key_at((size_t)((const char *)l - (*self)->presence->begin));
    else if (at->key != 0 && at->key <= LK_RRWLOCK_KEY_MAX)
        key = at->key | OUTSIDE;
    *lock = (struct lki_rrwlock){&l->word_, &l->dirty_, key};
    return key != 0 ? 0 : EINVAL;
}

int lk_rrwlock_rdlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at,
                         const struct timespec *deadline)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    struct lki_wait wait = {0, 0};
    int rc = find(l, at, &lock, &self);
    if (rc != 0)
        return rc;
    rc = lki_rrwlock_rdlock(&lock, self, deadline, &wait);
    lki_count_wait(self, &wait);
    return rc;
}

int lk_rrwlock_wrlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at,
                         const struct timespec *deadline)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    struct lki_wait wait = {0, 0};
    int rc = find(l, at, &lock, &self);
    if (rc != 0)
        return rc;
    rc = lki_rrwlock_wrlock(&lock, self, deadline, &wait);
    lki_count_wait(self, &wait);
    return rc;
}

int lk_rrwlock_tryrdlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    int rc = find(l, at, &lock, &self);
    return rc != 0 ? rc : lki_rrwlock_tryrdlock(&lock, self);
}

int lk_rrwlock_trywrlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    int rc = find(l, at, &lock, &self);
    return rc != 0 ? rc : lki_rrwlock_trywrlock(&lock, self);
}

int lk_rrwlock_consistent_at(lk_rrwlock *l, const struct lk_rrwlock_place *at)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    int rc = find(l, at, &lock, &self);
    return rc != 0 ? rc : lki_rrwlock_consistent(&lock, self);
}

int lk_rrwlock_unlock_at(lk_rrwlock *l, const struct lk_rrwlock_place *at)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    int rc = find(l, at, &lock, &self);
    return rc != 0 ? rc : lki_rrwlock_unlock(&lock, self);
}

int lk_rrwlock_rdlock_until(lk_rrwlock *l, const struct timespec *deadline)
{
    return lk_rrwlock_rdlock_at(l, NULL, deadline);
}

int lk_rrwlock_rdlock(lk_rrwlock *l)
{
    return __builtin_expect(lock_quickly(l), 1) ? 0 : lk_rrwlock_rdlock_at(l, NULL, NULL);
}

int lk_rrwlock_tryrdlock(lk_rrwlock *l)
{
    return lk_rrwlock_tryrdlock_at(l, NULL);
}

int lk_rrwlock_wrlock_until(lk_rrwlock *l, const struct timespec *deadline)
{
    return lk_rrwlock_wrlock_at(l, NULL, deadline);
}

int lk_rrwlock_wrlock(lk_rrwlock *l)
{
    return lk_rrwlock_wrlock_at(l, NULL, NULL);
}

int lk_rrwlock_trywrlock(lk_rrwlock *l)
{
    return lk_rrwlock_trywrlock_at(l, NULL);
}

int lk_rrwlock_consistent(lk_rrwlock *l)
{
    return lk_rrwlock_consistent_at(l, NULL);
}

int lk_rrwlock_downgrade(lk_rrwlock *l)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    int rc = find(l, NULL, &lock, &self);
    return rc != 0 ? rc : lki_rrwlock_downgrade(&lock, self);
}

static __attribute__((noinline)) int unlock_slowly(lk_rrwlock *l)
{
    struct lki_rrwlock lock;
    struct lki_self *self;
    int rc = find(l, NULL, &lock, &self);
    if (rc != 0)
        return rc;
    rc = lki_rrwlock_unlock(&lock, self);
    remember(l, &lock, self);
    return rc;
}

int lk_rrwlock_unlock(lk_rrwlock *l)
{
    return __builtin_expect(unlock_quickly(l), 1) ? 0 : unlock_slowly(l);
}

int lk_robust_count(const void *memory, struct lk_robust_counts *out)
{
    const struct lki_presence *p = memory == NULL ? NULL : lki_presence_of(memory);
    if (p == NULL)
        return EINVAL;
    uint64_t sum[LKI_COUNT_DEAD_WRITES + 1] = {0};
    for (uint32_t slot = 0; slot < p->threads; slot++) {
        const uint64_t *record = lki_slot_record(p, slot);
        for (unsigned i = 0; i <= LKI_COUNT_DEAD_WRITES; i++) {
            /* [rrwlock_public.1] relaxed: a report. */
            sum[i] += lk_load_rlx_u64(&record[i]);
        }
    }
    *out = (struct lk_robust_counts){sum[LKI_COUNT_SLEEPS], sum[LKI_COUNT_BACKSTOPS],
                                     sum[LKI_COUNT_DEAD_READS], sum[LKI_COUNT_DEAD_WRITES]};
    return 0;
}
