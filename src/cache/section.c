/* section.c - entering and leaving a shard. */
#include "cache/section.h"

#include <errno.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "life/rmutex.h"

static void count_wait(struct lki_self *self, const struct lki_wait *wait)
{
    if (wait->sleeps > 0)
        lki_count(self, LKI_LOCK_WAITS, wait->sleeps);
    if (wait->backstops > 0)
        lki_count(self, LKI_BACKSTOPS, wait->backstops);
}

/* The lock was got with `rc`: count the section, and rebuild after a death. */
static void begin_section(struct lki_section *x, int rc)
{
    struct lki_shard_head *head = lki_head(&x->shard);
    /* [section.1] relaxed: only the holder of the lock stores it. */
    uint64_t sections = lk_load_rlx_u64(&head->sections);
    /* [section.2] release, pairs with [verify.1]: a new number comes after the lock was taken. */
    lk_store_rel_u64(&head->sections, sections + 1);
    /* [section.3] release fence, pairs with [verify.5]: whoever sees what this section changes sees
     * its number. */
    lk_fence_rel();
    if (rc != EOWNERDEAD)
        return;
    lki_count(x->self, LKI_DEATHS, 1);
    lki_shard_rebuild(&x->shard, false);
    lki_count(x->self, LKI_REPAIRS, 1);
    (void)lki_rmutex_consistent(&head->lock, x->self);
}

int lki_section_try(struct lki_section *x, const struct lk_cache *c, uint32_t index,
                    struct lki_self *self)
{
    x->shard = lki_shard_at(c, index);
    x->self = self;
    uint32_t *lock = &lki_head(&x->shard)->lock;
    int rc = lki_rmutex_trylock(lock, self);
    if (rc == ENOTRECOVERABLE)
        rc = lki_rmutex_reclaim(lock, self);
    if (rc == 0 || rc == EOWNERDEAD)
        begin_section(x, rc);
    return rc == EOWNERDEAD ? 0 : rc;
}

static int wait_for_lock(struct lki_section *x, const struct lk_cache *c, uint32_t *lock)
{
    struct lki_wait wait = {0, 0};
    struct timespec deadline;
    struct timespec *until = NULL;
    if (c->lock_timeout_ns != 0) {
        deadline = lki_timespec(lki_mono_ns() + c->lock_timeout_ns);
        until = &deadline;
    }
    int rc = lki_rmutex_lock(lock, x->self, until, &wait);
    if (rc == ENOTRECOVERABLE)
        rc = lki_rmutex_reclaim(lock, x->self);
    count_wait(x->self, &wait);
    return rc;
}

int lki_section_enter(struct lki_section *x, const struct lk_cache *c, uint32_t index)
{
    if (!c->segment.writable)
        return EROFS;
    int rc = lki_attach_fast(c->segment.presence, &x->self);
    if (rc != 0)
        return rc;
    x->shard = lki_shard_at(c, index);
    uint32_t *lock = &lki_head(&x->shard)->lock;
    if (!lki_rmutex_take_free(lock, x->self))
        rc = wait_for_lock(x, c, lock);
    if (rc != 0 && rc != EOWNERDEAD)
        return rc;
    begin_section(x, rc);
    return 0;
}

void lki_section_leave(struct lki_section *x)
{
    (void)lki_rmutex_unlock(&lki_head(&x->shard)->lock, x->self);
}

void lki_section_sweep(void *cache, struct lki_self *self)
{
    const struct lk_cache *c = cache;
    for (uint32_t i = 0; i < c->geometry.shards; i++) {
        struct lki_section x;
        struct lki_shard s = lki_shard_at(c, i);
        if (lki_rmutex_left_by_slot(&lki_head(&s)->lock, self) &&
            lki_section_try(&x, c, i, self) == 0)
            lki_section_leave(&x);
    }
}
