/* create_test.c - nobody sees a segment half made, and a creator that is killed leaves nothing.
 * Runs in: dev */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "singlestep.h"
#include "test.h"

static const struct lk_cache_options small = {
    .flags = LK_CACHE_CREATE | LK_CACHE_EXCLUSIVE, .capacity_bytes = 4096, .threads = 3};

static void create(void *arg)
{
    lk_cache **c = arg;
    T_REQUIRE_RC(lk_cache_open(c, "made", &small), 0);
}

static unsigned files_in(const char *path)
{
    unsigned n = 0;
    DIR *d = opendir(path);
    T_REQUIRE(d != NULL);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    (void)closedir(d);
    return n;
}

/* The cache is there and complete. */
static void require_complete(unsigned long step)
{
    const struct lk_cache_options attach = {.capacity_bytes = 4096};
    char buf[8];
    size_t size;
    lk_cache *c;
    int rc = lk_cache_open(&c, "made", &attach);
    if (rc != 0)
        T_FAIL("step %lu: there, but open returns %d (%s): %s", step, rc, lk_strerror(rc),
               lk_error_text());
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "v", 1, LK_TTL_NEVER), 0);
    T_REQUIRE_RC(lk_cache_get(c, "k", 1, buf, sizeof buf, &size), 0);
    T_REQUIRE_RC(lk_cache_delete(c, "k", 1), 0);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    lk_cache_close(c);
}

static bool there(int dir)
{
    return faccessat(dir, "made", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Has the directory changed since the last call? */
static bool directory_changed(int dir, struct stat *last)
{
    struct stat now;
    T_REQUIRE_EQ(fstat(dir, &now), 0);
    bool same = now.st_size == last->st_size && now.st_mtim.tv_sec == last->st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == last->st_mtim.tv_nsec;
    *last = now;
    return !same;
}

/* Kills: shm.link_before_fill. */
T_TEST(the_name_appears_with_the_whole_cache_behind_it)
{
    lk_cache *c = NULL;
    const struct role role = {NULL, create, &c};
    const char *path = t_tmpdir();
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    struct stat last = {0};
    unsigned points = 0;
    T_REQUIRE(dir >= 0);
    struct stepped s = step_begin(&role);
    while (step_once(&s)) {
        bool is_there = there(dir);
        if (!directory_changed(dir, &last))
            continue;
        T_REQUIRE_EQ(files_in(path), is_there);
        if (is_there)
            require_complete(s.steps);
        points++;
    }
    T_REQUIRE(there(dir));
    require_complete(s.steps);
    T_REQUIRE(points >= 2);
    T_LOG("create: %lu instructions, %u changes of the directory", s.steps, points);
    step_kill(&s);
    require_complete(s.steps);
    (void)close(dir);
}

T_TEST(a_creator_killed_at_any_system_call_leaves_nothing)
{
    lk_cache *c = NULL;
    const struct role role = {NULL, create, &c};
    const char *path = t_tmpdir();
    bool ended = false;
    unsigned left = 0;
    unsigned long n = 0;
    for (; !ended; n++) {
        struct stepped s = step_begin(&role);
        for (unsigned long i = 0; i < n && !ended; i++)
            ended = !step_to_syscall(&s);
        step_kill(&s);
        unsigned files = files_in(path);
        T_REQUIRE(files <= 1);
        left += files;
        if (files == 0)
            continue;
        require_complete(n);
        T_REQUIRE_RC(lk_cache_unlink("made"), 0);
    }
    T_LOG("create: killed at %lu beginnings and ends of system calls, %u times the cache was there",
          n, left);
    T_REQUIRE(left > 0 && left < n);
}
