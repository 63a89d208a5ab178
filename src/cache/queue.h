/* queue.h - S3-FIFO: which entry has to go.  Under the shard's lock.
 *
 * New entries come to the small queue, a tenth of the capacity; what was hit there moves on to the
 * main queue, what was not is evicted and remembered as a ghost; a key that comes back while its
 * ghost is remembered goes to the main queue at once.  The main queue gives each entry as many
 * second chances as it had hits, three at most.
 * Source: J. Yang et al., SOSP 2023.  Where we differ: promotion after one hit (not two), frequency
 * reset by the promotion (measured: 0.7 to 1.4 points of hit ratio), ghosts in a table of
 * fingerprints with coarse times; see docs/ARCHITECTURE.md. */
#ifndef LKI_QUEUE_H
#define LKI_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/layout.h"

/* Put a slot in at the head of a queue, take it out, change what its entry takes. */
void lki_queue_add(const struct lki_shard *s, enum lki_queue_name name, uint32_t slot,
                   uint32_t granules);
void lki_queue_remove(const struct lki_shard *s, uint32_t slot, uint32_t granules);
void lki_queue_resize(const struct lki_shard *s, uint32_t slot, uint32_t was, uint32_t is);
enum lki_queue_name lki_queue_of(const struct lki_shard *s, uint32_t slot);
void lki_queue_clear(const struct lki_shard *s);

/* The slot that should be evicted next, never `keep` (UINT32_MAX: none to keep).  Moves entries
 * that were hit on the way and counts them in *promoted.  *small: it was in the small queue.  False
 * if there is none. */
bool lki_queue_victim(const struct lki_shard *s, uint32_t keep, uint32_t *slot, bool *small,
                      uint32_t *promoted);

/* Ghosts. */
void lki_ghost_add(const struct lki_shard *s, uint64_t hash);
bool lki_ghost_take(const struct lki_shard *s, uint64_t hash);

#endif
