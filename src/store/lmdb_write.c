/* lmdb_write.c - writes of the LMDB store; those that come together share one wait for the disk.
 *
 * One thread of the process writes at a time; the others wait in a list, each on a semaphore of its
 * own.  Who writes, the *leader*, begins LMDB's transaction, makes its own changes, then those of
 * all waiting ones that may be done by another thread, each in a transaction inside, so that a
 * write that fails takes nothing else back; then it commits once and wakes them all at once.  Each
 * write has a tid of its own.  Nobody but the later writes of the same commit can see one before it
 * is on the disk, and they are told from which record on (lk_writing.unsure).
 *
 * f->busy: there is a leader.  It is true until a leader leaves an empty list; else the next in the
 * list leads.  A waiting write is in the list, or a leader has taken it and will wake it. */
#ifdef LK_HAVE_LMDB
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "store/lmdb.h"

enum { SHARE_MAX = 64, SWEEP_NS = 1000000000 };

/* Waits for its turn, or for being done; on its own thread's stack. */
struct lki_waiting {
    struct lki_waiting *next; /* under f->mu while it is in the list */
    lk_store_body *body;      /* NULL: it must lead */
    void *arg;
    lk_sem woken;
    /* The leader's until it wakes the write. */
    bool done;
    int rc;
    uint64_t tid;
    char words[256];
};

struct write {
    struct lk_writing public;
    struct lki_lmdb_snap snap;
    struct lki_lmdb_head head;
    uint64_t first;  /* number that it may give a record */
    uint64_t behind; /* every number that has a record is below this one */
};

static int put(struct lk_writing *public, uint64_t oid, const void *bytes, size_t size)
{
    struct write *w = (struct write *)(void *)public;
    struct lki_file *f = public->store;
    unsigned char place[8];
    MDB_val key = lki_lmdb_key(oid, place), value = {size, (void *)(uintptr_t)bytes};
    if (bytes != NULL) {
        bool last = oid >= w->behind && oid < w->head.next_oid;
        w->behind = last ? oid + 1 : w->behind;
        return lki_lmdb_failed(
            lki_lmdb.mdb_put(w->snap.txn, f->dbi, &key, &value, last ? MDB_APPEND : 0),
            "writing a record");
    }
    int rc = lki_lmdb.mdb_del(w->snap.txn, f->dbi, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : lki_lmdb_failed(rc, "removing a record");
}

int lki_lmdb_oids(struct lk_writing *public, uint64_t n, uint64_t *first)
{
    struct write *w = (struct write *)(void *)public;
    *first = w->head.next_oid;
    w->head.next_oid += n;
    return 0;
}

/* The body and the head record behind it, in w->snap.txn. */
static int write_in(struct lki_file *f, struct write *w, lk_store_body *body, void *arg)
{
    int rc = lki_lmdb_get_head(w->snap.txn, f->dbi, &w->head);
    if (rc != 0)
        return rc;
    w->head.tid++;
    w->first = w->behind = w->head.next_oid;
    w->public.tid = w->head.tid;
    w->public.snap = &w->snap;
    w->public.put = put;
    w->public.store = f;
    rc = body(arg, &w->public);
    return rc == 0 ? put(&w->public, 0, &w->head, sizeof w->head) : rc;
}

/* Snapshots of processes that died keep pages from being used again. */
static void sweep(struct lki_file *f)
{
    uint64_t now = lki_mono_ns();
    int dead;
    if (now - f->swept_ns > SWEEP_NS) {
        (void)lki_lmdb.mdb_reader_check(f->env, &dead);
        f->swept_ns = now;
    }
}

/* A map that nobody has limited grows before it is full; if it cannot, there is room left. */
static void grow(struct lki_file *f)
{
    MDB_envinfo info;
    MDB_stat page;
    if (f->limited || lki_lmdb.mdb_env_info(f->env, &info) != 0 ||
        lki_lmdb.mdb_env_stat(f->env, &page) != 0)
        return;
    size_t used = (info.me_last_pgno + 1) * page.ms_psize;
    if (used >= info.me_mapsize / 4 * 3)
        (void)lki_lmdb_remap(f, info.me_mapsize * 2);
}

/* Of the file's bytes, one that no file has. */
#define GUARD (INT64_C(1) << 62)

/* Processes take turns by a record lock before they take LMDB's mutex, so that nobody sleeps for
 * that one.  It is a robust mutex of glibc, which loses a wake: whoever is woken, finds the mutex
 * taken again by a third and is killed leaves the other sleepers asleep, since the third does not
 * know of them and the kernel wakes others only where the word has no owner.  The kernel keeps
 * record locks itself.  LMDB's mutex stays what keeps writers apart: a lock that cannot be had, or
 * is lost when the process closes the file elsewhere, is no harm. */
static void take_turns(const struct lki_file *f, short what)
{
    struct flock lock = {.l_type = what, .l_whence = SEEK_SET, .l_start = GUARD, .l_len = 1};
    int fd;
    if (lki_lmdb.mdb_env_get_fd(f->env, &fd) != 0)
        return;
    while (fcntl(fd, F_SETLKW, &lock) != 0 && errno == EINTR)
        ;
}

/* Begin LMDB's transaction. */
static int begin(struct lki_file *f, MDB_txn **txn)
{
    sweep(f);
    grow(f);
    int rc = lki_lmdb.mdb_txn_begin(f->env, NULL, 0, txn);
    if (rc == MDB_MAP_RESIZED) {
        rc = lki_lmdb_follow(f);
        if (rc != 0)
            return rc;
        rc = lki_lmdb.mdb_txn_begin(f->env, NULL, 0, txn);
    }
    return lki_lmdb_failed(rc, "beginning a write");
}

static int commit(MDB_txn *txn)
{
    return lki_lmdb_failed(lki_lmdb.mdb_txn_commit(txn), "committing");
}

/* The first that may be done by another thread, or any, out of the list; NULL: none.  f->mu is
 * held. */
static struct lki_waiting *take(struct lki_file *f, bool any)
{
    struct lki_waiting **at = &f->waiting;
    while (*at != NULL && !any && (*at)->body == NULL)
        at = &(*at)->next;
    struct lki_waiting *m = *at;
    if (m != NULL)
        *at = m->next;
    return m;
}

static struct lki_waiting *next_to_share(struct lki_file *f)
{
    lk_mutex_lock(&f->mu);
    struct lki_waiting *m = take(f, false);
    lk_mutex_unlock(&f->mu);
    return m;
}

/* Become the leader, or be done by one.  ETIMEDOUT: neither. */
static int enter(struct lki_file *f, struct lki_waiting *m, const struct timespec *deadline)
{
    lk_mutex_lock(&f->mu);
    bool leads = !f->busy;
    f->busy = true;
    struct lki_waiting **end = &f->waiting;
    while (!leads && *end != NULL)
        end = &(*end)->next;
    if (!leads)
        *end = m;
    lk_mutex_unlock(&f->mu);
    if (leads || lk_sem_wait_until(&m->woken, deadline) == 0)
        return 0;
    lk_mutex_lock(&f->mu);
    struct lki_waiting **at = &f->waiting;
    while (*at != NULL && *at != m)
        at = &(*at)->next;
    bool still = *at != NULL;
    if (still)
        *at = m->next;
    lk_mutex_unlock(&f->mu);
    if (!still)
        lk_sem_wait(&m->woken); /* a leader has taken it */
    return still ? ETIMEDOUT : 0;
}

/* The next one leads. */
static void leave(struct lki_file *f)
{
    lk_mutex_lock(&f->mu);
    struct lki_waiting *next = take(f, true);
    f->busy = next != NULL;
    lk_mutex_unlock(&f->mu);
    if (next != NULL)
        (void)lk_sem_post(&next->woken);
}

int lki_lmdb_begin_change(struct lki_file *f, const struct timespec *deadline)
{
    struct lki_waiting m = {.body = NULL};
    return enter(f, &m, deadline);
}

void lki_lmdb_end_change(struct lki_file *f)
{
    leave(f);
}

/* One more write in the transaction; what it has done is not sure before that is committed. */
static void add(struct lki_file *f, MDB_txn *txn, uint64_t unsure, struct lki_waiting *m)
{
    struct write w = {.public.unsure = unsure};
    m->rc =
        lki_lmdb_failed(lki_lmdb.mdb_txn_begin(f->env, txn, 0, &w.snap.txn), "beginning a write");
    if (m->rc == 0) {
        m->rc = write_in(f, &w, m->body, m->arg);
        if (m->rc == 0)
            m->rc = commit(w.snap.txn);
        else
            lki_lmdb.mdb_txn_abort(w.snap.txn);
    }
    m->tid = w.head.tid;
    if (m->rc != 0)
        (void)snprintf(m->words, sizeof m->words, "%s", lk_error_text());
}

/* Do the writes that wait, commit all, tell them. */
static int share(struct lki_file *f, struct write *w)
{
    struct lki_waiting *member[SHARE_MAX];
    size_t n = 0;
    while (n < SHARE_MAX && (member[n] = next_to_share(f)) != NULL)
        add(f, w->snap.txn, w->first, member[n++]);
    int rc = commit(w->snap.txn);
    for (size_t i = 0; i < n; i++) {
        if (member[i]->rc == 0 && rc != 0)
            (void)snprintf(member[i]->words, sizeof member[i]->words, "%s", lk_error_text());
        member[i]->rc = member[i]->rc != 0 ? member[i]->rc : rc;
        member[i]->done = true;
        (void)lk_sem_post(&member[i]->woken); /* it may be gone now */
    }
    return rc;
}

static int lead_in_turn(struct lki_file *f, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct write w = {.behind = 0};
    int rc = begin(f, &w.snap.txn);
    if (rc != 0)
        return rc;
    rc = write_in(f, &w, body, arg);
    if (rc != 0) {
        lki_lmdb.mdb_txn_abort(w.snap.txn);
        return rc;
    }
    rc = f->shares ? share(f, &w) : commit(w.snap.txn);
    if (rc == 0)
        *tid = w.head.tid;
    return rc;
}

static int lead(struct lki_file *f, lk_store_body *body, void *arg, uint64_t *tid)
{
    take_turns(f, F_WRLCK);
    int rc = lead_in_turn(f, body, arg, tid);
    take_turns(f, F_UNLCK);
    return rc;
}

int lki_lmdb_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct lki_file *f = store;
    int rc = lki_lmdb_begin_change(f, NULL);
    if (rc != 0)
        return rc;
    rc = lead(f, body, arg, tid);
    leave(f);
    return rc;
}

int lki_lmdb_write_shared(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct lki_file *f = store;
    struct lki_waiting m = {.body = f->shares ? body : NULL, .arg = arg};
    int rc = enter(f, &m, NULL);
    if (rc != 0)
        return rc;
    if (!m.done) {
        rc = lead(f, body, arg, tid);
        leave(f);
    } else if (m.rc == 0) {
        *tid = m.tid;
    } else {
        rc = lki_fail(m.rc, "%s", m.words);
    }
    return rc;
}

#else
typedef int lki_no_lmdb_write; /* a file of C holds something */
#endif
