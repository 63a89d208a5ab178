/* Many threads and processes on one LMDB store: bank transfers, increments, long forks; some are
 * killed at any moment.  No money is lost or made, no increment is lost, and two readers never see
 * two independent changes in different orders.
 *
 * Runs in: dev
 * Kills: object.conflict_overlooked. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/db.h"
#include "latchkey/mutex.h"
#include "test.h"

enum { ACCOUNTS = 12, MONEY = 100, WORKERS = 3, KILLS = 25, ROUNDS = 60 };

/* What the processes tell each other outside the store: commits that were acknowledged. */
struct told {
    uint64_t committed[WORKERS];
    uint32_t stop;
};
static struct told *told;
static char url[512];

static lk_db *open_db(void)
{
    lk_db *db = NULL;
    struct lk_db_options o = {.store.sync = LK_SYNC_NONE, .keep = 20, .cache_nodes = 8};
    T_REQUIRE_RC(lk_db_open(&db, url, &o), 0);
    return db;
}

static struct lk_bytes number_key(unsigned char key[8], int i)
{
    lk_key_int64(key, i);
    return (struct lk_bytes){key, 8};
}

static int64_t get(lk_tree *t, int i)
{
    unsigned char key[8];
    struct lk_bytes v;
    int rc = lk_tree_get(t, number_key(key, i), &v);
    if (rc == ENOENT)
        return 0;
    T_REQUIRE_RC(rc, 0);
    return lk_key_to_int64(v.at);
}

static void set(lk_tree *t, int i, int64_t n)
{
    unsigned char key[8], value[8];
    lk_key_int64(value, n);
    T_REQUIRE_RC(lk_tree_put(t, number_key(key, i), (struct lk_bytes){value, 8}, NULL), 0);
}

static void open_trees(lk_txn *x, lk_tree **bank, lk_tree **counts)
{
    struct lk_tree_options small = {3, 3};
    T_REQUIRE_RC(lk_txn_tree(x, "bank", &small, bank), 0);
    T_REQUIRE_RC(lk_txn_tree(x, "counts", &small, counts), 0);
}

/* Move money between two accounts and count it, until it is committed. */
static void transfer(lk_db *db, unsigned *seed, int worker)
{
    int from = rand_r(seed) % ACCOUNTS, to = (from + 1 + rand_r(seed) % (ACCOUNTS - 1)) % ACCOUNTS;
    for (;;) {
        lk_txn *x;
        lk_tree *bank, *counts;
        T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
        open_trees(x, &bank, &counts);
        T_REQUIRE_RC(lk_section_begin(), 0);
        int64_t a = get(bank, from), b = get(bank, to), n = get(counts, worker),
                all = get(counts, -1);
        lk_section_end();
        set(bank, from, a - 1);
        set(bank, to, b + 1);
        set(counts, worker, n + 1);
        set(counts, -1, all + 1);
        int rc = lk_txn_commit(x, NULL);
        if (rc == 0)
            return;
        T_REQUIRE_RC(rc, LK_ECHANGED);
        lk_txn_abort(x);
    }
}

static void work(void *arg)
{
    int worker = (int)(intptr_t)arg;
    unsigned seed = (unsigned)getpid();
    lk_db *db = open_db();
    while (__atomic_load_n(&told->stop, __ATOMIC_RELAXED) == 0) {
        transfer(db, &seed, worker);
        __atomic_add_fetch(&told->committed[worker], 1, __ATOMIC_RELAXED);
    }
    lk_db_close(db);
}

/* Every state has all the money, and as many counts in all as each worker has. */
static int64_t require_invariants(lk_db *db)
{
    lk_view *v;
    lk_tree *bank, *counts;
    int64_t sum = 0, each = 0;
    T_REQUIRE_RC(lk_db_view(db, &v), 0);
    T_REQUIRE_RC(lk_view_tree(v, "bank", &bank), 0);
    T_REQUIRE_RC(lk_view_tree(v, "counts", &counts), 0);
    T_REQUIRE_RC(lk_section_begin(), 0);
    for (int i = 0; i < ACCOUNTS; i++)
        sum += get(bank, i);
    for (int i = 0; i < WORKERS; i++)
        each += get(counts, i);
    T_REQUIRE_EQ(sum, ACCOUNTS * MONEY);
    T_REQUIRE_EQ(each, get(counts, -1));
    for (int i = 0; i < WORKERS; i++)
        T_REQUIRE(get(counts, i) >= 0);
    lk_section_end();
    lk_view_end(v);
    return each;
}

static void make_bank(void)
{
    lk_txn *x;
    lk_tree *bank, *counts;
    snprintf(url, sizeof url, "lmdb:%s/bank", t_tmpdir());
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(told != MAP_FAILED);
    lk_db *db = open_db();
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    open_trees(x, &bank, &counts);
    for (int i = 0; i < ACCOUNTS; i++)
        set(bank, i, MONEY);
    set(counts, -1, 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
    lk_db_close(db);
}

static void watch(void *arg)
{
    (void)arg;
    lk_db *db = open_db();
    int64_t last = 0;
    while (__atomic_load_n(&told->stop, __ATOMIC_RELAXED) == 0) {
        int64_t now = require_invariants(db);
        T_REQUIRE(now >= last); /* time does not go back */
        last = now;
    }
    lk_db_close(db);
}

T_TEST(killed_processes_lose_no_money_and_no_commit)
{
    make_bank();
    pid_t worker[WORKERS], watcher = t_fork(watch, NULL);
    for (intptr_t i = 0; i < WORKERS; i++)
        worker[i] = t_fork(work, (void *)i);
    unsigned seed = 7;
    for (int k = 0; k < KILLS; k++) {
        int i = k % WORKERS;
        nanosleep(&(struct timespec){.tv_nsec = 2000000 + rand_r(&seed) % 30000000}, NULL);
        kill(worker[i], SIGKILL);
        T_REQUIRE_EQ(t_wait(worker[i]), -SIGKILL);
        worker[i] = t_fork(work, (void *)(intptr_t)i);
    }
    __atomic_store_n(&told->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < WORKERS; i++)
        T_REQUIRE_EQ(t_wait(worker[i]), 0);
    T_REQUIRE_EQ(t_wait(watcher), 0);
    lk_db *db = open_db();
    int64_t all = require_invariants(db), acknowledged = 0;
    for (int i = 0; i < WORKERS; i++)
        acknowledged += (int64_t)told->committed[i];
    T_LOG("%d kills, %lld commits, %lld of them acknowledged", KILLS, (long long)all,
          (long long)acknowledged);
    /* A commit may have been done by one who was killed before he could say so. */
    T_REQUIRE(all >= acknowledged && all <= acknowledged + KILLS);
    T_REQUIRE(acknowledged > 20);
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

/* The process ends itself at every call of the store in turn. */
static void die_at(void *arg)
{
    unsigned seed = 1;
    char faulty[600];
    lk_db *db;
    snprintf(faulty, sizeof faulty, "fault:die=%d:%s", (int)(intptr_t)arg, url);
    if (lk_db_open(&db, faulty, &(struct lk_db_options){.store.sync = LK_SYNC_NONE}) == 0) {
        transfer(db, &seed, 0);
        lk_db_close(db);
    }
}

T_TEST(death_at_every_store_call_leaves_old_or_new)
{
    make_bank();
    int died = 0, done = 0;
    lk_db *db = NULL;
    int64_t before = 0;
    for (int n = 1; n < 200 && done < 2; n++) {
        int ended = t_wait(t_fork(die_at, (void *)(intptr_t)n));
        T_REQUIRE(ended == 0 || ended == -SIGKILL);
        died += ended != 0;
        done += ended == 0;
        db = open_db();
        int64_t now = require_invariants(db);
        T_REQUIRE(now == before || now == before + 1);
        T_REQUIRE(ended != 0 || now == before + 1);
        before = now;
        T_REQUIRE_RC(lk_db_check(db, NULL), 0);
        lk_db_close(db);
    }
    T_LOG("%d deaths", died);
    T_REQUIRE(died > 10 && done == 2);
}

/* ---- a long fork: two independent writers, readers that compare ------------------------------ */

static lk_db *shared;
static lk_mutex pairs_lock;
static struct {
    int64_t x, y;
} pairs[4 * ROUNDS];
static int n_pairs;

static void *write_alone(void *arg)
{
    int key = (int)(intptr_t)arg;
    for (int i = 1; i <= ROUNDS; i++) {
        lk_txn *x;
        lk_tree *bank, *counts;
        T_REQUIRE_RC(lk_txn_begin(shared, &x), 0);
        open_trees(x, &bank, &counts);
        set(bank, key, i);
        T_REQUIRE_RC(lk_txn_commit(x, NULL), 0); /* other keys are no conflict */
    }
    return NULL;
}

static void *read_both(void *arg)
{
    for (int i = 0; i < 2 * ROUNDS; i++) {
        lk_view *v;
        lk_tree *bank;
        T_REQUIRE_RC(lk_db_view(shared, &v), 0);
        T_REQUIRE_RC(lk_view_tree(v, "bank", &bank), 0);
        T_REQUIRE_RC(lk_section_begin(), 0);
        int64_t x = get(bank, 1000), y = get(bank, 2000);
        lk_section_end();
        lk_view_end(v);
        lk_mutex_lock(&pairs_lock);
        pairs[n_pairs].x = x;
        pairs[n_pairs++].y = y;
        lk_mutex_unlock(&pairs_lock);
    }
    return arg;
}

T_TEST(independent_changes_are_seen_in_one_order)
{
    pthread_t id[4];
    make_bank();
    shared = open_db();
    for (int i = 0; i < 4; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, i < 2 ? write_alone : read_both,
                                 (void *)(intptr_t)(1000 * (i + 1))) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(id[i], NULL);
    for (int a = 0; a < n_pairs; a++)
        for (int b = 0; b < a; b++)
            T_REQUIRE((pairs[a].x >= pairs[b].x && pairs[a].y >= pairs[b].y) ||
                      (pairs[a].x <= pairs[b].x && pairs[a].y <= pairs[b].y));
    lk_db_close(shared);
}
