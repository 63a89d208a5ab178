/* bench_locks_sweep.h - every lock over lengths of section and numbers of threads. */
#ifndef LK_BENCH_LOCKS_SWEEP_H
#define LK_BENCH_LOCKS_SWEEP_H

#include <stddef.h>

#include "bench.h"
#include "bench_locks.h"

/* Prints JSON; bench/locks makes the page of it.  Returns an exit code. */
int bench_locks_sweep(const struct lock_peer *const *peers, size_t n,
                      const struct bench_options *o);

#endif
