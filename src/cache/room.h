/* room.h - which granules are taken, and finding free ones.  Under the shard's lock. */
#ifndef LKI_ROOM_H
#define LKI_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/entry.h"
#include "cache/index.h"
#include "cache/layout.h"

/* Mark the granules of a run; false (and nothing marked) if one of them is taken already. */
bool lki_room_take(const struct lki_shard *s, struct lki_run run);
void lki_room_give(const struct lki_shard *s, struct lki_run run);
/* All that an entry of so many granules has; the next search begins there. */
void lki_room_give_all(const struct lki_shard *s, struct lki_view *view, uint32_t granules);

/* Ask for the memory that the next entry will probably be written to. */
void lki_room_prefetch(const struct lki_shard *s);

/* No granule is taken. */
void lki_room_clear(const struct lki_shard *s);

/* Take so many granules where the next search would begin, if they are free and in one word of the
 * bitmap.  So they are after an entry of that size was freed. */
bool lki_room_take_next(const struct lki_shard *s, uint32_t granules, struct lki_run *run);

/* Find free granules for an entry: one run, or else a few, longest first.  Takes them.
 * Returns how many runs, 0 if there is no such room. */
uint32_t lki_room_find(const struct lki_shard *s, const struct lki_change *change,
                       struct lki_run runs[LKI_RUNS_MAX]);

#endif
