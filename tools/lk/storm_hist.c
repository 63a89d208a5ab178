/* storm_hist.c - a histogram of time spans: sixteen steps to each power of two, so within 6.25 %.
 * */
#include "storm.h"

unsigned storm_hist_bucket(uint64_t ns)
{
    if (ns < (1u << STORM_SUB_BITS))
        return (unsigned)ns;
    unsigned top = 63u - (unsigned)__builtin_clzll(ns);
    unsigned step = (unsigned)(ns >> (top - STORM_SUB_BITS)) & ((1u << STORM_SUB_BITS) - 1u);
    unsigned bucket = ((top - STORM_SUB_BITS + 1u) << STORM_SUB_BITS) + step;
    return bucket < STORM_BUCKETS ? bucket : STORM_BUCKETS - 1u;
}

uint64_t storm_hist_floor(unsigned bucket)
{
    if (bucket < (1u << STORM_SUB_BITS))
        return bucket;
    unsigned top = (bucket >> STORM_SUB_BITS) - 1u + STORM_SUB_BITS;
    uint64_t step = bucket & ((1u << STORM_SUB_BITS) - 1u);
    return ((1ull << STORM_SUB_BITS) + step) << (top - STORM_SUB_BITS);
}

void storm_hist_add(struct storm_hist *h, uint64_t ns)
{
    storm_add(&h->count[storm_hist_bucket(ns)], 1);
}

void storm_hist_merge(struct storm_hist *sum, const struct storm_hist *h)
{
    for (unsigned i = 0; i < STORM_BUCKETS; i++)
        storm_add(&sum->count[i], storm_read(&h->count[i]));
}

uint64_t storm_hist_total(const struct storm_hist *h)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < STORM_BUCKETS; i++)
        total += storm_read(&h->count[i]);
    return total;
}

uint64_t storm_hist_quantile(const struct storm_hist *h, double fraction)
{
    uint64_t total = storm_hist_total(h), seen = 0;
    if (total == 0)
        return 0;
    for (unsigned i = 0; i < STORM_BUCKETS; i++) {
        seen += storm_read(&h->count[i]);
        if ((double)seen >= fraction * (double)total)
            return storm_hist_floor(i + 1) - 1;
    }
    return storm_hist_floor(STORM_BUCKETS);
}
