/* FAILURES.md 6, retry_livelock: lock one, try the rest; if one fails, release all and begin again with
 * the one that failed.  No deadlock, but threads that each want two of three locks can go round for
 * ever, all of them moving.  In the mended form (wait-die) the older waits with what it holds and the
 * younger gives way, so the oldest always comes to its end.
 *
 * Every lap here has effects, so the checker's own test for waiting does not see it.  The algorithm is
 * therefore restated as a step of a state; which thread steps is a choice; and an execution on which a
 * state comes again though every thread has moved since is the error.
 * Broken: --deaths 0 finds assert
 * Mended: --deaths 0 */
#include <string.h>

#include "specimen.h"

enum { LOCKS = 3, MEMBERS = 3, STATES = 200, FREE = MEMBERS };

/* What a thread wants: its locks, in the order that it names them. */
static const uint8_t wanted[MEMBERS][2] = {{0, 1}, {1, 2}, {2, 0}};

struct state {
    uint8_t owner[LOCKS];
    struct {
        uint8_t first;  /* which of its two it takes first */
        uint8_t held;   /* how many it has */
        uint8_t failed; /* it found the next one taken, and has not released yet */
        uint8_t done;
    } member[MEMBERS];
};

static uint8_t next_lock(const struct state *s, int t)
{
    return wanted[t][s->member[t].held == 0 ? s->member[t].first : 1 - s->member[t].first];
}

static void release_all(struct state *s, int t)
{
    for (int i = 0; i < LOCKS; i++)
        if (s->owner[i] == t)
            s->owner[i] = FREE;
    s->member[t].held = s->member[t].failed = 0;
}

/* Can the thread move?  Whoever waits for a lock that is taken cannot. */
static bool can_move(const struct state *s, int t)
{
    if (s->member[t].done)
        return false;
    uint8_t owner = s->owner[next_lock(s, t)];
    if (owner == FREE || s->member[t].failed)
        return true;
    return s->member[t].held > 0 && (BROKEN || owner < t); /* to fail, or to die, is a move */
}

static void move(struct state *s, int t)
{
    uint8_t lock = next_lock(s, t);
    if (s->member[t].failed) { /* give way; BROKEN: begin with the one that failed */
        release_all(s, t);
        if (BROKEN)
            s->member[t].first = (uint8_t)(1 - s->member[t].first);
        return;
    }
    if (s->owner[lock] != FREE) {
        s->member[t].failed = 1;
        return;
    }
    s->owner[lock] = (uint8_t)t;
    if (++s->member[t].held == 2) {
        release_all(s, t);
        s->member[t].done = 1;
    }
}

static struct state path[STATES];
static uint8_t mover[STATES];

/* Has the state at the path's end been there before, and has everybody that is not done moved since? */
static bool came_again(int end)
{
    for (int i = end - 1; i >= 0; i--) {
        if (memcmp(&path[i], &path[end], sizeof path[i]) != 0)
            continue;
        unsigned moved = 0, unfinished = 0;
        for (int k = i; k < end; k++)
            moved |= 1u << mover[k];
        for (int t = 0; t < MEMBERS; t++)
            unfinished |= (unsigned)!path[end].member[t].done << t;
        assert((moved & unfinished) != unfinished); /* a livelock */
        return true;
    }
    return false;
}

int main(void)
{
    memset(path[0].owner, FREE, sizeof path[0].owner);
    for (int n = 0; n + 1 < STATES; n++) {
        int able[MEMBERS];
        uint32_t ways = 0;
        for (int t = 0; t < MEMBERS; t++)
            if (can_move(&path[n], t))
                able[ways++] = t;
        if (ways == 0) {
            for (int t = 0; t < MEMBERS; t++)
                assert(path[n].member[t].done); /* else a deadlock */
            return 0;
        }
        mover[n] = (uint8_t)able[lk_check_choose(ways)];
        path[n + 1] = path[n];
        move(&path[n + 1], mover[n]);
        if (came_again(n + 1))
            return 0; /* unfair: somebody was kept from moving */
    }
    assert(!"the states are more than were thought");
}
