/* lock_time.h - times from now, for the tests of locks. */
#ifndef LOCK_TIME_H
#define LOCK_TIME_H

#include <stdint.h>
#include <time.h>

#define MS UINT64_C(1000000)

static inline struct timespec time_in(int clock, uint64_t ns)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    ns += (uint64_t)t.tv_nsec;
    t.tv_sec += (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    return t;
}

#endif
