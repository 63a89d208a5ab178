/* rmutex.h - the robust mutex inside the library: the caller has its attachment at hand.
 * The public face is latchkey/rmutex.h. */
#ifndef LKI_RMUTEX_H
#define LKI_RMUTEX_H

#include <stdint.h>
#include <time.h>

#include "life/presence.h"

/* What waiting cost; the caller adds it to its counters. */
struct lki_wait {
    uint32_t sleeps;    /* times that the thread slept */
    uint32_t backstops; /* sleeps that only the backstop timer ended though a wake was due */
};

/* As the public calls; *wait is added to. */
int lki_rmutex_lock(uint32_t *word, struct lki_self *self, const struct timespec *deadline,
                    struct lki_wait *wait);
int lki_rmutex_trylock(uint32_t *word, struct lki_self *self);

/* The mutex, if it is free and nobody ever slept for it. */
static inline bool lki_rmutex_take_free(uint32_t *word, const struct lki_self *self)
{
    uint32_t expected = 0;
    /* [rmutex.8] acq_rel, pairs with [rmutex.2] [rmutex.3] [rmutex.7]: as [rmutex.1].
     * FREE -> HELD. */
    return lk_cas_acqrel_u32(word, &expected, self->holder);
}

int lki_rmutex_consistent(uint32_t *word, struct lki_self *self);
int lki_rmutex_unlock(uint32_t *word, struct lki_self *self);

/* Whom the word names as its holder; 0 nobody.  A guess, unless the caller is. */
uint32_t lki_rmutex_holder(const uint32_t *word);

/* Does the thread hold it? */
bool lki_rmutex_held(const uint32_t *word, const struct lki_self *self);

/* Take a LOST mutex all the same, as after a death: for an owner that can rebuild whatever it
 * guards. Returns EOWNERDEAD, or EBUSY if another was faster. */
int lki_rmutex_reclaim(uint32_t *word, struct lki_self *self);

/* What the word says at the moment. */
enum lki_rmutex_state { LKI_RMUTEX_FREE, LKI_RMUTEX_HELD, LKI_RMUTEX_DEAD, LKI_RMUTEX_LOST };
enum lki_rmutex_state lki_rmutex_look(const uint32_t *word, const struct lki_presence *p);

/* Does the word name the slot of `self` with another generation: a dead thread that had it
 * before? */
bool lki_rmutex_left_by_slot(const uint32_t *word, const struct lki_self *self);

#endif
