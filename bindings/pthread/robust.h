/* robust.h - process-shared locks whose holders may die: $LK_PTHREAD_ROBUST. */
#ifndef LKP_ROBUST_H
#define LKP_ROBUST_H

#include "interpose.h"
#include "latchkey/robust.h"

/* Does the user want it, and is the segment of presence slots open? */
bool lkp_have_segment(void);

/* For a new lock, while there is a segment: another number than all others have. */
uint32_t lkp_new_key(void);
struct lk_rrwlock_place lkp_place(uint32_t key);

/* Lock *l of this key for one alone.  A death is not told: POSIX has no word for it. */
int lkp_robust_lock(lk_rrwlock *l, uint32_t key, const struct timespec *deadline, bool tries);
int lkp_robust_unlock(lk_rrwlock *l, uint32_t key);

/* The robust forms know CLOCK_MONOTONIC only. */
void lkp_to_monotonic(clockid_t clock, const struct timespec *t, struct timespec *out);

#endif
