/* states.h - an explorer that remembers states, for code whose threads meet in locks only.
 *
 * The threads are fibers that run natively; each operation on a lock is a step, and between two
 * steps any thread may come.  A state is what memory holds: the live part of each stack, the
 * registers, the keys, the locks.  Every state is gone on from once, whatever led to it.  A state
 * that comes again on the way from itself is a livelock, one that no thread can leave a deadlock.
 *
 * Weaker memory models add nothing to that: locks and unlocks of one lock happen one after the
 * other in every execution of RC11, so with the plain memory that they guard the order of all of
 * them is one interleaving.  Only what a try that fails has seen may be old, so here a try may fail
 * though the lock is free (but for `strictly`).  That a lock excludes, wakes and publishes is what
 * its own models say. */
#ifndef MODEL_STATES_H
#define MODEL_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATES_THREADS 4u
#define STATES_LOCKS 4u

/* One workload's threads. */
struct states_program {
    unsigned threads;
    void (*run)(unsigned thread);
    /* Which lock is it?  The locks' number. */
    unsigned (*lock_number)(const void *lock);
    /* Before each run: everything as it was in the beginning.  Behind its end: is all as it must
     * be? */
    void (*begin)(void);
    bool (*end)(void);
    /* Memory that belongs to the state beside the stacks: the i-th piece, or 0 bytes behind the
     * last. */
    size_t (*memory)(unsigned i, void **piece);
    /* A thread comes and goes. */
    void (*resume)(unsigned thread);
    void (*suspend)(unsigned thread);
    bool strictly;
};

struct states_found {
    const char *error; /* NULL: none */
    uint64_t states, steps;
    unsigned deepest;
};

/* Explore to the end or to the first error, which leaves its steps on stderr. */
struct states_found states_explore(const struct states_program *program);

/* In the program: the calling thread; does it hold the lock?; an error. */
unsigned states_thread(void);
bool states_holds(unsigned lock, bool reading);
void states_fail(const char *what);

#endif
