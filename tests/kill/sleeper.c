#include "sleeper.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/* The backstop doubles from 10 ms to 320 ms (life/rmutex.c): after so many it is 320 ms. */
enum { SETTLED_TIMEOUTS = 5, LIMIT_MS = 5000 };

struct task {
    void (*fn)(struct sleeper_report *report, void *arg);
    struct sleeper_report *report;
    void *arg;
};

static void play(void *arg)
{
    const struct task *task = arg;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    (void)raise(SIGSTOP);
    task->fn(task->report, task->arg);
}

/* The child has changed its state; it must have stopped. */
static void require_stopped(const struct sleeper *s, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        T_SKIP("ptrace is not permitted here");
    if (!WIFSTOPPED(status))
        T_FAIL("sleeper %d ended, status 0x%x", (int)s->pid, (unsigned)status);
}

static void await_stop(const struct sleeper *s)
{
    int status;
    while (waitpid(s->pid, &status, 0) != s->pid)
        T_REQUIRE_EQ(errno, EINTR);
    require_stopped(s, status);
}

static void go_on(const struct sleeper *s)
{
    if (ptrace(PTRACE_SYSCALL, s->pid, NULL, NULL) != 0)
        T_FAIL("PTRACE_SYSCALL: %s", strerror(errno));
}

static struct __ptrace_syscall_info syscall_of(const struct sleeper *s)
{
    struct __ptrace_syscall_info info;
    long n = ptrace(PTRACE_GET_SYSCALL_INFO, s->pid, sizeof info, &info);
    if (n <= 0)
        T_FAIL("PTRACE_GET_SYSCALL_INFO: %s", strerror(errno));
    return info;
}

static bool is_futex_wait(const struct __ptrace_syscall_info *info)
{
    return info->entry.nr == SYS_futex &&
           (info->entry.args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
}

/* Asleep in the kernel; or stopped by us: it has woken already. */
static void await_sleep(const struct sleeper *s)
{
    char state;
    uint64_t end = t_now_ns() + LIMIT_MS * 1000000ull;
    while ((state = t_state(s->pid)) != 'S' && state != 't') {
        T_REQUIRE(state != 0);
        T_REQUIRE(t_now_ns() < end);
    }
}

void sleeper_sleep_again(struct sleeper *s)
{
    for (;;) {
        go_on(s);
        await_stop(s);
        struct __ptrace_syscall_info info = syscall_of(s);
        if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
            continue;
        T_REQUIRE(info.entry.nr != SYS_exit_group);
        if (info.entry.nr == SYS_futex_waitv || is_futex_wait(&info))
            break;
    }
    go_on(s);
    await_sleep(s);
}

void sleeper_start(struct sleeper *s, void (*fn)(struct sleeper_report *report, void *arg),
                   void *arg)
{
    struct sleeper_report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(report != MAP_FAILED);
    struct task task = {.fn = fn, .report = report, .arg = arg};
    *s = (struct sleeper){.pid = t_fork(play, &task), .report = report};
    await_stop(s);
    T_REQUIRE_EQ(ptrace(PTRACE_SETOPTIONS, s->pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD),
                 0);
    sleeper_sleep_again(s);
}

enum sleeper_event sleeper_look(struct sleeper *s, unsigned wait_ms)
{
    int status;
    for (uint64_t end = t_now_ns() + wait_ms * 1000000ull;;) {
        pid_t pid = waitpid(s->pid, &status, WNOHANG);
        T_REQUIRE(pid >= 0);
        if (pid == s->pid)
            break;
        if (t_now_ns() >= end)
            return SLEEPER_ASLEEP;
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    require_stopped(s, status);
    struct __ptrace_syscall_info info = syscall_of(s);
    T_REQUIRE_EQ(info.op, PTRACE_SYSCALL_INFO_EXIT);
    if (info.exit.rval >= 0)
        return SLEEPER_WOKEN;
    s->timeouts += info.exit.rval == -ETIMEDOUT;
    return info.exit.rval == -ETIMEDOUT ? SLEEPER_TIMED_OUT : SLEEPER_AGAIN;
}

void sleeper_run(struct sleeper *s)
{
    if (ptrace(PTRACE_DETACH, s->pid, NULL, NULL) != 0)
        T_FAIL("PTRACE_DETACH: %s", strerror(errno));
}

void sleeper_finish(struct sleeper *s)
{
    atomic_store(&s->report->may_unlock, 1);
    sleeper_run(s);
    int code = t_wait(s->pid);
    T_REQUIRE_EQ(code, 0);
    s->pid = 0;
}

void sleeper_kill(struct sleeper *s)
{
    if (s->pid == 0)
        return;
    (void)kill(s->pid, SIGKILL);
    int code = t_wait(s->pid);
    T_REQUIRE_EQ(code, -SIGKILL);
    s->pid = 0;
}

void sleepers_settle(struct sleeper *s, unsigned n)
{
    bool settled = false;
    while (!settled) {
        settled = true;
        for (unsigned i = 0; i < n; i++) {
            if (sleeper_look(&s[i], 1) != SLEEPER_ASLEEP)
                sleeper_sleep_again(&s[i]);
            settled = settled && s[i].timeouts >= SETTLED_TIMEOUTS;
        }
    }
}
