/* robust_forms_test.c - the robust sequence lock, condition and barrier, their users killed at
 * every step of a kill build. */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "latchkey/robust.h"
#include "test.h"

enum { LIMIT_MS = 4000 };

struct pair {
    uint64_t a, b; /* b is 3 a */
};

/* In the segment. */
struct shared {
    lk_rseqlock seq;
    struct pair now, copy;
    lk_rmutex mutex;
    uint32_t goods; /* under the mutex */
    lk_rcond cond;
    lk_rbarrier barrier;
    _Atomic int waiting, gone;
    _Atomic unsigned told, whole, rounds;
};

struct scene {
    lk_seg *seg;
    struct shared *s;
    const struct lk_rseqlock_mend *mend;
};

static struct scene scene_make(void)
{
    struct scene s = {0};
    T_REQUIRE_RC(lk_seg_create_anonymous(&s.seg, sizeof(struct shared), 8), 0);
    s.s = lk_seg_memory(s.seg);
    return s;
}

static struct timespec limit(void)
{
    uint64_t at = t_now_ns() + LIMIT_MS * 1000000ull;
    return (struct timespec){(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
}

/* ---- sequence lock ------------------------------------------------------------------------ */

static void repair(lk_rseqlock *l, void *payload, size_t bytes, void *arg)
{
    struct pair *p = payload, whole = {p->a, p->a * 3};
    (void)l;
    (void)arg;
    T_REQUIRE_EQ(bytes, sizeof whole);
    lk_rseqlock_put(payload, &whole, sizeof whole);
}

static void write_by_parts(void *arg)
{
    const struct scene *s = arg;
    struct pair new = {7, 21};
    int rc = lk_rseqlock_write_begin(&s->s->seq, &s->s->now, sizeof new, s->mend, NULL);
    T_REQUIRE(rc == 0 || (rc == EOWNERDEAD && s->mend == NULL));
    lk_rseqlock_put(&s->s->now.a, &new.a, sizeof new.a);
    lk_rseqlock_put(&s->s->now.b, &new.b, sizeof new.b);
    T_REQUIRE_RC(lk_rseqlock_write_end(&s->s->seq), 0);
}

static void die_half_way(void *arg)
{
    const struct scene *s = arg;
    struct pair new = {5, 15};
    T_REQUIRE_RC(lk_rseqlock_write_begin(&s->s->seq, &s->s->now, sizeof new, s->mend, NULL), 0);
    lk_rseqlock_put(&s->s->now.a, &new.a, sizeof new.a);
    _exit(0);
}

static void read_it(void *arg)
{
    const struct scene *s = arg;
    struct pair p;
    struct timespec until = limit();
    T_REQUIRE_RC(lk_rseqlock_read(&s->s->seq, &p, &s->s->now, sizeof p, s->mend, &until), 0);
    T_REQUIRE_EQ(p.b, p.a * 3);
}

static bool one_writer(unsigned long step, const struct lk_rseqlock_mend *mend, bool before,
                       void (*victim)(void *))
{
    struct scene s = scene_make();
    struct lk_rseqlock_mend copy = {.copy = &s.s->copy};
    struct pair p = {1, 3};
    struct timespec until = limit();
    s.mend = mend != NULL ? mend : &copy;
    T_REQUIRE_RC(lk_rseqlock_write(&s.s->seq, &s.s->now, &p, sizeof p, s.mend, NULL), 0);
    if (before)
        T_REQUIRE_EQ(t_wait(t_fork(die_half_way, &s)), 0);
    bool died = t_killed_at(step, victim, &s);
    if (step % 2)
        T_REQUIRE_EQ(t_wait(t_fork(write_by_parts, &s)), 0);
    T_REQUIRE_RC(lk_rseqlock_read(&s.s->seq, &p, &s.s->now, sizeof p, s.mend, &until), 0);
    T_REQUIRE_EQ(p.b, p.a * 3);
    T_REQUIRE(p.a == 1 || p.a == 5 || p.a == 7);
    if (!died && victim == write_by_parts)
        T_REQUIRE_EQ(p.a, 7);
    lk_seg_close(s.seg);
    return died;
}

static void every_writer_step(const char *what, const struct lk_rseqlock_mend *mend, bool before,
                              void (*victim)(void *))
{
    unsigned long step = 1;
    while (one_writer(step, mend, before, victim))
        step++;
    T_REQUIRE(step > 2);
    T_LOG("%s: killed at each of %lu steps", what, step - 1);
}

static const struct lk_rseqlock_mend by_call = {.repair = repair};

/* Kills: robust.copy_saved_late. */
T_TEST(a_sequence_of_a_writer_killed_at_every_step_is_whole)
{
    every_writer_step("copy", NULL, false, write_by_parts);
    every_writer_step("repair", &by_call, false, write_by_parts);
}

/* Kills: robust.even_before_mended. */
T_TEST(a_sequence_of_a_mender_killed_at_every_step_is_whole)
{
    every_writer_step("copy, writer mends", NULL, true, write_by_parts);
    every_writer_step("repair, writer mends", &by_call, true, write_by_parts);
    every_writer_step("copy, reader mends", NULL, true, read_it);
    every_writer_step("repair, reader mends", &by_call, true, read_it);
}

/* ---- condition ---------------------------------------------------------------------------- */

static void consume(void *arg)
{
    struct shared *s = ((const struct scene *)arg)->s;
    struct timespec until = limit();
    int rc = lk_rmutex_lock_until(&s->mutex, &until);
    atomic_fetch_add(&s->waiting, 1);
    for (;;) {
        if (rc == EOWNERDEAD) {
            atomic_fetch_add(&s->told, 1);
            T_REQUIRE_RC(lk_rmutex_consistent(&s->mutex), 0);
            rc = 0;
        }
        T_REQUIRE_RC(rc, 0);
        if (s->goods > 0 || atomic_load(&s->told) > 0)
            break;
        rc = lk_rcond_wait_until(&s->cond, &s->mutex, &until);
    }
    s->goods -= s->goods > 0;
    T_REQUIRE_RC(lk_rmutex_unlock(&s->mutex), 0);
}

static void produce(void *arg)
{
    struct shared *s = ((const struct scene *)arg)->s;
    int rc = lk_rmutex_lock(&s->mutex);
    T_REQUIRE_RC(rc == EOWNERDEAD ? lk_rmutex_consistent(&s->mutex) : rc, 0);
    s->goods++;
    lk_rcond_signal(&s->cond);
    T_REQUIRE_RC(lk_rmutex_unlock(&s->mutex), 0);
}

static void await_waiters(struct shared *s, int n)
{
    uint64_t end = t_now_ns() + LIMIT_MS * 1000000ull;
    while (atomic_load(&s->waiting) < n) {
        T_REQUIRE(t_now_ns() < end);
        (void)sched_yield();
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Kills: robust.waiter_does_not_look_at_mutex. */
T_TEST(a_signaller_killed_at_every_step_leaves_no_waiter_behind)
{
    bool died = true;
    unsigned long step = 1;
    for (; died; step++) {
        struct scene s = scene_make();
        pid_t waiter = t_fork(consume, &s);
        await_waiters(s.s, 1);
        died = t_killed_at(step, produce, &s);
        /* It may have died before it had done anything: then there is nothing to hear of. */
        if (died && s.s->goods == 0 && lk_rmutex_trylock(&s.s->mutex) == 0) {
            T_REQUIRE_RC(lk_rmutex_unlock(&s.s->mutex), 0);
            if (atomic_load(&s.s->told) == 0)
                produce(&s);
        }
        T_REQUIRE_EQ(t_wait(waiter), 0);
        lk_seg_close(s.seg);
    }
    T_REQUIRE(step > 4);
    T_LOG("killed at each of %lu steps", step - 2);
}

/* Two wait; one is killed at its n-th step; one good is made: the other must get it, or the victim
 * did, or a death with the mutex was told of. */
T_TEST(a_waiter_killed_at_every_step_takes_no_signal_with_it)
{
    bool died = true;
    unsigned long step = 1;
    for (; died && step < 60; step++) {
        struct scene s = scene_make();
        pid_t waiter = t_fork(consume, &s);
        await_waiters(s.s, 1);
        pid_t maker = t_fork(produce, &s);
        died = t_killed_at(step, consume, &s);
        int rc = lk_rmutex_lock(&s.s->mutex);
        if (rc == EOWNERDEAD)
            T_REQUIRE_RC(lk_rmutex_consistent(&s.s->mutex), 0);
        s.s->goods++; /* enough for the other, whatever the victim took */
        lk_rcond_broadcast(&s.s->cond);
        T_REQUIRE_RC(lk_rmutex_unlock(&s.s->mutex), 0);
        T_REQUIRE_EQ(t_wait(maker), 0);
        T_REQUIRE_EQ(t_wait(waiter), 0);
        lk_seg_close(s.seg);
    }
    T_REQUIRE(step > 4);
}

/* ---- barrier ------------------------------------------------------------------------------ */

enum { SURVIVORS = 2 };

/* Two rounds: in the first the victim is a member, in the second it may be dead. */
static void survive(void *arg)
{
    struct shared *s = ((const struct scene *)arg)->s;
    struct timespec until = limit();
    atomic_fetch_add(&s->waiting, 1);
    for (int round = 0; round < 2; round++) {
        int rc = lk_rbarrier_wait_until(&s->barrier, &until);
        T_REQUIRE(rc == 0 || rc == EOWNERDEAD);
        atomic_fetch_add(rc == 0 ? &s->whole : &s->told, 1);
    }
    /* Stays until all are through, so that its own end is no death to the others. */
    atomic_fetch_add(&s->rounds, 1);
    uint64_t end = t_now_ns() + LIMIT_MS * 1000000ull;
    while (atomic_load(&s->rounds) < SURVIVORS && t_now_ns() < end)
        (void)sched_yield();
    T_REQUIRE_EQ(atomic_load(&s->rounds), SURVIVORS);
}

static void meet_once_and_end(void *arg)
{
    struct shared *s = ((const struct scene *)arg)->s;
    T_REQUIRE_RC(lk_rbarrier_join(&s->barrier), 0);
    atomic_store(&s->gone, 1); /* a member: its end is noticed from here on */
    T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), 0);
}

/* Kills: robust.dead_member_awaited. */
T_TEST(a_member_killed_at_every_step_is_told_of_once_and_not_waited_for)
{
    bool died = true;
    unsigned long step = 1;
    for (; died; step++) {
        struct scene s = scene_make();
        T_REQUIRE_RC(lk_rbarrier_init(&s.s->barrier, SURVIVORS + 1), 0);
        pid_t pids[SURVIVORS];
        for (int i = 0; i < SURVIVORS; i++)
            pids[i] = t_fork(survive, &s);
        await_waiters(s.s, SURVIVORS);
        died = t_killed_at(step, meet_once_and_end, &s);
        /* It may have died before it was a member: another one takes its place, and ends. */
        lk_rbarrier *b = &s.s->barrier;
        if (died && !atomic_load(&s.s->gone) && lk_rbarrier_join(b) == 0)
            lk_rbarrier_leave(b);
        for (int i = 0; i < SURVIVORS; i++)
            T_REQUIRE_EQ(t_wait(pids[i]), 0);
        /* One of the two rounds told both, or (the victim left without a trace) none. */
        T_REQUIRE(atomic_load(&s.s->told) == SURVIVORS ||
                  (atomic_load(&s.s->told) == 0 && !atomic_load(&s.s->gone)));
        T_REQUIRE_EQ(atomic_load(&s.s->told) + atomic_load(&s.s->whole), 2 * SURVIVORS);
        lk_seg_close(s.seg);
    }
    T_REQUIRE(step > 4);
    T_LOG("killed at each of %lu steps", step - 2);
}

static void join_and_end(void *arg)
{
    T_REQUIRE_RC(lk_rbarrier_join(&((const struct scene *)arg)->s->barrier), 0);
}

static void join_and_leave(void *arg)
{
    struct shared *s = ((const struct scene *)arg)->s;
    T_REQUIRE_RC(lk_rbarrier_join(&s->barrier), 0);
    atomic_store(&s->gone, 1);
    lk_rbarrier_leave(&s->barrier);
}

static void hear_of_a_death(void *arg)
{
    struct shared *s = ((const struct scene *)arg)->s;
    struct timespec until = limit();
    atomic_fetch_add(&s->waiting, 1);
    T_REQUIRE_RC(lk_rbarrier_wait_until(&s->barrier, &until), EOWNERDEAD);
}

/* Who leaves ends the round, and may be killed when it has seen the dead member out and not yet
 * said so.  Kills: robust.dead_not_marked. */
T_TEST(a_death_is_told_of_whoever_saw_it_first)
{
    bool died = true;
    unsigned long step = 1;
    for (; died; step++) {
        struct scene s = scene_make();
        lk_rbarrier *b = &s.s->barrier;
        T_REQUIRE_RC(lk_rbarrier_init(b, 3), 0);
        T_REQUIRE_EQ(t_wait(t_fork(join_and_end, &s)), 0);
        pid_t waiter = t_fork(hear_of_a_death, &s);
        await_waiters(s.s, 1);
        died = t_killed_at(step, join_and_leave, &s);
        if (died && !atomic_load(&s.s->gone) && lk_rbarrier_join(b) == 0)
            lk_rbarrier_leave(b);
        T_REQUIRE_EQ(t_wait(waiter), 0);
        lk_seg_close(s.seg);
    }
    T_REQUIRE(step > 4);
}
