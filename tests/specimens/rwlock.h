/* rwlock.h - the reader-writer lock of FAILURES.md 4 as it was published, restated: readers sleep on the
 * state, writers on a word of their own.
 *
 * State: {readers, RWAITING, WRITERS_WAITING, WRITER_PRESENT}.  RWAITING: a reader sleeps on the state
 * until a writer has come and gone. */
#ifndef SPECIMEN_RWLOCK_H
#define SPECIMEN_RWLOCK_H

#include "specimen.h"

enum { WRITER_PRESENT = 1, WRITERS_WAITING = 2, RWAITING = 4, READER = 8 };
static atomic_int state;
static atomic_int writers_futex; /* 1: a writer sleeps */

/* PUBLISHED: with the defect. */
#ifndef PUBLISHED
#define PUBLISHED BROKEN
#endif

/* LAP_ONCE: a lap of the published loop looks at the flag once, which hides the spin. */
#ifndef LAP_ONCE
#define LAP_ONCE 0
#endif

static void sleep_reading(int r)
{
    while (atomic_load_explicit(&state, memory_order_relaxed) & RWAITING) {
        futex_wait(&state, r);
        if (LAP_ONCE || !PUBLISHED)
            break;
    }
}

static inline void rdlock(void)
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
            if (!PUBLISHED)
                r |= RWAITING; /* what was published leaves this out */
        }
        sleep_reading(r);
        r = atomic_load_explicit(&state, memory_order_relaxed);
    }
}

static inline void wake_writer(void)
{
    if (atomic_exchange_explicit(&writers_futex, 0, memory_order_seq_cst) != 0)
        futex_wake(&writers_futex, 1);
}

static inline void rdunlock(void)
{
    int before = atomic_fetch_sub_explicit(&state, READER, memory_order_seq_cst);
    if (before < 2 * READER && before & WRITERS_WAITING)
        wake_writer();
}

static inline void wrlock(void)
{
    for (;;) {
        int r = atomic_fetch_or_explicit(&state, WRITERS_WAITING, memory_order_relaxed) |
                WRITERS_WAITING;
        if (r < READER && !(r & WRITER_PRESENT)) {
            int taken = (r | WRITER_PRESENT) & ~WRITERS_WAITING;
            if (atomic_compare_exchange_strong_explicit(&state, &r, taken, memory_order_acquire,
                                                        memory_order_relaxed))
                return;
            continue;
        }
        atomic_store_explicit(&writers_futex, 1, memory_order_seq_cst);
        r = atomic_load_explicit(&state, memory_order_seq_cst);
        if (r >= READER || r & WRITER_PRESENT)
            futex_wait(&writers_futex, 1);
    }
}

static inline void wrunlock(void)
{
    int before =
        atomic_fetch_and_explicit(&state, ~(WRITER_PRESENT | RWAITING), memory_order_seq_cst);
    if (before & RWAITING)
        futex_wake(&state, 100);
    if (before & WRITERS_WAITING)
        wake_writer();
}

#endif
