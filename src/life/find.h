/* find.h - from the address of a public lock to the caller's attachment, for latchkey/robust.h. */
#ifndef LKI_FIND_H
#define LKI_FIND_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "life/nap.h"
#include "life/presence.h"

/* The calling thread's attachment to the segment that `address`, which is a multiple of `align`,
 * lies in. */
static inline int lki_find_self(const void *address, size_t align, struct lki_self **self)
{
    if (address == NULL || (uintptr_t)address % align != 0)
        return EINVAL;
    struct lki_presence *p = lki_presence_of(address);
    return p == NULL ? EINVAL : lki_attach_fast(p, self);
}

static inline void lki_count_wait(struct lki_self *self, const struct lki_wait *wait)
{
    if (wait->sleeps == 0)
        return;
    lki_count(self, LKI_COUNT_SLEEPS, wait->sleeps);
    lki_count(self, LKI_COUNT_BACKSTOPS, wait->backstops);
}

#endif
