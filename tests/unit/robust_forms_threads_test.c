/* Every result of the robust sequence lock, condition and barrier without killing at chosen steps
 * (tests/kill does that).
 * Kills: robust.rseqlock_stays_odd, robust.dead_stays_member, robust.gives_up_arrived. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "latchkey/latchkey.h"
#include "latchkey/robust.h"
#include "test.h"

enum { MS = 1000000 };

struct pair {
    uint64_t a, b; /* b is 3 a */
};

static struct shared {
    lk_rseqlock seq;
    struct pair now, copy;
    lk_rmutex mutex;
    lk_rcond cond;
    int items, told;
    lk_rbarrier barrier;
} * s;
static lk_seg *seg;

static void begin(void)
{
    T_REQUIRE_RC(lk_seg_create_anonymous(&seg, sizeof *s, 8), 0);
    s = lk_seg_memory(seg);
}

static struct timespec in_ms(uint64_t ms)
{
    uint64_t at = t_now_ns() + ms * MS;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000000u),
                             .tv_nsec = (long)(at % 1000000000u)};
}

static void in_thread(void *(*fn)(void *), void *arg)
{
    pthread_t t;
    T_REQUIRE_EQ(pthread_create(&t, NULL, fn, arg), 0);
    T_REQUIRE_EQ(pthread_join(t, NULL), 0);
}

/* ---- sequence lock ------------------------------------------------------------------------ */

static const struct lk_rseqlock_mend *mend_by;

static void *end_half_way(void *unused)
{
    struct pair new = {5, 15};
    T_REQUIRE_RC(lk_rseqlock_write_begin(&s->seq, &s->now, sizeof new, mend_by, NULL), 0);
    lk_rseqlock_put(&s->now.a, &new.a, sizeof new.a);
    return unused;
}

static void repair(lk_rseqlock *l, void *payload, size_t bytes, void *arg)
{
    struct pair *p = payload, whole = {p->a, p->a * 3};
    T_REQUIRE(l == &s->seq && bytes == sizeof whole);
    lk_rseqlock_put(payload, &whole, sizeof whole);
    ++*(int *)arg;
}

T_TEST(a_sequence_is_mended_by_the_next_reader_or_writer)
{
    int repairs = 0;
    const struct lk_rseqlock_mend by_copy = {.copy = NULL},
                                  by_call = {.repair = repair, .arg = &repairs};
    struct lk_rseqlock_mend copy = by_copy;
    begin();
    copy.copy = &s->copy;
    for (int i = 0; i < 8; i++) {
        struct pair p = {1, 3};
        mend_by = i % 2 ? &copy : &by_call;
        T_REQUIRE_RC(lk_rseqlock_write(&s->seq, &s->now, &p, sizeof p, mend_by, NULL), 0);
        in_thread(end_half_way, NULL);
        if (i / 2 % 2) {
            T_REQUIRE_RC(lk_rseqlock_write_begin(&s->seq, &s->now, sizeof p, mend_by, NULL), 0);
            T_REQUIRE_RC(lk_rseqlock_write_end(&s->seq), 0);
        }
        T_REQUIRE_RC(lk_rseqlock_read(&s->seq, &p, &s->now, sizeof p, mend_by, NULL), 0);
        T_REQUIRE_EQ(p.a, i % 2 ? 1 : 5);
        T_REQUIRE_EQ(p.b, p.a * 3);
    }
    T_REQUIRE_EQ(repairs, 4);
    lk_seg_close(seg);
}

T_TEST(a_sequence_that_nobody_can_mend_says_so_until_it_is_written)
{
    struct pair p = {1, 3};
    begin();
    mend_by = NULL;
    T_REQUIRE_RC(lk_rseqlock_write_end(&s->seq), EPERM);
    T_REQUIRE_RC(lk_rseqlock_write(&s->seq, &s->now, &p, sizeof p, NULL, NULL), 0);
    in_thread(end_half_way, NULL);
    T_REQUIRE_RC(lk_rseqlock_read(&s->seq, &p, &s->now, sizeof p, NULL, NULL), EOWNERDEAD);
    T_REQUIRE_RC(lk_rseqlock_read(&s->seq, &p, &s->now, sizeof p, NULL, NULL), EOWNERDEAD);
    p = (struct pair){7, 21};
    T_REQUIRE_RC(lk_rseqlock_write(&s->seq, &s->now, &p, sizeof p, NULL, NULL), EOWNERDEAD);
    T_REQUIRE_RC(lk_rseqlock_read(&s->seq, &p, &s->now, sizeof p, NULL, NULL), 0);
    T_REQUIRE_EQ(p.b, 21);
    lk_seg_close(seg);
}

static void *read_and_write_for_20_ms(void *unused)
{
    struct timespec until = in_ms(20);
    struct pair p = {2, 6};
    T_REQUIRE_RC(lk_rseqlock_read(&s->seq, &p, &s->now, sizeof p, NULL, &until), ETIMEDOUT);
    T_REQUIRE_RC(lk_rseqlock_write(&s->seq, &s->now, &p, sizeof p, NULL, &until), ETIMEDOUT);
    return unused;
}

T_TEST(a_writer_that_lives_is_waited_for)
{
    struct pair p = {1, 3};
    struct timespec bad = {0, -1};
    begin();
    T_REQUIRE_RC(lk_rseqlock_write_begin(&s->seq, &s->now, sizeof p, NULL, NULL), 0);
    T_REQUIRE_RC(lk_rseqlock_write_begin(&s->seq, &s->now, sizeof p, NULL, NULL), EDEADLK);
    T_REQUIRE_RC(lk_rseqlock_read(&s->seq, &p, &s->now, sizeof p, NULL, NULL), EDEADLK);
    in_thread(read_and_write_for_20_ms, NULL);
    T_REQUIRE_RC(lk_rseqlock_write_end(&s->seq), 0);
    T_REQUIRE_RC(lk_rseqlock_write(&s->seq, &s->now, &p, sizeof p, NULL, &bad), EINVAL);
    lk_seg_close(seg);
}

/* ---- condition ---------------------------------------------------------------------------- */

static void *take_items(void *unused)
{
    T_REQUIRE_RC(lk_rmutex_lock(&s->mutex), 0);
    for (int i = 0; i < 1000; i++) {
        while (s->items == 0)
            T_REQUIRE_RC(lk_rcond_wait(&s->cond, &s->mutex), 0);
        s->items--;
    }
    T_REQUIRE_RC(lk_rmutex_unlock(&s->mutex), 0);
    return unused;
}

static void *wait_until_told(void *unused)
{
    int rc = 0;
    T_REQUIRE_RC(lk_rmutex_lock(&s->mutex), 0);
    __atomic_store_n(&s->items, 1, __ATOMIC_RELAXED);
    while (rc == 0)
        rc = lk_rcond_wait(&s->cond, &s->mutex);
    T_REQUIRE_RC(rc, EOWNERDEAD);
    s->told++;
    T_REQUIRE_RC(lk_rmutex_consistent(&s->mutex), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(&s->mutex), 0);
    return unused;
}

static void *end_with_mutex(void *unused)
{
    T_REQUIRE_RC(lk_rmutex_lock(&s->mutex), 0);
    return unused;
}

T_TEST(waiters_are_woken_timed_and_told_of_a_death)
{
    pthread_t t[2];
    begin();
    struct timespec past = {1, 0};
    T_REQUIRE_RC(lk_rcond_wait(&s->cond, &s->mutex), EPERM);
    T_REQUIRE_RC(lk_rmutex_lock(&s->mutex), 0);
    T_REQUIRE_RC(lk_rcond_wait_until(&s->cond, &s->mutex, &past), ETIMEDOUT);
    T_REQUIRE_RC(lk_rmutex_unlock(&s->mutex), 0);
    for (int i = 0; i < 2; i++)
        T_REQUIRE_EQ(pthread_create(&t[i], NULL, take_items, NULL), 0);
    for (int i = 0; i < 2000; i++) {
        T_REQUIRE_RC(lk_rmutex_lock(&s->mutex), 0);
        s->items++;
        if (i % 3)
            lk_rcond_signal(&s->cond);
        else
            lk_rcond_broadcast(&s->cond);
        T_REQUIRE_RC(lk_rmutex_unlock(&s->mutex), 0);
    }
    for (int i = 0; i < 2; i++)
        T_REQUIRE_EQ(pthread_join(t[i], NULL), 0);
    T_REQUIRE_EQ(s->items, 0);
    T_REQUIRE_EQ(pthread_create(&t[0], NULL, wait_until_told, NULL), 0);
    while (__atomic_load_n(&s->items, __ATOMIC_RELAXED) == 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    in_thread(end_with_mutex, NULL);
    T_REQUIRE_EQ(pthread_join(t[0], NULL), 0);
    T_REQUIRE_EQ(s->told, 1);
    lk_seg_close(seg);
}

/* ---- barrier ------------------------------------------------------------------------------ */

enum { MEETINGS = 200, PARTIES = 3 };
static _Atomic int arrivals;

static void *meet(void *unused)
{
    for (int i = 0; i < MEETINGS; i++) {
        atomic_fetch_add(&arrivals, 1);
        T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), 0);
        T_REQUIRE(atomic_load(&arrivals) >= (i + 1) * PARTIES);
    }
    lk_rbarrier_leave(&s->barrier);
    return unused;
}

static void *join_and_end(void *unused)
{
    T_REQUIRE_RC(lk_rbarrier_join(&s->barrier), 0);
    T_REQUIRE_RC(lk_rbarrier_join(&s->barrier), 0);
    return unused;
}

T_TEST(a_barrier_meets_again_and_again)
{
    pthread_t t[PARTIES];
    begin();
    T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), EINVAL); /* not initialised */
    T_REQUIRE_RC(lk_rbarrier_init(&s->barrier, 0), EINVAL);
    T_REQUIRE_RC(lk_rbarrier_init(&s->barrier, LK_RBARRIER_PARTIES_MAX + 1), EINVAL);
    T_REQUIRE_RC(lk_rbarrier_init(&s->barrier, PARTIES), 0);
    for (int i = 0; i < PARTIES; i++)
        T_REQUIRE_EQ(pthread_create(&t[i], NULL, meet, NULL), 0);
    for (int i = 0; i < PARTIES; i++)
        T_REQUIRE_EQ(pthread_join(t[i], NULL), 0);
    T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), EBUSY);
    lk_seg_close(seg);
}

T_TEST(a_member_that_ends_is_told_of_once)
{
    begin();
    T_REQUIRE_RC(lk_rbarrier_init(&s->barrier, 2), 0);
    struct timespec soon = in_ms(20);
    T_REQUIRE_RC(lk_rbarrier_wait_until(&s->barrier, &soon), ETIMEDOUT);
    in_thread(join_and_end, NULL);
    T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), EOWNERDEAD);
    T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), 0); /* alone by now */
    lk_seg_close(seg);
}

static void *arrive_for_a_while(void *unused)
{
    struct timespec soon = in_ms(20);
    T_REQUIRE_RC(lk_rbarrier_wait_until(&s->barrier, &soon), ETIMEDOUT);
    lk_rbarrier_leave(&s->barrier);
    return unused;
}

T_TEST(who_gave_up_has_not_arrived)
{
    begin();
    T_REQUIRE_RC(lk_rbarrier_init(&s->barrier, 2), 0);
    struct timespec soon = in_ms(20);
    T_REQUIRE_RC(lk_rbarrier_wait_until(&s->barrier, &soon), ETIMEDOUT);
    in_thread(arrive_for_a_while, NULL);
    T_REQUIRE_RC(lk_rbarrier_wait(&s->barrier), 0); /* alone by now */
    lk_seg_close(seg);
}
