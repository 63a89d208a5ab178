/* The locks under load: exclusion by count, endless streams that must not starve the other side,
 * and sleepers that must all be woken. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "latchkey/barrier.h"
#include "latchkey/cond.h"
#include "latchkey/rwlock.h"
#include "latchkey/sem.h"
#include "latchkey/seqlock.h"
#include "test.h"

enum { THREADS = 6, ROUNDS = 4000 };
#define MS UINT64_C(1000000)

static lk_mutex mutex;
static lk_rwlock rwlock;
static lk_brlock brlock;
static lk_seqlock seqlock;
static lk_sem sem = LK_SEM_INIT(1);
static uint64_t first, second, pair[2], sum;

static struct timespec soon(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 20000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

static void writing(void)
{
    T_REQUIRE_EQ(first, second);
    first++;
    second++;
    __atomic_fetch_add(&sum, 1, __ATOMIC_RELAXED);
}

static void reading(void)
{
    T_REQUIRE_EQ(first, second);
}

/* The shape of one worker's round, by a random number. */
typedef void round_fn(unsigned random);

static void mutex_round(unsigned random)
{
    struct timespec until = soon();
    if (random & 1)
        lk_mutex_lock(&mutex);
    else if (lk_mutex_lock_until(&mutex, &until) != 0)
        return;
    writing();
    lk_mutex_unlock(&mutex);
}

static void rwlock_read(unsigned random)
{
    struct timespec until = soon();
    if (random & 1)
        lk_rwlock_rdlock(&rwlock);
    else if (lk_rwlock_rdlock_until(&rwlock, &until) != 0)
        return;
    reading();
    if (random % 8 == 3 && lk_rwlock_upgrade_until(&rwlock, &until) == 0)
        writing();
    lk_rwlock_unlock(&rwlock);
}

static void rwlock_round(unsigned random)
{
    struct timespec until = soon();
    if (random % 3 != 0) {
        rwlock_read(random / 3);
        return;
    }
    if (random & 1)
        lk_rwlock_wrlock(&rwlock);
    else if (lk_rwlock_wrlock_until(&rwlock, &until) != 0)
        return;
    writing();
    if (random & 4) {
        lk_rwlock_downgrade(&rwlock);
        reading();
    }
    lk_rwlock_unlock(&rwlock);
}

static void brlock_round(unsigned random)
{
    struct timespec until = soon();
    if (random % 3 == 0) {
        if (random & 1)
            lk_brlock_wrlock(&brlock);
        else if (lk_brlock_wrlock_until(&brlock, &until) != 0)
            return;
        writing();
        lk_brlock_wrunlock(&brlock);
        return;
    }
    if (random & 1)
        lk_brlock_rdlock(&brlock);
    else if (lk_brlock_rdlock_until(&brlock, &until) != 0)
        return;
    reading();
    lk_brlock_rdunlock(&brlock);
}

static void seqlock_round(unsigned random)
{
    uint64_t copy[2];
    if (random % 3 != 0) {
        lk_seqlock_load(&seqlock, copy, pair, sizeof copy);
        T_REQUIRE_EQ(copy[0], copy[1]);
        return;
    }
    lk_seqlock_lock(&seqlock);
    lk_seqlock_get(copy, pair, sizeof copy);
    copy[0]++;
    copy[1]++;
    lk_seqlock_put(pair, copy, sizeof copy);
    lk_seqlock_unlock(&seqlock);
}

static void sem_round(unsigned random)
{
    struct timespec until = soon();
    if (random & 1)
        lk_sem_wait(&sem);
    else if (lk_sem_wait_until(&sem, &until) != 0)
        return;
    writing();
    T_REQUIRE_RC(lk_sem_post(&sem), 0);
}

static void *work(void *arg)
{
    round_fn *round = *(round_fn **)arg;
    unsigned random = (unsigned)(uintptr_t)&random;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1103515245u + 12345u;
        round(random >> 8);
    }
    return NULL;
}

static void all_work(round_fn *round)
{
    pthread_t ids[THREADS];
    first = second = sum = 0;
    for (int i = 0; i < THREADS; i++)
        T_REQUIRE_EQ(pthread_create(&ids[i], NULL, work, &round), 0);
    for (int i = 0; i < THREADS; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
    T_REQUIRE_EQ(first, sum);
    T_REQUIRE_EQ(second, sum);
}

/* Kills: lock.mutex_sleeper_forgets_others. */
T_TEST(one_at_a_time_and_nobody_sleeps_for_ever_mutex)
{
    all_work(mutex_round);
    T_REQUIRE_RC(lk_mutex_trylock(&mutex), 0);
}

T_TEST(one_at_a_time_and_nobody_sleeps_for_ever_rwlock)
{
    for (int kind = 0; kind < 4; kind++) {
        T_REQUIRE_RC(lk_rwlock_init(&rwlock, (enum lk_rwlock_kind)kind, 0), 0);
        all_work(rwlock_round);
        T_REQUIRE_EQ(rwlock.state_, 0);
    }
}

T_TEST(one_at_a_time_and_nobody_sleeps_for_ever_read_mostly)
{
    all_work(brlock_round);
    T_REQUIRE_RC(lk_brlock_trywrlock(&brlock), 0);
}

T_TEST(no_copy_is_torn_and_nobody_sleeps_for_ever_seqlock)
{
    all_work(seqlock_round);
    T_REQUIRE_EQ(pair[0], pair[1]);
}

T_TEST(one_at_a_time_and_nobody_sleeps_for_ever_semaphore)
{
    all_work(sem_round);
    T_REQUIRE_EQ(sem.state_, 1);
}

/* ---- starvation ---------------------------------------------------------------------------- */

static uint32_t stop;

static bool go_on(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED) == 0;
}

/* A section that lasts; the streams overlap, so that somebody is always inside. */
static void linger(void)
{
    uint64_t until_ns = t_now_ns() + 20000;
    while (t_now_ns() < until_ns)
        ;
}

static void *read_on(void *arg)
{
    (void)arg;
    while (go_on()) {
        lk_rwlock_rdlock(&rwlock);
        linger();
        lk_rwlock_rdunlock(&rwlock);
    }
    return NULL;
}

static void *write_on(void *arg)
{
    (void)arg;
    while (go_on()) {
        lk_rwlock_wrlock(&rwlock);
        linger();
        lk_rwlock_wrunlock(&rwlock);
    }
    return NULL;
}

enum { TIMES = 5 };

/* Four threads stream; one of the other side gets in TIMES times, or the test runs out of time. */
static void gets_in(enum lk_rwlock_kind kind, bool writer)
{
    pthread_t ids[4];
    uint64_t longest_ns = 0;
    stop = 0;
    T_REQUIRE_RC(lk_rwlock_init(&rwlock, kind, 0), 0);
    for (int i = 0; i < 4; i++)
        T_REQUIRE_EQ(pthread_create(&ids[i], NULL, writer ? read_on : write_on, NULL), 0);
    for (int times = 0; times < TIMES; times++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 5 * MS}, NULL); /* the stream flows */
        uint64_t begun_ns = t_now_ns();
        if (writer) {
            lk_rwlock_wrlock(&rwlock);
            lk_rwlock_wrunlock(&rwlock);
        } else {
            lk_rwlock_rdlock(&rwlock);
            lk_rwlock_rdunlock(&rwlock);
        }
        uint64_t ns = t_now_ns() - begun_ns;
        longest_ns = ns > longest_ns ? ns : longest_ns;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 4; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
    T_LOG("kind %d: a %s waited %.3f ms at most", (int)kind, writer ? "writer" : "reader",
          (double)longest_ns / 1e6);
}

/* Kills: lock.nonrecursive_lets_readers_pass. */
T_TEST(a_writer_gets_in_under_an_endless_stream_of_readers)
{
    gets_in(LK_RWLOCK_PREFER_WRITER_NONRECURSIVE, true);
    gets_in(LK_RWLOCK_PHASE_FAIR, true);
}

/* Kills: lock.readers_not_let_in. */
T_TEST(a_reader_gets_in_under_an_endless_stream_of_writers)
{
    gets_in(LK_RWLOCK_PREFER_READER, false);
    gets_in(LK_RWLOCK_PHASE_FAIR, false);
}

static void *hog(void *arg)
{
    (void)arg;
    while (go_on()) {
        lk_mutex_lock(&mutex);
        linger();
        lk_mutex_unlock(&mutex);
    }
    return NULL;
}

/* Threads that lock again at once cannot keep a sleeper out: the hand-off. */
T_TEST(a_sleeper_gets_the_mutex_under_threads_that_lock_again_at_once)
{
    pthread_t ids[4];
    for (int i = 0; i < 4; i++)
        T_REQUIRE_EQ(pthread_create(&ids[i], NULL, hog, NULL), 0);
    for (int times = 0; times < TIMES; times++) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 5 * MS}, NULL);
        lk_mutex_lock(&mutex);
        lk_mutex_unlock(&mutex);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 4; i++)
        T_REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
}

/* ---- two sleepers -------------------------------------------------------------------------- */

static uint32_t through;

static void *pass_writing(void *arg)
{
    (void)arg;
    lk_rwlock_wrlock(&rwlock);
    lk_rwlock_wrunlock(&rwlock);
    __atomic_fetch_add(&through, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void *pass_reading(void *arg)
{
    (void)arg;
    lk_rwlock_rdlock(&rwlock);
    lk_rwlock_rdunlock(&rwlock);
    __atomic_fetch_add(&through, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void *pass_mutex(void *arg)
{
    (void)arg;
    lk_mutex_lock(&mutex);
    lk_mutex_unlock(&mutex);
    __atomic_fetch_add(&through, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void sleep_both(void *(*one)(void *), void *(*two)(void *), void (*unlock)(void))
{
    pthread_t ids[2];
    through = 0;
    T_REQUIRE_EQ(pthread_create(&ids[0], NULL, one, NULL), 0);
    T_REQUIRE_EQ(pthread_create(&ids[1], NULL, two, NULL), 0);
    (void)nanosleep(&(struct timespec){.tv_nsec = 3 * MS}, NULL);
    T_REQUIRE_EQ(__atomic_load_n(&through, __ATOMIC_RELAXED), 0);
    unlock(); /* one wake; the other sleeper's comes from the one that it woke */
    T_REQUIRE_EQ(pthread_join(ids[0], NULL), 0);
    T_REQUIRE_EQ(pthread_join(ids[1], NULL), 0);
    T_REQUIRE_EQ(through, 2);
}

static void unlock_rwlock(void)
{
    lk_rwlock_unlock(&rwlock);
}

static void unlock_mutex(void)
{
    lk_mutex_unlock(&mutex);
}

/* Kills: lock.mutex_sleeper_forgets_others, lock.writer_forgets_others. */
T_TEST(two_sleepers_of_every_sort_are_both_woken)
{
    for (int i = 0; i < 10; i++) {
        lk_mutex_lock(&mutex);
        sleep_both(pass_mutex, pass_mutex, unlock_mutex);
        for (int kind = 0; kind < 4; kind++) {
            T_REQUIRE_RC(lk_rwlock_init(&rwlock, (enum lk_rwlock_kind)kind, 0), 0);
            lk_rwlock_wrlock(&rwlock);
            sleep_both(pass_writing, pass_writing, unlock_rwlock);
            lk_rwlock_wrlock(&rwlock);
            sleep_both(pass_reading, pass_writing, unlock_rwlock);
            lk_rwlock_wrlock(&rwlock);
            sleep_both(pass_reading, pass_reading, unlock_rwlock);
            lk_rwlock_rdlock(&rwlock);
            sleep_both(pass_writing, pass_writing, unlock_rwlock);
        }
    }
}
