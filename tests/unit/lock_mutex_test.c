/* The mutex, the semaphore, once and the lazy pointer: results, deadlines, sharing, fork,
 * signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/mutex.h"
#include "latchkey/once.h"
#include "latchkey/sem.h"
#include "lock_time.h"
#include "test.h"

static void *lock_and_leave(void *arg)
{
    lk_mutex_lock(arg);
    return NULL;
}

static void by_other_thread(void *(*fn)(void *), void *arg)
{
    pthread_t id;
    T_REQUIRE_EQ(pthread_create(&id, NULL, fn, arg), 0);
    T_REQUIRE_EQ(pthread_join(id, NULL), 0);
}

T_TEST(a_zeroed_mutex_is_unlocked_and_has_four_bytes)
{
    lk_mutex m;
    memset(&m, 0, sizeof m);
    T_REQUIRE_EQ(sizeof m, 4);
    T_REQUIRE_RC(lk_mutex_trylock(&m), 0);
    T_REQUIRE_RC(lk_mutex_trylock(&m), EBUSY);
    lk_mutex_unlock(&m);
    lk_mutex_lock(&m);
    lk_mutex_unlock(&m);
    T_REQUIRE_EQ(m.word_, 0);
}

T_TEST(a_deadline_of_either_clock_ends_the_wait_and_not_before)
{
    static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME};
    for (int i = 0; i < 2; i++) {
        lk_mutex m = LK_MUTEX_INIT;
        by_other_thread(lock_and_leave, &m);
        uint64_t begun_ns = t_now_ns();
        struct timespec until = time_in(clocks[i], 20 * MS);
        T_REQUIRE_RC(lk_mutex_lock_clock(&m, clocks[i], &until), ETIMEDOUT);
        T_REQUIRE(t_now_ns() - begun_ns >= 19 * MS);
        T_REQUIRE_RC(lk_mutex_trylock(&m), EBUSY);
        lk_mutex_unlock(&m);
        /* A free one is locked whatever the deadline. */
        T_REQUIRE_RC(lk_mutex_lock_clock(&m, clocks[i], &until), 0);
        T_REQUIRE_RC(lk_mutex_lock_clock(&m, CLOCK_BOOTTIME, &until), EINVAL);
        until.tv_nsec = 1000000000;
        T_REQUIRE_RC(lk_mutex_lock_clock(&m, clocks[i], &until), EINVAL);
    }
}

/* Who gave up leaves nothing behind that keeps a free mutex from being tried. */
T_TEST(a_mutex_that_was_given_up_on_can_be_tried_again)
{
    lk_mutex m = LK_MUTEX_INIT;
    by_other_thread(lock_and_leave, &m);
    for (uint64_t ns = 1000; ns < 40 * 1000; ns += 3000) {
        struct timespec until = time_in(CLOCK_MONOTONIC, ns);
        T_REQUIRE_RC(lk_mutex_lock_until(&m, &until), ETIMEDOUT);
        lk_mutex_unlock(&m);
        T_REQUIRE_RC(lk_mutex_trylock(&m), 0);
    }
}

static void lock_and_exit(void *arg)
{
    lk_mutex_lock(arg);
    (void)nanosleep(&(struct timespec){.tv_nsec = 30 * MS}, NULL);
    lk_mutex_unlock(arg);
}

T_TEST(a_shared_mutex_is_locked_across_processes)
{
    lk_mutex *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(m != MAP_FAILED);
    lk_mutex_init(m, LK_SHARED);
    pid_t child = t_fork(lock_and_exit, m);
    while (lk_mutex_trylock(m) == 0)
        lk_mutex_unlock(m); /* the child is not there yet */
    lk_mutex_lock(m);       /* asleep until it unlocks */
    lk_mutex_unlock(m);
    T_REQUIRE_EQ(t_wait(child), 0);
    T_REQUIRE_EQ(m->word_, LK_MUTEX_SHARED_);
    (void)munmap(m, 4096);
}

static lk_mutex forked = LK_MUTEX_INIT;

static void before_fork(void)
{
    lk_mutex_lock(&forked);
}

static void after_fork(void)
{
    lk_mutex_unlock(&forked);
}

static void use_forked(void *arg)
{
    (void)arg;
    T_REQUIRE_RC(lk_mutex_trylock(&forked), 0);
}

/* The rule of the header: lock before fork, unlock on both sides. */
T_TEST(a_mutex_locked_before_fork_is_unlocked_on_both_sides)
{
    T_REQUIRE_EQ(pthread_atfork(before_fork, after_fork, after_fork), 0);
    T_REQUIRE_EQ(t_wait(t_fork(use_forked, NULL)), 0);
    use_forked(NULL);
}

static lk_mutex signalled = LK_MUTEX_INIT;
static volatile sig_atomic_t tried = -1;
static lk_sem posted = LK_SEM_INIT(0);

static void in_handler(int number)
{
    (void)number;
    tried = lk_mutex_trylock(&signalled);
    if (tried == 0)
        lk_mutex_unlock(&signalled);
    (void)lk_sem_post(&posted);
}

T_TEST(trylock_and_post_work_in_a_signal_handler)
{
    T_REQUIRE(signal(SIGUSR1, in_handler) != SIG_ERR);
    lk_mutex_lock(&signalled);
    (void)raise(SIGUSR1); /* interrupts the holder */
    T_REQUIRE_EQ(tried, EBUSY);
    lk_mutex_unlock(&signalled);
    (void)raise(SIGUSR1);
    T_REQUIRE_EQ(tried, 0);
    T_REQUIRE_EQ(lk_sem_value(&posted), 2);
    lk_sem_wait(&posted);
    lk_sem_wait(&posted);
    T_REQUIRE_RC(lk_sem_trywait(&posted), EAGAIN);
}

T_TEST(a_semaphore_counts_times_out_and_overflows)
{
    lk_sem s;
    T_REQUIRE_RC(lk_sem_init(&s, LK_SEM_MAX, 0), 0);
    T_REQUIRE_RC(lk_sem_post(&s), EOVERFLOW);
    T_REQUIRE_EQ(lk_sem_value(&s), LK_SEM_MAX);
    T_REQUIRE_RC(lk_sem_init(&s, LK_SEM_MAX + 1, 0), EINVAL);
    T_REQUIRE_RC(lk_sem_init(&s, 1, LK_SHARED), 0);
    lk_sem_wait(&s);
    struct timespec until = time_in(CLOCK_REALTIME, 5 * MS);
    T_REQUIRE_RC(lk_sem_wait_clock(&s, CLOCK_REALTIME, &until), ETIMEDOUT);
    T_REQUIRE_RC(lk_sem_post(&s), 0);
    T_REQUIRE_RC(lk_sem_wait_until(&s, &until), 0);
    T_REQUIRE_EQ(s.state_, LK_SEM_SHARED_);
}

/* ---- once ---------------------------------------------------------------------------------- */

static int runs;

static int succeed_third(void *arg)
{
    (void)arg;
    return ++runs < 3 ? EIO : 0;
}

T_TEST(a_failed_initialiser_is_tried_again_by_the_next)
{
    lk_once o = LK_ONCE_INIT;
    T_REQUIRE_EQ(sizeof o, 4);
    T_REQUIRE_RC(lk_once_call(&o, succeed_third, NULL), EIO);
    T_REQUIRE_RC(lk_once_call(&o, succeed_third, NULL), EIO);
    T_REQUIRE_RC(lk_once_call(&o, succeed_third, NULL), 0);
    T_REQUIRE_RC(lk_once_call(&o, succeed_third, NULL), 0);
    T_REQUIRE_EQ(runs, 3);
}

static int call_itself(void *arg)
{
    return lk_once_call(arg, call_itself, arg);
}

T_TEST(a_recursive_initialiser_gets_edeadlk)
{
    lk_once o = LK_ONCE_INIT;
    T_REQUIRE_RC(lk_once_call(&o, call_itself, &o), EDEADLK);
    T_REQUIRE_EQ(o.word_, 0);
}

static lk_once dying = LK_ONCE_INIT;
static pthread_barrier_t inside;

static int exit_inside(void *arg)
{
    (void)arg;
    (void)pthread_barrier_wait(&inside);
    (void)nanosleep(&(struct timespec){.tv_nsec = 20 * MS}, NULL);
    pthread_exit(NULL);
    return 0;
}

static int wait_for_cancellation(void *arg)
{
    (void)arg;
    (void)pthread_barrier_wait(&inside);
    for (int i = 0; i < 100; i++)
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    return 0;
}

static int succeed(void *arg)
{
    (void)arg;
    runs++;
    return 0;
}

static void *run_and_exit(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)lk_once_call(&dying, exit_inside, NULL);
}

static void *run_and_be_cancelled(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)lk_once_call(&dying, wait_for_cancellation, NULL);
}

/* Kills: lock.once_not_reset. */
T_TEST(a_thread_that_ends_inside_hands_the_initialiser_on_to_a_sleeper)
{
    for (int i = 0; i < 2; i++) {
        pthread_t id;
        runs = 0;
        dying = (lk_once)LK_ONCE_INIT;
        T_REQUIRE_EQ(pthread_barrier_init(&inside, NULL, 2), 0);
        T_REQUIRE_EQ(pthread_create(&id, NULL, i ? run_and_be_cancelled : run_and_exit, NULL), 0);
        (void)pthread_barrier_wait(&inside);
        struct timespec until = time_in(CLOCK_MONOTONIC, 5 * MS);
        T_REQUIRE_RC(lk_once_call_until(&dying, succeed, NULL, &until), ETIMEDOUT);
        if (i)
            T_REQUIRE_EQ(pthread_cancel(id), 0);
        T_REQUIRE_RC(lk_once_call(&dying, succeed, NULL), 0);
        T_REQUIRE_EQ(runs, 1);
        T_REQUIRE_EQ(pthread_join(id, NULL), 0);
    }
}

static void call_in_child(void *arg)
{
    (void)arg;
    T_REQUIRE_RC(lk_once_call(&dying, succeed, NULL), 0);
    T_REQUIRE_EQ(runs, 1);
}

T_TEST(a_child_of_fork_begins_an_initialiser_anew_that_its_parent_was_in)
{
    pthread_t id;
    runs = 0;
    T_REQUIRE_EQ(pthread_barrier_init(&inside, NULL, 2), 0);
    T_REQUIRE_EQ(pthread_create(&id, NULL, run_and_be_cancelled, NULL), 0);
    (void)pthread_barrier_wait(&inside);
    pid_t child = fork();
    T_REQUIRE(child >= 0);
    if (child == 0) {
        call_in_child(NULL);
        _exit(0);
    }
    T_REQUIRE_EQ(t_wait(child), 0);
    T_REQUIRE_EQ(pthread_cancel(id), 0);
    T_REQUIRE_EQ(pthread_join(id, NULL), 0);
}

static void *make_late(void *arg)
{
    return ++runs < 2 ? NULL : arg;
}

T_TEST(a_lazy_pointer_is_made_once_and_a_failure_is_told)
{
    static int thing;
    lk_lazy z = LK_LAZY_INIT;
    void *made = NULL;
    runs = 0;
    T_REQUIRE_RC(lk_lazy_get(&z, make_late, &thing, &made), ENOMEM);
    T_REQUIRE(made == NULL);
    for (int i = 0; i < 3; i++) {
        T_REQUIRE_RC(lk_lazy_get(&z, make_late, &thing, &made), 0);
        T_REQUIRE(made == &thing);
    }
    T_REQUIRE_EQ(runs, 2);
}
