/* bench_db_sync.c - commits that are on the disk before they return: by one thread, and by several
 * that share the wait. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_db_peers.h"

enum { COMMITS = 64 }; /* of each thread */

static lk_db *db;

struct committer {
    pthread_barrier_t *start;
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
    (void)pthread_barrier_wait(c->start);
    for (int64_t i = 0; i < COMMITS && c->rc == 0; i++)
        c->rc = commit_one(c->key + i);
    return NULL;
}

/* Commits a second of n threads, each with keys of its own; NAN: one failed. */
static double together(unsigned n, int64_t first)
{
    pthread_t id[DB_COMMITTERS];
    struct committer c[DB_COMMITTERS];
    pthread_barrier_t start;
    bool right = true;
    (void)pthread_barrier_init(&start, NULL, n + 1);
    for (unsigned i = 0; i < n; i++) {
        c[i] = (struct committer){&start, first + (int64_t)i * COMMITS, 0};
        if (pthread_create(&id[i], NULL, commit_many, &c[i]) != 0)
            abort();
    }
    (void)pthread_barrier_wait(&start);
    uint64_t begun = cli_now_ns();
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_join(id[i], NULL);
        right = right && c[i].rc == 0;
    }
    double ns = (double)(cli_now_ns() - begun);
    (void)pthread_barrier_destroy(&start);
    return right ? n * COMMITS * 1e9 / ns : NAN;
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
    int rc = lk_db_open(&db, url, &(struct lk_db_options){.keep = 1});
    for (uint64_t i = 0; i < rounds && rc == 0 && !cli_stop; i++) {
        int64_t first = (int64_t)i * (DB_COMMITTERS + 1) * COMMITS;
        bench_add(&f->one, together(1, first));
        bench_add(&f->many, together(DB_COMMITTERS, first + COMMITS));
    }
    if (rc == 0)
        lk_db_close(db);
    snprintf(lock, sizeof lock, "%s/db-lock", place);
    (void)unlink(url + strlen("lmdb:"));
    (void)unlink(lock);
    (void)rmdir(place);
    return rc;
}
