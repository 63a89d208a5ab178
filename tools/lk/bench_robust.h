/* bench_robust.h - the robust reader-writer lock's part of `lk bench locks`. */
#ifndef LK_BENCH_ROBUST_H
#define LK_BENCH_ROBUST_H

#include "bench.h"

struct bench_robust {
    struct bench_series read_ns, write_ns, glibc_ns;
    struct bench_series one_reader, two_readers; /* pairs a second */
};

/* Make the lock's segment, with all its threads attached.  False and a message. */
bool bench_robust_begin(void);
/* One window of each.  False and a message. */
bool bench_robust_round(struct bench_robust *r, uint64_t window_ns);
void bench_robust_end(void);

void bench_robust_judge(const struct bench_robust *r, struct bench_limits *limits);
void bench_robust_print(const struct bench_robust *r);
json_t *bench_robust_json(const struct bench_robust *r);

#endif
