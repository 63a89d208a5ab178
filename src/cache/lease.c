/* lease.c - one computes, the others wait.
 *
 * Record: holder names who computes the key with this hash, 0 = free.  Records change under the
 * shard's lock only, and each change of holder raises the stamp; waiters sleep outside the lock on
 * the stamp and on the holder's token, so an end, a takeover and a death all wake them.
 * Killed between any two stores: either the record is not taken, or it names the dead thread, and
 * the next comer takes it over. */
#include <errno.h>
#include <limits.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/futex.h"
#include "cache/read.h"
#include "cache/section.h"

/* A waiter that nothing wakes looks again after so long; see life/rmutex.c. */
enum { BACKSTOP_NS = 20000000 };

static void set_held(const struct lki_shard *s, uint32_t held)
{
    /* [lease.1] relaxed: for reports, and for a look under the lock. */
    lk_store_rlx_u32(&lki_head(s)->leases_held, held);
}

/* Raise the stamp, which sleepers compare.  True if somebody must be woken. */
static bool restamp(struct lki_lease_record *r)
{
    bool waiting = r->waiting != 0;
    r->waiting = 0;
    /* [lease.2] relaxed: who slept on it comes back to the lock. */
    lk_store_rlx_u32(&r->stamp, r->stamp + 1);
    return waiting;
}

static void wake(struct lki_lease_record *r)
{
    (void)lki_futex_wake(&r->stamp, INT_MAX);
}

/* End a lease.  The lock is held; wakes at once: the woken wait for the lock a moment. */
static void end_lease(const struct lki_shard *s, struct lki_lease_record *r)
{
    uint32_t held = lki_head(s)->leases_held;
    r->holder = 0;
    set_held(s, held > 0 ? held - 1 : 0);
    if (restamp(r))
        wake(r);
}

void lki_lease_void(const struct lki_section *x, uint64_t hash, bool all)
{
    struct lki_lease_record *records = lki_lease_records(&x->shard);
    if (lki_head(&x->shard)->leases_held == 0)
        return;
    for (uint32_t i = 0; i < LKI_LEASES; i++) {
        struct lki_lease_record *r = &records[i];
        if (r->holder == 0 || (!all && r->hash != hash))
            continue;
        r->voided = 1;
        if (restamp(r)) /* there is a value now, or a reason to ask anew */
            wake(r);
    }
}

/* The key's record, or else a free one, or else one of a dead holder. */
static struct lki_lease_record *record_for(const struct lki_section *x, uint64_t hash, bool *dead)
{
    struct lki_lease_record *records = lki_lease_records(&x->shard);
    struct lki_lease_record *usable = NULL;
    *dead = false;
    for (uint32_t i = 0; i < LKI_LEASES; i++) {
        struct lki_lease_record *r = &records[i];
        bool gone = r->holder != 0 && !lki_holder_alive(x->self->presence, r->holder);
        if (r->holder != 0 && r->hash == hash && !r->voided) {
            *dead = gone;
            return r;
        }
        if (usable == NULL && (r->holder == 0 || gone)) {
            usable = r;
            *dead = gone;
        }
    }
    return usable;
}

static void grant(struct lki_section *x, struct lki_lease_record *r, bool dead, uint64_t hash,
                  struct lk_lease *lease)
{
    const struct lki_shard *s = &x->shard;
    uint32_t old = r->holder;
    bool waiting = restamp(r);
    r->hash = hash;
    r->voided = 0;
    r->holder = x->self->holder;
    if (old == 0)
        set_held(s, lki_head(s)->leases_held + 1);
    if (dead) {
        lki_count(x->self, LKI_LEASE_DEATHS, 1);
        lki_holder_mourn(x->self->presence, old);
    }
    if (waiting)
        wake(r);
    lki_count(x->self, LKI_LEASES_GRANTED, 1);
    *lease = (struct lk_lease){.hash_ = hash,
                               .shard_ = s->index,
                               .record_ = (uint32_t)(r - lki_lease_records(s)) + 1,
                               .stamp_ = r->stamp,
                               .word_ = r->holder};
}

/* What to sleep on, taken under the lock. */
struct watch {
    const uint32_t *stamp, *token;
    uint32_t stamp_value, token_value, holder;
};

enum asked { GRANTED, MUST_WAIT, UNREGISTERED };

static enum asked ask(struct lki_section *x, uint64_t hash, struct lk_lease *lease, struct watch *w)
{
    bool dead = false;
    struct lki_lease_record *r = record_for(x, hash, &dead);
    if (r == NULL) {
        *lease = (struct lk_lease){.hash_ = hash, .shard_ = x->shard.index};
        return UNREGISTERED;
    }
    bool mine = r->holder == x->self->holder && r->hash == hash;
    if (r->holder == 0 || dead || mine ||
        !lki_holder_watch(x->self->presence, r->holder, &w->token, &w->token_value)) {
        grant(x, r, dead && !mine, hash, lease);
        return GRANTED;
    }
    r->waiting = 1;
    w->stamp = &r->stamp;
    w->stamp_value = r->stamp;
    w->holder = r->holder;
    return MUST_WAIT;
}

static int wait_for(struct lk_cache *c, struct lki_self *self, const struct watch *w,
                    const struct timespec *deadline)
{
    struct timespec until = lki_timespec(lki_mono_ns() + BACKSTOP_NS);
    bool last = deadline != NULL && lki_timespec_before(deadline, &until);
    const struct timespec *end = last ? deadline : &until;
    lki_count(self, LKI_LEASE_WAITS, 1);
    int rc = lki_futex_wait(w->stamp, w->stamp_value, w->token, w->token_value, end);
    if (!lki_holder_alive(c->segment.presence, w->holder)) {
        if (rc == ETIMEDOUT && !last)
            lki_count(self, LKI_BACKSTOPS, 1);
        lki_holder_mourn(c->segment.presence, w->holder);
        return 0;
    }
    return rc == ETIMEDOUT && last ? ETIMEDOUT : 0;
}

/* Under the lock: has the value come meanwhile?  If not, ask for the lease. */
static int ask_locked(struct lki_section *x, struct lk_cache *c, const struct lki_key *key,
                      struct lki_read *read, struct lk_lease *lease, struct watch *w,
                      enum asked *asked)
{
    int rc = lki_section_enter(x, c, lki_hash_shard(key->hash, c->geometry.shards));
    if (rc != 0)
        return rc;
    rc = lki_read(c, key, read);
    if (rc == ENOENT)
        *asked = ask(x, key->hash, lease, w);
    lki_section_leave(x);
    return rc;
}

static bool past(const struct timespec *deadline)
{
    struct timespec now = lki_timespec(lki_mono_ns());
    return deadline != NULL && !lki_timespec_before(&now, deadline);
}

static int lease_loop(lk_cache *c, const struct lki_key *key, struct lki_read *read, unsigned flags,
                      const struct timespec *deadline, struct lk_lease *lease)
{
    for (;;) {
        struct lki_section x;
        struct watch w;
        enum asked asked = GRANTED;
        int rc = lki_read(c, key, read);
        if (rc != ENOENT)
            return rc;
        rc = ask_locked(&x, c, key, read, lease, &w, &asked);
        if (rc != ENOENT || asked != MUST_WAIT)
            return rc;
        if ((flags & LK_LEASE_STALE) != 0 && read->stale) {
            read->take_stale = true;
            rc = lki_read(c, key, read);
            read->take_stale = false;
            if (rc != ENOENT)
                return rc == 0 && read->stale ? ESTALE : rc;
        }
        if (past(deadline) || wait_for(c, x.self, &w, deadline) != 0)
            return ETIMEDOUT;
    }
}

int lk_cache_lease(lk_cache *c, const void *key, size_t key_size, void *buf, size_t capacity,
                   size_t *size, unsigned flags, const struct timespec *deadline,
                   struct lk_lease *lease)
{
    struct lki_key k;
    struct lki_read read = {.buf = buf, .capacity = capacity};
    if (lki_key_make(c, &k, key, key_size) != 0 || (buf == NULL && capacity > 0) ||
        (deadline != NULL && !lki_timespec_valid(deadline)))
        return EINVAL;
    int rc = lease_loop(c, &k, &read, flags, deadline, lease);
    lki_read_count(c, rc == ESTALE ? 0 : rc);
    if (rc == 0 || rc == ENOBUFS || rc == ESTALE)
        *size = read.entry.size;
    return rc;
}

/* The record if the lease is still the calling thread's. */
static struct lki_lease_record *own_record(const struct lki_section *x, const struct lk_lease *l)
{
    if (l->record_ == 0 || l->record_ > LKI_LEASES)
        return NULL;
    struct lki_lease_record *r = &lki_lease_records(&x->shard)[l->record_ - 1];
    bool mine = r->holder == x->self->holder && r->holder == l->word_ && r->hash == l->hash_;
    return mine ? r : NULL;
}

int lk_cache_fill(lk_cache *c, const void *key, size_t key_size, const void *value,
                  size_t value_size, uint64_t ttl_ns, struct lk_lease *lease)
{
    struct lki_section x;
    struct lki_found found;
    struct lki_change change;
    int fits = lki_change_make(c, &change, key, key_size, value, value_size);
    if (fits == EINVAL || change.key.hash != lease->hash_)
        return EINVAL;
    int rc = lki_section_enter(&x, c, lki_hash_shard(change.key.hash, c->geometry.shards));
    if (rc != 0)
        return rc;
    struct lki_lease_record *r = own_record(&x, lease);
    bool valid = lease->record_ == 0 || (r != NULL && !r->voided);
    enum lki_search search = lki_find(&x.shard, &change.key, &found);
    if (fits != 0)
        rc = fits;
    else if (!valid)
        rc = ECANCELED;
    else if (search == LKI_UNSTEADY)
        rc = EAGAIN;
    else
        rc = lki_change_put(&x, &change, ttl_ns, search == LKI_FOUND ? &found : NULL);
    if (r != NULL)
        end_lease(&x.shard, r);
    lki_section_leave(&x);
    lease->record_ = UINT32_MAX;
    return rc;
}

int lk_cache_release(lk_cache *c, struct lk_lease *lease)
{
    struct lki_section x;
    if (lease->shard_ >= c->geometry.shards)
        return EINVAL;
    int rc = lki_section_enter(&x, c, lease->shard_);
    if (rc != 0)
        return rc;
    struct lki_lease_record *r = own_record(&x, lease);
    if (r != NULL)
        end_lease(&x.shard, r);
    lki_section_leave(&x);
    lease->record_ = UINT32_MAX;
    return 0;
}
