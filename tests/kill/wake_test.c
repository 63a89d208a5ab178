/* wake_test.c - nobody sleeps on a lock that is free: who is owed a wake gets it from the kernel,
 * not from the backstop timer; and when those who were woken are killed before they run, the
 * timer ends the others' sleep, and is counted.
 * Runs in: dev kill */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cache/section.h"
#include "latchkey/latchkey.h"
#include "life/rmutex.h"
#include "sleeper.h"
#include "test.h"

enum { SLEEPERS = 3, ROUNDS = 60, GOOD_ROUNDS = 2, LONG_MS = 2000 };

struct scene {
    lk_seg *seg;
    lk_rmutex *mutex;
};

static struct scene scene_make(void)
{
    struct scene s;
    T_REQUIRE_RC(lk_seg_create_anonymous(&s.seg, 64, 8), 0);
    s.mutex = lk_seg_memory(s.seg);
    return s;
}

/* What each sleeper does. */
static void lock_once(struct sleeper_report *report, void *arg)
{
    const struct scene *s = arg;
    struct lki_wait wait = {0, 0};
    struct lki_self *self;
    T_REQUIRE_RC(lki_attach(lki_presence_of(s->mutex), &self), 0);
    int rc = lki_rmutex_lock(&s->mutex->word_, self, NULL, &wait);
    atomic_store(&report->rc, rc);
    atomic_store(&report->backstops, wait.backstops);
    T_REQUIRE(rc == 0 || rc == EOWNERDEAD);
    if (rc == EOWNERDEAD)
        T_REQUIRE_RC(lk_rmutex_consistent(s->mutex), 0);
    atomic_store(&report->locked, 1);
    while (!atomic_load(&report->may_unlock))
        (void)sched_yield();
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), 0);
}

/* The test holds the mutex and n children sleep for it. */
static void fall_asleep(struct scene *s, struct sleeper *sleepers, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        sleeper_start(&sleepers[i], lock_once, s);
    sleepers_settle(sleepers, n);
}

static void bring_to_front(struct sleeper *sleepers, unsigned place, unsigned i)
{
    struct sleeper other = sleepers[place];
    sleepers[place] = sleepers[i];
    sleepers[i] = other;
}

/* Move those that were woken to the front.  Returns how many; waits until there are `want`.  0: a
 * timer has run out, which spoils the round. */
static unsigned find_woken(struct sleeper *sleepers, unsigned n, unsigned want)
{
    unsigned woken = 0;
    for (int tries = 0; tries < 40 && woken < want; tries++) {
        for (unsigned i = woken; i < n; i++) {
            enum sleeper_event event = sleeper_look(&sleepers[i], 1);
            if (event == SLEEPER_WOKEN)
                bring_to_front(sleepers, woken++, i);
            else if (event != SLEEPER_ASLEEP)
                return 0;
        }
    }
    return woken;
}

static void await_lock(const struct sleeper *s)
{
    uint64_t end = t_now_ns() + LONG_MS * 1000000ull;
    while (!atomic_load(&s->report->locked)) {
        T_REQUIRE(t_now_ns() < end);
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

/* A round is good if the kernel woke whom it had to.  A backstop timer that runs out in the
 * middle of one proves nothing; a lost wake shows in every round. */
static void require_good_rounds(bool (*round)(void))
{
    unsigned good = 0, rounds = 0;
    for (; rounds < ROUNDS && good < GOOD_ROUNDS; rounds++)
        good += round();
    T_LOG("%u of %u rounds without the backstop", good, rounds);
    T_REQUIRE_EQ(good, GOOD_ROUNDS);
}

/* Whoever is left is let go, whatever it waits for. */
static void end_round(struct scene *s, struct sleeper *left, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        sleeper_kill(&left[i]);
    lk_seg_close(s->seg);
}

/* Three sleep.  Two are woken; one after the other locks, unlocks and is gone, and never meets a
 * sleeper; the third must have been woken by then. */
static bool pass_on_round(void)
{
    struct scene s = scene_make();
    struct sleeper sleepers[SLEEPERS];
    T_REQUIRE_RC(lk_rmutex_lock(s.mutex), 0);
    fall_asleep(&s, sleepers, SLEEPERS);
    T_REQUIRE_RC(lk_rmutex_unlock(s.mutex), 0);
    bool good = find_woken(sleepers, SLEEPERS, 2) == 2;
    for (unsigned i = 0; i < 2 && good; i++)
        sleeper_finish(&sleepers[i]);
    good = good && sleeper_look(&sleepers[2], LONG_MS) == SLEEPER_WOKEN;
    if (good)
        sleeper_finish(&sleepers[2]);
    end_round(&s, sleepers, good ? 0 : SLEEPERS);
    return good;
}

/* Kills: life.waiters_not_sticky, life.wake_nobody, life.wake_one. */
T_TEST(the_last_sleeper_is_woken_though_others_came_first)
{
    require_good_rounds(pass_on_round);
}

/* Two sleep.  Both are woken; one takes the mutex and keeps it, the other sleeps again: the
 * unlock must wake it. */
static bool sleep_again_round(void)
{
    struct scene s = scene_make();
    struct sleeper sleepers[2];
    T_REQUIRE_RC(lk_rmutex_lock(s.mutex), 0);
    fall_asleep(&s, sleepers, 2);
    T_REQUIRE_RC(lk_rmutex_unlock(s.mutex), 0);
    bool good = find_woken(sleepers, 2, 2) == 2;
    if (!good) {
        end_round(&s, sleepers, 2);
        return false;
    }
    sleeper_run(&sleepers[0]);
    await_lock(&sleepers[0]);
    sleepers[1].timeouts = 0;
    sleeper_sleep_again(&sleepers[1]);
    sleepers_settle(&sleepers[1], 1);
    atomic_store(&sleepers[0].report->may_unlock, 1);
    T_REQUIRE_EQ(t_wait(sleepers[0].pid), 0);
    good = sleeper_look(&sleepers[1], LONG_MS) == SLEEPER_WOKEN;
    if (good)
        sleeper_finish(&sleepers[1]);
    end_round(&s, &sleepers[1], good ? 0 : 1);
    return good;
}

/* Kills: life.wake_nobody. */
T_TEST(who_slept_again_is_woken_by_the_next_unlock)
{
    require_good_rounds(sleep_again_round);
}

/* Three sleep.  One of the two that were woken is killed before it runs: the other goes on, and
 * wakes the third. */
static bool unlucky_round(void)
{
    struct scene s = scene_make();
    struct sleeper sleepers[SLEEPERS];
    T_REQUIRE_RC(lk_rmutex_lock(s.mutex), 0);
    fall_asleep(&s, sleepers, SLEEPERS);
    T_REQUIRE_RC(lk_rmutex_unlock(s.mutex), 0);
    bool good = find_woken(sleepers, SLEEPERS, 2) == 2;
    if (good) {
        sleeper_kill(&sleepers[0]);
        sleeper_finish(&sleepers[1]);
        good = sleeper_look(&sleepers[2], LONG_MS) == SLEEPER_WOKEN;
    } else {
        sleeper_kill(&sleepers[0]);
        sleeper_kill(&sleepers[1]);
    }
    if (good)
        sleeper_finish(&sleepers[2]);
    end_round(&s, sleepers, SLEEPERS);
    return good;
}

/* Kills: life.wake_one. */
T_TEST(a_woken_one_that_is_killed_before_it_runs_costs_nobody_a_wake)
{
    require_good_rounds(unlucky_round);
}

/* Two sleep; the mutex passes to one, who keeps it and is killed: the other must hear of that by
 * the kernel, so it must watch the taker, not the one that had it when it fell asleep. */
static bool second_holder_dies_round(void)
{
    struct scene s = scene_make();
    struct sleeper sleepers[SLEEPERS];
    T_REQUIRE_RC(lk_rmutex_lock(s.mutex), 0);
    fall_asleep(&s, sleepers, SLEEPERS);
    T_REQUIRE_RC(lk_rmutex_unlock(s.mutex), 0);
    bool good = find_woken(sleepers, SLEEPERS, 2) == 2;
    if (!good) {
        end_round(&s, sleepers, SLEEPERS);
        return false;
    }
    sleeper_run(&sleepers[0]);
    await_lock(&sleepers[0]);
    sleepers[1].timeouts = sleepers[2].timeouts = 0;
    sleeper_sleep_again(&sleepers[1]);
    sleepers_settle(&sleepers[1], 2);
    sleeper_kill(&sleepers[0]);
    good = find_woken(&sleepers[1], 2, 1) >= 1;
    for (unsigned i = 1; i < SLEEPERS && good; i++) {
        good = i == 1 || sleeper_look(&sleepers[i], LONG_MS) == SLEEPER_WOKEN;
        if (!good)
            break;
        sleeper_finish(&sleepers[i]);
        T_REQUIRE_EQ(atomic_load(&sleepers[i].report->rc), i == 1 ? EOWNERDEAD : 0);
    }
    end_round(&s, sleepers, SLEEPERS);
    return good;
}

/* Kills: life.token_not_watched. */
T_TEST(the_death_of_a_later_holder_wakes_a_sleeper)
{
    require_good_rounds(second_holder_dies_round);
}

/* A holder dies.  The kernel wakes one sleeper only; that one tells the others, or else they would
 * still watch the dead one when the next holder dies. */

static void hold_for_ever(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_lock(s->mutex), 0);
    for (;;)
        (void)pause();
}

static void await_holder(const struct scene *s)
{
    uint64_t end = t_now_ns() + LONG_MS * 1000000ull;
    while ((__atomic_load_n(&s->mutex->word_, __ATOMIC_ACQUIRE) & LKI_HOLDER_ANY) == 0) {
        T_REQUIRE(t_now_ns() < end);
        (void)sched_yield();
    }
}

static pid_t start_holder(struct scene *s)
{
    pid_t pid = t_fork(hold_for_ever, s);
    await_holder(s);
    return pid;
}

static bool holder_dies_round(void)
{
    struct scene s = scene_make();
    struct sleeper sleepers[SLEEPERS];
    pid_t holder = start_holder(&s);
    fall_asleep(&s, sleepers, SLEEPERS);
    (void)kill(holder, SIGKILL);
    T_REQUIRE_EQ(t_wait(holder), -SIGKILL);
    bool good = find_woken(sleepers, SLEEPERS, 1) >= 1;
    if (!good) {
        end_round(&s, sleepers, SLEEPERS);
        return false;
    }
    sleeper_run(&sleepers[0]); /* takes the mutex, keeps it */
    await_lock(&sleepers[0]);
    T_REQUIRE_EQ(atomic_load(&sleepers[0].report->rc), EOWNERDEAD);
    good = find_woken(&sleepers[1], SLEEPERS - 1, SLEEPERS - 1) == SLEEPERS - 1;
    sleeper_kill(&sleepers[0]);
    end_round(&s, &sleepers[1], SLEEPERS - 1);
    return good;
}

/* Kills: life.no_mourning. */
T_TEST(a_death_is_told_to_all_that_sleep_until_it)
{
    require_good_rounds(holder_dies_round);
}

/* A thread unlocks one mutex and dies in another.  Who still sleeps for the first watches that
 * thread, may get the kernel's one wake, and must pass it on to who sleeps for the second. */

struct two_mutexes {
    lk_rmutex *first, *second;
    _Atomic int move_on;
};

static void hold_both(void *arg)
{
    struct two_mutexes *m = arg;
    T_REQUIRE_RC(lk_rmutex_lock(m->first), 0);
    T_REQUIRE_RC(lk_rmutex_lock(m->second), 0);
    while (!atomic_load(&m->move_on))
        (void)sched_yield();
    T_REQUIRE_RC(lk_rmutex_unlock(m->first), 0);
    for (;;)
        (void)pause();
}

/* Good if the kernel woke the one that sleeps for the first mutex: the last of `sleepers` sleeps
 * for the second. */
static bool stale_watcher_round(void)
{
    struct scene first = scene_make();
    struct scene second = {first.seg, first.mutex + 1};
    struct two_mutexes *m = (struct two_mutexes *)(void *)(first.mutex + 2);
    struct sleeper sleepers[SLEEPERS + 1];
    *m = (struct two_mutexes){first.mutex, second.mutex, 0};
    pid_t holder = t_fork(hold_both, m);
    await_holder(&second);
    for (unsigned i = 0; i <= SLEEPERS; i++)
        sleeper_start(&sleepers[i], lock_once, i < SLEEPERS ? &first : &second);
    sleepers_settle(sleepers, SLEEPERS + 1);
    atomic_store(&m->move_on, 1);
    bool good = find_woken(sleepers, SLEEPERS, 2) == 2;
    (void)kill(holder, SIGKILL);
    T_REQUIRE_EQ(t_wait(holder), -SIGKILL);
    good = good && find_woken(&sleepers[2], 1, 1) == 1 &&
           sleeper_look(&sleepers[SLEEPERS], 0) == SLEEPER_ASLEEP;
    if (good) {
        sleeper_run(&sleepers[2]);
        good = find_woken(&sleepers[SLEEPERS], 1, 1) == 1;
    }
    end_round(&first, sleepers, SLEEPERS + 1);
    return good;
}

/* Kills: life.stale_watcher. */
T_TEST(a_death_is_told_to_who_sleeps_for_another_lock_of_the_dead)
{
    require_good_rounds(stale_watcher_round);
}

/* The backstop. */

static void change_once(struct sleeper_report *report, void *arg)
{
    T_REQUIRE_RC(lk_cache_delete(arg, "absent", 6), ENOENT);
    atomic_store(&report->locked, 1);
}

/* Both that were woken are killed before they run.  The third sleeps on a free lock until its timer
 * ends that.  Returns how many such sleeps the cache's statistics count. */
static uint64_t unlucky_pair_round(void)
{
    const struct lk_cache_options options = {.capacity_bytes = 4096, .shards = 1, .threads = 8};
    struct sleeper sleepers[SLEEPERS];
    struct lk_cache_stat stat;
    struct lki_section x;
    lk_cache *c;
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &options), 0);
    T_REQUIRE_RC(lki_section_enter(&x, c, 0), 0);
    for (unsigned i = 0; i < SLEEPERS; i++)
        sleeper_start(&sleepers[i], change_once, c);
    sleepers_settle(sleepers, SLEEPERS);
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE_EQ(stat.backstops, 0); /* none was due: the lock was held */
    lki_section_leave(&x);
    bool as_meant = find_woken(sleepers, SLEEPERS, 2) == 2;
    for (unsigned i = 0; i < 2 && as_meant; i++)
        sleeper_kill(&sleepers[i]);
    uint64_t begun_ns = t_now_ns();
    as_meant = as_meant && sleeper_look(&sleepers[2], LONG_MS) == SLEEPER_TIMED_OUT;
    if (as_meant) {
        sleeper_finish(&sleepers[2]);
        T_LOG("the third went on after %llu ms",
              (unsigned long long)((t_now_ns() - begun_ns) / 1000000u));
        T_REQUIRE(atomic_load(&sleepers[2].report->locked));
    }
    for (unsigned i = 0; i < SLEEPERS; i++)
        sleeper_kill(&sleepers[i]);
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    lk_cache_close(c);
    return as_meant ? stat.backstops : 0;
}

/* A thread that was itself scheduled late does not count: some rounds for that. */
T_TEST(when_all_who_were_woken_are_killed_the_backstop_ends_the_sleep)
{
    uint64_t counted = 0;
    for (int i = 0; i < 10 && counted == 0; i++)
        counted = unlucky_pair_round();
    T_REQUIRE_EQ(counted, 1);
}
