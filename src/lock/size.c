/* size.c - the sizes that the headers promise, and that an all-zero lock is an unlocked one. */
#include "latchkey/barrier.h"
#include "latchkey/cond.h"
#include "latchkey/mutex.h"
#include "latchkey/once.h"
#include "latchkey/rwlock.h"
#include "latchkey/sem.h"
#include "latchkey/seqlock.h"

_Static_assert(sizeof(lk_mutex) == 4, "mutex.h");
_Static_assert(sizeof(lk_once) == 4, "once.h");
_Static_assert(sizeof(lk_seqlock) == 8, "seqlock.h");
_Static_assert(sizeof(lk_cond) == 8, "cond.h");
_Static_assert(sizeof(lk_sem) == 8, "sem.h");
_Static_assert(sizeof(lk_rwlock) == 16, "rwlock.h");
_Static_assert(sizeof(lk_barrier) == 16, "barrier.h");
_Static_assert(sizeof(lk_brlock) == 64 * (LK_BRLOCK_LINES + (size_t)1), "rwlock.h");
_Static_assert(LK_RWLOCK_PREFER_READER == 0, "an all-zero lk_rwlock");
