/* brute.h - an independent oracle: tries every reads-from and modification order of a small program
 * and keeps those that the axioms allow, written out as relations on pairs of events. */
#ifndef BRUTE_H
#define BRUTE_H

#include "litmus.h"

struct brute_counts {
    unsigned long rc11, sc;
};

/* False if there would be more than `limit` candidates to look at. */
bool brute_count(const struct litmus *p, unsigned long limit, struct brute_counts *out);

#endif
