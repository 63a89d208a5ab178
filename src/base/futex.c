/* futex.c - Linux: futex_waitv where the kernel has it (5.16), else futex with a short timeout. */
#include "base/futex.h"

#ifndef LK_FUTEX_PORTABLE

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/killpoint.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* A kernel without waitv cannot watch two words: sleep on the first, look at the second this
 * often. */
enum { LOOK_AGAIN_NS = 1000000 };

static int wait_one(const uint32_t *a, uint32_t va, bool look_again, const struct timespec *until)
{
    struct timespec soon = lki_timespec(lki_mono_ns() + LOOK_AGAIN_NS);
    bool early = look_again && (until == NULL || lki_timespec_before(&soon, until));
    long rc = syscall(SYS_futex, a, FUTEX_WAIT_BITSET, va, early ? &soon : until, NULL,
                      FUTEX_BITSET_MATCH_ANY);
    if (rc == 0)
        return 0;
    if (errno == ETIMEDOUT && early)
        return EINTR;
    return errno;
}

int lki_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb,
                   const struct timespec *until)
{
    LK_KILLPOINT();
    if (b != NULL) {
        struct futex_waitv words[2] = {
            {.val = va, .uaddr = (uint64_t)(uintptr_t)a, .flags = FUTEX_32},
            {.val = vb, .uaddr = (uint64_t)(uintptr_t)b, .flags = FUTEX_32},
        };
        long rc = syscall(SYS_futex_waitv, words, 2, 0, until, CLOCK_MONOTONIC);
        if (rc >= 0)
            return 0;
        if (errno != ENOSYS && errno != EPERM)
            return errno;
    }
    return wait_one(a, va, b != NULL, until);
}

int lki_futex_wake(const uint32_t *word, int n)
{
    LK_KILLPOINT();
    long rc = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
    return rc > 0 ? (int)rc : 0;
}

int lki_futex_sleep(const uint32_t *word, uint32_t value, bool shared,
                    const struct lki_deadline *until)
{
    LK_KILLPOINT();
    int op = FUTEX_WAIT_BITSET | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    if (until->clock == CLOCK_REALTIME)
        op |= FUTEX_CLOCK_REALTIME;
    long rc = syscall(SYS_futex, word, op, value, until->at, NULL, FUTEX_BITSET_MATCH_ANY);
    return rc == 0 ? 0 : errno;
}

int lki_futex_rouse(const uint32_t *word, int n, bool shared)
{
    LK_KILLPOINT();
    long rc =
        syscall(SYS_futex, word, FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG), n, NULL, NULL, 0);
    return rc > 0 ? (int)rc : 0;
}
#endif
