/* futex.h - sleeping on shared words, across processes. */
#ifndef LKI_FUTEX_H
#define LKI_FUTEX_H

#include <stdint.h>
#include <time.h>

/* Sleep while *a == va and (if b is not NULL) *b == vb, until a wake on either or `until` (absolute
 * CLOCK_MONOTONIC, NULL = never).
 * Returns 0 (woken), EAGAIN (a word differs), ETIMEDOUT, EINTR, or EINVAL (bad time). */
int lki_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb,
                   const struct timespec *until);

/* Wake at most n sleepers of *word.  Returns how many were woken. */
int lki_futex_wake(const uint32_t *word, int n);

#endif
