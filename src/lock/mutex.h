/* mutex.h - the mutex's waiting path, for the locks that have a mutex inside. */
#ifndef LKI_LOCK_MUTEX_H
#define LKI_LOCK_MUTEX_H

#include <stdint.h>

#include "base/futex.h"

/* Lock the word of an lk_mutex, in which `seen` was seen.  0 or ETIMEDOUT. */
int lki_mutex_lock(uint32_t *word, uint32_t seen, const struct lki_deadline *until);

#endif
