/* rcond.c - a condition whose waiters and signallers may die: latchkey/robust.h.
 *
 * State: {how many may sleep:32, signals given:32}.  A waiter adds itself to the count and sleeps
 * on the low half as it was then.  A signal raises the low half and only then wakes, so a waiter on
 * its way to sleep finds another number and does not.
 * Legal: a count above the number of sleepers (waiters that have left or died; a wasted wake).
 * Illegal: below it (a sleeper that no signal wakes).  So the count is only ever set back, to 0, by
 * one who has raised the number and then found fewer sleepers than it tried to wake, and only if
 * nobody has come since: the whole word is compared.
 *
 * A signal wakes two, as an unlock of the robust mutex does: if one is killed before it runs, the
 * other looks.  A waiter also watches the token of the mutex's holder, and looks at the mutex
 * whenever the backstop timer runs out. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "latchkey/robust.h"
#include "life/find.h"
#include "life/rmutex.h"

_Static_assert(sizeof(lk_rcond) == 8, "one word");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "signals are the word's low half");

enum { WAKE = 2 };

static uint64_t state_of(const lk_rcond *c)
{
    /* [rcond.1] relaxed: the mutex orders waiters and whoever changes what they wait for. */
    return lk_load_rlx_u64(&c->state_);
}

static bool change(lk_rcond *c, uint64_t *seen, uint64_t wanted)
{
    /* [rcond.2] relaxed: as [rcond.1]; the kernel orders the number and the sleep. */
    return lk_cas_rlx_u64(&c->state_, seen, wanted);
}

static uint64_t pack(uint32_t count, uint32_t signals)
{
    return (uint64_t)count << 32 | signals;
}

static uint32_t count_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static const uint32_t *signals_word(const lk_rcond *c)
{
    return (const uint32_t *)(const void *)&c->state_;
}

static void give(lk_rcond *c, int wake)
{
    uint64_t seen = state_of(c);
    do {
        if (count_of(seen) == 0)
            return;
    } while (!change(c, &seen, pack(count_of(seen), (uint32_t)seen + 1)));
    uint64_t given = pack(count_of(seen), (uint32_t)seen + 1);
    if (lki_futex_wake(signals_word(c), wake) < wake)
        (void)change(c, &given, pack(0, (uint32_t)given));
}

void lk_rcond_signal(lk_rcond *c)
{
    give(c, WAKE);
}

void lk_rcond_broadcast(lk_rcond *c)
{
    give(c, INT_MAX);
}

/* Has something come to look at: a signal, or the death of the mutex's holder? */
static bool stirred(const lk_rcond *c, uint32_t signals, const uint32_t *mutex,
                    const struct lki_presence *p)
{
    return (uint32_t)state_of(c) != signals || lki_rmutex_look(mutex, p) == LKI_RMUTEX_DEAD;
}

static int sleep_until_stirred(const lk_rcond *c, uint32_t signals, const uint32_t *mutex,
                               const struct lki_presence *p, struct lki_nap *nap)
{
    while (!stirred(c, signals, mutex, p)) {
        const uint32_t *token = NULL;
        uint32_t token_value = 0;
        uint32_t holder = lki_rmutex_holder(mutex);
        if (holder != 0 && !lki_holder_watch(p, holder, &token, &token_value))
            continue;
        int rc = lki_nap(nap, signals_word(c), signals, token, token_value);
        lki_holder_watched(p, holder);
        if (rc != 0)
            return rc;
    }
    lki_nap_end(nap);
    return 0;
}

static int wait_with(lk_rcond *c, uint32_t *mutex, struct lki_self *self, struct lki_nap *nap)
{
    if (!lki_rmutex_held(mutex, self))
        return EPERM;
    uint64_t seen = state_of(c);
    while (!change(c, &seen, pack(count_of(seen) + 1, (uint32_t)seen)))
        ;
    (void)lki_rmutex_unlock(mutex, self);
    int waited = sleep_until_stirred(c, (uint32_t)seen, mutex, self->presence, nap);
    int rc = lki_rmutex_lock(mutex, self, NULL, nap->wait);
    return rc != 0 ? rc : waited;
}

int lk_rcond_wait_until(lk_rcond *c, lk_rmutex *m, const struct timespec *deadline)
{
    struct lki_wait wait = {0, 0};
    struct lki_nap nap;
    struct lki_self *self;
    int rc = lki_nap_begin(&nap, deadline, &wait);
    if (rc == 0)
        rc = lki_find_self(m, sizeof m->word_, &self);
    if (rc != 0)
        return rc;
    rc = wait_with(c, &m->word_, self, &nap);
    lki_count_wait(self, &wait);
    return rc;
}

int lk_rcond_wait(lk_rcond *c, lk_rmutex *m)
{
    return lk_rcond_wait_until(c, m, NULL);
}
