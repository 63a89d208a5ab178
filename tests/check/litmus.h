/* litmus.h - small programs as data: parsed from the notation of shared/data/litmus/README.md, or
 * made at random; run by an interpreter that is compiled for the checker. */
#ifndef LITMUS_H
#define LITMUS_H

#include <stdbool.h>
#include <stdint.h>

enum { LITMUS_THREADS = 8, LITMUS_OPS = 16, LITMUS_LOCATIONS = 6 };

/* The last three are loops: until x holds the value, until the exchange finds another one, until
 * the compare-and-swap succeeds. */
enum litmus_op { L_STORE, L_LOAD, L_ADD, L_XCHG, L_CAS, L_FENCE, L_AWAIT, L_SPIN_XCHG, L_SPIN_CAS };

struct litmus_step {
    enum litmus_op op;
    int location;
    int order;      /* of __ATOMIC_* */
    int value;      /* stored, added, swapped in */
    int expected;   /* L_CAS */
    bool from_kept; /* the value is the one kept by an earlier load of the thread */
    bool keep;
};

struct litmus {
    int threads;
    int length[LITMUS_THREADS];
    struct litmus_step step[LITMUS_THREADS][LITMUS_OPS];
};

/* False if the text is not a program. */
bool litmus_parse(struct litmus *p, const char *text);

/* 2 or 3 threads, 1 to 3 locations; with or without loops.  The seed is not 0. */
void litmus_seed(uint64_t seed);
void litmus_random(struct litmus *p, bool loops);
/* On standard output, one line. */
void litmus_show(const struct litmus *p);

/* Main thread: starts the threads of the program `p` and joins them. */
void *litmus_run(void *p);
/* Called at the end of each run, if set, with all that can be told from outside: what each thread
 * kept last, and the locations. */
extern void (*litmus_outcome)(const int *kept, const int *location);

#endif
