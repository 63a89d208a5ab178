/* states_seam.h - for the shipped sources under key_states.c, included before everything else: what
 * they do to a lock is a step that the explorer decides about (states.h), and so are the parts of a
 * lock's operations that are inline. */
#ifndef MODEL_STATES_SEAM_H
#define MODEL_STATES_SEAM_H

#include "latchkey/mutex.h"
#include "latchkey/rwlock.h"

/* Each returns 0, or EBUSY if it only tries. */
int states_lock(void *lock, int reading, int only_try);
int states_unlock(void *lock);
int states_upgrade(void *lock); /* only tries */
int states_downgrade(void *lock);

#define lk_mutex_trylock(m) states_lock(m, 0, 1)
#define lk_mutex_lock(m) ((void)states_lock(m, 0, 0))
#define lk_mutex_lock_until(m, deadline) ((void)(deadline), states_lock(m, 0, 0))
#define lk_mutex_unlock(m) ((void)states_unlock(m))
#define lk_rwlock_tryrdlock(l) states_lock(l, 1, 1)
#define lk_rwlock_trywrlock(l) states_lock(l, 0, 1)
#define lk_rwlock_rdlock_until(l, deadline) ((void)(deadline), states_lock(l, 1, 0))
#define lk_rwlock_wrlock_until(l, deadline) ((void)(deadline), states_lock(l, 0, 0))
#define lk_rwlock_rdunlock(l) ((void)states_unlock(l))
#define lk_rwlock_wrunlock(l) ((void)states_unlock(l))
#define lk_rwlock_tryupgrade(l) states_upgrade(l)
#define lk_rwlock_downgrade(l) ((void)states_downgrade(l))

#endif
