/* Handles: names, descriptors, read-only, fork, attaching and detaching threads. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "latchkey/latchkey.h"
#include "test.h"

enum { THREADS_MAX = 3 };

static lk_cache *new_cache(void)
{
    lk_cache *c = NULL;
    struct lk_cache_options o = {.capacity_bytes = 65536, .threads = THREADS_MAX};
    T_REQUIRE_RC(lk_cache_open_anonymous(&c, &o), 0);
    return c;
}

static void require_get(lk_cache *c, const char *key, const char *want)
{
    char buf[64];
    size_t size = 0;
    int rc = lk_cache_get(c, key, strlen(key), buf, sizeof buf - 1, &size);
    T_REQUIRE_RC(rc, want == NULL ? ENOENT : 0);
    buf[size] = '\0';
    if (want != NULL)
        T_REQUIRE_STR_EQ(buf, want);
}

static int see_one(const struct lk_cache_item *item, void *arg)
{
    (void)item;
    ++*(int *)arg;
    return 0;
}

/* All that changes is EROFS, all that reads works, again and again (a hit must not store either).
 * */
static void require_read_only(lk_cache *c)
{
    struct lk_cache_request request = {.key = "k", .key_size = 1};
    struct lk_cache_stat stat;
    struct lk_lease lease;
    char buf[8];
    size_t size;
    int seen = 0;
    for (int i = 0; i < 10; i++)
        require_get(c, "k", "value");
    require_get(c, "absent", NULL);
    T_REQUIRE_EQ(lk_cache_get_many(c, &request, 1), 0);
    T_REQUIRE_EQ(request.rc, ENOBUFS);
    T_REQUIRE_RC(lk_cache_each(c, NULL, 0, see_one, &seen), 0);
    T_REQUIRE_EQ(seen, 1);
    T_REQUIRE_RC(lk_cache_stat(c, &stat), 0);
    T_REQUIRE_EQ(stat.entries, 1);
    T_REQUIRE_RC(lk_cache_verify(c, NULL, NULL), 0);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "v", 1, 0), EROFS);
    T_REQUIRE_RC(lk_cache_add(c, "new", 3, "v", 1, 0), EROFS);
    T_REQUIRE_RC(lk_cache_replace(c, "k", 1, "v", 1, 0), EROFS);
    T_REQUIRE_RC(lk_cache_cas(c, "k", 1, "v", 1, 0, 1), EROFS);
    T_REQUIRE_RC(lk_cache_delete(c, "k", 1), EROFS);
    T_REQUIRE_RC(lk_cache_touch(c, "k", 1, 0), EROFS);
    T_REQUIRE_RC(lk_cache_incr(c, "k", 1, 1, 1, 0, NULL), EROFS);
    T_REQUIRE_RC(lk_cache_flush(c), EROFS);
    T_REQUIRE_RC(lk_cache_repair(c, true, NULL), EROFS);
    T_REQUIRE_RC(lk_cache_lease(c, "absent", 6, buf, 8, &size, 0, NULL, &lease), EROFS);
    T_REQUIRE_RC(lk_cache_lease(c, "k", 1, buf, 8, &size, 0, NULL, &lease), 0);
}

T_TEST(a_descriptor_opened_read_only_reads)
{
    char path[64];
    lk_cache *c = new_cache(), *reader = NULL;
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "value", 5, 0), 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", lk_cache_fd(c));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    T_REQUIRE(fd >= 0);
    T_REQUIRE_RC(lk_cache_open_fd(&reader, fd, NULL), 0);
    (void)close(fd); /* the handle has its own */
    require_read_only(reader);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "other", 5, 0), 0);
    require_get(reader, "k", "other");
    lk_cache_close(reader);
    lk_cache_close(c);
}

T_TEST(a_name_opened_read_only_reads)
{
    lk_cache *c = NULL, *reader = NULL;
    struct lk_cache_options o = {.flags = LK_CACHE_READ_ONLY};
    (void)t_tmpdir();
    T_REQUIRE_RC(lk_cache_open(&reader, "web", &o), ENOENT);
    T_REQUIRE_RC(lk_cache_open(&c, "web", NULL), 0);
    T_REQUIRE_RC(lk_cache_set(c, "k", 1, "value", 5, 0), 0);
    T_REQUIRE_RC(lk_cache_open(&reader, "web", &o), 0);
    require_read_only(reader);
    lk_cache_close(reader);
    lk_cache_close(c);
}

/* The name may go while handles live; then it is free for another cache. */
T_TEST(unlinked_cache_lives_on_in_its_handles)
{
    lk_cache *a = NULL, *b = NULL, *other = NULL;
    (void)t_tmpdir();
    T_REQUIRE_RC(lk_cache_open(&a, "web", NULL), 0);
    T_REQUIRE_RC(lk_cache_open(&b, "web", NULL), 0);
    T_REQUIRE_RC(lk_cache_unlink("web"), 0);
    T_REQUIRE_RC(lk_cache_set(a, "k", 1, "v", 1, 0), 0);
    require_get(b, "k", "v");
    T_REQUIRE_RC(lk_cache_open(&other, "web", NULL), 0);
    require_get(other, "k", NULL);
    lk_cache_close(a);
    require_get(b, "k", "v");
    lk_cache_close(b);
    lk_cache_close(other);
}

/* Two handles of one cache in one process: locks of one thread through both are one thread's. */
T_TEST(two_handles_in_one_thread_work_side_by_side)
{
    lk_cache *a = new_cache(), *b = NULL;
    T_REQUIRE_RC(lk_cache_open_fd(&b, lk_cache_fd(a), NULL), 0);
    for (int i = 0; i < 100; i++) {
        T_REQUIRE_RC(lk_cache_incr(i % 2 ? a : b, "n", 1, 1, 1, 0, NULL), 0);
    }
    require_get(a, "n", "100");
    lk_cache_close(a);
    T_REQUIRE_RC(lk_cache_incr(b, "n", 1, 1, 1, 0, NULL), 0);
    require_get(b, "n", "101");
    lk_cache_close(b);
}

struct crowd {
    lk_cache *cache;
    pthread_barrier_t in, out;
};

static void *attach_and_stay(void *arg)
{
    struct crowd *w = arg;
    T_REQUIRE_RC(lk_cache_incr(w->cache, "n", 1, 1, 1, 0, NULL), 0);
    (void)pthread_barrier_wait(&w->in);
    (void)pthread_barrier_wait(&w->out);
    return NULL;
}

/* More threads than slots: writes say so, reads go on, and a slot that comes free is used. */
T_TEST(one_thread_too_many_still_reads)
{
    struct crowd w = {.cache = new_cache()};
    pthread_t threads[THREADS_MAX];
    (void)pthread_barrier_init(&w.in, NULL, THREADS_MAX + 1);
    (void)pthread_barrier_init(&w.out, NULL, THREADS_MAX + 1);
    for (int i = 0; i < THREADS_MAX; i++)
        T_REQUIRE_EQ(pthread_create(&threads[i], NULL, attach_and_stay, &w), 0);
    (void)pthread_barrier_wait(&w.in);
    for (int i = 0; i < 3000; i++)
        require_get(w.cache, "n", "3");
    T_REQUIRE_RC(lk_cache_set(w.cache, "k", 1, "v", 1, 0), LK_ETHREADS);
    T_REQUIRE_RC(lk_cache_delete(w.cache, "n", 1), LK_ETHREADS);
    T_REQUIRE_RC(lk_cache_flush(w.cache), LK_ETHREADS);
    require_get(w.cache, "n", "3");
    struct lk_cache_stat stat;
    T_REQUIRE_RC(lk_cache_stat(w.cache, &stat), 0);
    T_REQUIRE_EQ(stat.threads, THREADS_MAX);
    (void)pthread_barrier_wait(&w.out);
    for (int i = 0; i < THREADS_MAX; i++)
        T_REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
    T_REQUIRE_RC(lk_cache_set(w.cache, "k", 1, "v", 1, 0), 0);
    T_REQUIRE_RC(lk_cache_stat(w.cache, &stat), 0);
    T_REQUIRE_EQ(stat.threads, 1);
    lk_cache_close(w.cache);
}

static void *use_a_moment(void *arg)
{
    T_REQUIRE_RC(lk_cache_incr(arg, "n", 1, 1, 1, 0, NULL), 0);
    return NULL;
}

/* Threads come and go far more often than there are slots. */
T_TEST(slots_of_ended_threads_are_used_again)
{
    lk_cache *c = new_cache();
    for (int i = 0; i < 200; i++) {
        pthread_t t;
        T_REQUIRE_EQ(pthread_create(&t, NULL, use_a_moment, c), 0);
        T_REQUIRE_EQ(pthread_join(t, NULL), 0);
    }
    require_get(c, "n", "200");
    lk_cache_close(c);
}

struct closing {
    lk_cache *cache;
    pthread_barrier_t used, closed;
};

static void *outlive_handle(void *arg)
{
    struct closing *w = arg;
    T_REQUIRE_RC(lk_cache_incr(w->cache, "n", 1, 1, 1, 0, NULL), 0);
    (void)pthread_barrier_wait(&w->used);
    (void)pthread_barrier_wait(&w->closed);
    /* The handle is gone; this thread's attachment ends with the thread.  Another cache
     * meanwhile. */
    lk_cache *other = new_cache();
    T_REQUIRE_RC(lk_cache_incr(other, "n", 1, 1, 1, 0, NULL), 0);
    lk_cache_close(other);
    return NULL;
}

/* A handle may be closed while threads live that were attached by it. */
T_TEST(closing_while_attached_threads_live)
{
    for (int i = 0; i < 20; i++) {
        struct closing w = {.cache = new_cache()};
        lk_cache *second = NULL;
        pthread_t threads[2];
        (void)pthread_barrier_init(&w.used, NULL, 3);
        (void)pthread_barrier_init(&w.closed, NULL, 3);
        for (int t = 0; t < 2; t++)
            T_REQUIRE_EQ(pthread_create(&threads[t], NULL, outlive_handle, &w), 0);
        (void)pthread_barrier_wait(&w.used);
        T_REQUIRE_RC(lk_cache_open_fd(&second, lk_cache_fd(w.cache), NULL), 0);
        lk_cache_close(w.cache);
        (void)pthread_barrier_wait(&w.closed);
        for (int t = 0; t < 2; t++)
            T_REQUIRE_EQ(pthread_join(threads[t], NULL), 0);
        struct lk_cache_stat stat;
        require_get(second, "n", "2");
        T_REQUIRE_RC(lk_cache_stat(second, &stat), 0);
        T_REQUIRE_EQ(stat.threads - 1, 0); /* the reader itself */
        lk_cache_close(second);
    }
}

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

T_TEST(open_and_close_leave_no_descriptor)
{
    (void)t_tmpdir();
    int before = count_fds();
    for (int i = 0; i < 300; i++) {
        lk_cache *c = NULL;
        struct lk_cache_options wrong = {.shards = 1000};
        T_REQUIRE_RC(lk_cache_open(&c, "web", NULL), 0);
        T_REQUIRE_RC(lk_cache_set(c, "k", 1, "v", 1, 0), 0);
        lk_cache_close(c);
        T_REQUIRE_RC(lk_cache_open(&c, "web", &wrong), LK_EOPTIONS);
        T_REQUIRE_RC(lk_cache_open(&c, "none", &wrong), ENOENT);
    }
    T_REQUIRE_EQ(count_fds(), before);
}

static int count_name(const char *name, void *arg)
{
    *(int *)arg += strncmp(name, "cache-", 6) == 0;
    return strcmp(name, "stop") == 0 ? 5 : 0;
}

T_TEST(names_are_listed)
{
    int n = 0;
    lk_seg *s = NULL;
    (void)t_tmpdir();
    T_REQUIRE_EQ(setenv("LK_DIR", "/dev/shm/lk-test-that-is-not-there", 1), 0);
    T_REQUIRE_RC(lk_seg_each_name(count_name, &n), 0);
    T_REQUIRE_EQ(setenv("LK_DIR", t_tmpdir(), 1), 0);
    for (int i = 0; i < 5; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "cache-%d", i);
        T_REQUIRE_RC(lk_seg_create(&s, name, 100, 1), 0);
        lk_seg_close(s);
    }
    T_REQUIRE_RC(lk_seg_each_name(count_name, &n), 0);
    T_REQUIRE_EQ(n, 5);
    T_REQUIRE_RC(lk_seg_create(&s, "stop", 100, 1), 0);
    lk_seg_close(s);
    T_REQUIRE_RC(lk_seg_each_name(count_name, &n), 5);
}
