/* lmdb.c - a store in one file, through liblmdb.
 *
 * liblmdb is loaded when the first such store is opened, so that the library itself does not need
 * it.  A record's key is its oid, big-endian; oid 0 is ours: {tid, next oid}.  A snapshot is a
 * read-only transaction (MDB_NOTLS), under a lock because LMDB gives one to one thread at a time.
 * A process that dies leaves its slot in LMDB's table of readers, and pages that it saw are not
 * used again: opens and, now and then, writes clear such slots.
 * LMDB forbids opening one file twice in a process, so open files are shared and counted.
 * The map grows when another process has made the file larger, or before it is full: LMDB reads
 * through it only while a snapshot's lock is held, so it may move when all of those are. */
#ifdef LK_HAVE_LMDB
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/lmdb.h"

struct lki_lmdb_calls lki_lmdb;

enum { READERS_MAX = 2048, SPARE_SNAPS = 16, DEFAULT_LIMIT_LOG2 = 36, LEAST_LIMIT_LOG2 = 24 };

static lk_mutex registry; /* files, library */
static struct lki_file *files;
static bool loaded;

static int load_library(void)
{
    static const char *const names[] = {"liblmdb.so.0", "liblmdb.so", NULL};
#define SYMBOL(f) {#f, &lki_lmdb.f},
    static const struct lki_symbol symbols[] = {LKI_LMDB_FUNCTIONS(SYMBOL)};
#undef SYMBOL
    int rc = loaded ? 0 : lki_library_open(names, symbols, sizeof symbols / sizeof symbols[0]);
    loaded = rc == 0;
    return rc;
}

int lki_lmdb_failed(int rc, const char *what)
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
        return lki_fail(LK_ECORRUPT, "%s: %s", what, lki_lmdb.mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return lki_fail(LK_EVERSION, "%s: %s", what, lki_lmdb.mdb_strerror(rc));
    case MDB_MAP_FULL:
        return lki_fail(ENOSPC, "%s: limit_bytes is reached", what);
    case MDB_READERS_FULL:
        return lki_fail(EAGAIN, "%s: %d snapshots are open", what, READERS_MAX);
    default:
        return lki_fail(rc > 0 ? rc : EIO, "%s: %s", what, lki_lmdb.mdb_strerror(rc));
    }
}

/* The upper half of the numbers (commits) comes first, so that a new node's is behind all others:
 * LMDB then fills pages instead of halving them. */
MDB_val lki_lmdb_key(uint64_t oid, unsigned char bytes[8])
{
    oid ^= UINT64_C(1) << 63;
    for (int i = 7; i >= 0; i--, oid >>= 8)
        bytes[i] = (unsigned char)oid;
    return (MDB_val){8, bytes};
}

int lki_lmdb_get_head(MDB_txn *txn, MDB_dbi dbi, struct lki_lmdb_head *head)
{
    unsigned char place[8];
    MDB_val key = lki_lmdb_key(0, place), value;
    *head = (struct lki_lmdb_head){0, LK_OID_FIRST};
    int rc = lki_lmdb.mdb_get(txn, dbi, &key, &value);
    if (rc == MDB_NOTFOUND) {
        /* There is no commit 0: here the head was before the order of keys was changed. */
        key = lki_lmdb_key(UINT64_C(1) << 63, place);
        rc = lki_lmdb.mdb_get(txn, dbi, &key, &value);
        return rc == 0 ? lki_fail(LK_EVERSION,
                                  "the file is of an older, unreleased version of latchkey")
                       : lki_lmdb_failed(rc == MDB_NOTFOUND ? 0 : rc, "reading the head record");
    }
    if (rc == 0 && value.mv_size != sizeof *head)
        return lki_fail(LK_ECORRUPT, "the head record has %zu bytes", value.mv_size);
    if (rc == 0)
        memcpy(head, value.mv_data, sizeof *head);
    return lki_lmdb_failed(rc, "reading the head record");
}

/* As much address space as there is, up to what was asked for. */
static int set_limit(MDB_env *env, const struct lk_store_options *o)
{
    if (o->limit_bytes != 0)
        return lki_lmdb.mdb_env_set_mapsize(env, o->limit_bytes);
    return lki_lmdb.mdb_env_set_mapsize(env, (size_t)1 << DEFAULT_LIMIT_LOG2);
}

static int open_env(struct lki_file *f, const char *path, const struct lk_store_options *o)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | (o->read_only ? MDB_RDONLY : 0) |
                     (o->sync == LK_SYNC_ORDERED ? MDB_NOMETASYNC : 0) |
                     (o->sync == LK_SYNC_NONE ? MDB_NOSYNC : 0);
    struct lk_store_options asked = *o;
    for (int log2 = DEFAULT_LIMIT_LOG2;; log2--) {
        int rc = lki_lmdb.mdb_env_create(&f->env);
        if (rc != 0)
            return lki_lmdb_failed(rc, path);
        rc = set_limit(f->env, &asked);
        if (rc == 0)
            rc = lki_lmdb.mdb_env_set_maxreaders(f->env, READERS_MAX);
        if (rc == 0)
            rc = lki_lmdb.mdb_env_open(f->env, path, flags, 0600);
        if (rc == 0)
            return 0;
        lki_lmdb.mdb_env_close(f->env);
        if (rc != ENOMEM || o->limit_bytes != 0 || log2 == LEAST_LIMIT_LOG2)
            return lki_lmdb_failed(rc, path);
        asked.limit_bytes = (size_t)1 << (log2 - 1);
    }
}

/* Bytes that a file has lost at its end would be a SIGBUS when they are read.  As zeros they are
 * what LMDB calls corrupted.  A sound file may be some pages short too, those that were freed
 * before they were written; who may only read cannot tell, and is refused.  Never shortens the
 * file: another process may be at work. */
static int cover_end(struct lki_file *f, const char *path)
{
    MDB_envinfo info;
    MDB_stat page;
    struct stat st;
    if (lki_lmdb.mdb_env_info(f->env, &info) != 0 || lki_lmdb.mdb_env_stat(f->env, &page) != 0 ||
        stat(path, &st) != 0)
        return lki_fail(EIO, "%s: its size is not to be had", path);
    long long whole = (long long)(info.me_last_pgno + 1) * page.ms_psize, is = st.st_size;
    if (is >= whole)
        return 0;
    if (f->read_only)
        return lki_fail(LK_ECORRUPT,
                        "%s: it has %lld bytes, its last page ends at %lld: it was cut, or must be "
                        "opened for writing once",
                        path, is, whole);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int rc = fd < 0 ? errno : posix_fallocate(fd, whole - 1, 1);
    if (fd >= 0)
        (void)close(fd);
    return rc == 0
               ? 0
               : lki_fail(LK_ECORRUPT, "%s: %lld bytes are missing at its end", path, whole - is);
}

static int open_table(struct lki_file *f, const char *path)
{
    MDB_txn *txn;
    int dead;
    (void)lki_lmdb.mdb_reader_check(f->env, &dead);
    int rc = lki_lmdb.mdb_txn_begin(f->env, NULL, f->read_only ? MDB_RDONLY : 0, &txn);
    if (rc == 0) {
        rc = lki_lmdb.mdb_dbi_open(txn, NULL, 0, &f->dbi);
        if (rc == 0)
            rc = lki_lmdb.mdb_txn_commit(txn);
        else
            lki_lmdb.mdb_txn_abort(txn);
    }
    return lki_lmdb_failed(rc, path);
}

static struct lki_file *shared_file(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return NULL;
    for (struct lki_file *f = files; f != NULL; f = f->next)
        if (f->device == st.st_dev && f->inode == st.st_ino)
            return f;
    return NULL;
}

static int open_file(struct lki_file **out, const char *path, const struct lk_store_options *o)
{
    struct stat st;
    struct lki_file *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ENOMEM;
    f->read_only = o->read_only;
    f->limited = o->limit_bytes != 0;
    f->shares = o->sync != LK_SYNC_NONE;
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
        lki_lmdb.mdb_env_close(f->env);
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
    struct lki_file *f = rc == 0 ? shared_file(path) : NULL;
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
    struct lki_file *f = store;
    lk_mutex_lock(&registry);
    if (--f->users == 0) {
        struct lki_file **at = &files;
        while (*at != f)
            at = &(*at)->next;
        *at = f->next;
        while (f->spare != NULL) {
            struct lki_lmdb_snap *s = f->spare;
            f->spare = s->next;
            lki_lmdb.mdb_txn_abort(s->txn);
            free(s);
        }
        lki_lmdb.mdb_env_close(f->env);
        free(f);
    }
    lk_mutex_unlock(&registry);
}

/* ---- snapshots and the map ------------------------------------------------------------------ */

/* Is there address space for that much? */
static bool fits(size_t size)
{
    void *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at != MAP_FAILED && munmap(at, size) == 0;
}

int lki_lmdb_remap(struct lki_file *f, size_t size)
{
    if (!fits(size)) /* LMDB gives the old map up first */
        return lki_fail(ENOMEM, "no address space for a map of %zu bytes", size);
    lk_mutex_lock(&f->mu);
    for (struct lki_lmdb_snap *s = f->live; s != NULL; s = s->next)
        lk_mutex_lock(&s->mu);
    int rc = lki_lmdb.mdb_env_set_mapsize(f->env, size);
    for (struct lki_lmdb_snap *s = f->live; s != NULL; s = s->next)
        lk_mutex_unlock(&s->mu);
    lk_mutex_unlock(&f->mu);
    return lki_lmdb_failed(rc, "growing the map");
}

int lki_lmdb_follow(struct lki_file *f)
{
    MDB_envinfo info;
    struct stat st;
    mdb_filehandle_t fd;
    if (lki_lmdb.mdb_env_info(f->env, &info) != 0 || lki_lmdb.mdb_env_get_fd(f->env, &fd) != 0 ||
        fstat(fd, &st) != 0)
        return lki_fail(EIO, "the file's size is not to be had");
    /* With room, so that it is not asked for again soon; LMDB wants whole pages. */
    size_t is = (size_t)st.st_size, least = info.me_mapsize + info.me_mapsize / 2;
    size_t size = is + is / 2 > least ? is + is / 2 : least;
    size = (size | 0xffff) + 1;
    return lki_lmdb_remap(f, size);
}

/* A snapshot that was ended keeps its slot among the readers for the next one.  f->mu is held; *out
 * is to be listed or freed. */
static int begin_snap(struct lki_file *f, struct lki_lmdb_snap **out)
{
    struct lki_lmdb_snap *s = f->spare;
    int dead;
    if (s != NULL) {
        f->spare = s->next;
        f->spares--;
        *out = s;
        return lki_lmdb.mdb_txn_renew(s->txn);
    }
    s = *out = calloc(1, sizeof *s);
    if (s == NULL)
        return ENOMEM;
    int rc = lki_lmdb.mdb_txn_begin(f->env, NULL, MDB_RDONLY, &s->txn);
    if (rc == MDB_READERS_FULL && lki_lmdb.mdb_reader_check(f->env, &dead) == 0)
        rc = lki_lmdb.mdb_txn_begin(f->env, NULL, MDB_RDONLY, &s->txn);
    if (rc != 0)
        s->txn = NULL;
    return rc;
}

static void list_live(struct lki_file *f, struct lki_lmdb_snap *s)
{
    s->next = f->live;
    s->at = &f->live;
    if (s->next != NULL)
        s->next->at = &s->next;
    f->live = s;
}

static int listed_snap(struct lki_file *f, struct lki_lmdb_snap **out)
{
    struct lki_lmdb_snap *s = NULL;
    lk_mutex_lock(&f->mu);
    int rc = begin_snap(f, &s);
    if (rc == 0)
        list_live(f, s);
    lk_mutex_unlock(&f->mu);
    if (rc != 0 && s != NULL) {
        if (s->txn != NULL)
            lki_lmdb.mdb_txn_abort(s->txn);
        free(s);
    }
    *out = s;
    return rc;
}

/* Another process has made the file larger than our map.  A writer of this process that waits for
 * that one keeps us from growing it: not for long. */
static int adopt_size(struct lki_file *f)
{
    enum { PATIENCE_NS = 2000000000 };
    struct timespec until = lki_timespec(lki_mono_ns() + PATIENCE_NS);
    if (lki_lmdb_begin_change(f, &until) != 0)
        return lki_fail(EAGAIN, "the file has grown, and the map cannot while a write waits");
    int rc = lki_lmdb_follow(f);
    lki_lmdb_end_change(f);
    return rc;
}

static void lmdb_unsnap(void *store, void *snap)
{
    struct lki_file *f = store;
    struct lki_lmdb_snap *s = snap;
    lk_mutex_lock(&f->mu);
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    bool keep = f->spares < SPARE_SNAPS;
    if (keep) {
        lki_lmdb.mdb_txn_reset(s->txn);
        s->next = f->spare;
        f->spare = s;
        f->spares++;
    }
    lk_mutex_unlock(&f->mu);
    if (!keep) {
        lki_lmdb.mdb_txn_abort(s->txn);
        free(s);
    }
}

static int lmdb_snap(void *store, void **snap, uint64_t *tid)
{
    enum { TRIES = 3 }; /* it may grow again meanwhile */
    struct lki_file *f = store;
    struct lki_lmdb_snap *s = NULL;
    struct lki_lmdb_head head;
    int rc = MDB_MAP_RESIZED;
    for (int i = 0; i < TRIES && rc == MDB_MAP_RESIZED; i++) {
        rc = listed_snap(f, &s);
        int grown = rc == MDB_MAP_RESIZED ? adopt_size(f) : 0;
        if (grown != 0)
            return grown;
    }
    if (rc != 0)
        return lki_lmdb_failed(rc, "beginning a snapshot");
    lk_mutex_lock(&s->mu);
    rc = lki_lmdb_get_head(s->txn, f->dbi, &head);
    lk_mutex_unlock(&s->mu);
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
    struct lki_file *f = store;
    struct lki_lmdb_snap *s = snap;
    unsigned char place[8];
    MDB_val key = lki_lmdb_key(oid, place), value;
    lk_mutex_lock(&s->mu);
    int rc = lki_lmdb.mdb_get(s->txn, f->dbi, &key, &value);
    if (rc == 0) {
        rc = take(arg, value.mv_data, value.mv_size);
    } else {
        char what[32];
        (void)snprintf(what, sizeof what, "record %llx", (unsigned long long)oid);
        rc = lki_lmdb_failed(rc, what);
    }
    lk_mutex_unlock(&s->mu);
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
    "lmdb",         lmdb_open,    lmdb_close,    lmdb_snap, lmdb_unsnap,           lmdb_load,
    lki_lmdb_write, lmdb_changes, lki_lmdb_oids, NULL,      lki_lmdb_write_shared,
};

#else
typedef int lki_no_lmdb; /* a file of C holds something */
#endif
