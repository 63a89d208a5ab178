/* FAILURES.md 4, rwlock_lost_wake: the state returns to the old value
 * that the reader compares with, and nobody owes it a wake any more.
 * (It looks at the flag once a lap, which hides the spin.)
 * Options: --deaths 0
 * Expect: hang */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WRITER_PRESENT = 1, WRITERS_WAITING = 2, RWAITING = 4, READER = 8 };
static atomic_int state;

static void rdlock(void)
{
    int r = atomic_load_explicit(&state, memory_order_relaxed);
    for (;;) {
        if (!(r & (WRITER_PRESENT | WRITERS_WAITING))) {
            if (atomic_compare_exchange_strong_explicit(&state, &r, r + READER,
                                                        memory_order_acquire, memory_order_relaxed))
                return;
            continue;
        }
        if (!(r & RWAITING)) {
            if (!atomic_compare_exchange_strong_explicit(
                    &state, &r, r | RWAITING, memory_order_relaxed, memory_order_relaxed))
                continue;
            /* r still lacks the flag */
        }
        if (atomic_load_explicit(&state, memory_order_relaxed) & RWAITING)
            syscall(SYS_futex, &state, FUTEX_WAIT_PRIVATE, r, NULL, NULL, 0);
        r = atomic_load_explicit(&state, memory_order_relaxed);
    }
}

static void rdunlock(void)
{
    atomic_fetch_sub_explicit(&state, READER, memory_order_release);
}

static void wrlock(void)
{
    atomic_fetch_or_explicit(&state, WRITERS_WAITING, memory_order_relaxed);
    for (;;) {
        int r = atomic_load_explicit(&state, memory_order_relaxed);
        if (r >= READER || r & WRITER_PRESENT)
            continue;
        int taken = (r | WRITER_PRESENT) & ~WRITERS_WAITING;
        if (atomic_compare_exchange_strong_explicit(&state, &r, taken, memory_order_acquire,
                                                    memory_order_relaxed))
            return;
    }
}

static void wrunlock(void)
{
    int before =
        atomic_fetch_and_explicit(&state, ~(WRITER_PRESENT | RWAITING), memory_order_release);
    if (before & RWAITING)
        syscall(SYS_futex, &state, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
}

static void *reads(void *times)
{
    for (long i = 0; i < (long)times; i++) {
        rdlock();
        rdunlock();
    }
    return NULL;
}

static void *writes(void *times)
{
    for (long i = 0; i < (long)times; i++) {
        wrlock();
        wrunlock();
    }
    return NULL;
}

int main(void)
{
    pthread_t a, b, c;
    pthread_create(&a, NULL, reads, (void *)2l);
    pthread_create(&b, NULL, writes, (void *)2l);
    pthread_create(&c, NULL, reads, (void *)1l);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    pthread_join(c, NULL);
    return 0;
}
