/* seam.h - the model's side of src/base: futex and clock, for sources compiled unmodified.
 *
 * A wait here has no time-out, so a sleeper that only the backstop timer would wake is an error. */
#ifndef MODEL_SEAM_H
#define MODEL_SEAM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "base/futex.h"
#include "latchkey/check.h"

int lki_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb,
                   const struct timespec *until)
{
    (void)until;
    return lk_check_futex_wait(a, va, b, vb, false);
}

int lki_futex_wake(const uint32_t *word, int n)
{
    return lk_check_futex_wake(word, n);
}

uint64_t lki_mono_ns(void)
{
    return 1000000000u;
}
uint64_t lki_boot_ns(void)
{
    return 1000000000u;
}

struct timespec lki_timespec(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    return t;
}

bool lki_timespec_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

bool lki_timespec_valid(const struct timespec *t)
{
    return t->tv_nsec >= 0;
}

#endif
