/* postgresql.c - a store on a PostgreSQL server, through libpq.
 *
 * Table lk_record (oid, tid, bytes): a row for each version of a record, bytes NULL = removed.
 * Table lk_head, one row: {tid, next}.  A snapshot is a tid: what was committed later is not looked
 * at, and a session-level shared advisory lock on the tid keeps its rows.  A write is one
 * transaction under an exclusive advisory lock; it removes the versions that no snapshot's lock
 * protects, of the records that it changes.  libpq is loaded when the first such store is opened.
 * A connection is one thread's at a time: readers share one, a writer has one, and one listens.
 * A connection that is lost is made again; a snapshot that was made on it then fails with ESTALE, a
 * write in progress with EIO. */
#ifdef LK_HAVE_POSTGRESQL
#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "latchkey/mutex.h"
#include "store/store.h"

#define FUNCTIONS(F)                                                                               \
    F(PQconnectdb)                                                                                 \
    F(PQstatus)                                                                                    \
    F(PQfinish)                                                                                    \
    F(PQexec)                                                                                      \
    F(PQexecParams)                                                                                \
    F(PQresultStatus)                                                                              \
    F(PQerrorMessage)                                                                              \
    F(PQclear)                                                                                     \
    F(PQntuples)                                                                                   \
    F(PQgetvalue)                                                                                  \
    F(PQgetlength)                                                                                 \
    F(PQgetisnull)                                                                                 \
    F(PQconsumeInput)                                                                              \
    F(PQsocket)                                                                                    \
    F(PQnotifies)                                                                                  \
    F(PQfreemem)

#define POINTER(f) static __typeof__(&(f)) p_##f;
FUNCTIONS(POINTER)
#undef POINTER

#define LOCK_SPACE "1818979691" /* of our advisory locks */

struct link {
    lk_mutex mu;
    PGconn *c;
    uint64_t generation; /* raised when it is made again */
};

struct server {
    char *url;
    struct link read, write, listen;
};

struct snap {
    uint64_t tid, generation;
    bool writing; /* of a write: the newest, and what it has put */
};

static lk_mutex registry;
static bool loaded;

static int load_library(void)
{
    static const char *const names[] = {"libpq.so.5", "libpq.so", NULL};
#define SYMBOL(f) {#f, &p_##f},
    static const struct lki_symbol symbols[] = {FUNCTIONS(SYMBOL)};
#undef SYMBOL
    lk_mutex_lock(&registry);
    int rc = loaded ? 0 : lki_library_open(names, symbols, sizeof symbols / sizeof symbols[0]);
    loaded = rc == 0;
    lk_mutex_unlock(&registry);
    return rc;
}

static int failed(struct link *l, const char *what)
{
    return lki_fail(EIO, "%s: %s", what, p_PQerrorMessage(l->c));
}

/* A connection that works, made again if it is lost.  l->mu is held. */
static int connect_link(struct server *s, struct link *l)
{
    if (l->c != NULL && p_PQstatus(l->c) == CONNECTION_OK)
        return 0;
    if (l->c != NULL)
        p_PQfinish(l->c);
    l->c = p_PQconnectdb(s->url);
    l->generation++;
    if (l->c == NULL)
        return ENOMEM;
    return p_PQstatus(l->c) == CONNECTION_OK ? 0 : failed(l, "connecting");
}

static int command(struct link *l, const char *sql)
{
    PGresult *r = p_PQexec(l->c, sql);
    ExecStatusType status = p_PQresultStatus(r);
    int rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : failed(l, sql);
    p_PQclear(r);
    return rc;
}

/* A query with numbers as its parameters, and a record as the last one if there is one. */
static int query(struct link *l, const char *sql, const uint64_t *n, int count, const void *bytes,
                 size_t size, PGresult **out)
{
    char text[3][24];
    const char *values[4];
    int lengths[4] = {0}, formats[4] = {0}, params = count;
    for (int i = 0; i < count; i++) {
        (void)snprintf(text[i], sizeof text[i], "%" PRId64, (int64_t)n[i]);
        values[i] = text[i];
    }
    if (size != SIZE_MAX) {
        values[params] = bytes != NULL && size == 0 ? "" : bytes;
        lengths[params] = (int)size;
        formats[params++] = 1;
    }
    PGresult *r = p_PQexecParams(l->c, sql, params, NULL, values, lengths, formats, 1);
    ExecStatusType status = p_PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        int rc = failed(l, sql);
        p_PQclear(r);
        return rc;
    }
    *out = r;
    return 0;
}

static uint64_t number(PGresult *r, int column)
{
    uint64_t v;
    if (p_PQgetlength(r, 0, column) != 8)
        return 0;
    memcpy(&v, p_PQgetvalue(r, 0, column), 8);
    return __builtin_bswap64(v);
}

/* {tid, next oid}. */
static int get_head(struct link *l, uint64_t *tid, uint64_t *next)
{
    PGresult *r;
    int rc = query(l, "SELECT tid, next FROM lk_head", NULL, 0, NULL, SIZE_MAX, &r);
    if (rc != 0)
        return rc;
    if (p_PQntuples(r) != 1) {
        rc = lki_fail(LK_ECORRUPT, "lk_head has %d rows", p_PQntuples(r));
    } else {
        *tid = number(r, 0);
        *next = number(r, 1);
    }
    p_PQclear(r);
    return rc;
}

static int make_tables(struct link *l)
{
    return command(
        l, "SET client_min_messages = warning;"
           "BEGIN;"
           "SELECT pg_advisory_xact_lock(" LOCK_SPACE "::bigint << 32);"
           "CREATE TABLE IF NOT EXISTS lk_record (oid bigint, tid bigint, bytes bytea,"
           " PRIMARY KEY (oid, tid));"
           "CREATE TABLE IF NOT EXISTS lk_head (one int PRIMARY KEY, tid bigint, next bigint);"
           "INSERT INTO lk_head VALUES (1, 0, 16) ON CONFLICT DO NOTHING;"
           "COMMIT");
}

static void close_link(struct link *l)
{
    if (l->c != NULL)
        p_PQfinish(l->c);
}

static void pg_close(void *store)
{
    struct server *s = store;
    close_link(&s->read);
    close_link(&s->write);
    close_link(&s->listen);
    free(s->url);
    free(s);
}

static int pg_open(void **store, const char *url, const struct lk_store_options *options)
{
    (void)options; /* what a commit waits for is the server's to say (synchronous_commit) */
    int rc = load_library();
    if (rc != 0)
        return rc;
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL || (s->url = strdup(url)) == NULL) {
        free(s);
        return ENOMEM;
    }
    rc = connect_link(s, &s->write);
    if (rc == 0)
        rc = make_tables(&s->write);
    if (rc != 0)
        pg_close(s);
    else
        *store = s;
    return rc;
}

/* The lock is taken on the tid that was read; if that is not the newest any more by then, a writer
 * may have removed what it needs, so once more. */
static int take_snap(struct link *l, struct snap *s)
{
    for (;;) {
        uint64_t next, again;
        PGresult *r;
        int rc = get_head(l, &s->tid, &next);
        if (rc == 0)
            rc = query(l, "SELECT pg_advisory_lock_shared(" LOCK_SPACE ", $1::bigint::int)",
                       &s->tid, 1, NULL, SIZE_MAX, &r);
        if (rc != 0)
            return rc;
        p_PQclear(r);
        rc = get_head(l, &again, &next);
        if (rc != 0 || again == s->tid)
            return rc;
        rc = query(l, "SELECT pg_advisory_unlock_shared(" LOCK_SPACE ", $1::bigint::int)", &s->tid,
                   1, NULL, SIZE_MAX, &r);
        if (rc != 0)
            return rc;
        p_PQclear(r);
    }
}

static int pg_snap(void *store, void **snap, uint64_t *tid)
{
    struct server *s = store;
    struct snap *n = calloc(1, sizeof *n);
    if (n == NULL)
        return ENOMEM;
    lk_mutex_lock(&s->read.mu);
    int rc = connect_link(s, &s->read);
    if (rc == 0)
        rc = take_snap(&s->read, n);
    n->generation = s->read.generation;
    lk_mutex_unlock(&s->read.mu);
    if (rc != 0) {
        free(n);
        return rc;
    }
    *snap = n;
    *tid = n->tid;
    return 0;
}

static void pg_unsnap(void *store, void *snap)
{
    struct server *s = store;
    struct snap *n = snap;
    PGresult *r;
    lk_mutex_lock(&s->read.mu);
    if (n->generation == s->read.generation &&
        query(&s->read, "SELECT pg_advisory_unlock_shared(" LOCK_SPACE ", $1::bigint::int)",
              &n->tid, 1, NULL, SIZE_MAX, &r) == 0)
        p_PQclear(r);
    lk_mutex_unlock(&s->read.mu);
    free(n);
}

static int load_from(struct link *l, uint64_t tid, uint64_t oid, PGresult **r)
{
    static const char sql[] = "SELECT bytes FROM lk_record WHERE oid = $1::bigint AND"
                              " tid <= $2::bigint ORDER BY tid DESC LIMIT 1";
    int rc = query(l, sql, (uint64_t[]){oid, tid}, 2, NULL, SIZE_MAX, r);
    if (rc == 0 && (p_PQntuples(*r) == 0 || p_PQgetisnull(*r, 0, 0))) {
        p_PQclear(*r);
        rc = ENOENT;
    }
    return rc;
}

/* Lock the readers' connection, for a snapshot that was made on it.  It is locked behind it. */
static int begin_reading(struct server *s, const struct snap *n)
{
    lk_mutex_lock(&s->read.mu);
    int rc = connect_link(s, &s->read);
    if (rc == 0 && n->generation != s->read.generation)
        rc = lki_fail(ESTALE, "the connection that the snapshot was made on is lost");
    return rc;
}

static int pg_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    struct server *s = store;
    struct snap *n = snap;
    PGresult *r;
    int rc;
    if (n->writing) { /* the write's own thread, which has its lock */
        rc = load_from(&s->write, n->tid, oid, &r);
    } else {
        rc = begin_reading(s, n);
        if (rc == 0)
            rc = load_from(&s->read, n->tid, oid, &r);
        lk_mutex_unlock(&s->read.mu);
    }
    if (rc != 0)
        return rc;
    rc = take(arg, p_PQgetvalue(r, 0, 0), (size_t)p_PQgetlength(r, 0, 0));
    p_PQclear(r);
    return rc;
}

/* A query for many records: their numbers as the text of an array. */
static int query_many(struct link *l, const uint64_t *oid, size_t n, uint64_t tid, PGresult **r)
{
    static const char sql[] =
        "SELECT DISTINCT ON (oid) oid, bytes FROM lk_record WHERE oid = ANY($1::bigint[]) AND"
        " tid <= $2::bigint ORDER BY oid, tid DESC";
    enum { DIGITS = 21 };
    char *list = malloc((n + 1) * DIGITS + 1), newest[24];
    const char *values[2] = {list, newest};
    size_t at = 0;
    if (list == NULL)
        return ENOMEM;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(list + at, DIGITS + 1, "%c%" PRId64, i == 0 ? '{' : ',',
                               (int64_t)oid[i]);
    memcpy(list + at, "}", 2);
    (void)snprintf(newest, sizeof newest, "%" PRId64, (int64_t)tid);
    *r = p_PQexecParams(l->c, sql, 2, NULL, values, NULL, NULL, 1);
    free(list);
    if (p_PQresultStatus(*r) == PGRES_TUPLES_OK)
        return 0;
    int rc = failed(l, sql);
    p_PQclear(*r);
    return rc;
}

enum { MANY = 256 }; /* records in one question */

struct wanted {
    uint64_t oid;
    size_t at; /* in the caller's list */
};

static int by_oid(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return (x->oid > y->oid) - (x->oid < y->oid);
}

/* Rows come in the order of their numbers, and so are those that are wanted gone through.  A number
 * that is wanted twice is given once. */
static int give_rows(PGresult *r, const uint64_t *oid, size_t n, size_t first,
                     lk_store_take_nth *take, void *arg)
{
    struct wanted want[MANY];
    size_t i = 0;
    int rc = 0;
    for (size_t k = 0; k < n; k++)
        want[k] = (struct wanted){oid[k], first + k};
    qsort(want, n, sizeof *want, by_oid);
    for (int row = 0; row < p_PQntuples(r) && rc == 0; row++) {
        uint64_t stored;
        memcpy(&stored, p_PQgetvalue(r, row, 0), sizeof stored);
        stored = __builtin_bswap64(stored);
        while (i < n && want[i].oid < stored)
            i++;
        if (i < n && want[i].oid == stored && !p_PQgetisnull(r, row, 1))
            rc = take(arg, want[i].at, p_PQgetvalue(r, row, 1), (size_t)p_PQgetlength(r, row, 1));
    }
    return rc;
}

static int pg_load_many(void *store, void *snap, const uint64_t *oid, size_t n,
                        lk_store_take_nth *take, void *arg)
{
    struct server *s = store;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i += MANY) {
        size_t some = n - i < MANY ? n - i : MANY;
        struct snap *of = snap;
        PGresult *r = NULL;
        bool writing = of->writing; /* the write's own thread, which has its lock */
        struct link *l = writing ? &s->write : &s->read;
        rc = writing ? 0 : begin_reading(s, of);
        if (rc == 0)
            rc = query_many(l, oid + i, some, of->tid, &r);
        if (!writing)
            lk_mutex_unlock(&s->read.mu);
        if (rc != 0)
            return rc;
        rc = give_rows(r, oid + i, some, i, take, arg);
        p_PQclear(r);
    }
    return rc;
}

struct write {
    struct lk_writing public;
    struct snap snap;
    uint64_t next, oldest; /* the oldest snapshot that is open */
};

static int pg_put(struct lk_writing *public, uint64_t oid, const void *bytes, size_t size)
{
    static const char put[] = "INSERT INTO lk_record VALUES ($1::bigint, $2::bigint, $3::bytea)"
                              " ON CONFLICT (oid, tid) DO UPDATE SET bytes = excluded.bytes";
    /* Versions that neither an open snapshot nor a later one can see. */
    static const char trim[] =
        "DELETE FROM lk_record WHERE oid = $1::bigint AND tid < (SELECT max(tid) FROM lk_record"
        " WHERE oid = $1::bigint AND tid <= $2::bigint)";
    struct write *w = (struct write *)(void *)public;
    struct server *s = public->store;
    PGresult *r;
    if (size > INT32_MAX)
        return EFBIG;
    int rc = query(&s->write, put, (uint64_t[]){oid, public->tid}, 2, bytes, size, &r);
    if (rc != 0)
        return rc;
    p_PQclear(r);
    if (oid >= LK_OID_FIRST && bytes != NULL)
        return 0;
    rc = query(&s->write, trim, (uint64_t[]){oid, w->oldest}, 2, NULL, SIZE_MAX, &r);
    if (rc == 0)
        p_PQclear(r);
    return rc;
}

static int pg_oids(struct lk_writing *public, uint64_t n, uint64_t *first)
{
    struct write *w = (struct write *)(void *)public;
    *first = w->next;
    w->next += n;
    return 0;
}

static int begin_write(struct server *s, struct write *w)
{
    struct link *l = &s->write;
    PGresult *r;
    uint64_t tid;
    int rc = command(l, "BEGIN; SELECT pg_advisory_xact_lock(" LOCK_SPACE "::bigint << 32)");
    if (rc == 0)
        rc = get_head(l, &tid, &w->next);
    if (rc == 0)
        rc = query(l,
                   "SELECT COALESCE(min(objid::bigint), $1::bigint) FROM pg_locks WHERE"
                   " locktype = 'advisory' AND classid = " LOCK_SPACE "::bigint::oid"
                   " AND objsubid = 2",
                   &tid, 1, NULL, SIZE_MAX, &r);
    if (rc != 0)
        return rc;
    w->oldest = number(r, 0) < tid ? number(r, 0) : tid;
    p_PQclear(r);
    w->snap = (struct snap){tid + 1, 0, true};
    w->public = (struct lk_writing){tid + 1, &w->snap, pg_put, s, 0};
    return 0;
}

static int end_write(struct server *s, struct write *w)
{
    PGresult *r;
    int rc = query(&s->write, "UPDATE lk_head SET tid = $1::bigint, next = $2::bigint",
                   (uint64_t[]){w->public.tid, w->next}, 2, NULL, SIZE_MAX, &r);
    if (rc != 0)
        return rc;
    p_PQclear(r);
    return command(&s->write, "NOTIFY lk_changed; COMMIT");
}

static int pg_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct server *s = store;
    struct write w = {.next = 0};
    lk_mutex_lock(&s->write.mu);
    int rc = connect_link(s, &s->write);
    if (rc == 0) {
        rc = begin_write(s, &w);
        if (rc == 0)
            rc = body(arg, &w.public);
        if (rc == 0)
            rc = end_write(s, &w);
        if (rc != 0) {
            PGresult *r = p_PQexec(s->write.c, "ROLLBACK");
            p_PQclear(r);
        }
    }
    lk_mutex_unlock(&s->write.mu);
    if (rc == 0)
        *tid = w.public.tid;
    return rc;
}

/* Until something arrives on the listening connection, or a while has passed. */
static void hear(struct link *l, const struct timespec *deadline)
{
    struct timespec now = lki_timespec(lki_mono_ns());
    int64_t ms =
        (deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec) / 1000000 + 1;
    struct pollfd p = {.fd = p_PQsocket(l->c), .events = POLLIN};
    PGnotify *n;
    (void)poll(&p, 1, ms < 0 ? 0 : ms > 1000 ? 1000 : (int)ms);
    (void)p_PQconsumeInput(l->c);
    while ((n = p_PQnotifies(l->c)) != NULL)
        p_PQfreemem(n);
}

static int pg_changes(void *store, uint64_t seen, const struct timespec *deadline, uint64_t *tid)
{
    struct server *s = store;
    struct link *l = &s->listen;
    lk_mutex_lock(&l->mu);
    for (;;) {
        uint64_t before = l->generation, next;
        int rc = connect_link(s, l);
        if (rc == 0 && l->generation != before)
            rc = command(l, "LISTEN lk_changed");
        if (rc == 0)
            rc = get_head(l, tid, &next);
        struct timespec now = lki_timespec(lki_mono_ns());
        bool late = deadline == NULL || !lki_timespec_before(&now, deadline);
        if (rc != 0 || *tid != seen || late) {
            lk_mutex_unlock(&l->mu);
            return rc != 0 ? rc : *tid != seen ? 0 : ETIMEDOUT;
        }
        hear(l, deadline);
    }
}

const struct lk_store_ops lki_store_postgresql = {
    "postgresql", pg_open,    pg_close, pg_snap,      pg_unsnap, pg_load,
    pg_write,     pg_changes, pg_oids,  pg_load_many, NULL,
};

#else
typedef int lki_no_postgresql; /* a file of C holds something */
#endif
