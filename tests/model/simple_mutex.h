/* simple_mutex.h - lk_mutex as simple as one can be, for models of what stands on it: it has models
 * of its own.  Who waits looks until it is free, which the checker takes for sleeping. */
#ifndef MODEL_SIMPLE_MUTEX_H
#define MODEL_SIMPLE_MUTEX_H

#include <stdlib.h>

#include "latchkey/check.h"
#include "latchkey/mutex.h"

void lk_mutex_lock_slowly_(lk_mutex *m, uint32_t seen)
{
    do {
        lk_check_relax();
        seen = 0;
    } while (!lk_word_cas_acq_u32(&m->word_, &seen, LK_MUTEX_HELD_));
}

void lk_mutex_unlock_slowly_(lk_mutex *m, uint32_t seen)
{
    (void)m;
    (void)seen;
    abort(); /* nobody marks it as waited for */
}

#endif
