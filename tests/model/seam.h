/* seam.h - the model's side of src/base, for sources compiled unmodified: futex, clock, death, and
 * memory that would come from the kernel.  Included by one file of each model.
 *
 * A thread of the model is a process of its own.  A wait has no time-out but that of the deadline
 * some_time, so a sleeper that only the backstop timer would wake is an error. */
#ifndef MODEL_SEAM_H
#define MODEL_SEAM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/memory.h"
#include "base/robust.h"
#include "latchkey/check.h"

/* A deadline that passes in any sleep that it may end, if the checker likes; then it has passed for
 * the thread. */
static const struct timespec some_time = {1, 1};
static __thread bool some_time_passed;

int lki_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb,
                   const struct timespec *until)
{
    int rc = lk_check_futex_wait(a, va, b, vb, until == &some_time);
    some_time_passed |= rc == ETIMEDOUT;
    return rc;
}

int lki_futex_wake(const uint32_t *word, int n)
{
    return lk_check_futex_wake(word, n);
}

/* Time stands still: nothing expires, no other deadline passes. */
uint64_t lki_mono_ns(void)
{
    return some_time_passed ? 1000000002u : 1000000000u;
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

void lki_memory_populate(void *begin, size_t size)
{
    (void)begin;
    (void)size;
}

/* Nobody forks. */
static uint32_t epoch = 1;
uint32_t *lki_epoch_word = &epoch;

uint32_t lki_fork_epoch_slowly(void)
{
    return 1;
}

/* The kernel's list, on which an announced word stands as much as an entered one.  All robust words
 * of the library are the low halves of tokens. */
static __thread uint32_t *announced;

uint32_t lki_thread_id(void)
{
    return lk_check_thread() + 1;
}

int lki_robust_supported(void)
{
    return 0;
}

static void announce(uint32_t *word)
{
    announced = word;
    lk_check_robust_pending(word);
}

void lki_robust_announce(uint32_t *word)
{
    announce(word);
    lk_check_robust_add64((uint64_t *)(void *)word);
}

void lki_robust_enter(uint32_t *word)
{
    lk_check_robust_add64((uint64_t *)(void *)word);
    announce(NULL);
}

void lki_robust_forget(void)
{
    lk_check_robust_remove(announced);
    announce(NULL);
}

void lki_robust_leave(uint32_t *word)
{
    announce(word);
}

#endif
