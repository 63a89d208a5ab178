/* key_set_test.c - a set of robust locks, its holder killed at every step of locking and unlocking
 * it: the next set gets every lock back, and EOWNERDEAD names exactly those that were held.
 * Kills: key.dead_not_named. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "latchkey/latchkey.h"
#include "test.h"

enum { MUTEXES = 4, HOLDER = 0x3fffffff };

struct shared {
    lk_rmutex m[MUTEXES];
    lk_rrwlock l;
};

static lk_key key;

static void lock_and_unlock(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 3; i++) { /* the last time the lock for many is only read */
        lk_member l = i < 2 ? LK_LOCK(&s->l) : LK_READ(&s->l);
        T_REQUIRE_RC(lk_set_lock(key, LK_SET(LK_LOCK(&s->m[2]), LK_LOCK(&s->m[0]), l,
                                             LK_LOCK(&s->m[3]), LK_LOCK(&s->m[1]))),
                     0);
        key = lk_set_unlock(key);
    }
}

/* The victim's locks, as their words say; it is dead and nobody has looked yet.  The last bit: the
 * reader-writer lock, held for writing (a reader's death is nobody's business). */
static unsigned left_held(struct shared *s)
{
    unsigned held = 0;
    for (unsigned i = 0; i < MUTEXES; i++)
        held |= (unsigned)((s->m[i].word_ & HOLDER) != 0) << i;
    return held | (unsigned)(s->l.dirty_ != 0) << MUTEXES;
}

static unsigned named_dead(void)
{
    unsigned named = 0;
    for (long at = lk_set_dead(key, 0); at >= 0; at = lk_set_dead(key, (size_t)at + 1))
        named |= 1u << at;
    return named;
}

/* Lock all; what is named is repaired; unlock; then nothing is dead any more. */
static void take_over(struct shared *s, unsigned held)
{
    struct timespec limit;
    (void)clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += 10;
    int rc = -1;
    lk_scope_until (key, rc,
                    LK_SET(LK_LOCK(&s->m[0]), LK_LOCK(&s->m[1]), LK_LOCK(&s->m[2]),
                           LK_LOCK(&s->m[3]), LK_LOCK(&s->l)),
                    &limit) {
        unsigned named = named_dead();
        T_REQUIRE_EQ(named, held);
        T_REQUIRE_EQ(rc, named != 0 ? EOWNERDEAD : 0);
        for (unsigned i = 0; i < MUTEXES; i++)
            if (named >> i & 1)
                T_REQUIRE_RC(lk_rmutex_consistent(&s->m[i]), 0);
        if (named >> MUTEXES & 1)
            T_REQUIRE_RC(lk_rrwlock_consistent(&s->l), 0);
        T_REQUIRE_EQ(named_dead(), 0);
    }
    T_REQUIRE(rc == 0 || rc == EOWNERDEAD);
    lk_scope_rc (key, rc, LK_SET(LK_LOCK(&s->m[0]), LK_LOCK(&s->m[1]), LK_LOCK(&s->l)))
        T_REQUIRE_RC(rc, 0);
}

T_TEST(death_at_every_step_gives_every_lock_back_and_names_those_held)
{
    lk_seg *seg;
    bool died = true;
    unsigned long step = 1, kinds = 0;
    T_REQUIRE_RC(lk_seg_create_anonymous(&seg, sizeof(struct shared), 8), 0);
    struct shared *s = lk_seg_memory(seg);
    key = lk_key_take();
    for (; died; step++) {
        died = t_killed_at(step, lock_and_unlock, s);
        unsigned held = left_held(s);
        kinds |= 1ul << held;
        take_over(s, held);
    }
    T_LOG("%lu steps, %d different sets of locks left held", step - 2, __builtin_popcountl(kinds));
    T_REQUIRE(step > 20 && __builtin_popcountl(kinds) >= 6);
    lk_seg_close(seg);
}
