/* The harness itself: a test that fails must be seen to fail, whatever way it does so.
 * The program under test is tests/harness/sample.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

struct outcome {
    int code;
    char text[16384];
};

/* Run one test of the sample and collect its exit code and all it says. */
static void run_sample(const char *test, struct outcome *out)
{
    int ends[2];
    T_REQUIRE_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    T_REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)unsetenv("T_TIMEOUT_SCALE");
        (void)execl(HARNESS_SAMPLE, HARNESS_SAMPLE, test, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    size_t length = 0;
    ssize_t n;
    while (length < sizeof out->text - 1 &&
           (n = read(ends[0], out->text + length, sizeof out->text - 1 - length)) > 0)
        length += (size_t)n;
    out->text[length] = '\0';
    (void)close(ends[0]);
    out->code = t_wait(pid);
}

static void require_outcome(const char *test, int code, const char *words)
{
    struct outcome out;
    run_sample(test, &out);
    if (out.code != code || strstr(out.text, words) == NULL)
        T_FAIL("sample %s exited with %d, expected %d and \"%s\"; it said:\n%s", test, out.code,
               code, words, out.text);
}

T_TEST(passing_test_passes)
{
    require_outcome("passes", 0, "ok   passes");
}

T_TEST(false_assertions_fail_with_place_and_values)
{
    require_outcome("false_assertion", 1, "1 + 1 is 2, 3 is 3");
    require_outcome("false_assertion", 1, "sample.c:");
    require_outcome("wrong_result", 1, "not a regular file");
}

T_TEST(assertions_count_in_children_and_threads)
{
    require_outcome("false_in_child", 1, "not true: 1 + 1 == 3");
    require_outcome("false_in_thread", 1, "\"one\"");
}

T_TEST(strays_fail_and_are_named)
{
    require_outcome("leaves_a_stray", 1, "left processes behind");
    require_outcome("leaves_an_orphan", 1, "left 1 processes behind");
}

/* No process of the sample is alive once its runner has ended. */
T_TEST(strays_are_killed)
{
    struct outcome out;
    run_sample("leaves_a_stray", &out);
    const char *line = strstr(out.text, "\nprocess ");
    T_REQUIRE(line != NULL);
    pid_t pid = (pid_t)strtol(line + 9, NULL, 10);
    T_REQUIRE(pid > 1);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d", (int)pid);
    T_REQUIRE(access(path, F_OK) != 0);
}

T_TEST(time_limit_fails_and_shows_what_hangs)
{
    uint64_t begun_ns = t_now_ns();
    require_outcome("takes_too_long", 1, "time is over");
    T_REQUIRE(t_now_ns() - begun_ns < 20000000000u);
    require_outcome("takes_too_long", 1, "backtrace of thread");
}

T_TEST(deaths_and_exits_fail)
{
    require_outcome("dies_by_a_signal", 1, "killed by signal 9");
    require_outcome("exits_by_itself", 1, "exited with 3");
    require_outcome("forked_child_returns", 1, "returned from the test");
}

T_TEST(skips_say_why_and_exit_77)
{
    require_outcome("skips", 77, "no such thing here");
}

T_TEST(tmpdir_is_private_and_goes_away)
{
    struct stat st;
    T_REQUIRE_EQ(stat(t_tmpdir(), &st), 0);
    T_REQUIRE_EQ(st.st_mode & 07777, 0700);

    struct outcome out;
    run_sample("uses_tmpdir", &out);
    T_REQUIRE_EQ(out.code, 1);
    char *path = strstr(out.text, "tmpdir=");
    T_REQUIRE(path != NULL);
    path += strlen("tmpdir=");
    path[strcspn(path, "\n")] = '\0';
    T_REQUIRE(stat(path, &st) != 0 && errno == ENOENT);
}

T_TEST(unknown_test_is_bad_usage)
{
    require_outcome("no_such_test", 2, "usage:");
}
