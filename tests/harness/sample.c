/* sample.c - tests that fail in every way the harness must notice.  tests/unit/harness_test.c runs
 * them one by one and looks at the verdicts. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "latchkey/err.h"
#include "test.h"

static void do_nothing(void *arg)
{
    (void)arg;
}

static void sleep_long(void *arg)
{
    (void)arg;
    (void)sleep(600);
}

static void require_false(void *arg)
{
    (void)arg;
    T_REQUIRE(1 + 1 == 3);
}

static void *require_false_in_thread(void *arg)
{
    T_REQUIRE_STR_EQ("one", "two");
    return arg;
}

T_TEST(passes)
{
    T_REQUIRE(1 + 1 == 2);
    T_REQUIRE_EQ(t_wait(t_fork(do_nothing, NULL)), 0);
    T_REQUIRE_RC(LK_ETYPE, LK_ETYPE);
}

T_TEST(false_assertion)
{
    T_REQUIRE_EQ(1 + 1, 3);
}

T_TEST(wrong_result)
{
    T_REQUIRE_RC(LK_ETYPE, 0);
}

T_TEST(false_in_child)
{
    (void)t_wait(t_fork(require_false, NULL));
}

T_TEST(false_in_thread)
{
    pthread_t thread;
    T_REQUIRE_EQ(pthread_create(&thread, NULL, require_false_in_thread, NULL), 0);
    (void)pthread_join(thread, NULL);
}

T_TEST(leaves_a_stray)
{
    (void)t_fork(sleep_long, NULL);
}

static void fork_and_end(void *arg)
{
    (void)t_fork(sleep_long, arg);
}

T_TEST(leaves_an_orphan)
{
    T_REQUIRE_EQ(t_wait(t_fork(fork_and_end, NULL)), 0);
}

T_TEST(takes_too_long)
{
    T_TIMEOUT(1);
    (void)t_fork(sleep_long, NULL);
    sleep_long(NULL);
}

T_TEST(dies_by_a_signal)
{
    (void)raise(SIGKILL);
}

T_TEST(exits_by_itself)
{
    _exit(3);
}

T_TEST(forked_child_returns)
{
    (void)fork();
    (void)usleep(50000);
}

T_TEST(skips)
{
    T_SKIP("no %s here", "such thing");
}

T_TEST(uses_tmpdir)
{
    const char *directory = t_tmpdir();
    char path[512];
    T_REQUIRE_STR_EQ(directory, getenv("LK_DIR"));
    (void)snprintf(path, sizeof path, "%s/file", directory);
    FILE *f = fopen(path, "w");
    T_REQUIRE(f != NULL);
    (void)fclose(f);
    printf("tmpdir=%s\n", directory);
    (void)fflush(stdout);
    (void)raise(SIGKILL); /* the directory must go all the same */
}
