/* key_floor.h - what src/key stands on but for the locks, for the models of it: keys, no robust
 * locks, no time. */
#ifndef MODEL_KEY_FLOOR_H
#define MODEL_KEY_FLOOR_H

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "key/key.h"
#include "latchkey/claim.h"
#include "latchkey/level.h"

/* Of the calling thread, from 0. */
static unsigned this_thread(void);

/* ---- no robust locks, no time
 * ------------------------------------------------------------------- */

#define NO_ROBUST(name, type)                                                                      \
    int name(type *l)                                                                              \
    {                                                                                              \
        (void)l;                                                                                   \
        return EINVAL;                                                                             \
    }
#define NO_ROBUST_UNTIL(name, type)                                                                \
    int name(type *l, const struct timespec *deadline)                                             \
    {                                                                                              \
        (void)l;                                                                                   \
        (void)deadline;                                                                            \
        return EINVAL;                                                                             \
    }
NO_ROBUST(lk_rmutex_trylock, lk_rmutex)
NO_ROBUST(lk_rmutex_unlock, lk_rmutex)
NO_ROBUST(lk_rrwlock_trywrlock, lk_rrwlock)
NO_ROBUST(lk_rrwlock_tryrdlock, lk_rrwlock)
NO_ROBUST(lk_rrwlock_unlock, lk_rrwlock)
NO_ROBUST_UNTIL(lk_rmutex_lock_until, lk_rmutex)
NO_ROBUST_UNTIL(lk_rrwlock_wrlock_until, lk_rrwlock)
NO_ROBUST_UNTIL(lk_rrwlock_rdlock_until, lk_rrwlock)

bool lki_timespec_valid(const struct timespec *t)
{
    return t->tv_nsec >= 0;
}

int lki_fail(int rc, const char *format, ...)
{
    (void)format;
    return rc;
}

const char *lk_error_text(void)
{
    return "";
}

const char *lk_strerror(int rc)
{
    (void)rc;
    return "";
}

/* ---- keys
 * ---------------------------------------------------------------------------------------- */

static struct lk_key_ keys[8];

struct lk_key_ *lki_key_first(void)
{
    struct lk_key_ *k = &keys[this_thread()];
    k->thread_pointer_ = __builtin_thread_pointer();
    lki_key_mine = k;
    return k;
}

void lki_key_enlist(struct lk_key_ *k)
{
    (void)k;
}

#endif
