/* Many threads and processes on one store: bank transfers, increments, long forks; some are killed
 * at any moment or at each call of the store.  No money is lost or made, no commit that was
 * acknowledged is lost, and two readers never see two independent changes in different orders.
 *
 * On memory (threads), LMDB and, if $LK_TEST_POSTGRESQL names a server, PostgreSQL.
 * $LK_HISTORY_KILLS: how many processes are killed (default 25; fewer on a server), and as many
 * times more rounds of the other histories (tests/db/campaign_histories.sh).
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
#include "test.h"

enum { ACCOUNTS = 12, MONEY = 100, WORKERS = 3, THREADS = 2, KILLS = 25, ROUNDS = 100 };
enum { PAIRS_MAX = 1 << 18 };

/* What the processes tell each other outside the store. */
struct told {
    uint64_t committed[WORKERS]; /* commits that were acknowledged */
    uint32_t stop, n_pairs;
    uint32_t n_x; /* how often a reader has seen another x than before */
    struct {
        int64_t x, y;
    } pair[PAIRS_MAX];
};
static struct told *told;
static char url[512];

/* How many times the short form. */
static int times(void)
{
    const char *kills = getenv("LK_HISTORY_KILLS");
    return kills != NULL && atoi(kills) > KILLS ? atoi(kills) / KILLS : 1;
}

static lk_db *open_db_as(const char *where)
{
    lk_db *db = NULL;
    struct lk_db_options o = {.store.sync = LK_SYNC_NONE, .keep = 20, .cache_nodes = 8};
    T_REQUIRE_RC(lk_db_open(&db, where, &o), 0);
    return db;
}

static lk_db *open_db(void)
{
    return open_db_as(url);
}

static struct lk_bytes number_key(unsigned char key[8], int i)
{
    lk_key_int64(key, i);
    return (struct lk_bytes){key, 8};
}

/* 0: there is none.  An error is the caller's to judge. */
static int try_get(lk_tree *t, int i, int64_t *n)
{
    unsigned char key[8];
    struct lk_bytes v;
    int rc = lk_tree_get(t, number_key(key, i), &v);
    *n = rc == 0 ? lk_key_to_int64(v.at) : 0;
    return rc == ENOENT ? 0 : rc;
}

static int64_t get(lk_tree *t, int i)
{
    int64_t n;
    T_REQUIRE_RC(try_get(t, i, &n), 0);
    return n;
}

static int set(lk_tree *t, int i, int64_t n)
{
    unsigned char key[8], value[8];
    lk_key_int64(value, n);
    return lk_tree_put(t, number_key(key, i), (struct lk_bytes){value, 8}, NULL);
}

static int open_trees(lk_txn *x, lk_tree **bank, lk_tree **counts)
{
    struct lk_tree_options small = {3, 3};
    int rc = lk_txn_tree(x, "bank", &small, bank);
    return rc == 0 ? lk_txn_tree(x, "counts", &small, counts) : rc;
}

/* Move money between two accounts and count it, in one transaction. */
static int move(lk_txn *x, int from, int to, int worker)
{
    lk_tree *bank, *counts;
    int64_t a, b, n, all;
    int rc = open_trees(x, &bank, &counts);
    if (rc != 0)
        return rc;
    T_REQUIRE_RC(lk_section_begin(), 0);
    if ((rc = try_get(bank, from, &a)) == 0 && (rc = try_get(bank, to, &b)) == 0 &&
        (rc = try_get(counts, worker, &n)) == 0)
        rc = try_get(counts, -1, &all);
    lk_section_end();
    if (rc == 0 && (rc = set(bank, from, a - 1)) == 0 && (rc = set(bank, to, b + 1)) == 0 &&
        (rc = set(counts, worker, n + 1)) == 0)
        rc = set(counts, -1, all + 1);
    return rc == 0 ? lk_txn_commit(x, NULL) : rc;
}

/* A transfer, again until no other came between.  0, or what the store says. */
static int transfer(lk_db *db, unsigned *seed, int worker)
{
    int from = rand_r(seed) % ACCOUNTS, to = (from + 1 + rand_r(seed) % (ACCOUNTS - 1)) % ACCOUNTS;
    for (;;) {
        lk_txn *x;
        int rc = lk_txn_begin(db, &x);
        if (rc != 0)
            return rc;
        rc = move(x, from, to, worker);
        if (rc != 0)
            lk_txn_abort(x);
        if (rc != LK_ECHANGED)
            return rc;
    }
}

struct hand {
    lk_db *db;
    int worker;
    unsigned seed;
};

static bool stopped(void)
{
    return __atomic_load_n(&told->stop, __ATOMIC_RELAXED) != 0;
}

static void *transfer_on(void *arg)
{
    struct hand *h = arg;
    while (!stopped()) {
        T_REQUIRE_RC(transfer(h->db, &h->seed, h->worker), 0);
        __atomic_add_fetch(&told->committed[h->worker], 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A process of several threads that share the database. */
static void work(void *arg)
{
    pthread_t id[THREADS];
    struct hand hand[THREADS];
    lk_db *db = open_db();
    for (int i = 0; i < THREADS; i++) {
        hand[i] = (struct hand){db, (int)(intptr_t)arg, (unsigned)(getpid() * THREADS + i)};
        T_REQUIRE(pthread_create(&id[i], NULL, transfer_on, &hand[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(id[i], NULL);
    lk_db_close(db);
}

/* Every state has all the money, and as many counts in all as the workers have.  Returns that. */
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
    lk_section_end();
    lk_view_end(v);
    return each;
}

/* Every account has its money, and nothing was moved yet. */
static void put_money(lk_db *db)
{
    lk_txn *x;
    lk_tree *bank, *counts;
    T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
    T_REQUIRE_RC(open_trees(x, &bank, &counts), 0);
    for (int i = 0; i < ACCOUNTS; i++)
        T_REQUIRE_RC(set(bank, i, MONEY), 0);
    T_REQUIRE_RC(set(counts, -1, 0), 0);
    T_REQUIRE_RC(lk_txn_commit(x, NULL), 0);
}

/* A new store at `where` with the money in it. */
static void make_bank(const char *where)
{
    char command[700];
    snprintf(url, sizeof url, "%s", where);
    if (strncmp(where, "postgresql", 10) == 0) {
        snprintf(command, sizeof command,
                 "psql -q '%s' -c 'SET client_min_messages=error; DROP TABLE IF EXISTS lk_record, "
                 "lk_head'",
                 where);
        T_REQUIRE_EQ(system(command), 0);
    }
    if (told == NULL)
        told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(told != MAP_FAILED);
    memset(told, 0, sizeof *told);
    if (strcmp(where, "mem:") == 0)
        return; /* nothing to come back to */
    lk_db *db = open_db();
    put_money(db);
    lk_db_close(db);
}

/* A server, where each commit takes many trips: the short form does less there. */
static bool slow(void)
{
    return strncmp(url, "postgresql", 10) == 0 && times() == 1;
}

/* fn on a new bank in every store that processes can share; `always`: in the short form too on a
 * server. */
static void on_each(void (*fn)(void), bool always)
{
    char path[512];
    const char *server = always || times() > 1 ? getenv("LK_TEST_POSTGRESQL") : NULL;
    snprintf(path, sizeof path, "lmdb:%s/bank", t_tmpdir());
    make_bank(path);
    fn();
    if (server == NULL)
        return;
    make_bank(server);
    fn();
}

static void watch(void *arg)
{
    (void)arg;
    lk_db *db = open_db();
    int64_t last = 0;
    while (!stopped()) {
        int64_t now = require_invariants(db);
        T_REQUIRE(now >= last); /* time does not go back */
        last = now;
    }
    lk_db_close(db);
}

static int64_t acknowledged(void)
{
    int64_t n = 0;
    for (int i = 0; i < WORKERS; i++)
        n += (int64_t)told->committed[i];
    return n;
}

/* Until this worker gets on: connecting to a server takes longer than many commits. */
static void await_commit(int worker)
{
    uint64_t before = __atomic_load_n(&told->committed[worker], __ATOMIC_RELAXED);
    while (__atomic_load_n(&told->committed[worker], __ATOMIC_RELAXED) == before)
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

static void kill_workers(void)
{
    pid_t worker[WORKERS], watcher = t_fork(watch, NULL);
    int kills = slow() ? 6 : KILLS * times();
    unsigned seed = 7;
    for (intptr_t i = 0; i < WORKERS; i++)
        worker[i] = t_fork(work, (void *)i);
    for (int k = 0; k < kills; k++) {
        int i = k % WORKERS;
        await_commit(i);
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 20000000}, NULL);
        kill(worker[i], SIGKILL);
        T_REQUIRE_EQ(t_wait(worker[i]), -SIGKILL);
        worker[i] = t_fork(work, (void *)(intptr_t)i);
    }
    __atomic_store_n(&told->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < WORKERS; i++)
        T_REQUIRE_EQ(t_wait(worker[i]), 0);
    T_REQUIRE_EQ(t_wait(watcher), 0);
    lk_db *db = open_db();
    int64_t all = require_invariants(db), known = acknowledged();
    T_LOG("%.10s: %d kills, %lld commits, %lld of them acknowledged", url, kills, (long long)all,
          (long long)known);
    /* A commit may have been done by one who was killed before he could say so. */
    T_REQUIRE(all >= known && all <= known + kills * THREADS);
    T_REQUIRE(known > 5);
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

T_TEST(killed_processes_lose_no_money_and_no_commit)
{
    T_TIMEOUT((unsigned)(60 + 10 * times()));
    on_each(kill_workers, true);
}

/* ---- at every call of the store -------------------------------------------------------------- */

static const char *fault; /* "die" or "fail" */

/* The process ends itself, or the call fails, at the store's call n. */
static void fault_at(void *arg)
{
    unsigned seed = 1;
    char faulty[600];
    lk_db *db;
    snprintf(faulty, sizeof faulty, "fault:%s=%d:%s", fault, (int)(intptr_t)arg, url);
    int rc = lk_db_open(&db, faulty, &(struct lk_db_options){.store.sync = LK_SYNC_NONE});
    if (rc == 0) {
        rc = transfer(db, &seed, 0);
        lk_db_close(db);
    }
    if (rc != 0)
        T_REQUIRE_RC(rc, EIO);
    told->committed[0] = rc == 0;
}

static void fault_everywhere(void)
{
    int struck = 0, done = 0;
    int64_t before = 0;
    int stride = slow() ? 4 : 1;
    for (int n = 1; n < 200 && done < 2; n += stride) {
        told->committed[0] = 0;
        int ended = t_wait(t_fork(fault_at, (void *)(intptr_t)n));
        bool acknowledged_one = told->committed[0] != 0;
        T_REQUIRE(ended == 0 || ended == -SIGKILL || !acknowledged_one);
        struck += !acknowledged_one;
        done += acknowledged_one;
        lk_db *db = open_db();
        int64_t now = require_invariants(db);
        T_REQUIRE(now == before || now == before + 1);
        T_REQUIRE(!acknowledged_one || now == before + 1);
        before = now;
        T_REQUIRE_RC(lk_db_check(db, NULL), 0);
        lk_db_close(db);
    }
    T_LOG("%.10s: %s at %d calls", url, fault, struck);
    T_REQUIRE(struck * stride > 10 && done == 2);
}

T_TEST(death_at_every_store_call_leaves_old_or_new)
{
    fault = "die";
    on_each(fault_everywhere, true);
}

/* ---- a long fork: independent writers, readers that compare ---------------------------------- */

/* Count on, until `rounds` commits are done. */
static void write_alone(lk_db *db, int key, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        lk_txn *x;
        lk_tree *bank, *counts;
        T_REQUIRE_RC(lk_txn_begin(db, &x), 0);
        T_REQUIRE_RC(open_trees(x, &bank, &counts), 0);
        T_REQUIRE_RC(lk_section_begin(), 0);
        int64_t n = get(counts, key);
        lk_section_end();
        T_REQUIRE_RC(set(counts, key, n + 1), 0);
        T_REQUIRE_RC(lk_txn_commit(x, NULL), 0); /* another key is no conflict */
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

/* What is seen, but for what was seen last. */
static void read_both(lk_db *db)
{
    int64_t last_x = -1, last_y = -1;
    while (!stopped()) {
        lk_view *v;
        lk_tree *counts;
        T_REQUIRE_RC(lk_db_view(db, &v), 0);
        if (lk_view_tree(v, "counts", &counts) == 0) {
            T_REQUIRE_RC(lk_section_begin(), 0);
            int64_t x = get(counts, 1000), y = get(counts, 2000);
            lk_section_end();
            bool new = x != last_x || y != last_y;
            if (x != last_x)
                __atomic_fetch_add(&told->n_x, 1, __ATOMIC_RELAXED);
            last_x = x;
            last_y = y;
            uint32_t at = new ? __atomic_fetch_add(&told->n_pairs, 1, __ATOMIC_RELAXED) : PAIRS_MAX;
            if (at < PAIRS_MAX) {
                told->pair[at].x = x;
                told->pair[at].y = y;
            }
        }
        lk_view_end(v);
    }
}

static int by_pair(const void *a, const void *b)
{
    const int64_t *p = a, *q = b;
    return p[0] != q[0] ? (p[0] > q[0]) - (p[0] < q[0]) : (p[1] > q[1]) - (p[1] < q[1]);
}

/* In order of x, y does not fall: all readers agree about the order of the changes. */
static void require_one_order(void)
{
    size_t n = told->n_pairs < PAIRS_MAX ? told->n_pairs : PAIRS_MAX, different = 0;
    qsort(told->pair, n, sizeof told->pair[0], by_pair);
    for (size_t i = 1; i < n; i++) {
        T_REQUIRE(told->pair[i].y >= told->pair[i - 1].y);
        different += told->pair[i].x != told->pair[i - 1].x;
    }
    T_LOG("%.10s: %zu looks at two counts, %zu changes between them", url, n, different);
    T_REQUIRE(different > 3);
}

static lk_db *shared;

static void *thread_writes(void *arg)
{
    write_alone(shared, (int)(intptr_t)arg, ROUNDS * times());
    return NULL;
}

static void *thread_reads(void *arg)
{
    read_both(shared);
    return arg;
}

static void fork_of_threads(void)
{
    pthread_t id[4];
    shared = open_db();
    for (int i = 0; i < 4; i++)
        T_REQUIRE(pthread_create(&id[i], NULL, i < 2 ? thread_writes : thread_reads,
                                 (void *)(intptr_t)(1000 * (i + 1))) == 0);
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            __atomic_store_n(&told->stop, 1, __ATOMIC_RELAXED);
        pthread_join(id[i], NULL);
    }
    lk_db_close(shared);
    require_one_order();
}

T_TEST(threads_see_independent_changes_in_one_order)
{
    T_TIMEOUT((unsigned)(60 + 10 * times()));
    make_bank("mem:");
    fork_of_threads();
    on_each(fork_of_threads, false);
}

static void process_writes(void *arg)
{
    lk_db *db = open_db();
    write_alone(db, (int)(intptr_t)arg, INT32_MAX); /* until it is killed */
}

static void process_reads(void *arg)
{
    (void)arg;
    lk_db *db = open_db();
    read_both(db);
    lk_db_close(db);
}

/* The writers are killed, and others go on from what they have committed. */
static void fork_of_processes(void)
{
    pid_t writer[2], reader[2];
    for (int i = 0; i < 2; i++)
        reader[i] = t_fork(process_reads, NULL);
    for (int round = 0; round < (slow() ? 2 : 5 * times()); round++) {
        for (int i = 0; i < 2; i++)
            writer[i] = t_fork(process_writes, (void *)(intptr_t)(1000 * (i + 1)));
        /* One of the two readers has seen half of them, and x never falls: after one round it has
         * seen more different ones than are asked for. */
        uint32_t before = __atomic_load_n(&told->n_x, __ATOMIC_RELAXED);
        while (__atomic_load_n(&told->n_x, __ATOMIC_RELAXED) < before + 10)
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        for (int i = 0; i < 2; i++) {
            kill(writer[i], SIGKILL);
            T_REQUIRE_EQ(t_wait(writer[i]), -SIGKILL);
        }
    }
    __atomic_store_n(&told->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        T_REQUIRE_EQ(t_wait(reader[i]), 0);
    require_one_order();
    lk_db *db = open_db();
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

T_TEST(processes_see_independent_changes_in_one_order)
{
    T_TIMEOUT((unsigned)(60 + 10 * times()));
    on_each(fork_of_processes, true);
}

/* ---- threads on memory ----------------------------------------------------------------------- */

T_TEST(threads_on_memory_lose_no_money_and_no_commit)
{
    pthread_t id[WORKERS];
    struct hand hand[WORKERS];
    T_TIMEOUT((unsigned)(60 + 10 * times()));
    make_bank("mem:");
    lk_db *db = open_db();
    put_money(db);
    for (int i = 0; i < WORKERS; i++) {
        hand[i] = (struct hand){db, i, (unsigned)i};
        T_REQUIRE(pthread_create(&id[i], NULL, transfer_on, &hand[i]) == 0);
    }
    int64_t last = 0;
    for (uint64_t end = t_now_ns() + (uint64_t)times() * 300000000u; t_now_ns() < end;) {
        int64_t now = require_invariants(db);
        T_REQUIRE(now >= last);
        last = now;
    }
    __atomic_store_n(&told->stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(id[i], NULL);
    T_LOG("%lld commits", (long long)acknowledged());
    T_REQUIRE_EQ(require_invariants(db), acknowledged());
    T_REQUIRE_RC(lk_db_check(db, NULL), 0);
    lk_db_close(db);
}

/* A store whose call n fails: the transfer says so and has not happened, or has. */
T_TEST(failure_at_every_store_call_leaves_old_or_new)
{
    fault = "fail";
    on_each(fault_everywhere, false);
}
