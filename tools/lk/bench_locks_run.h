/* bench_locks_run.h - windows over one lock; bench_locks.c decides what is measured. */
#ifndef LK_BENCH_LOCKS_RUN_H
#define LK_BENCH_LOCKS_RUN_H

#include <stdbool.h>

#include "bench_locks.h"

enum { LOCK_THREADS_MAX = 64 };

/* What one window showed. */
struct lock_window {
    double rate;    /* sections a second, all threads */
    double share;   /* of the thread with the most sections by that with the least */
    double wait_ns; /* mean of the timed form, of all threads, the clock's own cost taken off */
    double longest; /* the longest wait by the mean */
    double longest_ns;
};

/* Begin: memory for a lock, a second thread so that the C library knows of threads, the work's and
 * the clock's cost.  False and a message. */
bool lock_run_begin(double section_ns);
void lock_run_end(void);
/* Sections of another length from now on. */
void lock_run_set_section(double section_ns);
/* What one round of lock_work() lasts; takes some 10 ms to find out. */
double lock_run_round_ns(void);
/* What a section lasts by the calibration. */
double lock_run_section_ns(void);

/* One lock and unlock by one thread, for reading or writing, in ns. */
double lock_run_pair(const struct lock_peer *p, bool write, uint64_t window_ns);
/* `threads` threads, each on its CPU by turns; `work` false: nothing in the sections.  False and a
 * message: a torn read, or no thread. */
bool lock_run_mixed(struct lock_window *out, const struct lock_peer *p, unsigned threads,
                    unsigned write_percent, bool work, bool timed, uint64_t window_ns);

#endif
