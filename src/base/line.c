/* line.c - see line.h. */
#include "base/line.h"

#include "base/atomic.h"

/* Timed, a look takes 20 to 80 ns where lines are near, 140 to 250 where far.  Trust goes up and
 * down by one a look, so that one in which there was an interrupt is forgiven.  One wait in so many
 * is timed; where lines are far each ends a batch early. */
enum { NEAR_NS = 120, TRUST_NEAR = 4, TRUST_MOST = 6, TIMED_NEAR = 16, TIMED_FAR = 64 };

static struct {
    uint32_t trust, waits, met;
} guess __attribute__((aligned(64)));

bool lki_line_is_near(void)
{
    /* [line.1] relaxed: a guess. */
    return lk_load_rlx_u32(&guess.trust) >= TRUST_NEAR;
}

bool lki_line_is_timed(bool near)
{
    /* [line.2] relaxed: counts that are lost do not matter. */
    uint32_t waits = lk_load_rlx_u32(&guess.waits) + 1;
    lk_store_rlx_u32(&guess.waits, waits);
    return waits % (near ? TIMED_NEAR : TIMED_FAR) == 0;
}

bool lki_line_took(uint64_t ns)
{
    bool near = ns < NEAR_NS;
    /* [line.3] relaxed: a guess. */
    uint32_t trust = lk_load_rlx_u32(&guess.trust);
    if (near && trust < TRUST_MOST)
        lk_store_rlx_u32(&guess.trust, trust + 1);
    else if (!near && trust > 0)
        lk_store_rlx_u32(&guess.trust, trust - 1);
    return near;
}

bool lki_writers_meet(bool met)
{
    /* [line.4] relaxed: a guess. */
    bool before = lk_load_rlx_u32(&guess.met) != 0;
    if (before != met)
        lk_store_rlx_u32(&guess.met, met);
    return met && before;
}
