/* admit.h - is a result that was just computed worth its place in the shared cache? */
#ifndef LKP_ADMIT_H
#define LKP_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero bytes are a new one. */
struct lkp_admission {
    uint64_t compute_ns, store_ns; /* what one takes, about the median; 0 = not known yet */
    uint64_t stored;               /* results, by this process */
    uint32_t untimed;              /* stores since one was timed */
    uint32_t *door;                /* {part of a key's hash:24, misses:8} of keys missed lately */
    uint32_t door_mask;
};

/* A computation took so long. */
void lkp_admit_computed(struct lkp_admission *a, uint64_t ns);

/* Before a store: when it began, or 0 if this one is not timed.  After it, if it succeeded. */
uint64_t lkp_admit_begin(struct lkp_admission *a);
void lkp_admit_stored(struct lkp_admission *a, uint64_t begun);

/* The key was missed and its result computed: store it?  max_size: the cache's, in results. */
bool lkp_admit(struct lkp_admission *a, uint32_t max_size, const char *key, size_t size);

/* The cache was emptied. */
void lkp_admit_forget(struct lkp_admission *a);
void lkp_admit_end(struct lkp_admission *a);

#endif
