/* nap.c - one bounded sleep, and the count of those that the backstop ended. */
#include "life/nap.h"

#include <errno.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/futex.h"

enum { BACKSTOP_FIRST_MS = 10, BACKSTOP_LAST_MS = 40, LATE_NS = 1000000 };

int lki_nap_begin(struct lki_nap *nap, const struct timespec *deadline, struct lki_wait *wait)
{
    if (deadline != NULL && !lki_timespec_valid(deadline))
        return EINVAL;
    *nap = (struct lki_nap){deadline, wait, BACKSTOP_FIRST_MS, false};
    return 0;
}

int lki_nap(struct lki_nap *nap, const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb)
{
    uint64_t now_ns = lki_mono_ns();
    struct timespec until = lki_timespec(now_ns);
    if (nap->deadline != NULL && !lki_timespec_before(&until, nap->deadline))
        return ETIMEDOUT;
    uint64_t backstop_ns = nap->backstop_ms * 1000000u;
    until = lki_timespec(now_ns + backstop_ns);
    bool last = nap->deadline != NULL && lki_timespec_before(nap->deadline, &until);
    int rc = lki_futex_wait(a, va, b, vb, last ? nap->deadline : &until);
    nap->wait->sleeps += rc == 0 || rc == ETIMEDOUT;
    /* Scheduled late itself, this thread cannot tell a wake that is missing from one on its way. */
    nap->due = rc == ETIMEDOUT && lki_mono_ns() - now_ns < backstop_ns + LATE_NS;
    if (nap->due && nap->backstop_ms < BACKSTOP_LAST_MS)
        nap->backstop_ms *= 2;
    return 0;
}

void lki_nap_end(const struct lki_nap *nap)
{
    nap->wait->backstops += nap->due;
}
