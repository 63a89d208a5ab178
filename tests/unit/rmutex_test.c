/* Every result of rmutex.h, in a segment, without killing at chosen steps (tests/kill does that).
 * */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "test.h"

enum { MS = 1000000, SLOTS = 3 };

static lk_seg *new_seg(void)
{
    lk_seg *s = NULL;
    T_REQUIRE_RC(lk_seg_create_anonymous(&s, 4096, SLOTS), 0);
    return s;
}

static struct timespec in_ns(uint64_t ns)
{
    uint64_t at = t_now_ns() + ns;
    return (struct timespec){.tv_sec = (time_t)(at / 1000000000u),
                             .tv_nsec = (long)(at % 1000000000u)};
}

T_TEST(locks_and_unlocks)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    for (int i = 0; i < 1000; i++) {
        T_REQUIRE_RC(i % 2 ? lk_rmutex_lock(m) : lk_rmutex_trylock(m), 0);
        T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    }
    T_REQUIRE_EQ(m->word_, 0); /* as it began */
    /* Several at once, released in any order. */
    for (int i = 0; i < 10; i++)
        T_REQUIRE_RC(lk_rmutex_lock(&m[i]), 0);
    for (int i = 0; i < 10; i++)
        T_REQUIRE_RC(lk_rmutex_unlock(&m[i * 7 % 10]), 0);
    lk_seg_close(s);
}

T_TEST(a_mutex_outside_every_segment_is_einval)
{
    static lk_rmutex outside;
    lk_seg *s = new_seg();
    char *memory = lk_seg_memory(s);
    struct timespec now = in_ns(0);
    T_REQUIRE_RC(lk_rmutex_lock(&outside), EINVAL);
    T_REQUIRE_RC(lk_rmutex_trylock(&outside), EINVAL);
    T_REQUIRE_RC(lk_rmutex_lock_until(&outside, &now), EINVAL);
    T_REQUIRE_RC(lk_rmutex_lock(NULL), EINVAL);
    T_REQUIRE_RC(lk_rmutex_lock((lk_rmutex *)(void *)(memory + 2)), EINVAL); /* not aligned */
    T_REQUIRE_RC(lk_rmutex_consistent(&outside), EINVAL);
    T_REQUIRE(lk_rmutex_unlock(&outside) != 0);
    T_REQUIRE_EQ(outside.word_, 0);
    lk_rmutex *m = (lk_rmutex *)(void *)memory;
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    lk_seg_close(s);
    T_REQUIRE_RC(lk_rmutex_lock(m), EINVAL); /* no longer attached */
}

T_TEST(the_holder_asking_again_is_edeadlk)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    struct timespec later = in_ns(1000ull * MS);
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    T_REQUIRE_RC(lk_rmutex_lock(m), EDEADLK);
    T_REQUIRE_RC(lk_rmutex_trylock(m), EDEADLK);
    T_REQUIRE_RC(lk_rmutex_lock_until(m, &later), EDEADLK);
    T_REQUIRE_RC(lk_rmutex_consistent(m), EINVAL); /* it is not inconsistent */
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), EPERM);
    lk_seg_close(s);
}

T_TEST(a_bad_deadline_is_einval)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    struct timespec bad[] = {{0, 1000000000}, {0, -1}, {0, INT32_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        T_REQUIRE_RC(lk_rmutex_lock_until(m, &bad[i]), EINVAL);
        T_REQUIRE_EQ(m->word_, 0);
    }
    struct timespec past = {1, 0};
    T_REQUIRE_RC(lk_rmutex_lock_until(m, &past), 0); /* free: no waiting, no time-out */
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    lk_seg_close(s);
}

struct other {
    lk_rmutex *m;
    int (*act)(lk_rmutex *m);
    int rc;
};

static void *act_in_thread(void *arg)
{
    struct other *o = arg;
    o->rc = o->act(o->m);
    return NULL;
}

/* What the call returns in another thread, which then ends. */
static int from_other_thread(lk_rmutex *m, int (*act)(lk_rmutex *m))
{
    struct other o = {.m = m, .act = act, .rc = -99};
    pthread_t t;
    T_REQUIRE_EQ(pthread_create(&t, NULL, act_in_thread, &o), 0);
    T_REQUIRE_EQ(pthread_join(t, NULL), 0);
    return o.rc;
}

static uint64_t waited_ns;

static int lock_for_50_ms(lk_rmutex *m)
{
    uint64_t begun = t_now_ns();
    struct timespec until = in_ns(50ull * MS);
    int rc = lk_rmutex_lock_until(m, &until);
    waited_ns = t_now_ns() - begun;
    return rc;
}

static int lock_until_the_past(lk_rmutex *m)
{
    struct timespec past = {0, 0};
    return lk_rmutex_lock_until(m, &past);
}

T_TEST(others_wait_until_their_deadline)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    T_REQUIRE_RC(from_other_thread(m, lk_rmutex_trylock), EBUSY);
    T_REQUIRE_RC(from_other_thread(m, lock_until_the_past), ETIMEDOUT);
    T_REQUIRE_RC(from_other_thread(m, lock_for_50_ms), ETIMEDOUT);
    T_REQUIRE(waited_ns >= 50ull * MS);
    if (waited_ns > 2000ull * MS)
        T_FAIL("a wait of 50 ms took %llu ms", (unsigned long long)(waited_ns / MS));
    T_REQUIRE_RC(from_other_thread(m, lk_rmutex_unlock), EPERM);
    T_REQUIRE_RC(from_other_thread(m, lk_rmutex_consistent), EINVAL);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    T_REQUIRE_RC(lk_rmutex_lock(m), 0); /* nothing of the above has changed it */
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    lk_seg_close(s);
}

/* A thread that ends with the mutex: the next one hears of it, repairs, and all is well. */
T_TEST(a_holder_that_ends_leaves_eownerdead)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    for (int i = 0; i < 20; i++) {
        T_REQUIRE_RC(from_other_thread(m, lk_rmutex_lock), 0);
        int rc = i % 2 ? lk_rmutex_lock(m) : lk_rmutex_trylock(m);
        T_REQUIRE_RC(rc, EOWNERDEAD);
        T_REQUIRE_RC(from_other_thread(m, lk_rmutex_consistent), EINVAL);
        T_REQUIRE_RC(lk_rmutex_consistent(m), 0);
        T_REQUIRE_RC(lk_rmutex_consistent(m), EINVAL); /* it is by now */
        T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
        T_REQUIRE_RC(lk_rmutex_lock(m), 0);
        T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    }
    lk_seg_close(s);
}

/* The repairer ends too: again EOWNERDEAD, not ENOTRECOVERABLE. */
T_TEST(a_repairer_that_ends_leaves_eownerdead)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    T_REQUIRE_RC(from_other_thread(m, lk_rmutex_lock), 0);
    for (int i = 0; i < 5; i++)
        T_REQUIRE_RC(from_other_thread(m, lk_rmutex_lock), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_lock(m), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_consistent(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    lk_seg_close(s);
}

T_TEST(unlocking_without_repair_is_for_ever)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    T_REQUIRE_RC(from_other_thread(m, lk_rmutex_lock), 0);
    T_REQUIRE_RC(lk_rmutex_lock(m), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    T_REQUIRE_RC(lk_rmutex_lock(m), ENOTRECOVERABLE);
    T_REQUIRE_RC(lk_rmutex_trylock(m), ENOTRECOVERABLE);
    T_REQUIRE_RC(from_other_thread(m, lk_rmutex_lock), ENOTRECOVERABLE);
    T_REQUIRE_RC(lk_rmutex_consistent(m), EINVAL);
    T_REQUIRE_RC(lk_rmutex_unlock(m), EPERM);
    lk_seg_close(s);
}

struct sleepers {
    lk_rmutex *m;
    pthread_barrier_t begin;
    int rcs[SLOTS];
    int next;
};

static void *sleep_for_it(void *arg)
{
    struct sleepers *w = arg;
    (void)pthread_barrier_wait(&w->begin);
    int rc = lk_rmutex_lock(w->m);
    w->rcs[__atomic_fetch_add(&w->next, 1, __ATOMIC_SEQ_CST)] = rc;
    if (rc == 0 || rc == EOWNERDEAD)
        T_REQUIRE_RC(lk_rmutex_unlock(w->m), 0);
    return NULL;
}

/* All sleepers hear of it when the mutex is lost. */
T_TEST(sleepers_hear_that_it_is_lost)
{
    lk_seg *s = new_seg();
    struct sleepers w = {.m = lk_seg_memory(s)};
    pthread_t threads[SLOTS - 1];
    T_REQUIRE_RC(from_other_thread(w.m, lk_rmutex_lock), 0);
    T_REQUIRE_RC(lk_rmutex_lock(w.m), EOWNERDEAD);
    (void)pthread_barrier_init(&w.begin, NULL, SLOTS);
    for (int i = 0; i < SLOTS - 1; i++)
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, sleep_for_it, &w), 0);
    (void)pthread_barrier_wait(&w.begin);
    (void)nanosleep(&(struct timespec){.tv_nsec = 30 * MS}, NULL);
    T_REQUIRE_RC(lk_rmutex_unlock(w.m), 0);
    for (int i = 0; i < SLOTS - 1; i++) {
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
        T_REQUIRE_RC(w.rcs[i], ENOTRECOVERABLE);
    }
    lk_seg_close(s);
}

static lk_seg *crowded;

static void *hold_slot(void *arg)
{
    lk_rmutex *m = lk_seg_memory(crowded);
    pthread_barrier_t *both = arg;
    T_REQUIRE_RC(lk_rmutex_lock(&m[1]), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(&m[1]), 0);
    (void)pthread_barrier_wait(both);
    (void)pthread_barrier_wait(both);
    lk_seg_detach(crowded);
    (void)pthread_barrier_wait(both);
    (void)pthread_barrier_wait(both);
    return NULL;
}

/* As many threads as slots, and one more. */
T_TEST(a_thread_without_a_slot_is_lk_ethreads_until_one_detaches)
{
    pthread_t threads[SLOTS];
    pthread_barrier_t both;
    crowded = new_seg();
    lk_rmutex *m = lk_seg_memory(crowded);
    (void)pthread_barrier_init(&both, NULL, SLOTS + 1);
    for (int i = 0; i < SLOTS; i++)
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, hold_slot, &both), 0);
    (void)pthread_barrier_wait(&both);
    T_REQUIRE_RC(lk_rmutex_lock(m), LK_ETHREADS);
    T_REQUIRE_RC(lk_rmutex_trylock(m), LK_ETHREADS);
    T_REQUIRE_EQ(m->word_, 0);
    (void)pthread_barrier_wait(&both);
    (void)pthread_barrier_wait(&both); /* they have detached, and live */
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    (void)pthread_barrier_wait(&both);
    for (int i = 0; i < SLOTS; i++)
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
    lk_seg_close(crowded);
}

T_TEST(detaching_and_attaching_again_works_any_number_of_times)
{
    lk_seg *s = new_seg();
    lk_rmutex *m = lk_seg_memory(s);
    lk_seg_detach(s); /* not attached: nothing happens */
    for (int i = 0; i < 3000; i++) {
        T_REQUIRE_RC(lk_rmutex_lock(m), 0);
        T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
        lk_seg_detach(s);
    }
    lk_seg_close(s);
}

/* A segment that was opened read-only cannot be locked. */
T_TEST(a_read_only_segment_is_erofs)
{
    char path[64];
    lk_seg *s = new_seg(), *reader = NULL;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", lk_seg_fd(s));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    T_REQUIRE(fd >= 0);
    T_REQUIRE_RC(lk_seg_open_fd(&reader, fd), 0);
    T_REQUIRE_EQ(lk_seg_size(reader), 4096);
    T_REQUIRE_RC(lk_rmutex_lock(lk_seg_memory(reader)), EROFS);
    T_REQUIRE_RC(lk_rmutex_trylock(lk_seg_memory(reader)), EROFS);
    lk_seg_close(reader);
    lk_seg_close(s);
    (void)close(fd);
}

/* The kernel's list works beside the program's own robust mutexes. */
T_TEST(pthread_robust_mutexes_work_beside_ours)
{
    lk_seg *s = new_seg();
    lk_rmutex *ours = lk_seg_memory(s);
    pthread_mutex_t *theirs = (pthread_mutex_t *)(void *)((char *)lk_seg_memory(s) + 1024);
    pthread_mutexattr_t attributes;
    (void)pthread_mutexattr_init(&attributes);
    (void)pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    (void)pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < 4; i++)
        T_REQUIRE_EQ(pthread_mutex_init(&theirs[i], &attributes), 0);
    for (int round = 0; round < 10; round++) {
        pid_t child = fork();
        T_REQUIRE(child >= 0);
        if (child == 0) {
            int bad = pthread_mutex_lock(&theirs[0]) != 0;
            bad |= lk_rmutex_lock(&ours[0]) != 0;
            bad |= pthread_mutex_lock(&theirs[1]) != 0;
            bad |= lk_rmutex_lock(&ours[1]) != 0;
            lk_rmutex_unlock(&ours[0]);
            pthread_mutex_unlock(&theirs[0]);
            _exit(bad);
        }
        T_REQUIRE_EQ(t_wait(child), 0);
        T_REQUIRE_RC(lk_rmutex_trylock(&ours[0]), 0);
        T_REQUIRE_RC(lk_rmutex_trylock(&ours[1]), EOWNERDEAD);
        T_REQUIRE_RC(lk_rmutex_consistent(&ours[1]), 0);
        T_REQUIRE_EQ(pthread_mutex_trylock(&theirs[0]), 0);
        T_REQUIRE_EQ(pthread_mutex_trylock(&theirs[1]), EOWNERDEAD);
        T_REQUIRE_EQ(pthread_mutex_consistent(&theirs[1]), 0);
        for (int i = 0; i < 2; i++) {
            T_REQUIRE_EQ(pthread_mutex_unlock(&theirs[i]), 0);
            T_REQUIRE_RC(lk_rmutex_unlock(&ours[i]), 0);
        }
    }
    lk_seg_close(s);
}
