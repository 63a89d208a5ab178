/* deadline.c - absolute times by either clock. */
#include <errno.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/futex.h"

int lki_deadline_check(const struct lki_deadline *d)
{
    if (d->clock != CLOCK_MONOTONIC && d->clock != CLOCK_REALTIME)
        return EINVAL;
    return d->at == NULL || lki_timespec_valid(d->at) ? 0 : EINVAL;
}

bool lki_deadline_passed(const struct lki_deadline *d)
{
    struct timespec now = {0, 0};
    if (d->at == NULL)
        return false;
    (void)clock_gettime(d->clock, &now);
    return !lki_timespec_before(&now, d->at);
}
