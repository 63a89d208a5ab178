/* lock_seam.h - the model's side of src/base for the ordinary locks: threads of one process.
 * A sleep with a deadline may end by it whenever it likes, and a deadline that is looked at may
 * have passed or not. */
#ifndef MODEL_LOCK_SEAM_H
#define MODEL_LOCK_SEAM_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/futex.h"
#include "latchkey/check.h"

int lki_futex_sleep(const uint32_t *word, uint32_t value, bool shared,
                    const struct lki_deadline *until)
{
    (void)shared;
    return lk_check_futex_wait(word, value, NULL, 0, until->at != NULL);
}

int lki_futex_rouse(const uint32_t *word, int n, bool shared)
{
    (void)shared;
    return lk_check_futex_wake(word, n);
}

int lki_deadline_check(const struct lki_deadline *d)
{
    (void)d;
    return 0;
}

bool lki_deadline_passed(const struct lki_deadline *d)
{
    return d->at != NULL && lk_check_choose(2) == 1;
}

/* Any deadline: when it passes is the checker's choice. */
static const struct timespec some_time = {1, 0};

#endif
