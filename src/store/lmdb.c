/* lmdb.c - a store in one file, through liblmdb.
 *
 * liblmdb is loaded when the first such store is opened, so that the library itself does not need
 * it.  A record's key is its oid, big-endian; oid 0 is ours: {tid, next oid}.  A snapshot is a
 * read-only transaction (MDB_NOTLS), under a lock because LMDB gives one to one thread at a time.
 * A process that dies leaves its slot in LMDB's table of readers: every open clears those.
 * LMDB forbids opening one file twice in a process, so open files are shared and counted. */
#ifdef LK_HAVE_LMDB
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "latchkey/mutex.h"
#include "store/store.h"

#define FUNCTIONS(F)                                                                               \
    F(mdb_env_create)                                                                              \
    F(mdb_env_open)                                                                                \
    F(mdb_env_info)                                                                                \
    F(mdb_env_stat)                                                                                \
    F(mdb_env_close)                                                                               \
    F(mdb_env_set_mapsize)                                                                         \
    F(mdb_env_set_maxreaders)                                                                      \
    F(mdb_txn_begin)                                                                               \
    F(mdb_txn_commit)                                                                              \
    F(mdb_txn_abort)                                                                               \
    F(mdb_txn_reset)                                                                               \
    F(mdb_txn_renew)                                                                               \
    F(mdb_dbi_open)                                                                                \
    F(mdb_get)                                                                                     \
    F(mdb_put)                                                                                     \
    F(mdb_del)                                                                                     \
    F(mdb_strerror)                                                                                \
    F(mdb_reader_check)

#define POINTER(f) static __typeof__(&(f)) p_##f;
FUNCTIONS(POINTER)
#undef POINTER

enum { READERS_MAX = 2048, SPARE_SNAPS = 16, DEFAULT_LIMIT_LOG2 = 36, LEAST_LIMIT_LOG2 = 24 };

/* An open file of this process. */
struct file {
    struct file *next;
    dev_t device;
    ino_t inode;
    unsigned users;
    MDB_env *env;
    MDB_dbi dbi;
    bool read_only;
    lk_mutex mu; /* spare */
    struct snap *spare;
    unsigned spares;
};

struct snap {
    struct snap *next;
    lk_mutex mu;
    MDB_txn *txn;
};

struct head {
    uint64_t tid, next_oid;
};

static lk_mutex registry; /* files, library */
static struct file *files;
static bool loaded;

static int load_library(void)
{
    static const char *const names[] = {"liblmdb.so.0", "liblmdb.so", NULL};
#define SYMBOL(f) {#f, &p_##f},
    static const struct lki_symbol symbols[] = {FUNCTIONS(SYMBOL)};
#undef SYMBOL
    int rc = loaded ? 0 : lki_library_open(names, symbols, sizeof symbols / sizeof symbols[0]);
    loaded = rc == 0;
    return rc;
}

/* LMDB's codes in ours. */
static int failed(int rc, const char *what)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return ENOENT;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC:
    case MDB_BAD_TXN: /* it has met such a page before */
        return lki_fail(LK_ECORRUPT, "%s: %s", what, p_mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return lki_fail(LK_EVERSION, "%s: %s", what, p_mdb_strerror(rc));
    case MDB_MAP_FULL:
        return lki_fail(ENOSPC, "%s: limit_bytes is reached", what);
    case MDB_READERS_FULL:
        return lki_fail(EAGAIN, "%s: %d snapshots are open", what, READERS_MAX);
    default:
        return lki_fail(rc > 0 ? rc : EIO, "%s: %s", what, p_mdb_strerror(rc));
    }
}

/* The upper half of the numbers (commits) comes first, so that a new node's is behind all others:
 * LMDB then fills pages instead of halving them. */
static MDB_val key_of(uint64_t oid, unsigned char bytes[8])
{
    oid ^= UINT64_C(1) << 63;
    for (int i = 7; i >= 0; i--, oid >>= 8)
        bytes[i] = (unsigned char)oid;
    return (MDB_val){8, bytes};
}

static int get_head(MDB_txn *txn, MDB_dbi dbi, struct head *head)
{
    unsigned char place[8];
    MDB_val key = key_of(0, place), value;
    *head = (struct head){0, LK_OID_FIRST};
    int rc = p_mdb_get(txn, dbi, &key, &value);
    if (rc == MDB_NOTFOUND) {
        /* There is no commit 0: here the head was before the order of keys was changed. */
        key = key_of(UINT64_C(1) << 63, place);
        rc = p_mdb_get(txn, dbi, &key, &value);
        return rc == 0 ? lki_fail(LK_EVERSION,
                                  "the file is of an older, unreleased version of latchkey")
                       : failed(rc == MDB_NOTFOUND ? 0 : rc, "reading the head record");
    }
    if (rc == 0 && value.mv_size != sizeof *head)
        return lki_fail(LK_ECORRUPT, "the head record has %zu bytes", value.mv_size);
    if (rc == 0)
        memcpy(head, value.mv_data, sizeof *head);
    return failed(rc, "reading the head record");
}

/* As much address space as there is, up to what was asked for. */
static int set_limit(MDB_env *env, const struct lk_store_options *o)
{
    if (o->limit_bytes != 0)
        return p_mdb_env_set_mapsize(env, o->limit_bytes);
    return p_mdb_env_set_mapsize(env, (size_t)1 << DEFAULT_LIMIT_LOG2);
}

static int open_env(struct file *f, const char *path, const struct lk_store_options *o)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | (o->read_only ? MDB_RDONLY : 0) |
                     (o->sync == LK_SYNC_ORDERED ? MDB_NOMETASYNC : 0) |
                     (o->sync == LK_SYNC_NONE ? MDB_NOSYNC : 0);
    struct lk_store_options asked = *o;
    for (int log2 = DEFAULT_LIMIT_LOG2;; log2--) {
        int rc = p_mdb_env_create(&f->env);
        if (rc != 0)
            return failed(rc, path);
        rc = set_limit(f->env, &asked);
        if (rc == 0)
            rc = p_mdb_env_set_maxreaders(f->env, READERS_MAX);
        if (rc == 0)
            rc = p_mdb_env_open(f->env, path, flags, 0600);
        if (rc == 0)
            return 0;
        p_mdb_env_close(f->env);
        if (rc != ENOMEM || o->limit_bytes != 0 || log2 == LEAST_LIMIT_LOG2)
            return failed(rc, path);
        asked.limit_bytes = (size_t)1 << (log2 - 1);
    }
}

/* Bytes that a file has lost at its end would be a SIGBUS when they are read.  As zeros they are
 * what LMDB calls corrupted.  A sound file may be some pages short too, those that were freed
 * before they were written.  Never shortens the file: another process may be at work. */
static int cover_end(struct file *f, const char *path)
{
    MDB_envinfo info;
    MDB_stat page;
    struct stat st;
    if (p_mdb_env_info(f->env, &info) != 0 || p_mdb_env_stat(f->env, &page) != 0 ||
        stat(path, &st) != 0)
        return lki_fail(EIO, "%s: its size is not to be had", path);
    off_t whole = (off_t)(info.me_last_pgno + 1) * (off_t)page.ms_psize;
    if (st.st_size >= whole)
        return 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int rc = fd < 0 ? errno : posix_fallocate(fd, whole - 1, 1);
    if (fd >= 0)
        (void)close(fd);
    return rc == 0 ? 0
                   : lki_fail(LK_ECORRUPT, "%s: %lld bytes are missing at its end", path,
                              (long long)(whole - st.st_size));
}

static int open_table(struct file *f, const char *path)
{
    MDB_txn *txn;
    int dead;
    (void)p_mdb_reader_check(f->env, &dead);
    int rc = p_mdb_txn_begin(f->env, NULL, f->read_only ? MDB_RDONLY : 0, &txn);
    if (rc == 0) {
        rc = p_mdb_dbi_open(txn, NULL, 0, &f->dbi);
        if (rc == 0)
            rc = p_mdb_txn_commit(txn);
        else
            p_mdb_txn_abort(txn);
    }
    return failed(rc, path);
}

static struct file *shared_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return NULL;
    for (struct file *f = files; f != NULL; f = f->next)
        if (f->device == st.st_dev && f->inode == st.st_ino)
            return f;
    return NULL;
}

static int open_file(struct file **out, const char *path, const struct lk_store_options *o)
{
    struct stat st;
    struct file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ENOMEM;
    f->read_only = o->read_only;
    int rc = open_env(f, path, o);
    if (rc != 0) {
        free(f);
        return rc;
    }
    rc = cover_end(f, path);
    if (rc == 0)
        rc = open_table(f, path);
    if (rc == 0 && stat(path, &st) != 0)
        rc = lki_fail(errno, "%s", path);
    if (rc != 0) {
        p_mdb_env_close(f->env);
        free(f);
        return rc;
    }
    f->device = st.st_dev;
    f->inode = st.st_ino;
    f->next = files;
    files = f;
    *out = f;
    return 0;
}

static int lmdb_open(void **store, const char *path, const struct lk_store_options *o)
{
    lk_mutex_lock(&registry);
    int rc = load_library();
    struct file *f = rc == 0 ? shared_file(path) : NULL;
    if (rc == 0 && f == NULL)
        rc = open_file(&f, path, o);
    if (rc == 0) {
        f->users++;
        *store = f;
    }
    lk_mutex_unlock(&registry);
    return rc;
}

static void lmdb_close(void *store)
{
    struct file *f = store;
    lk_mutex_lock(&registry);
    if (--f->users == 0) {
        struct file **at = &files;
        while (*at != f)
            at = &(*at)->next;
        *at = f->next;
        while (f->spare != NULL) {
            struct snap *s = f->spare;
            f->spare = s->next;
            p_mdb_txn_abort(s->txn);
            free(s);
        }
        p_mdb_env_close(f->env);
        free(f);
    }
    lk_mutex_unlock(&registry);
}

/* A snapshot that was ended keeps its slot among the readers for the next one. */
static int begin_snap(struct file *f, struct snap **out)
{
    lk_mutex_lock(&f->mu);
    struct snap *s = f->spare;
    if (s != NULL) {
        f->spare = s->next;
        f->spares--;
    }
    lk_mutex_unlock(&f->mu);
    *out = s;
    if (s != NULL)
        return p_mdb_txn_renew(s->txn);
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return ENOMEM;
    int rc = p_mdb_txn_begin(f->env, NULL, MDB_RDONLY, &s->txn), dead;
    if (rc == MDB_READERS_FULL && p_mdb_reader_check(f->env, &dead) == 0)
        rc = p_mdb_txn_begin(f->env, NULL, MDB_RDONLY, &s->txn);
    if (rc != 0) {
        free(s);
        s = NULL;
    }
    *out = s;
    return rc;
}

static void lmdb_unsnap(void *store, void *snap)
{
    struct file *f = store;
    struct snap *s = snap;
    lk_mutex_lock(&f->mu);
    bool keep = f->spares < SPARE_SNAPS;
    if (keep) {
        p_mdb_txn_reset(s->txn);
        s->next = f->spare;
        f->spare = s;
        f->spares++;
    }
    lk_mutex_unlock(&f->mu);
    if (!keep) {
        p_mdb_txn_abort(s->txn);
        free(s);
    }
}

static int lmdb_snap(void *store, void **snap, uint64_t *tid)
{
    struct file *f = store;
    struct snap *s = NULL;
    struct head head;
    int rc = failed(begin_snap(f, &s), "beginning a snapshot");
    if (rc != 0 && s != NULL) {
        p_mdb_txn_abort(s->txn);
        free(s);
    }
    if (rc != 0)
        return rc;
    rc = get_head(s->txn, f->dbi, &head);
    if (rc != 0) {
        lmdb_unsnap(store, s);
        return rc;
    }
    *snap = s;
    *tid = head.tid;
    return 0;
}

static int lmdb_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    struct file *f = store;
    struct snap *s = snap;
    unsigned char place[8];
    MDB_val key = key_of(oid, place), value;
    lk_mutex_lock(&s->mu);
    int rc = p_mdb_get(s->txn, f->dbi, &key, &value);
    if (rc == 0) {
        rc = take(arg, value.mv_data, value.mv_size);
    } else {
        char what[32];
        (void)snprintf(what, sizeof what, "record %llx", (unsigned long long)oid);
        rc = failed(rc, what);
    }
    lk_mutex_unlock(&s->mu);
    return rc;
}

struct write {
    struct lk_writing public;
    struct snap snap;
    struct head head;
    uint64_t behind; /* every number that has a record is below this one */
};

static int lmdb_put(struct lk_writing *public, uint64_t oid, const void *bytes, size_t size)
{
    struct write *w = (struct write *)(void *)public;
    struct file *f = public->store;
    unsigned char place[8];
    MDB_val key = key_of(oid, place), value = {size, (void *)(uintptr_t)bytes};
    if (bytes != NULL) {
        bool last = oid >= w->behind && oid < w->head.next_oid;
        w->behind = last ? oid + 1 : w->behind;
        return failed(p_mdb_put(w->snap.txn, f->dbi, &key, &value, last ? MDB_APPEND : 0),
                      "writing a record");
    }
    int rc = p_mdb_del(w->snap.txn, f->dbi, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : failed(rc, "removing a record");
}

static int lmdb_oids(struct lk_writing *public, uint64_t n, uint64_t *first)
{
    struct write *w = (struct write *)(void *)public;
    *first = w->head.next_oid;
    w->head.next_oid += n;
    return 0;
}

static int lmdb_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct file *f = store;
    struct write w = {0};
    int rc = failed(p_mdb_txn_begin(f->env, NULL, 0, &w.snap.txn), "beginning a write");
    if (rc != 0)
        return rc;
    rc = get_head(w.snap.txn, f->dbi, &w.head);
    if (rc == 0) {
        w.head.tid++;
        w.behind = w.head.next_oid;
        w.public = (struct lk_writing){w.head.tid, &w.snap, lmdb_put, f};
        rc = body(arg, &w.public);
    }
    if (rc == 0)
        rc = lmdb_put(&w.public, 0, &w.head, sizeof w.head);
    if (rc != 0) {
        p_mdb_txn_abort(w.snap.txn);
        return rc;
    }
    rc = failed(p_mdb_txn_commit(w.snap.txn), "committing");
    if (rc == 0)
        *tid = w.head.tid;
    return rc;
}

/* Other processes write too, and LMDB tells nobody: look now and then. */
static int lmdb_changes(void *store, uint64_t seen, const struct timespec *deadline, uint64_t *tid)
{
    do {
        void *snap;
        int rc = lmdb_snap(store, &snap, tid);
        if (rc != 0)
            return rc;
        lmdb_unsnap(store, snap);
        if (*tid != seen)
            return 0;
    } while (lki_store_nap(deadline));
    return ETIMEDOUT;
}

const struct lk_store_ops lki_store_lmdb = {
    "lmdb",    lmdb_open,  lmdb_close,   lmdb_snap, lmdb_unsnap,
    lmdb_load, lmdb_write, lmdb_changes, lmdb_oids, NULL,
};

#else
typedef int lki_no_lmdb; /* a file of C holds something */
#endif
