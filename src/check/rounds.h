/* rounds.h - fair rounds in a graph of states. */
#ifndef LKC_ROUNDS_H
#define LKC_ROUNDS_H

#include "internal.h"

struct round_edge {
    uint32_t from, to;
    uint8_t thread;
    bool effect;
};

struct round_graph {
    uint32_t nstates, nedges;
    const uint16_t *able; /* of each state: the threads that can go on */
    const struct round_edge *edge;
};

struct round_found {
    uint32_t stepped, size; /* threads that go round, states */
    bool effect;            /* ... some of them with effects */
};

/* Is there a strongly connected part in which going round for ever is fair? */
bool round_find(const struct round_graph *g, struct round_found *found);

#endif
