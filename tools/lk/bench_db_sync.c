/* bench_db_sync.c - commits that are on the disk before they return: by one thread, and by several
 * that share the wait. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_db_peers.h"

enum { COMMITS = 64 }; /* of each thread */

static lk_db *db;

struct committer {
    pthread_mutex_t *start; /* held until all threads are there */
    int64_t key;
    int rc;
};

static int commit_one(int64_t k)
{
    lk_txn *x;
    lk_tree *t;
    unsigned char key[8];
    int rc = lk_txn_begin(db, &x);
    if (rc != 0)
        return rc;
    lk_key_int64(key, k);
    rc = lk_txn_tree(x, "t", NULL, &t);
    if (rc == 0)
        rc = lk_tree_put(t, (struct lk_bytes){key, 8}, (struct lk_bytes){&k, 8}, NULL);
    if (rc == 0)
        rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    return rc;
}

static void *commit_many(void *arg)
{
    struct committer *c = arg;
    (void)pthread_mutex_lock(c->start);
    (void)pthread_mutex_unlock(c->start);
    for (int64_t i = 0; i < COMMITS && c->rc == 0; i++)
        c->rc = commit_one(c->key + i);
    return NULL;
}

/* *per_second = commits of n threads, each with keys of its own. */
static int together(unsigned n, int64_t first, double *per_second)
{
    pthread_t id[DB_COMMITTERS];
    struct committer c[DB_COMMITTERS];
    pthread_mutex_t start = PTHREAD_MUTEX_INITIALIZER;
    unsigned made = 0;
    int rc = 0;
    (void)pthread_mutex_lock(&start);
    for (; made < n && rc == 0; made += rc == 0) {
        c[made] = (struct committer){&start, first + (int64_t)made * COMMITS, 0};
        rc = pthread_create(&id[made], NULL, commit_many, &c[made]);
    }
    if (rc != 0)
        (void)cli_fail(CLI_CANNOT, "a thread: %s", strerror(rc));
    for (unsigned i = 0; i < made; i++)
        c[i].rc = rc; /* all or none */
    uint64_t begun = cli_now_ns();
    (void)pthread_mutex_unlock(&start);
    for (unsigned i = 0; i < made; i++) {
        (void)pthread_join(id[i], NULL);
        rc = rc != 0 ? rc : c[i].rc;
    }
    *per_second = n * COMMITS * 1e9 / (double)(cli_now_ns() - begun);
    (void)pthread_mutex_destroy(&start);
    return rc;
}

/* The bench's own files are in memory, where there is nothing to wait for. */
int db_sync_rounds(struct db_sync_figures *f, uint64_t rounds)
{
    const char *tmp = getenv("TMPDIR");
    char place[200], url[224], lock[224];
    if (snprintf(place, sizeof place, "%s/lk-bench-XXXXXX", tmp != NULL ? tmp : "/var/tmp") >=
        (int)sizeof place)
        return ENAMETOOLONG;
    if (mkdtemp(place) == NULL)
        return errno;
    snprintf(url, sizeof url, "lmdb:%s/db", place);
    db = NULL;
    int rc = lk_db_open(&db, url, &(struct lk_db_options){.keep = 1});
    for (uint64_t i = 0; i < rounds && rc == 0 && !cli_stop; i++) {
        int64_t first = (int64_t)i * (DB_COMMITTERS + 1) * COMMITS;
        double one = 0, many = 0;
        rc = together(1, first, &one);
        if (rc == 0)
            rc = together(DB_COMMITTERS, first + COMMITS, &many);
        if (rc == 0) {
            bench_add(&f->one, one);
            bench_add(&f->many, many);
        }
    }
    lk_db_close(db);
    snprintf(lock, sizeof lock, "%s/db-lock", place);
    (void)unlink(url + strlen("lmdb:"));
    (void)unlink(lock);
    (void)rmdir(place);
    return rc;
}
