/* history.h - states that are remembered, and forgotten. */
#ifndef LKI_HISTORY_H
#define LKI_HISTORY_H

#include "object/db.h"

uint64_t lki_wall_ns(void);

/* In a write: store the state behind it, in its own record and as the head. */
int lki_state_store(struct lk_writing *w, const struct lki_state *state, const uint64_t *freed,
                    const char *note);

/* In a write: forget the states before commit `tid`, and what only they need.  Changes
 * head->oldest. */
int lki_pack(lk_db *db, struct lk_writing *w, struct lki_state *head, uint64_t tid,
             uint64_t *freed);

#endif
