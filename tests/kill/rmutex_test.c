/* rmutex_test.c - the mutex at every step at which a kill build can be killed, with nobody, one
 * or two sleeping for it. */
#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "life/presence.h"
#include "scene.h"
#include "test.h"

enum { SLEEPERS_MAX = 2, LONGEST_MS = 250 };

#define WAITERS_BIT 0x80000000u

static uint32_t word_of(const struct scene *s)
{
    return __atomic_load_n(&((lk_rmutex *)s->lock)->word_, __ATOMIC_ACQUIRE);
}

/* Lock within the limit, repair if told to, change, unlock.  Returns what locking returned. */
static int one_section(const struct scene *s)
{
    uint64_t begun_ns = t_now_ns();
    struct timespec deadline = scene_limit();
    int rc = lk_rmutex_lock_until(s->lock, &deadline);
    uint64_t took_ns = t_now_ns() - begun_ns;
    if (took_ns > atomic_load(&s->stage->longest_ns))
        atomic_store(&s->stage->longest_ns, took_ns);
    if (rc == EOWNERDEAD) {
        scene_mend(s->stage);
        T_REQUIRE_RC(lk_rmutex_consistent(s->lock), 0);
    } else {
        T_REQUIRE_RC(rc, 0);
    }
    scene_look(s->stage);
    scene_change(s->stage);
    T_REQUIRE_RC(lk_rmutex_unlock(s->lock), 0);
    return rc;
}

static void sleep_for_it(void *arg)
{
    const struct scene *s = arg;
    scene_come(s->stage);
    int rc = one_section(s);
    atomic_fetch_add(&s->stage->told, rc == EOWNERDEAD);
    atomic_fetch_add(&s->stage->got, 1);
}

/* What the victim does with the lock in its hands: it waits until the sleepers sleep. */
static void await_sleepers(const struct scene *s)
{
    scene_await(&s->stage->come, s->others);
    uint64_t end_ns = t_now_ns() + SCENE_LIMIT_MS * 1000000ull;
    while (s->others > 0 && (word_of(s) & WAITERS_BIT) == 0) {
        T_REQUIRE(t_now_ns() < end_ns);
        (void)sched_yield();
    }
    if (s->others > 1)
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void lock_change_unlock(void *arg)
{
    const struct scene *s = arg;
    int rc = lk_rmutex_lock(s->lock);
    if (rc == EOWNERDEAD)
        rc = lk_rmutex_consistent(s->lock);
    T_REQUIRE_RC(rc, 0);
    atomic_store(&s->stage->inside, 1);
    await_sleepers(s);
    scene_change(s->stage);
    atomic_store(&s->stage->inside, 2);
    T_REQUIRE_RC(lk_rmutex_unlock(s->lock), 0);
    atomic_store(&s->stage->inside, 3);
}

static void trylock_change_unlock(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_trylock(s->lock), 0);
    atomic_store(&s->stage->inside, 1);
    await_sleepers(s);
    scene_change(s->stage);
    atomic_store(&s->stage->inside, 2);
    T_REQUIRE_RC(lk_rmutex_unlock(s->lock), 0);
    atomic_store(&s->stage->inside, 3);
}

static void die_inside(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_lock(s->lock), 0);
    _exit(0);
}

/* One death (or none, past the role's last step) and what the others hear of it.  Returns whether
 * the role was killed. */
static bool one_death(unsigned long step, void (*role)(void *), int sleepers, bool before)
{
    struct scene s = scene_make(sleepers);
    pid_t pids[SLEEPERS_MAX];
    if (before) {
        /* Somebody had died before: the victim is the repairer. */
        T_REQUIRE_EQ(t_wait(t_fork(die_inside, &s)), 0);
    }
    for (int i = 0; i < sleepers; i++)
        pids[i] = t_fork(sleep_for_it, &s);
    bool died = t_killed_at(step, role, &s);
    int inside = atomic_load(&s.stage->inside);
    uint32_t holder = word_of(&s) & LKI_HOLDER_ANY;
    atomic_store(&s.stage->gone, 1);
    for (int i = 0; i < sleepers; i++)
        T_REQUIRE_EQ(t_wait(pids[i]), 0);
    unsigned told = atomic_load(&s.stage->told);
    T_REQUIRE_EQ(atomic_load(&s.stage->got), sleepers);
    T_REQUIRE(told <= 1);
    if (sleepers == 0) {
        told = one_section(&s) == EOWNERDEAD;
        T_REQUIRE_EQ(told, holder != 0);
    }
    if (inside == 1 || (inside == 0 && before))
        T_REQUIRE_EQ(told, 1);
    if (inside == 3 || !died)
        T_REQUIRE_EQ(told, 0);
    T_REQUIRE_EQ(one_section(&s), 0);
    T_REQUIRE_EQ(word_of(&s) & ~WAITERS_BIT, 0);
    if (atomic_load(&s.stage->longest_ns) > LONGEST_MS * 1000000ull)
        T_LOG("step %lu, %d sleepers: somebody waited %llu ms", step, sleepers,
              (unsigned long long)(atomic_load(&s.stage->longest_ns) / 1000000u));
    scene_end(&s);
    return died;
}

static void every_step(const char *what, void (*role)(void *), bool before)
{
    for (int sleepers = 0; sleepers <= SLEEPERS_MAX; sleepers++) {
        unsigned long step = 1;
        while (one_death(step, role, sleepers, before))
            step++;
        T_REQUIRE(step > 3);
        T_LOG("%s, %d sleepers: killed at each of %lu steps", what, sleepers, step - 1);
    }
}

/* Kills: life.swallow_ownerdead. */
T_TEST(death_at_every_step_is_told_to_one_and_nobody_hangs)
{
    every_step("lock, unlock", lock_change_unlock, false);
}

T_TEST(death_at_every_step_after_trylock_is_told_to_one_and_nobody_hangs)
{
    every_step("trylock, unlock", trylock_change_unlock, false);
}

/* The second of two deaths. */
T_TEST(death_of_the_repairer_at_every_step_is_told_to_one_and_nobody_hangs)
{
    every_step("repair", lock_change_unlock, true);
}

static void unlock_unrepaired(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_lock(s->lock), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_unlock(s->lock), 0);
}

/* Kills: life.never_lost.
 * Only who says so by unlocking without a repair makes the mutex useless; to be killed on the way
 * does not. */
T_TEST(only_an_unlock_without_repair_makes_it_not_recoverable)
{
    bool died = true;
    for (unsigned long step = 1; died; step++) {
        struct scene s = scene_make(0);
        T_REQUIRE_EQ(t_wait(t_fork(die_inside, &s)), 0);
        died = t_killed_at(step, unlock_unrepaired, &s);
        bool held = (word_of(&s) & LKI_HOLDER_ANY) != 0;
        T_REQUIRE(died || !held);
        int rc = lk_rmutex_trylock(s.lock);
        T_REQUIRE_RC(rc, held ? EOWNERDEAD : ENOTRECOVERABLE);
        scene_end(&s);
    }
}

static void wait_in_vain(void *arg)
{
    const struct scene *s = arg;
    int rc = lk_rmutex_lock(s->lock);
    T_REQUIRE(rc == 0 || rc == EOWNERDEAD);
}

static void hold_a_while(void *arg)
{
    struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_lock(s->lock), 0);
    atomic_store(&s->stage->inside, 1);
    uint64_t end = t_now_ns() + 30 * 1000000ull;
    while (t_now_ns() < end)
        (void)sched_yield();
    T_REQUIRE_RC(lk_rmutex_unlock(s->lock), 0);
}

/* One that waits is killed at each of its steps: to the holder and the others it makes no
 * difference. */
T_TEST(death_of_a_waiter_at_every_step_costs_nothing)
{
    bool died = true;
    unsigned long step = 1;
    for (; died; step++) {
        struct scene s = scene_make(1);
        pid_t holder = t_fork(hold_a_while, &s);
        pid_t other = t_fork(sleep_for_it, &s);
        while (!atomic_load(&s.stage->inside))
            (void)sched_yield();
        died = t_killed_at(step, wait_in_vain, &s);
        T_REQUIRE_EQ(t_wait(holder), 0);
        T_REQUIRE_EQ(t_wait(other), 0);
        (void)one_section(&s); /* the victim may have had it for a moment, or have it still */
        T_REQUIRE_EQ(one_section(&s), 0);
        scene_end(&s);
    }
    T_LOG("killed at each of %lu steps", step - 2);
    T_REQUIRE(step > 3);
}
