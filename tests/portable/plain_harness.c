/* plain_harness.c - test.h without what an emulator of user programs does not have (subreapers,
 * process groups): each test in a process of its own under a time limit, and nothing more. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

static struct t_case *cases;
static struct t_case **last = &cases;

void t_register(struct t_case *c)
{
    *last = c;
    last = &c->next;
}

void t_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("%s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(1);
}

void t_fail_rc(const char *file, int line, const char *expr, int rc, int want)
{
    t_fail(file, line, "%s is %d, not %d", expr, rc, want);
}

void t_log(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

uint64_t t_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

char t_state(pid_t task)
{
    char path[32], text[512];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)task);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    (void)fclose(f);
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

int t_wait(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid)
        T_FAIL("waitpid failed");
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

pid_t t_fork(void (*fn)(void *), void *arg)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    fn(arg);
    _exit(0);
}

static void run_case(void *arg)
{
    const struct t_case *c = arg;
    (void)alarm(60);
    c->run();
}

/* The argument: a test that is left out. */
int main(int argc, char **argv)
{
    int failed = 0;
    for (struct t_case *c = cases; c != NULL; c = c->next) {
        if (argc > 1 && strcmp(argv[1], c->name) == 0)
            continue;
        int code = t_wait(t_fork(run_case, c));
        printf("%s %s (%d)\n", code == 0 ? "ok  " : "FAIL", c->name, code);
        failed += code != 0;
    }
    return failed != 0;
}
