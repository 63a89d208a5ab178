/* Every result of the robust reader-writer lock without killing at chosen steps (tests/kill does
 * that).
 * Kills: robust.rrwlock_dirty_stays. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "latchkey/robust.h"
#include "test.h"

enum { MS = 1000000, SLOTS = 8 };

static lk_seg *new_seg(void)
{
    lk_seg *s = NULL;
    T_REQUIRE_RC(lk_seg_create_anonymous(&s, 4096, SLOTS), 0);
    return s;
}

static struct timespec in_ms(uint64_t ms)
{
    uint64_t at = t_now_ns() + ms * MS;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000000u),
                             .tv_nsec = (long)(at % 1000000000u)};
}

struct other {
    lk_rrwlock *l;
    int (*act)(lk_rrwlock *l);
    int rc;
};

static void *act_in_thread(void *arg)
{
    struct other *o = arg;
    o->rc = o->act(o->l);
    return NULL;
}

/* What the call returns in another thread, which then ends: as a death, if it holds the lock. */
static int from_other_thread(lk_rrwlock *l, int (*act)(lk_rrwlock *l))
{
    struct other o = {.l = l, .act = act, .rc = -99};
    pthread_t t;
    T_REQUIRE_EQ(pthread_create(&t, NULL, act_in_thread, &o), 0);
    T_REQUIRE_EQ(pthread_join(t, NULL), 0);
    return o.rc;
}

static int read_for_20_ms(lk_rrwlock *l)
{
    struct timespec until = in_ms(20);
    return lk_rrwlock_rdlock_until(l, &until);
}

static int write_for_20_ms(lk_rrwlock *l)
{
    struct timespec until = in_ms(20);
    return lk_rrwlock_wrlock_until(l, &until);
}

T_TEST(locks_and_unlocks)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    for (int i = 0; i < 1000; i++) {
        T_REQUIRE_RC(i % 2 ? lk_rrwlock_rdlock(l) : lk_rrwlock_tryrdlock(l), 0);
        T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
        T_REQUIRE_RC(i % 2 ? lk_rrwlock_wrlock(l) : lk_rrwlock_trywrlock(l), 0);
        T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    }
    T_REQUIRE_RC(lk_rrwlock_unlock(l), EPERM);
    T_REQUIRE_EQ(l->word_, 0); /* as it began */
    T_REQUIRE_EQ(l->dirty_, 0);
    lk_seg_close(s);
}

/* Kills: robust.writer_ignores_readers. */
T_TEST(readers_share_and_writers_exclude)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    T_REQUIRE_RC(lk_rrwlock_rdlock(l), 0);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_tryrdlock), 0);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_trywrlock), EBUSY);
    T_REQUIRE_RC(from_other_thread(l, write_for_20_ms), ETIMEDOUT);
    T_REQUIRE_RC(from_other_thread(l, read_for_20_ms), 0);
    T_REQUIRE_RC(lk_rrwlock_wrlock(l), EDEADLK);
    T_REQUIRE_RC(lk_rrwlock_trywrlock(l), EBUSY);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_unlock), EPERM);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    T_REQUIRE_RC(lk_rrwlock_wrlock(l), 0);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_tryrdlock), EBUSY);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_trywrlock), EBUSY);
    T_REQUIRE_RC(from_other_thread(l, read_for_20_ms), ETIMEDOUT);
    T_REQUIRE_RC(from_other_thread(l, write_for_20_ms), ETIMEDOUT);
    T_REQUIRE_RC(lk_rrwlock_wrlock(l), EDEADLK);
    T_REQUIRE_RC(lk_rrwlock_rdlock(l), EDEADLK);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    lk_seg_close(s);
}

T_TEST(a_reader_may_read_again_and_more_locks_than_there_are_places)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    for (int i = 0; i < 3; i++)
        T_REQUIRE_RC(lk_rrwlock_rdlock(l), 0);
    for (int i = 0; i < 3; i++) {
        T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_trywrlock), EBUSY);
        T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    }
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_trywrlock), 0); /* and dies with it */
    T_REQUIRE_RC(lk_rrwlock_rdlock(l), EOWNERDEAD);
    T_REQUIRE_RC(lk_rrwlock_consistent(l), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    for (int i = 0; i < 7; i++)
        T_REQUIRE_RC(lk_rrwlock_rdlock(&l[i]), 0);
    for (int i = 0; i < 7; i++)
        T_REQUIRE_RC(from_other_thread(&l[i], lk_rrwlock_trywrlock), EBUSY);
    for (int i = 0; i < 7; i++)
        T_REQUIRE_RC(lk_rrwlock_unlock(&l[i * 3 % 7]), 0);
    for (int i = 0; i < 7; i++) {
        T_REQUIRE_RC(lk_rrwlock_trywrlock(&l[i]), 0);
        T_REQUIRE_RC(lk_rrwlock_unlock(&l[i]), 0);
    }
    lk_seg_close(s);
}

/* Kills: robust.rrwlock_downgrade_dirty. */
T_TEST(a_writer_can_become_a_reader)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    T_REQUIRE_RC(lk_rrwlock_downgrade(l), EPERM);
    T_REQUIRE_RC(lk_rrwlock_wrlock(l), 0);
    T_REQUIRE_RC(lk_rrwlock_downgrade(l), 0);
    T_REQUIRE_EQ(l->dirty_, 0); /* else a reader's death would be told as a writer's */
    T_REQUIRE_RC(lk_rrwlock_downgrade(l), EPERM);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_trywrlock), EBUSY);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_tryrdlock), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    T_REQUIRE_RC(lk_rrwlock_trywrlock(l), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    lk_seg_close(s);
}

/* Kills: robust.dead_reader_waited_for. */
T_TEST(a_reader_that_ends_is_no_reader_any_more)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    for (int i = 0; i < 20; i++) {
        T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_rdlock), 0);
        T_REQUIRE_RC(i % 2 ? lk_rrwlock_trywrlock(l) : write_for_20_ms(l), 0);
        T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    }
    struct lk_robust_counts counts;
    T_REQUIRE_RC(lk_robust_count(l, &counts), 0);
    T_REQUIRE_EQ(counts.backstops, 0);
    T_REQUIRE(counts.dead_reads >= 20 - SLOTS); /* a slot's next thread strikes them out */
    T_REQUIRE_EQ(counts.dead_writes, 0);
    lk_seg_close(s);
}

/* Kills: robust.dead_writer_not_told. */
T_TEST(a_writer_that_ends_leaves_eownerdead_to_the_next)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    int (*const comers[])(lk_rrwlock *) = {lk_rrwlock_rdlock, lk_rrwlock_tryrdlock,
                                           lk_rrwlock_wrlock, lk_rrwlock_trywrlock};
    for (int i = 0; i < 20; i++) {
        T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_wrlock), 0);
        T_REQUIRE_RC(from_other_thread(l, comers[i / 4 % 4]), EOWNERDEAD); /* and ends too */
        T_REQUIRE_RC(comers[i % 4](l), EOWNERDEAD);
        T_REQUIRE_RC(lk_rrwlock_downgrade(l), EINVAL);
        T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_tryrdlock), EBUSY);
        T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_consistent), EINVAL);
        T_REQUIRE_RC(lk_rrwlock_consistent(l), 0);
        T_REQUIRE_RC(lk_rrwlock_consistent(l), EINVAL);
        T_REQUIRE_RC(i % 2 ? lk_rrwlock_downgrade(l) : 0, 0);
        T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
        T_REQUIRE_RC(comers[i % 4](l), 0);
        T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    }
    lk_seg_close(s);
}

T_TEST(unlocking_without_repair_is_for_ever)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_wrlock), 0);
    T_REQUIRE_RC(lk_rrwlock_rdlock(l), EOWNERDEAD);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    T_REQUIRE_RC(lk_rrwlock_rdlock(l), ENOTRECOVERABLE);
    T_REQUIRE_RC(lk_rrwlock_tryrdlock(l), ENOTRECOVERABLE);
    T_REQUIRE_RC(lk_rrwlock_wrlock(l), ENOTRECOVERABLE);
    T_REQUIRE_RC(lk_rrwlock_trywrlock(l), ENOTRECOVERABLE);
    lk_seg_close(s);
}

T_TEST(bad_locks_and_deadlines_are_einval)
{
    static lk_rrwlock outside;
    lk_seg *s = new_seg();
    char *memory = lk_seg_memory(s);
    lk_rrwlock *l = (lk_rrwlock *)(void *)memory;
    struct timespec bad = {0, 1000000000};
    T_REQUIRE_RC(lk_rrwlock_rdlock(&outside), EINVAL);
    T_REQUIRE_RC(lk_rrwlock_trywrlock(&outside), EINVAL);
    T_REQUIRE_RC(lk_rrwlock_rdlock(NULL), EINVAL);
    T_REQUIRE_RC(lk_rrwlock_wrlock((lk_rrwlock *)(void *)(memory + 2)), EINVAL);
    T_REQUIRE_RC(lk_rrwlock_wrlock_until(l, &bad), EINVAL);
    T_REQUIRE_RC(from_other_thread(l, lk_rrwlock_wrlock), 0);
    T_REQUIRE_RC(lk_rrwlock_wrlock_until(l, &bad), EINVAL);
    struct lk_rrwlock_place at = {memory, 0};
    T_REQUIRE_RC(lk_rrwlock_tryrdlock_at(&outside, &at), EINVAL);
    at.key = LK_RRWLOCK_KEY_MAX + 1;
    T_REQUIRE_RC(lk_rrwlock_tryrdlock_at(&outside, &at), EINVAL);
    struct lk_robust_counts counts;
    T_REQUIRE_RC(lk_robust_count(&outside, &counts), EINVAL);
    lk_seg_close(s);
}

static lk_rrwlock outside_lock;
static struct lk_rrwlock_place outside_place;

static int write_outside(lk_rrwlock *l)
{
    return lk_rrwlock_wrlock_at(l, &outside_place, NULL);
}

static int read_outside(lk_rrwlock *l)
{
    return lk_rrwlock_rdlock_at(l, &outside_place, NULL);
}

T_TEST(a_lock_may_lie_outside_the_segment)
{
    lk_seg *s = new_seg();
    outside_place = (struct lk_rrwlock_place){lk_seg_memory(s), LK_RRWLOCK_KEY_MAX};
    lk_rrwlock *l = &outside_lock;
    T_REQUIRE_RC(from_other_thread(l, read_outside), 0);
    T_REQUIRE_RC(lk_rrwlock_trywrlock_at(l, &outside_place), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock_at(l, &outside_place), 0);
    T_REQUIRE_RC(from_other_thread(l, write_outside), 0);
    T_REQUIRE_RC(lk_rrwlock_rdlock_at(l, &outside_place, NULL), EOWNERDEAD);
    T_REQUIRE_RC(lk_rrwlock_consistent_at(l, &outside_place), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock_at(l, &outside_place), 0);
    T_REQUIRE_RC(lk_rrwlock_tryrdlock_at(l, &outside_place), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock_at(l, &outside_place), 0);
    lk_seg_close(s);
}

static void child_of_reader(void *arg)
{
    lk_rrwlock *l = arg;
    T_REQUIRE_RC(lk_rrwlock_unlock(l), EPERM);
    T_REQUIRE_RC(lk_rrwlock_trywrlock(l), EBUSY); /* the parent's hold stands */
    T_REQUIRE_RC(lk_rrwlock_tryrdlock(l), 0);
}

static void child_of_writer(void *arg)
{
    lk_rrwlock *l = arg;
    T_REQUIRE_RC(lk_rrwlock_unlock(l), EPERM);
    T_REQUIRE_RC(lk_rrwlock_tryrdlock(l), EBUSY);
}

/* Kills: life.child_inherits_attachment. */
T_TEST(a_child_of_fork_holds_nothing)
{
    lk_seg *s = new_seg();
    lk_rrwlock *l = lk_seg_memory(s);
    T_REQUIRE_RC(lk_rrwlock_rdlock(l), 0);
    T_REQUIRE_EQ(t_wait(t_fork(child_of_reader, l)), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    T_REQUIRE_RC(lk_rrwlock_trywrlock(l), 0);
    T_REQUIRE_EQ(t_wait(t_fork(child_of_writer, l)), 0);
    T_REQUIRE_RC(lk_rrwlock_unlock(l), 0);
    lk_seg_close(s);
}

enum { ROUNDS = 20000, CROWD = 4 };
struct crowd {
    lk_rrwlock *l;
    long first, second; /* equal but inside; plain, so that TSan judges too */
};

static void *mix(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < ROUNDS; i++) {
        bool writes = i % 8 == 0;
        T_REQUIRE_RC(writes ? lk_rrwlock_wrlock(c->l) : lk_rrwlock_rdlock(c->l), 0);
        T_REQUIRE_EQ(c->first, c->second);
        if (writes) {
            c->first++;
            c->second++;
        }
        T_REQUIRE_RC(lk_rrwlock_unlock(c->l), 0);
    }
    return NULL;
}

T_TEST(a_crowd_of_readers_and_writers)
{
    lk_seg *s = new_seg();
    struct crowd c = {.l = lk_seg_memory(s)};
    pthread_t t[CROWD];
    for (int i = 0; i < CROWD; i++)
        T_REQUIRE_EQ(pthread_create(&t[i], NULL, mix, &c), 0);
    for (int i = 0; i < CROWD; i++)
        T_REQUIRE_EQ(pthread_join(t[i], NULL), 0);
    T_REQUIRE_EQ(c.first, (long)CROWD * ROUNDS / 8);
    struct lk_robust_counts counts;
    T_REQUIRE_RC(lk_robust_count(c.l, &counts), 0);
    T_LOG("%llu sleeps, %llu backstops", (unsigned long long)counts.sleeps,
          (unsigned long long)counts.backstops);
    lk_seg_close(s);
}
