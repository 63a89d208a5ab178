/* nap.h - sleeping for somebody else's act: until a wake is due, the other is dead, the deadline
 * passes, or the backstop timer runs out.
 *
 * The kernel wakes one watcher of a dead thread's token.  If that one is killed before it runs, the
 * others would sleep on: so no sleep is longer than the backstop, and a sleep that only the
 * backstop ended, though there was something to see, is counted. */
#ifndef LKI_NAP_H
#define LKI_NAP_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "life/rmutex.h"

/* What a thread counts in its record, in a segment of plain memory (a cache has counters of its own
 * there). */
enum lki_robust_counter {
    LKI_COUNT_SLEEPS,
    LKI_COUNT_BACKSTOPS,
    LKI_COUNT_DEAD_READS,  /* read holds that dead threads left */
    LKI_COUNT_DEAD_WRITES, /* EOWNERDEAD answers */
};

struct lki_nap {
    const struct timespec *deadline; /* NULL = never; checked by lki_nap_begin() */
    struct lki_wait *wait;           /* added to */
    uint64_t backstop_ms;
    bool due; /* the last sleep was ended by the backstop */
};

/* 0, or EINVAL: the deadline is no time. */
int lki_nap_begin(struct lki_nap *nap, const struct timespec *deadline, struct lki_wait *wait);

/* Sleep while *a == va and (b != NULL) *b == vb.  0 (look again) or ETIMEDOUT: the deadline has
 * passed. */
int lki_nap(struct lki_nap *nap, const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb);

/* What was waited for has come. */
void lki_nap_end(const struct lki_nap *nap);

#endif
