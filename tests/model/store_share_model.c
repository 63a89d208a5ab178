/* Writes of one LMDB file that share a commit: no two threads are in LMDB's transaction, a write
 * that is told to be done is on the disk and one that failed is not, and nobody waits for ever.
 * WRITERS: threads, each with one write that another thread may do.  ALONE: the last one's may not.
 * FAILS: the first one's body fails.  DISK: a commit may fail.  CHANGER: one more thread changes
 * the file's size, and may give up waiting for its turn.
 *
 * Sources: src/store/lmdb_write.c
 * Run: -DLK_HAVE_LMDB=1 -DWRITERS=2 -DDISK
 * Run: -DLK_HAVE_LMDB=1 -DWRITERS=2 -DFAILS -DALONE
 * Run: -DLK_HAVE_LMDB=1 -DWRITERS=2 -DCHANGER
 * Run: -DLK_HAVE_LMDB=1 -DWRITERS=3 -DDISK -DFAILS
 * Campaign: -DLK_HAVE_LMDB=1 -DWRITERS=3
 * Campaign: -DLK_HAVE_LMDB=1 -DWRITERS=3 -DALONE
 * Campaign: --states -DLK_HAVE_LMDB=1 -DWRITERS=3 -DCHANGER
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/error.h"
#include "latchkey/check.h"
#include "simple_mutex.h"
#include "store/lmdb.h"

/* A write's semaphore is posted once. */
static uint32_t *posted(lk_sem *s)
{
    return (uint32_t *)(void *)&s->state_;
}

int lk_sem_post(lk_sem *s)
{
    lk_store_rel_u32(posted(s), 1);
    lk_check_futex_wake(posted(s), 1);
    return 0;
}

int lk_sem_wait_until(lk_sem *s, const struct timespec *deadline)
{
    while (lk_load_acq_u32(posted(s)) == 0)
        if (lk_check_futex_wait(posted(s), 0, NULL, 0, deadline != NULL) == ETIMEDOUT)
            return ETIMEDOUT;
    return 0;
}

void lk_sem_wait(lk_sem *s)
{
    (void)lk_sem_wait_until(s, NULL);
}

/* ---- LMDB: a set of records, as bits --------------------------------------------------------- */

struct MDB_txn {
    struct MDB_txn *outer;
    uint64_t records;
};

static uint64_t disk; /* atomic: writers look at it when they are told to be done */
static int inside;    /* not atomic: only who leads may touch it */

static int txn_begin(MDB_env *env, MDB_txn *outer, unsigned flags, MDB_txn **txn)
{
    (void)env;
    (void)flags;
    if (outer == NULL)
        assert(inside++ == 0);
    *txn = malloc(sizeof **txn);
    **txn = (struct MDB_txn){outer, outer != NULL ? outer->records : lk_load_rlx_u64(&disk)};
    return 0;
}

static void txn_abort(MDB_txn *txn)
{
    if (txn->outer == NULL)
        assert(inside-- == 1);
    free(txn);
}

static int txn_commit(MDB_txn *txn)
{
    int rc = 0;
    if (txn->outer != NULL) {
        txn->outer->records = txn->records;
#ifdef DISK
    } else if (lk_check_choose(2) == 1) {
        rc = EIO;
#endif
    } else {
        lk_store_rlx_u64(&disk, txn->records);
    }
    txn_abort(txn);
    return rc;
}

static int put_record(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value, unsigned flags)
{
    (void)dbi;
    (void)key;
    (void)value;
    (void)flags;
    (void)txn; /* the head record */
    return 0;
}

static int env_info(MDB_env *env, MDB_envinfo *info)
{
    (void)env;
    (void)info;
    return EINVAL; /* the map does not grow here */
}

/* Threads of one process: record locks keep none of them apart. */
static int env_get_fd(MDB_env *env, int *fd)
{
    (void)env;
    *fd = 0;
    return 0;
}

int fcntl(int fd, int command, ...)
{
    (void)fd, (void)command;
    return 0;
}

struct lki_lmdb_calls lki_lmdb = {
    .mdb_env_get_fd = env_get_fd,
    .mdb_txn_begin = txn_begin,
    .mdb_txn_abort = txn_abort,
    .mdb_txn_commit = txn_commit,
    .mdb_put = put_record,
    .mdb_env_info = env_info,
};

int lki_lmdb_failed(int rc, const char *what)
{
    (void)what;
    return rc;
}

MDB_val lki_lmdb_key(uint64_t oid, unsigned char bytes[8])
{
    (void)oid;
    return (MDB_val){8, bytes};
}

int lki_lmdb_get_head(MDB_txn *txn, MDB_dbi dbi, struct lki_lmdb_head *head)
{
    (void)txn;
    (void)dbi;
    *head = (struct lki_lmdb_head){1, 16};
    return 0;
}

int lki_lmdb_remap(struct lki_file *f, size_t size)
{
    (void)f;
    (void)size;
    return 0;
}

int lki_lmdb_follow(struct lki_file *f)
{
    (void)f;
    return 0;
}

uint64_t lki_mono_ns(void)
{
    return 0;
}

int lki_fail(int rc, const char *format, ...)
{
    (void)format;
    return rc;
}

const char *lk_error_text(void)
{
    return "";
}

/* ---- the threads ----------------------------------------------------------------------------- */

static struct lki_file file = {.shares = true};
static int result[WRITERS];

static int body(void *arg, struct lk_writing *w)
{
    struct lki_lmdb_snap *snap = w->snap;
    uintptr_t i = (uintptr_t)arg;
    assert(inside == 1);
    assert((snap->txn->records >> i & 1) == 0);
    snap->txn->records |= UINT64_C(1) << i;
#ifdef FAILS
    if (i == 0)
        return ECANCELED;
#endif
    return 0;
}

static void *writer(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    uint64_t tid = 0;
#ifdef ALONE
    bool alone = i == WRITERS - 1;
#else
    bool alone = false;
#endif
    int rc = (alone ? lki_lmdb_write : lki_lmdb_write_shared)(&file, body, arg, &tid);
    assert(rc != 0 || tid == 2);
    assert(rc != 0 || (lk_load_rlx_u64(&disk) >> i & 1) != 0);
    result[i] = rc;
    return NULL;
}

#ifdef CHANGER
static void *changer(void *arg)
{
    static const struct timespec some_time = {1, 0};
    if (lki_lmdb_begin_change(&file, &some_time) == 0) {
        assert(inside++ == 0);
        assert(inside-- == 1);
        lki_lmdb_end_change(&file);
    }
    return arg;
}
#endif

int main(void)
{
    pthread_t id[WRITERS];
    for (uintptr_t i = 1; i < WRITERS; i++)
        pthread_create(&id[i], NULL, writer, (void *)i);
#ifdef CHANGER
    pthread_create(&id[0], NULL, changer, NULL);
#endif
    writer(NULL);
#ifdef CHANGER
    pthread_join(id[0], NULL);
#endif
    for (int i = 1; i < WRITERS; i++)
        pthread_join(id[i], NULL);
    for (int i = 0; i < WRITERS; i++) {
#ifdef FAILS
        bool fails = i == 0;
#else
        bool fails = false;
#endif
        assert(result[i] == 0 || (fails && result[i] == ECANCELED) || result[i] == EIO);
        assert((result[i] == 0) == (lk_load_rlx_u64(&disk) >> i & 1));
    }
    assert(!file.busy && file.waiting == NULL);
    return 0;
}
