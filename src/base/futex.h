/* futex.h - sleeping on shared words, across processes. */
#ifndef LKI_FUTEX_H
#define LKI_FUTEX_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Sleep while *a == va and (if b is not NULL) *b == vb, until a wake on either or `until` (absolute
 * CLOCK_MONOTONIC, NULL = never).
 * Returns 0 (woken), EAGAIN (a word differs), ETIMEDOUT, EINTR, or EINVAL (bad time). */
int lki_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb,
                   const struct timespec *until);

/* An absolute time by one of the two clocks that a sleep can be bounded by; at NULL = never. */
struct lki_deadline {
    const struct timespec *at;
    int clock; /* CLOCK_MONOTONIC or CLOCK_REALTIME */
};

/* 0, or EINVAL: no time, or another clock. */
int lki_deadline_check(const struct lki_deadline *d);
bool lki_deadline_passed(const struct lki_deadline *d);

/* Sleep while *word == value, until lki_futex_rouse() or the deadline.  `shared`: the sleeper and
 * the waker may be threads of different processes; both must say the same.
 * Returns as lki_futex_wait().  Who was woken gets 0, never ETIMEDOUT. */
int lki_futex_sleep(const uint32_t *word, uint32_t value, bool shared,
                    const struct lki_deadline *until);

/* Wake at most n sleepers of *word, first come, first served.  Returns how many were woken.
 * The memory of *word is not touched. */
int lki_futex_rouse(const uint32_t *word, int n, bool shared);

/* Wake at most n sleepers of *word.  Returns how many were woken. */
int lki_futex_wake(const uint32_t *word, int n);

#endif
