#include "singlestep.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { STEPS_MAX = 5000000 };

/* Shared with the child: operate has returned.  One child at a time is stepped. */
static _Atomic int *returned;

static void play(void *arg)
{
    const struct role *role = arg;
    if (role->prepare != NULL)
        role->prepare(role->arg);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    (void)raise(SIGSTOP);
    role->operate(role->arg);
    atomic_store(returned, 1);
}

/* Wait for the child's next stop; its death is a failure of the test. */
static int await_stop(struct stepped *s)
{
    int status;
    while (waitpid(s->pid, &status, 0) != s->pid) {
        if (errno != EINTR)
            T_FAIL("waitpid(%d): %s", (int)s->pid, strerror(errno));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        T_SKIP("ptrace is not permitted here");
    if (!WIFSTOPPED(status))
        T_FAIL("the stepped child ended after %lu instructions, status 0x%x", s->steps,
               (unsigned)status);
    return WSTOPSIG(status);
}

/* Parent and child take turns: on one processor a turn costs half as much. */
static void stay_here(void)
{
    static bool stays;
    if (!stays)
        (void)t_pin(sched_getcpu());
    stays = true;
}

struct stepped step_begin(const struct role *role)
{
    if (returned == NULL) {
        returned =
            mmap(NULL, sizeof *returned, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        T_REQUIRE(returned != MAP_FAILED);
        stay_here();
    }
    atomic_store(returned, 0);
    struct role copy = *role;
    struct stepped s = {.pid = t_fork(play, &copy)};
    int signal = await_stop(&s);
    T_REQUIRE_EQ(signal, SIGSTOP);
    T_REQUIRE_EQ(ptrace(PTRACE_SETOPTIONS, s.pid, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD),
                 0);
    return s;
}

bool step_once(struct stepped *s)
{
    if (ptrace(PTRACE_SINGLESTEP, s->pid, NULL, NULL) != 0)
        T_FAIL("PTRACE_SINGLESTEP: %s", strerror(errno));
    int signal = await_stop(s);
    if (signal != SIGTRAP)
        T_FAIL("signal %d after %lu instructions", signal, s->steps);
    if (++s->steps > STEPS_MAX)
        T_FAIL("the operation does not end");
    return atomic_load(returned) == 0;
}

bool step_many(struct stepped *s, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        if (!step_once(s))
            return false;
    }
    return true;
}

bool step_to_syscall(struct stepped *s)
{
    if (ptrace(PTRACE_SYSCALL, s->pid, NULL, NULL) != 0)
        T_FAIL("PTRACE_SYSCALL: %s", strerror(errno));
    int signal = await_stop(s);
    if (signal != (SIGTRAP | 0x80))
        T_FAIL("signal %d between system calls", signal);
    s->steps++;
    return atomic_load(returned) == 0;
}

void step_kill(struct stepped *s)
{
    (void)kill(s->pid, SIGKILL);
    int code = t_wait(s->pid);
    T_REQUIRE_EQ(code, -SIGKILL);
}

void step_leave_stopped(struct stepped *s)
{
    int status;
    if (ptrace(PTRACE_DETACH, s->pid, NULL, SIGSTOP) != 0)
        T_FAIL("PTRACE_DETACH: %s", strerror(errno));
    T_REQUIRE_EQ(waitpid(s->pid, &status, WUNTRACED), s->pid);
    T_REQUIRE(WIFSTOPPED(status));
}

void step_finish(struct stepped *s)
{
    if (ptrace(PTRACE_DETACH, s->pid, NULL, NULL) != 0)
        T_FAIL("PTRACE_DETACH: %s", strerror(errno));
    int code = t_wait(s->pid);
    T_REQUIRE_EQ(code, 0);
}
