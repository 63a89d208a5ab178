/* line.h - how far the other CPUs are: how long a cache line takes to come over.
 *
 * From 25 ns where they share a cache to 235 where they do not, on one and the same virtual machine
 * from one minute to the next.  Waiting for a lock is two different things there: where lines are
 * far, whoever has one should do a batch of sections before it goes (spin.h, ALOOF); where they are
 * near, sections of two threads alternate at little cost and readers' overlap.
 *
 * The guess is the process's: it rests on looks at a lock's word that a waiting thread now and then
 * times, two readings of the clock included.  Wrong, it costs time and nothing else.  From any
 * thread and from signal handlers. */
#ifndef LKI_LINE_H
#define LKI_LINE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef LK_BUILD_MODEL
#ifndef LK_MODEL_NEAR
#define LK_MODEL_NEAR 0
#endif

static inline bool lki_line_is_near(void)
{
    return LK_MODEL_NEAR;
}

static inline bool lki_line_is_timed(bool near)
{
    (void)near;
    return false;
}

static inline bool lki_line_took(uint64_t ns)
{
    (void)ns;
    return LK_MODEL_NEAR;
}

static inline bool lki_writers_meet(bool met)
{
    (void)met;
    return false;
}
#else
bool lki_line_is_near(void);

/* A wait begins: is one of its looks to be timed? */
bool lki_line_is_timed(bool near);

/* A look that had to bring the line took so long.  True: it came from near. */
bool lki_line_took(uint64_t ns);

/* A writer begins to wait; met: behind another that waits.  True: so did the one before it.  Where
 * writers meet so often, batches are better even if lines are near. */
bool lki_writers_meet(bool met);
#endif

#endif
