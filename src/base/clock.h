/* clock.h - the clocks that the library reads. */
#ifndef LKI_CLOCK_H
#define LKI_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* CLOCK_BOOTTIME: expiry.  Goes on while the machine is suspended. */
uint64_t lki_boot_ns(void);

/* CLOCK_MONOTONIC: deadlines and waits. */
uint64_t lki_mono_ns(void);

struct timespec lki_timespec(uint64_t ns);
bool lki_timespec_before(const struct timespec *a, const struct timespec *b);
/* Is it a time that the kernel accepts? */
bool lki_timespec_valid(const struct timespec *t);

#endif
