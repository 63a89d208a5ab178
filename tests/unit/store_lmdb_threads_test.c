/* The LMDB store: writes that share a commit, a map that grows, readers that died, a file that may
 * only be read.
 * Kills: store.shared_keeps_failed, store.size_not_followed, store.dead_readers_stay,
 * store.read_only_extends. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/db.h"
#include "test.h"

static char path[300], url[320];

/* False: built without LMDB. */
static bool open_at(lk_store *s, const struct lk_store_options *options)
{
    snprintf(path, sizeof path, "%s/file", t_tmpdir());
    snprintf(url, sizeof url, "lmdb:%s", path);
    int rc = lk_store_open(s, url, options);
    if (rc == ENOTSUP)
        T_LOG("not in this build");
    T_REQUIRE(rc == 0 || rc == ENOTSUP);
    return rc == 0;
}

struct record {
    uint64_t oid;
    size_t size;
    int rc; /* of the body, behind the put */
    int puts;
};

static int put_body(void *arg, struct lk_writing *w)
{
    const struct record *r = arg;
    static const char zeros[1 << 20];
    for (int i = 0; i < r->puts; i++) {
        int rc = w->put(w, r->oid + (uint64_t)i, zeros, r->size);
        if (rc != 0)
            return rc;
    }
    return r->rc;
}

static int write_record(lk_store *s, struct record r)
{
    uint64_t tid;
    r.puts = r.puts != 0 ? r.puts : 1;
    return s->ops->write(s->at, put_body, &r, &tid);
}

static int take_size(void *arg, const void *bytes, size_t size)
{
    (void)bytes;
    *(size_t *)arg = size;
    return 0;
}

static int size_of(lk_store *s, uint64_t oid, size_t *size)
{
    void *snap;
    uint64_t tid;
    T_REQUIRE_RC(s->ops->snap(s->at, &snap, &tid), 0);
    int rc = s->ops->load(s->at, snap, oid, take_size, size);
    s->ops->unsnap(s->at, snap);
    return rc;
}

/* ---- writes that share a commit ------------------------------------------------------------- */

enum { THREADS = 4, WRITES = 60 };
static lk_store shared;
static atomic_int in_body, together, refused;

/* The others are let come, so that commits are shared; each 7th write fails. */
static int shared_body(void *arg, struct lk_writing *w)
{
    const struct record *r = arg;
    T_REQUIRE(atomic_fetch_add(&in_body, 1) == 0);
    atomic_fetch_add(&together, w->unsure != 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    int rc = w->put(w, r->oid, "here", 4);
    atomic_fetch_sub(&in_body, 1);
    return rc != 0 ? rc : r->rc;
}

static void *write_many(void *arg)
{
    for (int i = 0; i < WRITES; i++) {
        uint64_t tid;
        struct record r = {.oid = 1000 * (uint64_t)(intptr_t)arg + (uint64_t)i + 20,
                           .rc = i % 7 == 3 ? ECANCELED : 0};
        int rc = (i % 5 == 0 ? shared.ops->write : shared.ops->write_shared)(shared.at, shared_body,
                                                                             &r, &tid);
        T_REQUIRE_RC(rc, r.rc);
        atomic_fetch_add(&refused, rc != 0);
    }
    return NULL;
}

T_TEST(writes_that_come_together_share_a_commit)
{
    pthread_t id[THREADS];
    if (!open_at(&shared, &(struct lk_store_options){.sync = LK_SYNC_FULL}))
        return;
    for (intptr_t i = 0; i < THREADS; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, write_many, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    lk_store_close(&shared);
    T_REQUIRE(open_at(&shared, NULL));
    void *snap;
    uint64_t tid;
    T_REQUIRE_RC(shared.ops->snap(shared.at, &snap, &tid), 0);
    T_REQUIRE_EQ(tid, (uint64_t)(THREADS * WRITES - atomic_load(&refused)));
    for (uint64_t i = 0; i < THREADS * WRITES; i++) {
        size_t size = 0;
        T_REQUIRE_RC(shared.ops->load(shared.at, snap, 1000 * (i / WRITES) + i % WRITES + 20,
                                      take_size, &size),
                     i % WRITES % 7 == 3 ? ENOENT : 0);
    }
    shared.ops->unsnap(shared.at, snap);
    lk_store_close(&shared);
    T_LOG("%d of %d writes were not the first of their commit", atomic_load(&together),
          THREADS * WRITES);
    T_REQUIRE(atomic_load(&together) > THREADS);
}

/* Threads that change the same tree, with the disk waited for: no change is lost. */
static lk_db *db;

static void *count_up(void *arg)
{
    for (int done = 0; done < WRITES;) {
        lk_txn *x;
        lk_tree *t;
        struct lk_bytes value, key = {"count", 5};
        uint64_t n = 0;
        T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
        T_REQUIRE_RC(lk_txn_tree(x, "t", &(struct lk_tree_options){4, 4}, &t), 0);
        T_REQUIRE_RC(lk_section_begin(), 0);
        if (lk_tree_get(t, key, &value) == 0)
            memcpy(&n, value.at, sizeof n);
        lk_section_end();
        char own[32];
        int size = snprintf(own, sizeof own, "%d/%d", (int)(intptr_t)arg, done);
        n++;
        T_REQUIRE_RC(lk_tree_put(t, key, (struct lk_bytes){&n, sizeof n}, NULL), 0);
        T_REQUIRE_RC(
            lk_tree_put(t, (struct lk_bytes){own, (size_t)size}, (struct lk_bytes){"", 0}, NULL),
            0);
        int rc = lk_txn_commit(x, NULL);
        T_REQUIRE(rc == 0 || rc == LK_ECHANGED);
        if (rc != 0)
            lk_txn_abort(x);
        done += rc == 0;
    }
    return NULL;
}

T_TEST(counts_are_right_where_commits_are_shared)
{
    pthread_t id[THREADS];
    lk_store probe;
    if (!open_at(&probe, NULL))
        return;
    lk_store_close(&probe);
    T_REQUIRE_RC(lk_db_open(&db, url, &(struct lk_db_options){.cache_nodes = 5}), 0);
    for (intptr_t i = 0; i < THREADS; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, count_up, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    for (int again = 0; again < 2; again++) {
        lk_view *v;
        lk_tree *t;
        struct lk_bytes value;
        uint64_t n = 0;
        T_REQUIRE_RC(lk_db_check(db, NULL), 0);
        T_REQUIRE_RC(lk_db_view(db, &v), 0);
        T_REQUIRE_RC(lk_view_tree(v, "t", &t), 0);
        T_REQUIRE_RC(lk_section_begin(), 0);
        T_REQUIRE_RC(lk_tree_get(t, (struct lk_bytes){"count", 5}, &value), 0);
        memcpy(&n, value.at, sizeof n);
        T_REQUIRE_EQ(n, THREADS * WRITES);
        T_REQUIRE_RC(lk_tree_count(t, NULL, &n), 0);
        T_REQUIRE_EQ(n, THREADS * WRITES + 1);
        lk_section_end();
        lk_view_end(v);
        lk_db_close(db);
        if (again == 0)
            T_REQUIRE_RC(lk_db_open(&db, url, NULL), 0);
    }
}

/* ---- other processes ------------------------------------------------------------------------ */

/* A child that does fn once it is told to; what it does there, the parent waits for. */
struct child {
    pid_t pid;
    int go;
};

static struct child fork_with(int (*fn)(void))
{
    int end[2];
    char c;
    T_REQUIRE(pipe(end) == 0);
    struct child child = {fork(), end[1]};
    T_REQUIRE(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(end[1]);
        _exit(read(end[0], &c, 1) == 1 ? fn() : 1);
    }
    (void)close(end[0]);
    return child;
}

static int run_child(struct child child)
{
    int status;
    T_REQUIRE(write(child.go, "x", 1) == 1);
    (void)close(child.go);
    T_REQUIRE(waitpid(child.pid, &status, 0) == child.pid);
    return status;
}

static int make_larger(void)
{
    lk_store s;
    if (lk_store_open(&s, url, &(struct lk_store_options){LK_SYNC_NONE, false, 64 << 20}) != 0)
        return 1;
    int rc = write_record(&s, (struct record){.oid = 100, .size = 1 << 20, .puts = 20});
    lk_store_close(&s);
    return rc != 0;
}

/* Names the file; true if this build has LMDB. */
static bool have_lmdb(void)
{
    lk_store s;
    bool have = open_at(&s, NULL);
    if (have) {
        lk_store_close(&s);
        (void)unlink(path);
    }
    return have;
}

T_TEST(a_file_that_another_process_makes_larger_is_followed)
{
    struct lk_store_options small = {LK_SYNC_NONE, false, 2 << 20};
    lk_store s;
    void *before;
    uint64_t tid;
    size_t size = 0;
    if (!have_lmdb())
        return;
    for (int writes = 0; writes < 2; writes++) { /* a reader comes first, or a writer */
        (void)unlink(path);
        struct child child = fork_with(make_larger);
        T_REQUIRE(open_at(&s, &small));
        T_REQUIRE_RC(write_record(&s, (struct record){.oid = 20, .size = 3}), 0);
        struct record much = {.oid = 50, .size = 1 << 20, .puts = 20};
        T_REQUIRE_RC(write_record(&s, much), ENOSPC);
        T_REQUIRE_RC(s.ops->snap(s.at, &before, &tid), 0);
        T_REQUIRE_EQ(run_child(child), 0);
        if (writes)
            T_REQUIRE_RC(write_record(&s, (struct record){.oid = 21, .size = 4}), 0);
        T_REQUIRE_RC(size_of(&s, 119, &size), 0);
        T_REQUIRE_EQ(size, 1 << 20);
        T_REQUIRE_RC(s.ops->load(s.at, before, 119, take_size, &size), ENOENT);
        T_REQUIRE_RC(s.ops->load(s.at, before, 20, take_size, &size), 0);
        T_REQUIRE_EQ(size, 3);
        s.ops->unsnap(s.at, before);
        lk_store_close(&s);
    }
}

static int die_reading(void)
{
    lk_store s;
    void *snap;
    uint64_t tid;
    if (lk_store_open(&s, url, NULL) != 0 || s.ops->snap(s.at, &snap, &tid) != 0)
        return 1;
    return kill(getpid(), SIGKILL);
}

static long long file_size(void)
{
    struct stat st;
    T_REQUIRE(stat(path, &st) == 0);
    return (long long)st.st_size;
}

/* What a dead process's snapshot saw is used again soon, whoever has the file open. */
T_TEST(a_reader_that_died_does_not_make_the_file_grow)
{
    lk_store s;
    struct record again = {.oid = 20, .size = 1 << 20};
    if (!have_lmdb())
        return;
    struct child child = fork_with(die_reading);
    T_REQUIRE(open_at(&s, &(struct lk_store_options){.sync = LK_SYNC_NONE}));
    T_REQUIRE_RC(write_record(&s, again), 0);
    int status = run_child(child);
    T_REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    nanosleep(&(struct timespec){1, 100000000}, NULL);
    for (int i = 0; i < 5; i++)
        T_REQUIRE_RC(write_record(&s, again), 0);
    long long size = file_size();
    for (int i = 0; i < 20; i++)
        T_REQUIRE_RC(write_record(&s, again), 0);
    T_REQUIRE(file_size() - size < 3 << 20);
    lk_store_close(&s);
}

T_TEST(an_open_for_reading_never_changes_the_file)
{
    lk_store s;
    size_t size = 0;
    if (!have_lmdb())
        return;
    T_REQUIRE(open_at(&s, &(struct lk_store_options){.sync = LK_SYNC_NONE}));
    T_REQUIRE_RC(write_record(&s, (struct record){.oid = 20, .size = 100000}), 0);
    lk_store_close(&s);
    struct lk_store_options reading = {.read_only = true};
    T_REQUIRE(open_at(&s, &reading));
    T_REQUIRE_RC(size_of(&s, 20, &size), 0);
    lk_store_close(&s);
    long long whole = file_size(), cut = whole / 2 / 4096 * 4096;
    T_REQUIRE(truncate(path, (off_t)cut) == 0);
    T_REQUIRE_RC(lk_store_open(&s, url, &reading), LK_ECORRUPT);
    char words[64];
    snprintf(words, sizeof words, "it has %lld bytes, its last page ends at %lld", cut, whole);
    T_REQUIRE(strstr(lk_error_text(), words) != NULL);
    T_REQUIRE_EQ(file_size(), cut);
}
