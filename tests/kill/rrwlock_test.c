/* rrwlock_test.c - the robust reader-writer lock at every step at which a kill build can be killed:
 * as a reader, a writer, in line, waiting for readers, and repairing. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/robust.h"
#include "scene.h"
#include "test.h"

enum { OTHERS = 2 };

static void repair(const struct scene *s)
{
    scene_mend(s->stage);
    T_REQUIRE_RC(lk_rrwlock_consistent(s->lock), 0);
}

/* Lock within the limit, repair if told to, look, unlock.  Returns what locking returned. */
static int one_section(const struct scene *s, bool writes)
{
    struct timespec deadline = scene_limit();
    int rc = writes ? lk_rrwlock_wrlock_until(s->lock, &deadline)
                    : lk_rrwlock_rdlock_until(s->lock, &deadline);
    if (rc == EOWNERDEAD)
        repair(s);
    else
        T_REQUIRE_RC(rc, 0);
    scene_look(s->stage);
    if (writes)
        scene_change(s->stage);
    T_REQUIRE_RC(lk_rrwlock_unlock(s->lock), 0);
    return rc;
}

struct other {
    const struct scene *scene;
    bool writes;
};

static void come_later(void *arg)
{
    const struct other *o = arg;
    const struct scene *s = o->scene;
    scene_come(s->stage);
    int rc = one_section(s, o->writes);
    atomic_fetch_add(&s->stage->told, rc == EOWNERDEAD);
    atomic_fetch_add(&s->stage->got, 1);
}

/* The victim has the lock: it waits until the others sleep for it. */
static void await_others(const struct scene *s)
{
    scene_await(&s->stage->come, s->others);
    if (s->others > 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static void pass_through(const struct scene *s, int rc, bool writes)
{
    if (rc == EOWNERDEAD)
        repair(s);
    else
        T_REQUIRE_RC(rc, 0);
    atomic_store(&s->stage->inside, 1);
    await_others(s);
    if (writes)
        scene_change(s->stage);
    atomic_store(&s->stage->inside, 2);
    T_REQUIRE_RC(lk_rrwlock_unlock(s->lock), 0);
    atomic_store(&s->stage->inside, 3);
}

static void as_writer(void *arg)
{
    const struct scene *s = arg;
    pass_through(s, lk_rrwlock_wrlock(s->lock), true);
}

static void as_reader(void *arg)
{
    const struct scene *s = arg;
    pass_through(s, lk_rrwlock_rdlock(s->lock), false);
}

static void as_trying_writer(void *arg)
{
    const struct scene *s = arg;
    pass_through(s, lk_rrwlock_trywrlock(s->lock), true);
}

static void as_trying_reader(void *arg)
{
    const struct scene *s = arg;
    pass_through(s, lk_rrwlock_tryrdlock(s->lock), false);
}

static void as_downgrader(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rrwlock_wrlock(s->lock), 0);
    T_REQUIRE_RC(lk_rrwlock_downgrade(s->lock), 0);
    pass_through(s, 0, false);
}

static void die_writing(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rrwlock_wrlock(s->lock), 0);
    _exit(0);
}

/* Holds the lock for a while. */
static void hold(const struct scene *s, bool writes)
{
    T_REQUIRE_RC(writes ? lk_rrwlock_wrlock(s->lock) : lk_rrwlock_rdlock(s->lock), 0);
    atomic_store(&s->stage->held, 1);
    (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    /* Nobody can have changed anything, or have to tell of it, while this one reads. */
    if (!writes)
        T_REQUIRE_EQ(__atomic_load_n(&((lk_rrwlock *)s->lock)->dirty_, __ATOMIC_RELAXED), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock(s->lock), 0);
}

static void hold_writing(void *arg)
{
    hold(arg, true);
}

static void hold_reading(void *arg)
{
    hold(arg, false);
}

struct play {
    const char *what;
    void (*victim)(void *);
    bool writes;            /* what the victim is inside as */
    bool before;            /* a writer has died before: the victim repairs */
    void (*holder)(void *); /* has the lock when the victim comes */
};

/* What the others may be told, by how far the victim came. */
static void check_told(const struct play *p, const struct scene *s, unsigned told, bool died)
{
    int inside = atomic_load(&s->stage->inside);
    T_REQUIRE(told <= 1);
    if (!died || inside == 3)
        T_REQUIRE_EQ(told, 0);
    else if (inside == 1 && (p->writes || p->before))
        T_REQUIRE(told == 1 || p->holder != NULL); /* of the holder's wake nobody need die */
    else if (inside == 0 && (p->before || !p->writes))
        T_REQUIRE_EQ(told, p->before);
    else if (!p->writes && !p->before)
        T_REQUIRE_EQ(told, 0);
}

/* One death (or none, past the role's last step).  Returns whether the role was killed. */
static bool one_death(unsigned long step, const struct play *p, int others)
{
    struct scene s = scene_make(others);
    struct other other[OTHERS];
    pid_t pids[OTHERS], holder = 0;
    if (p->before)
        T_REQUIRE_EQ(t_wait(t_fork(die_writing, &s)), 0);
    if (p->holder != NULL) {
        holder = t_fork(p->holder, &s);
        scene_await(&s.stage->held, 1);
    }
    for (int i = 0; i < others; i++) {
        other[i] = (struct other){&s, i == 0};
        pids[i] = t_fork(come_later, &other[i]);
    }
    bool died = t_killed_at(step, p->victim, &s);
    atomic_store(&s.stage->gone, 1);
    if (holder != 0)
        T_REQUIRE_EQ(t_wait(holder), 0);
    for (int i = 0; i < others; i++)
        T_REQUIRE_EQ(t_wait(pids[i]), 0);
    unsigned told = atomic_load(&s.stage->told);
    T_REQUIRE_EQ(atomic_load(&s.stage->got), others);
    if (others == 0)
        told = one_section(&s, step % 2 == 0) == EOWNERDEAD;
    check_told(p, &s, told, died);
    T_REQUIRE_EQ(one_section(&s, true), 0);
    T_REQUIRE_EQ(one_section(&s, false), 0);
    scene_end(&s);
    return died;
}

static void every_step(const struct play *p)
{
    for (int others = 0; others <= OTHERS; others++) {
        unsigned long step = 1;
        while (one_death(step, p, others))
            step++;
        T_REQUIRE(step > 2);
        T_LOG("%s, %d others: killed at each of %lu steps", p->what, others, step - 1);
    }
}

T_TEST(death_of_a_writer_at_every_step)
{
    every_step(&(struct play){"writer", as_writer, true, false, NULL});
    every_step(&(struct play){"trying writer", as_trying_writer, true, false, NULL});
}

T_TEST(death_of_a_reader_at_every_step_is_told_to_nobody)
{
    every_step(&(struct play){"reader", as_reader, false, false, NULL});
    every_step(&(struct play){"trying reader", as_trying_reader, false, false, NULL});
}

T_TEST(death_of_a_downgrader_at_every_step)
{
    every_step(&(struct play){"downgrader", as_downgrader, true, false, NULL});
}

T_TEST(death_of_the_repairer_at_every_step_is_told_to_the_next)
{
    every_step(&(struct play){"repairing writer", as_writer, true, true, NULL});
    every_step(&(struct play){"repairing reader", as_reader, false, true, NULL});
}

/* Kills: robust.dirty_before_readers_left. */
T_TEST(death_of_one_who_waits_at_every_step)
{
    every_step(&(struct play){"reader behind a writer", as_reader, false, false, hold_writing});
    every_step(&(struct play){"writer behind a reader", as_writer, true, false, hold_reading});
}
