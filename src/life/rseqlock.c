/* rseqlock.c - a sequence lock whose writer may die half-way: latchkey/robust.h.
 *
 *   word   a robust mutex: one writer at a time
 *   seq    even: the payload is whole; odd: a writer is at it, or has died there
 * Whoever finds the mutex's holder dead and seq odd mends the payload and makes seq even, both
 * under the mutex; dying on the way changes nothing about that.  The rollback copy is written while
 * seq is even, and read while it is odd.
 *
 * Source: H. Boehm, "Can Seqlocks Get Along With Programming Language Memory Models?" (MSPC 2012);
 * where we differ: a release fence behind the odd count, a robust mutex, mending. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/copy.h"
#include "base/laps.h"
#include "latchkey/robust.h"
#include "life/find.h"

_Static_assert(sizeof(lk_rseqlock) == 16, "two words and the count");

enum { SPINS = 200 };

struct payload {
    void *bytes;
    size_t size;
    const struct lk_rseqlock_mend *mend; /* NULL: the caller mends */
};

/* One step of a kill build: a death may come before it. */
static void put(void *to, const void *from, size_t bytes)
{
    LK_KILLPOINT();
    lki_copy_in(to, from, bytes);
}

static uint64_t count_now(const lk_rseqlock *l)
{
    /* [rseqlock.1] relaxed: of the writer, under the mutex. */
    return lk_load_rlx_u64(&l->seq_);
}

static void set_odd(lk_rseqlock *l)
{
    /* [rseqlock.2] relaxed: the fence behind it orders it. */
    lk_store_rlx_u64(&l->seq_, count_now(l) | 1);
    /* [rseqlock.3] release fence, pairs with [rseqlock.6]: a reader that sees any new word of the
     * payload also sees the odd count. */
    lk_fence_rel();
}

static void set_even(lk_rseqlock *l)
{
    /* [rseqlock.4] release, pairs with [rseqlock.5]: with the even count, the payload. */
    lk_store_rel_u64(&l->seq_, (count_now(l) | 1) + 1);
}

/* One look: true, and the payload is at `to`, if no writer was at it. */
static bool look(const lk_rseqlock *l, void *to, const void *payload, size_t bytes)
{
    /* [rseqlock.5] acquire, pairs with [rseqlock.4]: what is copied is not older than the count. */
    uint64_t before = lk_load_acq_u64(&l->seq_);
    if (before & 1)
        return false;
    lki_copy_out(to, payload, bytes);
    /* [rseqlock.6] acquire fence, pairs with [rseqlock.3]: the second look at the count comes after
     * the copy. */
    lk_fence_acq();
    /* [rseqlock.7] relaxed: the fence orders it. */
    return lk_load_rlx_u64(&l->seq_) == before;
}

/* Under the mutex, with an odd count that a dead writer left: make the payload whole.  EOWNERDEAD:
 * the caller has to. */
static int mend(lk_rseqlock *l, struct lki_self *self, const struct payload *p)
{
    lki_count(self, LKI_COUNT_DEAD_WRITES, 1);
    if (p->mend == NULL || (p->mend->copy == NULL && p->mend->repair == NULL))
        return EOWNERDEAD;
    set_odd(l); /* it is; but what follows needs the fence */
    if (p->mend->copy != NULL)
        put(p->bytes, p->mend->copy, p->size);
    else
        p->mend->repair(l, p->bytes, p->size, p->mend->arg);
    set_even(l);
    return 0;
}

/* 0 and EOWNERDEAD: locked.  That a writer died half-way is said by the count alone, so the mutex
 * is consistent as soon as it is held. */
static int lock(lk_rseqlock *l, struct lki_self *self, const struct payload *p,
                const struct timespec *deadline)
{
    struct lki_wait wait = {0, 0};
    int rc = lki_rmutex_lock(&l->word_, self, deadline, &wait);
    lki_count_wait(self, &wait);
    if (rc == EOWNERDEAD)
        rc = lki_rmutex_consistent(&l->word_, self);
    return rc == 0 && (count_now(l) & 1) != 0 ? mend(l, self, p) : rc;
}

static int find_and_lock(lk_rseqlock *l, const struct payload *p, const struct timespec *deadline,
                         struct lki_self **self)
{
    int rc = lki_find_self(l, sizeof l->seq_, self);
    return rc != 0 ? rc : lock(l, *self, p, deadline);
}

/* The writers do not let this reader through: in line with them. */
static int read_in_line(lk_rseqlock *l, void *to, const struct payload *p,
                        const struct timespec *deadline)
{
    struct lki_self *self;
    int rc = find_and_lock(l, p, deadline, &self);
    if (rc != 0 && rc != EOWNERDEAD)
        return rc;
    if (rc == 0)
        lki_copy_out(to, p->bytes, p->size);
    (void)lki_rmutex_unlock(&l->word_, self);
    return rc;
}

int lk_rseqlock_read(lk_rseqlock *l, void *to, const void *payload, size_t bytes,
                     const struct lk_rseqlock_mend *how, const struct timespec *deadline)
{
    for (int i = 0; i <= LKI_LAPS(SPINS); i++) {
        if (look(l, to, payload, bytes))
            return 0;
        lk_relax();
    }
    /* The reader mends, so the payload is not const to it. */
    const struct payload p = {(void *)(uintptr_t)payload, bytes, how};
    return read_in_line(l, to, &p, deadline);
}

int lk_rseqlock_write_begin(lk_rseqlock *l, void *payload, size_t bytes,
                            const struct lk_rseqlock_mend *how, const struct timespec *deadline)
{
    const struct payload p = {payload, bytes, how};
    struct lki_self *self;
    int rc = find_and_lock(l, &p, deadline, &self);
    if (rc != 0 && rc != EOWNERDEAD)
        return rc;
    if (rc == 0 && how != NULL && how->copy != NULL)
        put(how->copy, payload, bytes);
    set_odd(l);
    return rc;
}

void lk_rseqlock_put(void *to, const void *from, size_t bytes)
{
    put(to, from, bytes);
}

int lk_rseqlock_write_end(lk_rseqlock *l)
{
    struct lki_self *self;
    int rc = lki_find_self(l, sizeof l->seq_, &self);
    if (rc != 0 || !lki_rmutex_held(&l->word_, self))
        return EPERM;
    set_even(l);
    return lki_rmutex_unlock(&l->word_, self);
}

int lk_rseqlock_write(lk_rseqlock *l, void *payload, const void *from, size_t bytes,
                      const struct lk_rseqlock_mend *how, const struct timespec *deadline)
{
    int rc = lk_rseqlock_write_begin(l, payload, bytes, how, deadline);
    if (rc != 0 && rc != EOWNERDEAD)
        return rc;
    put(payload, from, bytes);
    (void)lk_rseqlock_write_end(l);
    return rc;
}
