/* identity_test.c - a holder is known for what it is, not by its pid: whatever way it ends it is
 * found dead, and nobody else is, in any pid namespace and with any pid used again.
 * Runs in: dev kill */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "test.h"

enum { NO_NAMESPACE = 3, LIMIT_MS = 5000 };

/* What the processes of a test tell each other beside the segment. */
struct stage {
    _Atomic int held, go_on;
    _Atomic pid_t pid; /* in the test's namespace */
};

struct scene {
    lk_seg *seg;
    lk_rmutex *mutex;
    struct stage *stage;
};

static struct scene scene_make(unsigned threads)
{
    struct scene s;
    (void)t_tmpdir();
    T_REQUIRE_RC(lk_seg_create(&s.seg, "shared", 64, threads), 0);
    s.mutex = lk_seg_memory(s.seg);
    s.stage =
        mmap(NULL, sizeof *s.stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(s.stage != MAP_FAILED);
    return s;
}

static void await(const _Atomic int *flag)
{
    uint64_t end = t_now_ns() + LIMIT_MS * 1000000ull;
    while (!atomic_load(flag)) {
        if (t_now_ns() > end)
            T_FAIL("waited in vain");
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

static struct timespec in_ms(unsigned ms)
{
    uint64_t at = t_now_ns() + ms * 1000000ull;
    return (struct timespec){(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
}

static int lock_within(lk_rmutex *m, unsigned ms)
{
    struct timespec deadline = in_ms(ms);
    return lk_rmutex_lock_until(m, &deadline);
}

/* Told of a death, once, and the mutex is as good as new. */
static void require_recovered(lk_rmutex *m)
{
    T_REQUIRE_RC(lock_within(m, LIMIT_MS), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_consistent(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    T_REQUIRE_RC(lk_rmutex_trylock(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
}

static void kill_and_wait(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    T_REQUIRE_EQ(t_wait(pid), -SIGKILL);
}

/* Ways to end. */

static void hold(const struct scene *s)
{
    T_REQUIRE_RC(lk_rmutex_lock(s->mutex), 0);
    atomic_store(&s->stage->held, 1);
}

static void hold_and_pause(void *arg)
{
    hold(arg);
    for (;;)
        (void)pause();
}

static void hold_and_exit(void *arg)
{
    hold(arg);
    _exit(0);
}

static void hold_and_exec(void *arg)
{
    hold(arg);
    (void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
    T_FAIL("exec: %s", strerror(errno));
}

T_TEST(a_killed_holder_is_found_dead)
{
    struct scene s = scene_make(4);
    pid_t pid = t_fork(hold_and_pause, &s);
    await(&s.stage->held);
    T_REQUIRE_RC(lk_rmutex_trylock(s.mutex), EBUSY);
    kill_and_wait(pid);
    require_recovered(s.mutex);
    lk_seg_close(s.seg);
}

T_TEST(a_stopped_holder_is_not_dead)
{
    struct scene s = scene_make(4);
    pid_t pid = t_fork(hold_and_pause, &s);
    await(&s.stage->held);
    (void)kill(pid, SIGSTOP);
    T_REQUIRE_EQ(waitpid(pid, NULL, WUNTRACED), pid);
    T_REQUIRE_RC(lock_within(s.mutex, 100), ETIMEDOUT);
    kill_and_wait(pid);
    require_recovered(s.mutex);
    lk_seg_close(s.seg);
}

T_TEST(a_holder_that_exits_is_found_dead)
{
    struct scene s = scene_make(4);
    T_REQUIRE_EQ(t_wait(t_fork(hold_and_exit, &s)), 0);
    require_recovered(s.mutex);
    lk_seg_close(s.seg);
}

/* The process lives on, as another program. */
T_TEST(a_holder_that_execs_is_found_dead)
{
    struct scene s = scene_make(4);
    pid_t pid = t_fork(hold_and_exec, &s);
    await(&s.stage->held);
    require_recovered(s.mutex);
    T_REQUIRE_EQ(waitpid(pid, NULL, WNOHANG), 0);
    kill_and_wait(pid);
    lk_seg_close(s.seg);
}

static void *hold_and_end(void *arg)
{
    hold(arg);
    pthread_exit(NULL);
}

static void *hold_until_cancelled(void *arg)
{
    hold(arg);
    while (pause() != 0)
        ;
    return NULL;
}

T_TEST(a_thread_that_ends_with_the_lock_is_found_dead)
{
    struct scene s = scene_make(4);
    pthread_t thread;
    T_REQUIRE_EQ(pthread_create(&thread, NULL, hold_and_end, &s), 0);
    await(&s.stage->held);
    require_recovered(s.mutex); /* sleeps until the thread is gone, if need be */
    T_REQUIRE_EQ(pthread_join(thread, NULL), 0);
    lk_seg_close(s.seg);
}

T_TEST(a_cancelled_thread_is_found_dead)
{
    struct scene s = scene_make(4);
    pthread_t thread;
    T_REQUIRE_EQ(pthread_create(&thread, NULL, hold_until_cancelled, &s), 0);
    await(&s.stage->held);
    T_REQUIRE_RC(lk_rmutex_trylock(s.mutex), EBUSY);
    T_REQUIRE_EQ(pthread_cancel(thread), 0);
    require_recovered(s.mutex);
    T_REQUIRE_EQ(pthread_join(thread, NULL), 0);
    lk_seg_close(s.seg);
}

/* Fork. */

static void be_no_holder(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_trylock(s->mutex), EBUSY);
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), EPERM);
    T_REQUIRE_RC(lock_within(s->mutex, 20), ETIMEDOUT);
}

static void touch_nothing(void *arg)
{
    (void)arg;
    _exit(0);
}

static void be_killed(void *arg)
{
    be_no_holder(arg);
    (void)raise(SIGKILL);
}

/* Kills: life.child_inherits_attachment. */
T_TEST(the_child_of_a_holder_holds_nothing)
{
    struct scene s = scene_make(4);
    char *argv[] = {"true", NULL};
    char *env[] = {NULL};
    pid_t pid;
    int rc;
    T_REQUIRE_RC(lk_rmutex_lock(s.mutex), 0);
    T_REQUIRE_EQ(t_wait(t_fork(be_no_holder, &s)), 0);
    T_REQUIRE_EQ(t_wait(t_fork(touch_nothing, &s)), 0);
    T_REQUIRE_EQ(t_wait(t_fork(be_killed, &s)), -SIGKILL);
    rc = posix_spawn(&pid, "/bin/true", NULL, NULL, argv, env);
    T_REQUIRE_EQ(rc, 0);
    T_REQUIRE_EQ(t_wait(pid), 0);
    /* Whatever became of the children, the parent has it still, and only the parent. */
    T_REQUIRE_EQ(t_wait(t_fork(be_no_holder, &s)), 0);
    T_REQUIRE_RC(lk_rmutex_trylock(s.mutex), EDEADLK);
    T_REQUIRE_RC(lk_rmutex_unlock(s.mutex), 0);
    lk_seg_close(s.seg);
}

/* Pid namespaces. */

struct inner {
    const struct scene *scene;
    void (*fn)(const struct scene *s);
};

/* First process of a new pid namespace. */
static void enter_namespace(void *arg)
{
    const struct inner *inner = arg;
    if (unshare(CLONE_NEWPID) != 0)
        _exit(NO_NAMESPACE);
    pid_t pid = fork();
    T_REQUIRE(pid >= 0);
    if (pid > 0) {
        atomic_store(&inner->scene->stage->pid, pid);
        int code = t_wait(pid);
        _exit(code >= 0 ? code : 0);
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    T_REQUIRE_EQ(getpid(), 1);
    inner->fn(inner->scene);
    t_exit();
}

static pid_t start_inside(const struct scene *s, void (*fn)(const struct scene *s))
{
    static struct inner inner;
    inner = (struct inner){s, fn};
    return t_fork(enter_namespace, &inner);
}

static void require_ended(pid_t pid)
{
    int code = t_wait(pid);
    if (code == NO_NAMESPACE)
        T_SKIP("pid namespaces are not permitted here");
    T_REQUIRE_EQ(code, 0);
}

/* Wait for the flag; skip the test if the namespace could not be made. */
static void await_inside(pid_t pid, const _Atomic int *flag)
{
    uint64_t end = t_now_ns() + LIMIT_MS * 1000000ull;
    while (!atomic_load(flag)) {
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == NO_NAMESPACE)
                T_SKIP("pid namespaces are not permitted here");
            T_FAIL("the process inside ended, status 0x%x", (unsigned)status);
        }
        T_REQUIRE(t_now_ns() < end);
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

static void hold_inside(const struct scene *s)
{
    lk_seg *seg;
    T_REQUIRE_RC(lk_seg_open(&seg, "shared"), 0);
    T_REQUIRE_RC(lk_rmutex_lock(lk_seg_memory(seg)), 0);
    atomic_store(&s->stage->held, 1);
    for (;;)
        (void)pause();
}

/* Its pid, 1, is somebody else's here; other pids of its namespace are nobody's here. */
T_TEST(a_live_holder_in_another_pid_namespace_is_not_robbed)
{
    struct scene s = scene_make(4);
    pid_t outer = start_inside(&s, hold_inside);
    await_inside(outer, &s.stage->held);
    for (int i = 0; i < 100; i++) {
        T_REQUIRE_RC(lk_rmutex_trylock(s.mutex), EBUSY);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    T_REQUIRE_RC(lock_within(s.mutex, 100), ETIMEDOUT);
    (void)kill(atomic_load(&s.stage->pid), SIGKILL);
    require_recovered(s.mutex);
    require_ended(outer);
    lk_seg_close(s.seg);
}

static void meet_outer_holder(const struct scene *s)
{
    lk_seg *seg;
    T_REQUIRE_RC(lk_seg_open(&seg, "shared"), 0);
    lk_rmutex *m = lk_seg_memory(seg);
    T_REQUIRE_RC(lk_rmutex_trylock(m), EBUSY);
    T_REQUIRE_RC(lock_within(m, 50), ETIMEDOUT);
    atomic_store(&s->stage->go_on, 1);
    require_recovered(m);
    lk_seg_close(seg);
}

/* Kills: life.asks_kill. */
T_TEST(a_holder_outside_of_the_namespace_is_seen_alive_and_dead)
{
    struct scene s = scene_make(4);
    pid_t holder = t_fork(hold_and_pause, &s);
    await(&s.stage->held);
    pid_t outer = start_inside(&s, meet_outer_holder);
    await_inside(outer, &s.stage->go_on);
    kill_and_wait(holder);
    require_ended(outer);
    lk_seg_close(s.seg);
}

/* The next process that is forked in this namespace gets `pid`.  False: not permitted. */
static bool next_pid(pid_t pid)
{
    char text[16];
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    int n = snprintf(text, sizeof text, "%d", (int)pid - 1);
    bool done = write(fd, text, (size_t)n) == n;
    (void)close(fd);
    return done;
}

/* Fork a child whose pid is `pid`. */
static pid_t fork_as(pid_t pid, void (*fn)(void *), void *arg)
{
    if (!next_pid(pid))
        _exit(NO_NAMESPACE);
    pid_t got = t_fork(fn, arg);
    T_REQUIRE_EQ(got, pid);
    return got;
}

static void be_a_stranger(void *arg)
{
    const struct scene *s = arg;
    atomic_store(&s->stage->held, 2);
    await(&s->stage->go_on);
}

static void be_an_attached_stranger(void *arg)
{
    const struct scene *s = arg;
    lk_rmutex *other = s->mutex + 1;
    T_REQUIRE_RC(lk_rmutex_lock(other), 0); /* in the dead one's slot: there is no other */
    be_a_stranger(arg);
    T_REQUIRE_RC(lk_rmutex_unlock(other), 0);
}

static void be_the_next_holder(void *arg)
{
    const struct scene *s = arg;
    require_recovered(s->mutex); /* its own pid and slot were the dead one's */
}

/* In a namespace of its own, where pids can be chosen. */
static void reuse_the_pid(const struct scene *s)
{
    struct scene inner = *s;
    void (*const strangers[])(void *) = {be_a_stranger, be_an_attached_stranger,
                                         be_the_next_holder};
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&s->stage->held, 0);
        atomic_store(&s->stage->go_on, 0);
        T_REQUIRE_RC(lk_rmutex_trylock(s->mutex), 0); /* so that this thread has the other slot */
        T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), 0);
        pid_t pid = t_fork(hold_and_pause, &inner);
        await(&s->stage->held);
        kill_and_wait(pid);
        pid_t stranger = fork_as(pid, strangers[i], &inner);
        if (i < 2) {
            while (atomic_load(&s->stage->held) != 2)
                (void)sched_yield();
            require_recovered(s->mutex);
            atomic_store(&s->stage->go_on, 1);
        }
        T_REQUIRE_EQ(t_wait(stranger), 0);
    }
}

/* Kills: life.generation_not_raised, life.generation_ignored. */
T_TEST(a_dead_holder_is_found_though_its_pid_is_used_again)
{
    struct scene s = scene_make(2);
    require_ended(start_inside(&s, reuse_the_pid));
    lk_seg_close(s.seg);
}

/* It has, in its namespace, the pid that the holder has in the other. */
static void be_the_double(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_trylock(s->mutex), EBUSY);
    T_REQUIRE_RC(lk_rmutex_unlock(s->mutex), EPERM);
    atomic_store(&s->stage->go_on, 1);
    require_recovered(s->mutex);
    T_REQUIRE_RC(lk_rmutex_lock(s->mutex), 0);
    _exit(0); /* dies holding, while the holder's next double lives */
}

static void fork_the_double(const struct scene *s)
{
    struct scene inner = *s;
    T_REQUIRE_EQ(t_wait(fork_as(atomic_load(&s->stage->held), be_the_double, &inner)), 0);
}

static void hold_and_tell_pid(void *arg)
{
    const struct scene *s = arg;
    T_REQUIRE_RC(lk_rmutex_lock(s->mutex), 0);
    atomic_store(&s->stage->held, getpid());
    for (;;)
        (void)pause();
}

T_TEST(equal_pids_in_two_namespaces_are_two_threads)
{
    struct scene s = scene_make(4);
    pid_t holder = t_fork(hold_and_tell_pid, &s);
    await(&s.stage->held);
    pid_t outer = start_inside(&s, fork_the_double);
    await_inside(outer, &s.stage->go_on);
    kill_and_wait(holder);
    require_ended(outer);
    require_recovered(s.mutex);
    lk_seg_close(s.seg);
}
