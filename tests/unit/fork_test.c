/* fork: the child inherits the handle and the mapping, but no lock, no lease and no slot; it
 * attaches anew by itself.  What the parent holds stays the parent's, whatever the child does. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "test.h"

static lk_cache *new_cache(uint32_t threads)
{
    lk_cache *c = NULL;
    struct lk_cache_options o = {.capacity_bytes = 65536, .threads = threads};
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &o), 0);
    return c;
}

static void add_one(lk_cache *c)
{
    T_REQUIRE_RC(lk_cache_incr(c, "n", 1, 1, 1, 0, NULL), 0);
}

static int count(lk_cache *c)
{
    char text[16] = "";
    size_t size = 0;
    T_REQUIRE_RC(lk_cache_get(c, "n", 1, text, sizeof text - 1, &size), 0);
    text[size] = '\0';
    return atoi(text);
}

static uint32_t threads_of(lk_cache *c)
{
    struct lk_cache_stat s;
    T_REQUIRE_RC(lk_cache_stat(c, &s), 0);
    return s.threads;
}

static void child_adds(void *arg)
{
    lk_cache *c = arg;
    add_one(c);
    T_REQUIRE_EQ(threads_of(c), 2); /* the parent's slot, and its own */
    add_one(c);
}

T_TEST(a_child_goes_on_with_the_handle_in_a_slot_of_its_own)
{
    lk_cache *c = new_cache(3);
    add_one(c);
    T_REQUIRE_EQ(threads_of(c), 1);
    for (int i = 0; i < 20; i++) {
        T_REQUIRE_EQ(t_wait(t_fork(child_adds, c)), 0);
        T_REQUIRE_EQ(threads_of(c), 1); /* the child's death took nothing of the parent's */
        add_one(c);
    }
    T_REQUIRE_EQ(count(c), 1 + 20 * 3);
    lk_cache_close(c);
}

static void child_closes(void *arg)
{
    lk_cache_close(arg);
}

/* A child that closes the inherited handle at once does not detach the parent. */
T_TEST(a_child_that_closes_leaves_the_parent_attached)
{
    lk_cache *c = new_cache(2);
    add_one(c);
    T_REQUIRE_EQ(t_wait(t_fork(child_closes, c)), 0);
    T_REQUIRE_EQ(threads_of(c), 1);
    add_one(c);
    T_REQUIRE_EQ(count(c), 2);
    lk_cache_close(c);
}

struct mutex_case {
    lk_rmutex *m;
    lk_seg *s;
};

static void child_meets_parents_lock(void *arg)
{
    lk_rmutex *m = ((struct mutex_case *)arg)->m;
    struct timespec past = {1, 0};
    T_REQUIRE_RC(lk_rmutex_unlock(m), EPERM); /* not its own */
    T_REQUIRE_RC(lk_rmutex_trylock(m), EBUSY);
    T_REQUIRE_RC(lk_rmutex_lock_until(m, &past), ETIMEDOUT);
    T_REQUIRE_RC(lk_rmutex_consistent(m), EINVAL);
    T_REQUIRE_RC(lk_rmutex_lock(&m[1]), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(&m[1]), 0);
}

/* The child's life and death change nothing of the parent's lock. */
T_TEST(a_lock_held_at_the_fork_stays_the_parents)
{
    struct mutex_case w;
    T_REQUIRE_RC(lk_seg_create_anonymous(&w.s, 4096, 4), 0);
    w.m = lk_seg_memory(w.s);
    T_REQUIRE_RC(lk_rmutex_lock(w.m), 0);
    for (int i = 0; i < 5; i++) {
        T_REQUIRE_EQ(t_wait(t_fork(child_meets_parents_lock, &w)), 0);
        T_REQUIRE_RC(lk_rmutex_lock(w.m), EDEADLK); /* still held, by this very thread */
    }
    T_REQUIRE_RC(lk_rmutex_unlock(w.m), 0);
    lk_seg_close(w.s);
}

static void child_waits_for_parent(void *arg)
{
    lk_rmutex *m = arg;
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
}

static void parent_dies(void *arg)
{
    lk_rmutex *m = arg;
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    pid_t child = fork();
    T_REQUIRE(child >= 0);
    if (child == 0) { /* outlives its parent, and holds nothing of it */
        while (getppid() == 1 || lk_rmutex_trylock(m) == EBUSY)
            (void)usleep(1000);
        _exit(0);
    }
    _exit(0);
}

T_TEST(a_child_waits_for_the_parents_lock_and_gets_it)
{
    lk_seg *s = NULL;
    T_REQUIRE_RC(lk_seg_create_anonymous(&s, 4096, 4), 0);
    lk_rmutex *m = lk_seg_memory(s);
    T_REQUIRE_RC(lk_rmutex_lock(m), 0);
    pid_t child = t_fork(child_waits_for_parent, m);
    (void)usleep(20000);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    T_REQUIRE_EQ(t_wait(child), 0);
    /* A parent that dies with the lock while its child lives: dead all the same. */
    T_REQUIRE_EQ(t_wait(t_fork(parent_dies, m)), 0);
    T_REQUIRE_RC(lk_rmutex_lock(m), EOWNERDEAD);
    T_REQUIRE_RC(lk_rmutex_consistent(m), 0);
    T_REQUIRE_RC(lk_rmutex_unlock(m), 0);
    lk_seg_close(s);
}

static void child_has_no_lease(void *arg)
{
    lk_cache *c = arg;
    struct lk_lease lease;
    struct timespec past = {1, 0};
    char buf[8];
    size_t size;
    T_REQUIRE_RC(lk_cache_lease(c, "k", 1, buf, 8, &size, 0, &past, &lease), ETIMEDOUT);
}

T_TEST(a_lease_held_at_the_fork_stays_the_parents)
{
    lk_cache *c = new_cache(4);
    struct lk_lease lease;
    char buf[8];
    size_t size;
    T_REQUIRE_RC(lk_cache_lease(c, "k", 1, buf, 8, &size, 0, NULL, &lease), ENOENT);
    T_REQUIRE_EQ(t_wait(t_fork(child_has_no_lease, c)), 0);
    T_REQUIRE_RC(lk_cache_fill(c, "k", 1, "v", 1, 0, &lease), 0);
    lk_cache_close(c);
}

static void generation(lk_cache *c, int depth)
{
    add_one(c);
    if (depth == 0)
        return;
    pid_t pid = fork();
    T_REQUIRE(pid >= 0);
    if (pid == 0) {
        generation(c, depth - 1);
        t_exit();
    }
    T_REQUIRE_EQ(t_wait(pid), 0);
    add_one(c);
}

T_TEST(grandchildren_go_on_too)
{
    lk_cache *c = new_cache(8);
    generation(c, 6);
    T_REQUIRE_EQ(count(c), 7 + 6);
    T_REQUIRE_EQ(threads_of(c), 1);
    lk_cache_close(c);
}

struct forker {
    lk_cache *cache;
    volatile bool stop;
};

static void *keep_writing(void *arg)
{
    struct forker *f = arg;
    while (!f->stop)
        T_REQUIRE_RC(lk_cache_set(f->cache, "other", 5, "v", 1, 0), 0);
    return NULL;
}

static void *fork_and_add(void *arg)
{
    struct forker *f = arg;
    add_one(f->cache);
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();
        T_REQUIRE(pid >= 0);
        if (pid == 0) {
            add_one(f->cache);
            _exit(0);
        }
        T_REQUIRE_EQ(t_wait(pid), 0);
    }
    return NULL;
}

/* fork in a thread while another writes: the child has the forking thread only, and the other's
 * locks, which that one goes on holding in the parent, do not wedge it. */
T_TEST(a_thread_forks_while_others_hold_locks)
{
    struct forker f = {.cache = new_cache(8)};
    pthread_t writer, threads[2];
    T_REQUIRE_EQ(pthread_create(&writer, NULL, keep_writing, &f), 0);
    for (int i = 0; i < 2; i++)
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, fork_and_add, &f), 0);
    for (int i = 0; i < 2; i++)
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
    f.stop = true;
    T_REQUIRE_EQ(pthread_join(writer, NULL), 0);
    T_REQUIRE_EQ(count(f.cache), 62);
    T_REQUIRE_RC(lk_cache_verify(f.cache, NULL, NULL), 0);
    lk_cache_close(f.cache);
}

/* A child made without libc's fork (no atfork handlers run) must notice that it is another. */
T_TEST(a_child_made_by_the_bare_system_call_is_not_attached)
{
    lk_cache *c = new_cache(4);
    add_one(c);
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    T_REQUIRE(pid >= 0);
    if (pid == 0) {
        struct lk_cache_stat s;
        int bad = lk_cache_stat(c, &s) != 0 || s.threads != 1;
        char text[16];
        size_t size;
        bad |= lk_cache_get(c, "n", 1, text, sizeof text, &size) != 0;
        _exit(bad);
    }
    T_REQUIRE_EQ(t_wait((pid_t)pid), 0);
    add_one(c);
    T_REQUIRE_EQ(count(c), 2);
    lk_cache_close(c);
}
