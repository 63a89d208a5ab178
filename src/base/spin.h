/* spin.h - waiting awake for a while before going to sleep.
 *
 * In time, not in laps: a pause instruction takes from 1 to 150 cycles, and the figures below are
 * about cache lines and the scheduler.  Two steps:
 *   ALOOF   first, without a look at the word: whoever has the cache line keeps it meanwhile, and
 *           does a batch of short sections at full speed in place of one.  A line takes some 150 ns
 *           to come over from another core here, a lock and unlock 5 to 15: without this, two
 *           threads with short sections pay the line for each of them.
 *   NEAR    then, having told the others (counted as waiting), a look every NEAR ns, up to AWAKE in
 *           all.  A sleep and a wake cost 5 to 50 us.
 * Or, where lines are near (line.h), SOON_LOOKS looks a moment apart in place of ALOOF.
 * The checker needs no luck: there a thread that cannot go on tells the others and goes to sleep at
 * once (or looks LK_MODEL_SPINS times more). */
#ifndef LKI_SPIN_H
#define LKI_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/clock.h"

enum { LKI_ALOOF_NS = 4200, LKI_NEAR_NS = 200, LKI_AWAKE_NS = 12000 };

/* In pauses of the CPU, some 20 ns each: a reading of the clock would be longer than a moment.  The
 * first one is as long as a short section and its handing over. */
enum { LKI_MOMENT = 2, LKI_FIRST_MOMENT = 5 };

/* A sleeper that was woken so often in vain has the lock handed over. */
#if defined(LK_BUILD_MODEL) && defined(LK_MODEL_PATIENCE)
enum { LKI_PATIENCE = LK_MODEL_PATIENCE };
#else
enum { LKI_PATIENCE = 4 };
#endif

#ifdef LK_BUILD_MODEL
#ifndef LK_MODEL_SPINS
#define LK_MODEL_SPINS 0
#endif

enum { LKI_SOON_LOOKS = 1 };

struct lki_spin {
    int looks;
};

static inline bool lki_spin_aloof(struct lki_spin *s)
{
    s->looks = 0;
    return false;
}

static inline void lki_spin_begin(struct lki_spin *s)
{
    s->looks = 0;
}

static inline bool lki_spin_more(struct lki_spin *s)
{
    if (s->looks >= LK_MODEL_SPINS)
        return false;
    s->looks++;
    return true;
}

static inline void lki_spin_pause(void)
{
    lk_relax();
}

static inline void lki_spin_moment(bool first)
{
    (void)first;
    lk_relax();
}
#else
enum { LKI_SOON_LOOKS = 32 };

struct lki_spin {
    uint64_t begun_ns;
};

static inline uint64_t lki_pause_until(uint64_t ns)
{
    uint64_t now_ns;
    do {
        for (int i = 0; i < 4; i++)
            lk_relax();
        now_ns = lki_mono_ns();
    } while (now_ns < ns);
    return now_ns;
}

/* The first step.  Once for each wait.  True: time has passed, so look again. */
static inline bool lki_spin_aloof(struct lki_spin *s)
{
    s->begun_ns = lki_mono_ns();
    (void)lki_pause_until(s->begun_ns + LKI_ALOOF_NS);
    return true;
}

/* Without the first step. */
static inline void lki_spin_begin(struct lki_spin *s)
{
    s->begun_ns = lki_mono_ns();
}

/* Is there time for one more look in the second step, or is it time to sleep? */
static inline bool lki_spin_more(const struct lki_spin *s)
{
    return lki_mono_ns() - s->begun_ns < LKI_AWAKE_NS;
}

static inline void lki_spin_pause(void)
{
    (void)lki_pause_until(lki_mono_ns() + LKI_NEAR_NS);
}

static inline void lki_spin_moment(bool first)
{
    for (int i = 0; i < (first ? LKI_FIRST_MOMENT : LKI_MOMENT); i++)
        lk_relax();
}
#endif

/* The pause before one more look; false: it is time to sleep. */
static inline bool lki_spin_near(struct lki_spin *s)
{
    if (!lki_spin_more(s))
        return false;
    lki_spin_pause();
    return true;
}

#endif
