#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "descendants.h"
#include "latchkey/err.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_SKIPPED = 77, TIMEOUT_SECONDS = 60, SHOWN_MAX = 256 };

/* Sanitizers and gcov do their work at exit(), which a forked child must not call. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
extern void __gcov_dump(void) __attribute__((weak));
/* The kill build's: end this process with SIGKILL at its n-th step from now. */
extern void lki_kill_at(unsigned long n) __attribute__((weak));

/* What the runner and every process of the present test share. */
struct page {
    uint32_t failures;
    uint32_t skipped;
    uint64_t deadline_ns;
    char skip_reason[256];
    char tmpdir[256];
};

static struct t_case *cases, **last_case = &cases;
static struct page *page;
static const char *current = "";
static pid_t test_pid;
static unsigned timeout_scale = 1;

void t_register(struct t_case *c)
{
    *last_case = c;
    last_case = &c->next;
}

/* One write, so that lines of different processes do not mix. */
static void print_line(const char *prefix, const char *format, va_list args)
{
    char text[2048];
    int head = snprintf(text, sizeof text, "%s", prefix);
    int body = vsnprintf(text + head, sizeof text - (size_t)head - 1, format, args);
    size_t length = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (length > sizeof text - 2)
        length = sizeof text - 2;
    text[length++] = '\n';
    (void)!write(STDERR_FILENO, text, length);
}

static __attribute__((noreturn)) void end_process(int code)
{
    (void)fflush(NULL);
    if (__gcov_dump != NULL)
        __gcov_dump();
    _exit(code);
}

void t_exit(void)
{
    if (__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
        t_fail(__FILE__, __LINE__, "memory leaked in process %d", (int)getpid());
    end_process(0);
}

void t_fail(const char *file, int line, const char *format, ...)
{
    char prefix[512];
    if (getpid() == test_pid)
        (void)snprintf(prefix, sizeof prefix, "%s:%d: ", file, line);
    else
        (void)snprintf(prefix, sizeof prefix, "%s:%d: (process %d) ", file, line, (int)getpid());
    va_list args;
    va_start(args, format);
    print_line(prefix, format, args);
    va_end(args);
    __atomic_fetch_add(&page->failures, 1, __ATOMIC_SEQ_CST);
    end_process(EXIT_FAILED);
}

void t_fail_rc(const char *file, int line, const char *expr, int rc, int want)
{
    char meant[128];
    (void)snprintf(meant, sizeof meant, "%s", lk_strerror(want)); /* may lie in one buffer */
    t_fail(file, line, "%s returned %d (%s), expected %d (%s); last error: %s", expr, rc,
           lk_strerror(rc), want, meant, lk_error_text());
}

void t_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(page->skip_reason, sizeof page->skip_reason, format, args);
    va_end(args);
    if (getpid() != test_pid)
        t_fail(__FILE__, __LINE__, "T_SKIP(%s) outside the test's own process", page->skip_reason);
    page->skipped = 1;
    end_process(EXIT_SKIPPED);
}

void t_log(const char *format, ...)
{
    char prefix[128];
    (void)snprintf(prefix, sizeof prefix, "%s: ", current);
    va_list args;
    va_start(args, format);
    print_line(prefix, format, args);
    va_end(args);
}

uint64_t t_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void t_timeout(unsigned seconds)
{
    uint64_t deadline_ns = t_now_ns() + (uint64_t)seconds * timeout_scale * 1000000000u;
    __atomic_store_n(&page->deadline_ns, deadline_ns, __ATOMIC_SEQ_CST);
}

bool t_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

const char *t_tmpdir(void)
{
    if (page->tmpdir[0] != '\0')
        return page->tmpdir;
    const char *base = getenv("T_TMPDIR");
    if (base == NULL)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char path[sizeof page->tmpdir];
    (void)snprintf(path, sizeof path, "%s/lk-test-XXXXXX", base);
    if (mkdtemp(path) == NULL || setenv("LK_DIR", path, 1) != 0)
        T_FAIL("cannot make %s: %s", path, strerror(errno));
    memcpy(page->tmpdir, path, sizeof path);
    return page->tmpdir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    (void)remove(path);
    return 0;
}

static void remove_tmpdir(void)
{
    if (page->tmpdir[0] != '\0')
        (void)nftw(page->tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    page->tmpdir[0] = '\0';
}

pid_t t_fork(void (*fn)(void *), void *arg)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        T_FAIL("fork: %s", strerror(errno));
    if (pid != 0)
        return pid;
    fn(arg);
    t_exit();
}

int t_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) != pid)
        if (errno != EINTR)
            T_FAIL("waitpid(%d): %s", (int)pid, strerror(errno));
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

struct role {
    unsigned long n;
    void (*run)(void *);
    void *arg;
};

static void run_role(void *arg)
{
    const struct role *role = arg;
    lki_kill_at(role->n);
    role->run(role->arg);
    lki_kill_at(0);
}

int t_killed_at(unsigned long n, void (*role)(void *), void *arg)
{
    if (lki_kill_at == NULL)
        T_SKIP("t_killed_at() needs the kill build (cmake --preset kill)");
    int code = t_wait(t_fork(run_role, &(struct role){.n = n, .run = role, .arg = arg}));
    if (code != 0 && code != -SIGKILL)
        T_FAIL("the role to be killed at step %lu ended with %d", n, code);
    return code != 0;
}

static __attribute__((noreturn)) void run_child(const struct t_case *c, pid_t runner)
{
    /* The runner may be killed by a time limit above it. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != runner)
        _exit(EXIT_FAILED);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    test_pid = getpid();
    c->run();
    if (getpid() != test_pid)
        t_fail(__FILE__, __LINE__, "a forked process returned from the test instead of exiting");
    t_exit();
}

/* Wait until the test's process ends; false when its time is over. */
static bool wait_for_end(pid_t pid, int *status)
{
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    for (;;) {
        int other;
        pid_t ended;
        while ((ended = waitpid(-1, &other, WNOHANG)) > 0)
            if (ended == pid) {
                *status = other;
                return true;
            }
        if (t_now_ns() >= __atomic_load_n(&page->deadline_ns, __ATOMIC_SEQ_CST))
            return false;
        (void)sigtimedwait(&child, NULL, &(struct timespec){.tv_nsec = 100000000});
    }
}

/* Descendants that outlive the test: a moment to end by themselves, then they are strays. */
static bool look_for_strays(void)
{
    static pid_t pids[SHOWN_MAX];
    size_t n = 0;
    for (int i = 0; i < 20; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        n = t_descendants(getpid(), pids, SHOWN_MAX);
        if (n == 0)
            return false;
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fprintf(stderr, "%s left %zu processes behind:\n", current, n);
    t_descendants_show(pids, n);
    return true;
}

static void show_time_is_over(void)
{
    static pid_t pids[SHOWN_MAX];
    fprintf(stderr, "%s: time is over; what its processes do:\n", current);
    t_descendants_show(pids, t_descendants(getpid(), pids, SHOWN_MAX));
}

static int verdict(const char *word, const char *reason, uint64_t begun_ns)
{
    printf("%-4s %s (%llu ms)%s%s\n", word, current,
           (unsigned long long)((t_now_ns() - begun_ns) / 1000000u), reason[0] ? ": " : "", reason);
    (void)fflush(stdout);
    return word[0] == 'o' ? 0 : word[0] == 's' ? EXIT_SKIPPED : EXIT_FAILED;
}

static int run_case(const struct t_case *c)
{
    uint64_t begun_ns = t_now_ns();
    memset(page, 0, sizeof *page);
    current = c->name;
    t_timeout(TIMEOUT_SECONDS);
    (void)fflush(NULL);
    pid_t runner = getpid(), pid = fork();
    if (pid == 0)
        run_child(c, runner);
    int status = 0;
    bool ended = pid > 0 && wait_for_end(pid, &status);
    if (!ended)
        show_time_is_over();
    bool stray = ended && page->failures == 0 && look_for_strays();
    (void)t_descendants_kill(getpid());
    bool failed = page->failures != 0; /* read when nobody is left to fail */
    remove_tmpdir();

    char reason[128] = "";
    if (!ended)
        return verdict("FAIL", "time is over", begun_ns);
    if (failed)
        return verdict("FAIL", "", begun_ns);
    if (WIFSIGNALED(status)) {
        (void)snprintf(reason, sizeof reason, "killed by signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
        return verdict("FAIL", reason, begun_ns);
    }
    if (stray)
        return verdict("FAIL", "left processes behind", begun_ns);
    if (page->skipped)
        return verdict("skip", page->skip_reason, begun_ns);
    if (WEXITSTATUS(status) != 0) {
        (void)snprintf(reason, sizeof reason, "exited with %d", WEXITSTATUS(status));
        return verdict("FAIL", reason, begun_ns);
    }
    return verdict("ok", "", begun_ns);
}

static void prepare(void)
{
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
        perror("test harness");
        exit(EXIT_FAILED);
    }
    const char *scale = getenv("T_TIMEOUT_SCALE");
    if (scale != NULL && strtoul(scale, NULL, 10) > 0)
        timeout_scale = (unsigned)strtoul(scale, NULL, 10);
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    t_backtrace_prepare();
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (const struct t_case *c = cases; c != NULL; c = c->next)
            puts(c->name);
        return 0;
    }
    prepare();
    int ran = 0, failed = 0, skipped = 0;
    for (const struct t_case *c = cases; c != NULL; c = c->next) {
        if (argc > 1 && strcmp(argv[1], c->name) != 0)
            continue;
        int code = run_case(c);
        ran++;
        failed += code == EXIT_FAILED;
        skipped += code == EXIT_SKIPPED;
    }
    if (ran == 0) {
        fprintf(stderr, "usage: %s [--list | TEST]\n", argv[0]);
        return EXIT_USAGE;
    }
    return failed ? EXIT_FAILED : skipped == ran ? EXIT_SKIPPED : 0;
}
