/* store_share_test.c - writes of several threads that share a commit, their process killed at every
 * step of the one that leads and of one that is led: each call of LMDB, before and behind it, each
 * lock of the list, each wake.  Whatever was told to be done is there, a write is there whole or
 * not at all, and a process that waited for its turn meanwhile has it.
 * Kills: store.share_commit_behind_wakes. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "latchkey/store.h"
#include "store/lmdb.h"
#include "test.h"

extern void lki_kill_step(void) __attribute__((weak));

enum { WRITERS = 4, RECORDS = 3, FIRST = 20 };

/* What is left of a process that is killed. */
struct told {
    atomic_bool led;           /* its threads are in the list of the one that leads */
    atomic_bool done[WRITERS]; /* the store said so */
};

static struct told *told;
static char url[320];
static lk_store store;
static struct lki_lmdb_calls lmdb;
static bool counted_leads;

static int txn_begin(MDB_env *env, MDB_txn *outer, unsigned flags, MDB_txn **txn)
{
    lki_kill_step();
    int rc = lmdb.mdb_txn_begin(env, outer, flags, txn);
    lki_kill_step();
    return rc;
}

static void rest(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

/* Whoever has been woken too early says so before we die. */
static int txn_commit(MDB_txn *txn)
{
    rest();
    lki_kill_step();
    int rc = lmdb.mdb_txn_commit(txn);
    lki_kill_step();
    return rc;
}

static int put_record(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    lki_kill_step();
    return lmdb.mdb_put(txn, dbi, key, value, flags);
}

static uint64_t oid_of(uintptr_t writer, uint64_t i)
{
    return FIRST + writer * RECORDS + i;
}

/* The first to come waits until all others are in the list: it leads them.  Looked at without the
 * list's lock, whose steps would be counted; who is in it stays there. */
static void wait_for_all(void)
{
    const struct lki_file *f = store.at;
    const struct waiting {
        struct waiting *next;
    } *volatile const *at = (const void *)&f->waiting;
    for (int n = 0; n < WRITERS - 1; rest()) {
        n = 0;
        for (const struct waiting *w = *at; w != NULL; w = *(struct waiting *volatile const *)w)
            n++;
    }
    atomic_store(&told->led, true);
}

static int body(void *arg, struct lk_writing *w)
{
    int rc = 0;
    if (!atomic_load(&told->led))
        wait_for_all();
    for (uint64_t i = 0; i < RECORDS && rc == 0; i++)
        rc = w->put(w, oid_of((uintptr_t)arg, i), "here", 4);
    return rc;
}

static void *write_one(void *arg)
{
    uint64_t tid;
    T_REQUIRE_RC(store.ops->write_shared(store.at, body, arg, &tid), 0);
    atomic_store(&told->done[(uintptr_t)arg], true);
    return NULL;
}

/* The leader comes first. */
static void *write_behind(void *arg)
{
    while (!((const volatile struct lki_file *)store.at)->busy)
        rest();
    return write_one(arg);
}

/* All writes.  The steps of this thread are counted, which leads the others or is led. */
static void write_together(void *unused)
{
    pthread_t id[WRITERS];
    (void)unused;
    T_REQUIRE_RC(lk_store_open(&store, url, NULL), 0);
    lmdb = lki_lmdb;
    lki_lmdb.mdb_txn_begin = txn_begin;
    lki_lmdb.mdb_txn_commit = txn_commit;
    lki_lmdb.mdb_put = put_record;
    for (uintptr_t i = 1; i < WRITERS; i++) {
        void *(*fn)(void *) = i == 1 && !counted_leads ? write_one : write_behind;
        T_REQUIRE(pthread_create(&id[i], NULL, fn, (void *)i) == 0);
    }
    (void)(counted_leads ? write_one : write_behind)(NULL);
    for (uintptr_t i = 1; i < WRITERS; i++)
        (void)pthread_join(id[i], NULL);
    lk_store_close(&store);
}

/* Another process, which comes while they are about to commit. */
static void write_beside(void *arg)
{
    uint64_t tid;
    T_REQUIRE_RC(lk_store_open(&store, url, NULL), 0);
    while (!atomic_load(&told->led) && getppid() == (pid_t)(intptr_t)arg)
        rest();
    atomic_store(&told->led, true);
    T_REQUIRE_RC(store.ops->write(store.at, body, (void *)(uintptr_t)WRITERS, &tid), 0);
    lk_store_close(&store);
}

static int take_nothing(void *arg, const void *bytes, size_t size)
{
    (void)arg;
    (void)bytes;
    T_REQUIRE_EQ(size, 4);
    return 0;
}

/* What was told is there, what is there is whole, and the store counts it. */
static void require_sound(void)
{
    void *snap;
    uint64_t tid, whole = 0;
    T_REQUIRE_RC(lk_store_open(&store, url, NULL), 0);
    T_REQUIRE_RC(store.ops->snap(store.at, &snap, &tid), 0);
    for (uintptr_t i = 0; i <= WRITERS; i++) {
        int there = 0;
        for (uint64_t k = 0; k < RECORDS; k++)
            there += store.ops->load(store.at, snap, oid_of(i, k), take_nothing, NULL) == 0;
        T_REQUIRE(there == 0 || there == RECORDS);
        T_REQUIRE(there != 0 || (i < WRITERS && !atomic_load(&told->done[i])));
        whole += there != 0;
    }
    T_REQUIRE_EQ(tid, whole);
    store.ops->unsnap(store.at, snap);
    lk_store_close(&store);
}

static void killed_at_every_step(bool leads)
{
    char path[300];
    unsigned long step = 0;
    counted_leads = leads;
    snprintf(path, sizeof path, "%s/file", t_tmpdir());
    snprintf(url, sizeof url, "lmdb:%s", path);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    T_REQUIRE(told != MAP_FAILED);
    for (int died = 1; died;) {
        *told = (struct told){.led = false};
        (void)unlink(path);
        pid_t beside = t_fork(write_beside, (void *)(intptr_t)getpid());
        died = t_killed_at(++step, write_together, NULL);
        atomic_store(&told->led, true); /* if they did not come so far */
        T_REQUIRE_EQ(t_wait(beside), 0);
        require_sound();
    }
    T_LOG("killed at %lu steps", step - 1);
    T_REQUIRE(step > (leads ? 30 : 3));
}

/* False: built without it. */
static bool have_lmdb(void)
{
    snprintf(url, sizeof url, "lmdb:%s/probe", t_tmpdir());
    int rc = lk_store_open(&store, url, NULL);
    if (rc == 0)
        lk_store_close(&store);
    T_REQUIRE(rc == 0 || rc == ENOTSUP);
    return rc == 0;
}

T_TEST(death_of_who_leads_a_shared_commit_loses_nothing_that_was_told)
{
    if (have_lmdb())
        killed_at_every_step(true);
}

T_TEST(death_of_who_is_led_loses_nothing_that_was_told)
{
    if (have_lmdb())
        killed_at_every_step(false);
}
