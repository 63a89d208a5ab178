/* The reader-writer locks: who enters when, upgrade, downgrade, deadlines, sharing, limits. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/rwlock.h"
#include "lock_time.h"
#include "test.h"

static lk_rwlock lock;
static uint32_t entered; /* threads that have got what they asked for */

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
}

static void *read_once(void *arg)
{
    (void)arg;
    lk_rwlock_rdlock(&lock);
    __atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
    lk_rwlock_rdunlock(&lock);
    return NULL;
}

static void *write_once(void *arg)
{
    (void)arg;
    lk_rwlock_wrlock(&lock);
    __atomic_fetch_add(&entered, 16, __ATOMIC_SEQ_CST);
    lk_rwlock_wrunlock(&lock);
    return NULL;
}

/* The thread that begin() makes. */
static struct {
    void *(*fn)(void *);
    int32_t tid;
} beginning;

static void *run_beginning(void *arg)
{
    void *(*fn)(void *) = beginning.fn;
    __atomic_store_n(&beginning.tid, gettid(), __ATOMIC_SEQ_CST);
    return fn(arg);
}

/* A thread that has come as far as it can: it waits, or it has ended. */
static pthread_t begin(void *(*fn)(void *))
{
    pthread_t id;
    int32_t tid;
    char state;
    beginning.fn = fn;
    __atomic_store_n(&beginning.tid, 0, __ATOMIC_SEQ_CST);
    T_REQUIRE_EQ(pthread_create(&id, NULL, run_beginning, NULL), 0);
    while ((tid = __atomic_load_n(&beginning.tid, __ATOMIC_SEQ_CST)) == 0 ||
           ((state = t_state(tid)) != 0 && state != 'S'))
        (void)nanosleep(&(struct timespec){.tv_nsec = 1 * MS}, NULL);
    return id;
}

static void join(pthread_t id)
{
    T_REQUIRE_EQ(pthread_join(id, NULL), 0);
}

T_TEST(a_zeroed_rwlock_prefers_readers_and_has_sixteen_bytes)
{
    lk_rwlock l;
    memset(&l, 0, sizeof l);
    T_REQUIRE_EQ(sizeof l, 16);
    T_REQUIRE_EQ(sizeof(lk_brlock), 17 * 64);
    lk_rwlock_rdlock(&l);
    T_REQUIRE_RC(lk_rwlock_tryrdlock(&l), 0);
    T_REQUIRE_RC(lk_rwlock_trywrlock(&l), EBUSY);
    lk_rwlock_unlock(&l);
    lk_rwlock_rdunlock(&l);
    T_REQUIRE_RC(lk_rwlock_trywrlock(&l), 0);
    T_REQUIRE_RC(lk_rwlock_tryrdlock(&l), EBUSY);
    T_REQUIRE_RC(lk_rwlock_trywrlock(&l), EBUSY);
    lk_rwlock_unlock(&l);
    T_REQUIRE_EQ(l.state_, 0);
    T_REQUIRE_RC(lk_rwlock_init(&l, (enum lk_rwlock_kind)4, 0), EINVAL);
}

/* A writer waits behind a reader; may another reader enter?
 * Kills: lock.nonrecursive_lets_readers_pass. */
T_TEST(a_waiting_writer_keeps_new_readers_out_as_its_kind_says)
{
    for (int kind = 0; kind < 4; kind++) {
        T_REQUIRE_RC(lk_rwlock_init(&lock, (enum lk_rwlock_kind)kind, 0), 0);
        lk_rwlock_rdlock(&lock);
        pthread_t writer = begin(write_once);
        int expected = kind >= LK_RWLOCK_PREFER_WRITER_NONRECURSIVE ? EBUSY : 0;
        T_REQUIRE_RC(lk_rwlock_tryrdlock(&lock), expected);
        struct timespec until = time_in(CLOCK_MONOTONIC, 2 * MS);
        if (expected == 0)
            lk_rwlock_rdunlock(&lock);
        else
            T_REQUIRE_RC(lk_rwlock_rdlock_until(&lock, &until), ETIMEDOUT);
        lk_rwlock_rdunlock(&lock);
        join(writer);
        T_REQUIRE_EQ(lock.state_, 0);
    }
}

/* A writer inside, a writer and a reader asleep: who is first?  The reader notes how many writers
 * had been in. */
static void *read_and_note(void *arg)
{
    (void)arg;
    lk_rwlock_rdlock(&lock);
    uint32_t writers = __atomic_load_n(&entered, __ATOMIC_SEQ_CST);
    lk_rwlock_rdunlock(&lock);
    return (void *)(uintptr_t)writers;
}

T_TEST(a_writer_that_leaves_lets_in_whom_its_kind_prefers)
{
    for (int kind = 0; kind < 4; kind++) {
        void *before;
        entered = 0;
        T_REQUIRE_RC(lk_rwlock_init(&lock, (enum lk_rwlock_kind)kind, 0), 0);
        lk_rwlock_wrlock(&lock);
        pthread_t writer = begin(write_once), reader = begin(read_and_note);
        lk_rwlock_wrunlock(&lock);
        T_REQUIRE_EQ(pthread_join(reader, &before), 0);
        join(writer);
        bool writer_first =
            kind == LK_RWLOCK_PREFER_WRITER || kind == LK_RWLOCK_PREFER_WRITER_NONRECURSIVE;
        T_REQUIRE_EQ((uintptr_t)before, writer_first ? 16 : 0);
    }
}

/* A writer gives up: readers that waited only for it must enter, though no writer ever leaves.
 * Kills: lock.given_up_wakes_nobody. */
static void *write_for_a_while(void *arg)
{
    (void)arg;
    struct timespec until = time_in(CLOCK_MONOTONIC, 400 * MS);
    T_REQUIRE_RC(lk_rwlock_wrlock_until(&lock, &until), ETIMEDOUT);
    return NULL;
}

T_TEST(readers_behind_a_writer_that_gives_up_are_woken)
{
    for (int kind = 2; kind < 4; kind++) {
        entered = 0;
        T_REQUIRE_RC(lk_rwlock_init(&lock, (enum lk_rwlock_kind)kind, 0), 0);
        lk_rwlock_rdlock(&lock);
        pthread_t writer = begin(write_for_a_while);
        pthread_t first = begin(read_once), second = begin(read_once);
        T_REQUIRE_EQ(__atomic_load_n(&entered, __ATOMIC_SEQ_CST), 0);
        join(writer);
        join(first);
        join(second);
        T_REQUIRE_EQ(__atomic_load_n(&entered, __ATOMIC_SEQ_CST), 2);
        lk_rwlock_rdunlock(&lock);
        T_REQUIRE_EQ(lock.state_, 0);
    }
}

static void *upgrade_once(void *arg)
{
    (void)arg;
    lk_rwlock_rdlock(&lock);
    int rc = lk_rwlock_upgrade_until(&lock, NULL);
    lk_rwlock_unlock(&lock);
    return (void *)(intptr_t)rc;
}

T_TEST(one_reader_upgrades_when_the_others_leave_and_a_second_hears_edeadlk)
{
    for (int kind = 0; kind < 4; kind++) {
        void *rc;
        T_REQUIRE_RC(lk_rwlock_init(&lock, (enum lk_rwlock_kind)kind, 0), 0);
        lk_rwlock_rdlock(&lock);
        T_REQUIRE_RC(lk_rwlock_tryupgrade(&lock), 0);
        lk_rwlock_downgrade(&lock);
        pthread_t upgrader = begin(upgrade_once);
        T_REQUIRE_RC(lk_rwlock_tryupgrade(&lock), EBUSY);
        T_REQUIRE_RC(lk_rwlock_upgrade_until(&lock, NULL), EDEADLK);
        pthread_t writer = begin(write_once);
        lk_rwlock_rdunlock(&lock);
        T_REQUIRE_EQ(pthread_join(upgrader, &rc), 0);
        T_REQUIRE_EQ((intptr_t)rc, 0);
        join(writer);
        T_REQUIRE_EQ(lock.state_, 0);
    }
}

T_TEST(an_upgrade_that_times_out_keeps_the_read_lock)
{
    T_REQUIRE_RC(lk_rwlock_init(&lock, LK_RWLOCK_PHASE_FAIR, 0), 0);
    lk_rwlock_rdlock(&lock);
    lk_rwlock_rdlock(&lock);
    struct timespec until = time_in(CLOCK_MONOTONIC, 5 * MS);
    T_REQUIRE_RC(lk_rwlock_upgrade_until(&lock, &until), ETIMEDOUT);
    T_REQUIRE_RC(lk_rwlock_tryrdlock(&lock), 0);
    for (int i = 0; i < 3; i++)
        lk_rwlock_unlock(&lock);
    T_REQUIRE_EQ(lock.state_, 0);
}

T_TEST(a_downgrade_lets_waiting_readers_in)
{
    entered = 0;
    T_REQUIRE_RC(lk_rwlock_init(&lock, LK_RWLOCK_PHASE_FAIR, 0), 0);
    lk_rwlock_wrlock(&lock);
    pthread_t reader = begin(read_once);
    lk_rwlock_downgrade(&lock);
    join(reader);
    T_REQUIRE_EQ(__atomic_load_n(&entered, __ATOMIC_SEQ_CST), 1);
    lk_rwlock_unlock(&lock);
}

T_TEST(too_many_read_locks_are_eagain)
{
    T_REQUIRE_RC(lk_rwlock_init(&lock, LK_RWLOCK_PREFER_READER, 0), 0);
    for (int i = 0; i < 32767; i++)
        T_REQUIRE_RC(lk_rwlock_tryrdlock(&lock), 0);
    T_REQUIRE_RC(lk_rwlock_tryrdlock(&lock), EAGAIN);
    T_REQUIRE_RC(lk_rwlock_rdlock_until(&lock, NULL), EAGAIN);
    for (int i = 0; i < 32767; i++)
        lk_rwlock_rdunlock(&lock);
    T_REQUIRE_EQ(lock.state_, 0);
}

T_TEST(deadlines_of_either_clock_hold)
{
    static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};
    for (int i = 0; i < 2; i++) {
        T_REQUIRE_RC(lk_rwlock_init(&lock, LK_RWLOCK_PHASE_FAIR, 0), 0);
        lk_rwlock_wrlock(&lock);
        struct timespec until = time_in(clocks[i], 10 * MS);
        uint64_t begun_ns = t_now_ns();
        T_REQUIRE_RC(lk_rwlock_rdlock_clock(&lock, clocks[i], &until), ETIMEDOUT);
        T_REQUIRE_RC(lk_rwlock_wrlock_clock(&lock, clocks[i], &until), ETIMEDOUT);
        T_REQUIRE(t_now_ns() - begun_ns >= 9 * MS);
        until.tv_nsec = -1;
        T_REQUIRE_RC(lk_rwlock_rdlock_clock(&lock, clocks[i], &until), EINVAL);
        T_REQUIRE_RC(lk_rwlock_wrlock_clock(&lock, CLOCK_BOOTTIME, NULL), EINVAL);
        lk_rwlock_wrunlock(&lock);
        T_REQUIRE_EQ(lock.state_, 0);
    }
}

struct shared_locks {
    lk_rwlock rw;
    lk_brlock br;
};

static void write_in_child(void *arg)
{
    struct shared_locks *s = arg;
    lk_rwlock_wrlock(&s->rw);
    lk_brlock_wrlock(&s->br);
    nap();
    lk_brlock_wrunlock(&s->br);
    lk_rwlock_wrunlock(&s->rw);
}

T_TEST(shared_locks_work_across_processes)
{
    struct shared_locks *s =
        mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(s != MAP_FAILED);
    T_REQUIRE_RC(lk_rwlock_init(&s->rw, LK_RWLOCK_PHASE_FAIR, LK_SHARED), 0);
    lk_brlock_init(&s->br, LK_SHARED);
    lk_rwlock_rdlock(&s->rw);
    lk_brlock_rdlock(&s->br);
    pid_t child = t_fork(write_in_child, s);
    nap();
    lk_rwlock_rdunlock(&s->rw); /* wakes the child */
    nap();
    lk_brlock_rdunlock(&s->br);
    lk_rwlock_rdlock(&s->rw); /* woken by the child */
    lk_rwlock_rdunlock(&s->rw);
    T_REQUIRE_EQ(t_wait(child), 0);
    T_REQUIRE_RC(lk_brlock_trywrlock(&s->br), 0);
    (void)munmap(s, 8192);
}

static lk_brlock wide;

static void *read_wide(void *arg)
{
    (void)arg;
    lk_brlock_rdlock(&wide);
    __atomic_fetch_add(&entered, 1, __ATOMIC_SEQ_CST);
    lk_brlock_rdunlock(&wide);
    return NULL;
}

static void *write_wide(void *arg)
{
    (void)arg;
    lk_brlock_wrlock(&wide);
    __atomic_fetch_add(&entered, 16, __ATOMIC_SEQ_CST);
    lk_brlock_wrunlock(&wide);
    return NULL;
}

T_TEST(the_read_mostly_lock_excludes_wakes_and_times_out)
{
    entered = 0;
    lk_brlock_rdlock(&wide);
    T_REQUIRE_RC(lk_brlock_trywrlock(&wide), EBUSY);
    struct timespec until = time_in(CLOCK_MONOTONIC, 5 * MS);
    T_REQUIRE_RC(lk_brlock_wrlock_until(&wide, &until), ETIMEDOUT);
    pthread_t writer = begin(write_wide);
    T_REQUIRE_RC(lk_brlock_tryrdlock(&wide), EBUSY);
    T_REQUIRE_RC(lk_brlock_rdlock_until(&wide, &until), ETIMEDOUT);
    pthread_t reader = begin(read_wide);
    T_REQUIRE_EQ(__atomic_load_n(&entered, __ATOMIC_SEQ_CST), 0);
    lk_brlock_rdunlock(&wide);
    join(writer);
    join(reader);
    T_REQUIRE_EQ(__atomic_load_n(&entered, __ATOMIC_SEQ_CST), 17);
    T_REQUIRE_RC(lk_brlock_trywrlock(&wide), 0);
    T_REQUIRE_RC(lk_brlock_tryrdlock(&wide), EBUSY);
    lk_brlock_wrunlock(&wide);
}
