/* rmutex_public.c - latchkey/rmutex.h: find the segment and the thread's attachment, then
 * rmutex.c. */
#include "latchkey/rmutex.h"

#include <errno.h>

#include "life/rmutex.h"

static int self_for(lk_rmutex *m, struct lki_self **self)
{
    struct lki_presence *p =
        m == NULL || (uintptr_t)m % sizeof(uint32_t) != 0 ? NULL : lki_presence_of(m);
    return p == NULL ? EINVAL : lki_attach(p, self);
}

int lk_rmutex_lock_until(lk_rmutex *m, const struct timespec *deadline)
{
    struct lki_self *self = NULL;
    struct lki_wait wait = {0, 0};
    int rc = self_for(m, &self);
    return rc != 0 ? rc : lki_rmutex_lock(&m->word_, self, deadline, &wait);
}

int lk_rmutex_lock(lk_rmutex *m)
{
    return lk_rmutex_lock_until(m, NULL);
}

int lk_rmutex_trylock(lk_rmutex *m)
{
    struct lki_self *self = NULL;
    int rc = self_for(m, &self);
    return rc != 0 ? rc : lki_rmutex_trylock(&m->word_, self);
}

int lk_rmutex_consistent(lk_rmutex *m)
{
    struct lki_self *self = NULL;
    int rc = self_for(m, &self);
    return rc != 0 ? rc : lki_rmutex_consistent(&m->word_, self);
}

int lk_rmutex_unlock(lk_rmutex *m)
{
    struct lki_self *self = NULL;
    int rc = self_for(m, &self);
    return rc != 0 ? rc : lki_rmutex_unlock(&m->word_, self);
}
