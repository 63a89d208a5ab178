/* section.h - a change of one shard: attached, locked, repaired if the last one inside died. */
#ifndef LKI_SECTION_H
#define LKI_SECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/index.h"
#include "cache/layout.h"
#include "life/presence.h"

struct lki_section {
    struct lki_shard shard;
    struct lki_self *self;
};

/* Lock shard `index`; if its last holder died inside, rebuild it first.
 * Returns 0, EROFS, ETIMEDOUT, EDEADLK, LK_ETHREADS, ENOTSUP, ENOMEM. */
int lki_section_enter(struct lki_section *x, const struct lk_cache *c, uint32_t index);

/* The same without waiting, by an attachment at hand: EBUSY. */
int lki_section_try(struct lki_section *x, const struct lk_cache *c, uint32_t index,
                    struct lki_self *self);

void lki_section_leave(struct lki_section *x);

/* Release what dead threads that had this thread's slot left behind (lki_presence.sweep). */
void lki_section_sweep(void *cache, struct lki_self *self);

/* Rebuild all of the shard that is derived, drop entries that contradict themselves.  The lock is
 * held.  May be cut short by a death anywhere: then it is done again.
 * `thorough`: also drop what no death can leave behind but a damaged or hostile segment may have:
 * entries that a search does not find or finds elsewhere, wrong tags, wrong checksums. */
void lki_shard_rebuild(const struct lki_shard *s, bool thorough);

/* Inside a section.
 * ----------------------------------------------------------------------------- */

/* Check what is to be stored (no section needed).  Returns 0, EINVAL, or E2BIG: then the key is
 * made. */
int lki_change_make(const struct lk_cache *c, struct lki_change *change, const void *key,
                    size_t key_size, const void *value, size_t value_size);

/* lki_change_store() with the expiry that ttl_ns means, counted as a set. */
int lki_change_put(struct lki_section *x, struct lki_change *change, uint64_t ttl_ns,
                   struct lki_found *old);

/* Store the entry: over `old` if that is not NULL, else as a new one.  Evicts what it must.
 * Returns 0; EAGAIN only if the shard contradicts itself. */
int lki_change_store(struct lki_section *x, const struct lki_change *change, struct lki_found *old);

/* Remove the entry in a slot, whose key has this hash. */
void lki_change_remove(struct lki_section *x, uint64_t hash, struct lki_found *old);

/* Remove all entries. */
void lki_change_flush(struct lki_section *x);

/* The key with this hash was changed (all: every key): what a leaseholder computes for it is out of
 * date and must not be stored. */
void lki_lease_void(const struct lki_section *x, uint64_t hash, bool all);

#endif
