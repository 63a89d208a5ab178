/* test.h - the test harness.  Each test runs in a process of its own under a time limit; whatever
 * it forks is watched, and a test that leaves a process behind fails.
 *
 *     T_TEST(a_set_value_is_what_get_returns)
 *     {
 *         T_REQUIRE_RC(lk_cache_open(&c, "t", NULL), 0);
 *     }
 *
 * Put T_TEST at the beginning of a line: CMake finds the names there.  `prog` runs all tests, `prog
 * NAME` one, `prog --list` names them.  Exit: 0 passed, 1 failed, 77 skipped, 2 bad usage.
 *
 * Assertions may stand in any thread of any process that the test forked, by t_fork() or by fork():
 * a false one prints where it is, ends that process, and the test fails. */
#ifndef T_TEST_H
#define T_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct t_case {
    const char *name;
    void (*run)(void);
    struct t_case *next;
};
void t_register(struct t_case *c);

#define T_TEST(test_name)                                                                          \
    static void t_test_##test_name(void);                                                          \
    __attribute__((constructor)) static void t_register_##test_name(void)                          \
    {                                                                                              \
        static struct t_case c = {.name = #test_name, .run = t_test_##test_name};                  \
        t_register(&c);                                                                            \
    }                                                                                              \
    static void t_test_##test_name(void)

/* Print "FILE:LINE: message", mark the test failed and end the calling process. */
__attribute__((noreturn, format(printf, 3, 4))) void t_fail(const char *file, int line,
                                                            const char *format, ...);
#define T_FAIL(...) t_fail(__FILE__, __LINE__, __VA_ARGS__)

#define T_REQUIRE(expr)                                                                            \
    do {                                                                                           \
        if (!(expr))                                                                               \
            T_FAIL("not true: %s", #expr);                                                         \
    } while (0)

/* Integers of any kind, compared and printed as 64 bits. */
#define T_REQUIRE_EQ(a, b)                                                                         \
    do {                                                                                           \
        long long t_a_ = (long long)(a), t_b_ = (long long)(b);                                    \
        if (t_a_ != t_b_)                                                                          \
            T_FAIL("%s is %lld, %s is %lld", #a, t_a_, #b, t_b_);                                  \
    } while (0)

#define T_REQUIRE_STR_EQ(a, b)                                                                     \
    do {                                                                                           \
        const char *t_a_ = (a), *t_b_ = (b);                                                       \
        if (strcmp(t_a_, t_b_) != 0)                                                               \
            T_FAIL("%s is \"%s\", %s is \"%s\"", #a, t_a_, #b, t_b_);                              \
    } while (0)

/* The result of a library call; a wrong one is printed with its meaning and lk_error_text(). */
#define T_REQUIRE_RC(expr, expected)                                                               \
    do {                                                                                           \
        int t_rc_ = (expr), t_want_ = (expected);                                                  \
        if (t_rc_ != t_want_)                                                                      \
            t_fail_rc(__FILE__, __LINE__, #expr, t_rc_, t_want_);                                  \
    } while (0)
__attribute__((noreturn)) void t_fail_rc(const char *file, int line, const char *expr, int rc,
                                         int want);

/* End the test as skipped.  Only from the test's own process. */
#define T_SKIP(...) t_skip(__VA_ARGS__)
__attribute__((noreturn, format(printf, 1, 2))) void t_skip(const char *format, ...);

/* Print a line on stderr, with the test's name. */
#define T_LOG(...) t_log(__VA_ARGS__)
__attribute__((format(printf, 1, 2))) void t_log(const char *format, ...);

/* The test may take `seconds` from now on, instead of 60 in all. */
#define T_TIMEOUT(seconds) t_timeout(seconds)
void t_timeout(unsigned seconds);

/* A private directory (0700, on a memory file system where there is one), the same for every call
 * of one test; $LK_DIR names it.  Removed after the test, however that ends. */
const char *t_tmpdir(void);

/* Fork a child that runs fn(arg) and exits 0.  Not from a process with several threads. */
pid_t t_fork(void (*fn)(void *), void *arg);

/* Wait for a child.  Returns its exit code, or minus the signal that killed it. */
int t_wait(pid_t pid);

/* Fork a child that runs role(arg) and is killed (SIGKILL) at its n-th step, counted from 1.
 * Returns 1 if it was killed, 0 if the role ended before; the test fails if it ended otherwise.
 * Needs the kill build: elsewhere the test is skipped. */
int t_killed_at(unsigned long n, void (*role)(void *), void *arg);

/* End the calling process as the end of the test or of t_fork()'s fn does: leaks are looked for,
 * coverage is written. */
__attribute__((noreturn)) void t_exit(void);

/* CLOCK_MONOTONIC. */
uint64_t t_now_ns(void);

/* What a process or thread does, by /proc: 'R', 'S' (asleep), 't' (stopped by a tracer), ... ; 0 if
 * it is gone. */
char t_state(pid_t task);

/* Keep the calling thread on this CPU; false if that is not permitted or there is no such CPU. */
bool t_pin(int cpu);

#endif
