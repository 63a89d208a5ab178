/* The condition, the barrier and the sequence lock. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "latchkey/barrier.h"
#include "latchkey/cond.h"
#include "latchkey/seqlock.h"
#include "lock_time.h"
#include "test.h"

enum { WAITERS = 8 };

static lk_mutex mutex;
static lk_rwlock rwlock = LK_RWLOCK_INIT(LK_RWLOCK_PHASE_FAIR);
static lk_cond cond;
static int waiting, woken, tokens;

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
}

static void *wait_for_token(void *arg)
{
    (void)arg;
    lk_mutex_lock(&mutex);
    waiting++;
    while (tokens == 0)
        lk_cond_wait(&cond, &mutex);
    tokens--;
    woken++;
    lk_mutex_unlock(&mutex);
    return NULL;
}

static void begin_waiters(pthread_t ids[WAITERS], void *(*fn)(void *))
{
    for (int i = 0; i < WAITERS; i++)
        T_REQUIRE_EQ(pthread_create(&ids[i], NULL, fn, NULL), 0);
    for (int there = 0; there < WAITERS; nap()) {
        lk_mutex_lock(&mutex);
        there = waiting;
        lk_mutex_unlock(&mutex);
    }
}

/* Kills: lock.cond_chain_breaks. */
T_TEST(a_signal_wakes_one_and_a_broadcast_all)
{
    pthread_t ids[WAITERS];
    T_REQUIRE_EQ(sizeof cond, 8);
    begin_waiters(ids, wait_for_token);
    lk_mutex_lock(&mutex);
    tokens = 1;
    lk_cond_signal(&cond);
    lk_mutex_unlock(&mutex);
    nap();
    lk_mutex_lock(&mutex);
    T_REQUIRE_EQ(woken, 1);
    tokens = WAITERS - 1;
    lk_mutex_unlock(&mutex);
    lk_cond_broadcast(&cond); /* without the lock */
    for (int i = 0; i < WAITERS; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
    T_REQUIRE_EQ(woken, WAITERS);
    T_REQUIRE_EQ(cond.waiters_ & 0xfffff, 0);
}

static bool have_token(void *arg)
{
    return *(int *)arg > 0;
}

static void *wait_by_predicate(void *arg)
{
    (void)arg;
    lk_mutex_lock(&mutex);
    waiting++;
    T_REQUIRE_RC(lk_cond_wait_for(&cond, &mutex, have_token, &tokens, NULL), 0);
    woken++;
    lk_mutex_unlock(&mutex);
    return NULL;
}

T_TEST(the_predicate_form_waits_for_its_predicate)
{
    pthread_t ids[WAITERS];
    begin_waiters(ids, wait_by_predicate);
    lk_cond_broadcast(&cond); /* for no reason */
    nap();
    lk_mutex_lock(&mutex);
    T_REQUIRE_EQ(woken, 0);
    tokens = 1;
    lk_cond_broadcast(&cond);
    lk_mutex_unlock(&mutex);
    for (int i = 0; i < WAITERS; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
    T_REQUIRE_EQ(woken, WAITERS);
}

T_TEST(a_wait_times_out_with_the_lock_held)
{
    struct timespec until = time_in(CLOCK_MONOTONIC, 10 * MS);
    lk_mutex_lock(&mutex);
    T_REQUIRE_RC(lk_cond_wait_until(&cond, &mutex, &until), ETIMEDOUT);
    T_REQUIRE_RC(lk_mutex_trylock(&mutex), EBUSY);
    T_REQUIRE_RC(lk_cond_wait_for(&cond, &mutex, have_token, &tokens, &until), ETIMEDOUT);
    until = time_in(CLOCK_REALTIME, 10 * MS);
    T_REQUIRE_RC(lk_cond_wait_clock(&cond, &mutex, CLOCK_REALTIME, &until), ETIMEDOUT);
    until.tv_nsec = 1000000000;
    T_REQUIRE_RC(lk_cond_wait_until(&cond, &mutex, &until), EINVAL);
    T_REQUIRE_RC(lk_mutex_trylock(&mutex), EBUSY);
    lk_mutex_unlock(&mutex);
}

static void *wait_under_rwlock(void *arg)
{
    if (arg == NULL) {
        lk_rwlock_rdlock(&rwlock);
        __atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
        while (tokens == 0)
            T_REQUIRE_RC(lk_cond_wait_rd_until(&cond, &rwlock, NULL), 0);
        lk_rwlock_rdunlock(&rwlock);
        return NULL;
    }
    lk_rwlock_wrlock(&rwlock);
    __atomic_fetch_add(&waiting, 1, __ATOMIC_SEQ_CST);
    while (tokens == 0)
        T_REQUIRE_RC(lk_cond_wait_wr_until(&cond, &rwlock, NULL), 0);
    lk_rwlock_wrunlock(&rwlock);
    return NULL;
}

T_TEST(a_condition_works_under_read_and_write_locks)
{
    pthread_t ids[3];
    for (intptr_t i = 0; i < 3; i++)
        T_REQUIRE_EQ(pthread_create(&ids[i], NULL, wait_under_rwlock, (void *)(i / 2)), 0);
    while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < 3)
        nap();
    lk_rwlock_wrlock(&rwlock);
    tokens = 1;
    lk_rwlock_wrunlock(&rwlock);
    lk_cond_broadcast(&cond);
    for (int i = 0; i < 3; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
}

/* ---- barrier ------------------------------------------------------------------------------- */

enum { MEETINGS = 2000, MEMBERS = 3 };
static lk_barrier barrier = LK_BARRIER_INIT(MEMBERS);
static int came[MEETINGS], last;

static void *meet(void *arg)
{
    (void)arg;
    for (int i = 0; i < MEETINGS; i++) {
        __atomic_fetch_add(&came[i], 1, __ATOMIC_RELAXED);
        int rc = lk_barrier_wait(&barrier);
        T_REQUIRE(rc == 0 || rc == LK_BARRIER_LAST);
        __atomic_fetch_add(&last, rc, __ATOMIC_RELAXED);
        T_REQUIRE_EQ(__atomic_load_n(&came[i], __ATOMIC_RELAXED), MEMBERS);
    }
    return NULL;
}

T_TEST(a_barrier_is_used_again_at_once)
{
    pthread_t ids[MEMBERS];
    for (int i = 0; i < MEMBERS; i++)
        T_REQUIRE_EQ(pthread_create(&ids[i], NULL, meet, NULL), 0);
    for (int i = 0; i < MEMBERS; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
    T_REQUIRE_EQ(last, MEETINGS);
    T_REQUIRE_RC(lk_barrier_init(&barrier, 0, 0), EINVAL);
    T_REQUIRE_RC(lk_barrier_init(&barrier, 1, LK_SHARED), 0);
    T_REQUIRE_RC(lk_barrier_wait(&barrier), LK_BARRIER_LAST);
}

T_TEST(who_gives_up_at_a_barrier_is_not_counted)
{
    struct timespec until = time_in(CLOCK_MONOTONIC, 5 * MS);
    lk_barrier b = LK_BARRIER_INIT(2);
    T_REQUIRE_RC(lk_barrier_wait_until(&b, &until), ETIMEDOUT);
    T_REQUIRE_EQ(b.state_, 0);
    until.tv_nsec = -1;
    T_REQUIRE_RC(lk_barrier_wait_until(&b, &until), EINVAL);
}

/* ---- seqlock ------------------------------------------------------------------------------- */

T_TEST(a_seqlock_reads_what_was_written_in_any_size)
{
    lk_seqlock l = LK_SEQLOCK_INIT;
    unsigned char guarded[64] = {0}, in[64] = {0}, out[64];
    T_REQUIRE_EQ(sizeof l, 8);
    for (size_t size = 0; size <= 64; size++) {
        for (size_t i = 0; i < size; i++)
            in[i] = (unsigned char)(size * 7 + i);
        lk_seqlock_store(&l, guarded, in, size);
        lk_seqlock_load(&l, out, guarded, size);
        T_REQUIRE(memcmp(in, out, size) == 0);
        T_REQUIRE_EQ(l.word_, (size + 1) * LK_SEQLOCK_ONE_);
    }
    lk_seqlock_store(&l, guarded + 1, in, 16); /* not aligned */
    lk_seqlock_load(&l, out, guarded + 1, 16);
    T_REQUIRE(memcmp(in, out, 16) == 0);
}

static lk_seqlock seqlock;
static uint64_t pair[2];

static void *read_pair(void *arg)
{
    (void)arg;
    uint64_t seen[2];
    lk_seqlock_load(&seqlock, seen, pair, sizeof seen);
    T_REQUIRE_EQ(seen[0], seen[1]);
    return (void *)(uintptr_t)seen[0];
}

static uint64_t ns_of(clockid_t clock)
{
    struct timespec t;
    T_REQUIRE_EQ(clock_gettime(clock, &t), 0);
    return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

/* A reader waits for a writer that stays inside, and does not spin: it is asleep. */
T_TEST(readers_and_writers_wait_for_a_writer_inside)
{
    static const uint64_t two[2] = {2, 2};
    pthread_t reader;
    void *seen;
    lk_seqlock_lock(&seqlock);
    T_REQUIRE_RC(lk_seqlock_trylock(&seqlock), EBUSY);
    struct timespec until = time_in(CLOCK_MONOTONIC, 5 * MS);
    T_REQUIRE_RC(lk_seqlock_lock_until(&seqlock, &until), ETIMEDOUT);
    T_REQUIRE_EQ(pthread_create(&reader, NULL, read_pair, NULL), 0);
    clockid_t its_clock;
    T_REQUIRE_EQ(pthread_getcpuclockid(reader, &its_clock), 0);
    uint64_t used_ns;
    do { /* until it uses no more time: one that spun on would for ever */
        used_ns = ns_of(its_clock);
        nap();
    } while (used_ns == 0 || ns_of(its_clock) != used_ns);
    lk_seqlock_put(pair, two, sizeof two);
    lk_seqlock_unlock(&seqlock);
    T_REQUIRE_EQ(pthread_join(reader, &seen), 0);
    T_REQUIRE_EQ((uintptr_t)seen, 2);
}
