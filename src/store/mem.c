/* mem.c - a store in this process's memory.
 *
 * A record is a chain of versions, newest first.  A snapshot is a tid; a write drops the versions
 * that no snapshot can reach any more.  Writers exclude each other by `writer`; `table` guards the
 * chains, shared for loads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latchkey/cond.h"
#include "latchkey/mutex.h"
#include "latchkey/rwlock.h"
#include "store/store.h"

/* gcc 12 does not see that what is allocated here is kept by the table. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

struct version {
    struct version *older;
    uint64_t tid;
    size_t size;
    bool removed;
    unsigned char bytes[];
};

struct record {
    struct record *next;
    uint64_t oid;
    struct version *newest;
};

struct snap {
    struct snap *next;
    uint64_t tid;
};

struct mem {
    lk_mutex writer;
    lk_rwlock table;
    lk_mutex waiting;
    lk_cond changed;
    struct record **bucket;
    size_t buckets, records; /* buckets: a power of two */
    struct snap *snaps;
    uint64_t tid, next_oid;
};

/* A write in progress: the records it has put, to be taken back if it fails. */
struct write {
    struct lk_writing public;
    struct snap newest;
    struct record **touched;
    size_t n_touched, room;
};

static int mem_open(void **store, const char *place, const struct lk_store_options *options)
{
    (void)options;
    if (*place != '\0')
        return lki_fail(EINVAL, "mem: takes no name, '%s' is one", place);
    struct mem *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ENOMEM;
    m->buckets = 256;
    m->next_oid = LK_OID_FIRST;
    m->bucket = calloc(m->buckets, sizeof(struct record *));
    if (m->bucket == NULL) {
        free(m);
        return ENOMEM;
    }
    *store = m;
    return 0;
}

static void free_versions(struct version *v)
{
    while (v != NULL) {
        struct version *older = v->older;
        free(v);
        v = older;
    }
}

static void mem_close(void *store)
{
    struct mem *m = store;
    for (size_t i = 0; i < m->buckets; i++)
        while (m->bucket[i] != NULL) {
            struct record *r = m->bucket[i];
            m->bucket[i] = r->next;
            free_versions(r->newest);
            free(r);
        }
    free(m->bucket);
    free(m);
}

static int mem_snap(void *store, void **snap, uint64_t *tid)
{
    struct mem *m = store;
    struct snap *s = malloc(sizeof *s);
    if (s == NULL)
        return ENOMEM;
    lk_rwlock_wrlock(&m->table);
    *s = (struct snap){m->snaps, m->tid};
    m->snaps = s;
    lk_rwlock_wrunlock(&m->table);
    *tid = s->tid;
    *snap = s;
    return 0;
}

static void mem_unsnap(void *store, void *snap)
{
    struct mem *m = store;
    lk_rwlock_wrlock(&m->table);
    struct snap **at = &m->snaps;
    while (*at != snap)
        at = &(*at)->next;
    *at = (*at)->next;
    lk_rwlock_wrunlock(&m->table);
    free(snap);
}

static struct record **find(struct mem *m, uint64_t oid)
{
    struct record **at = &m->bucket[(oid * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (m->buckets - 1)];
    while (*at != NULL && (*at)->oid != oid)
        at = &(*at)->next;
    return at;
}

static int mem_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    struct mem *m = store;
    int rc = ENOENT;
    lk_rwlock_rdlock(&m->table);
    struct record *r = *find(m, oid);
    struct version *v = r != NULL ? r->newest : NULL;
    while (v != NULL && v->tid > ((struct snap *)snap)->tid)
        v = v->older;
    if (v != NULL && !v->removed)
        rc = take(arg, v->bytes, v->size);
    lk_rwlock_rdunlock(&m->table);
    return rc;
}

static void grow(struct mem *m)
{
    size_t n = m->buckets * 4;
    struct record **old = m->bucket, **wide = calloc(n, sizeof *wide);
    if (wide == NULL)
        return; /* longer chains then */
    size_t before = m->buckets;
    m->bucket = wide;
    m->buckets = n;
    for (size_t i = 0; i < before; i++)
        while (old[i] != NULL) {
            struct record *r = old[i];
            old[i] = r->next;
            struct record **at = find(m, r->oid);
            r->next = *at;
            *at = r;
        }
    free(old);
}

/* The record `oid`, made if there is none.  NULL: out of memory. */
static struct record *record_of(struct mem *m, uint64_t oid)
{
    struct record **at = find(m, oid);
    if (*at != NULL)
        return *at;
    if (m->records > 2 * m->buckets) {
        grow(m);
        at = find(m, oid);
    }
    *at = calloc(1, sizeof **at);
    if (*at != NULL) {
        (*at)->oid = oid;
        m->records++;
    }
    return *at;
}

static bool remember(struct write *w, struct record *r)
{
    if (w->n_touched == w->room) {
        size_t room = w->room == 0 ? 64 : w->room * 2;
        struct record **more = realloc(w->touched, room * sizeof(struct record *));
        if (more == NULL)
            return false;
        w->touched = more;
        w->room = room;
    }
    w->touched[w->n_touched++] = r;
    return true;
}

static int mem_put(struct lk_writing *public, uint64_t oid, const void *bytes, size_t size)
{
    struct write *w = (struct write *)(void *)public;
    struct mem *m = public->store;
    struct version *v = malloc(sizeof *v + size);
    if (v == NULL)
        return ENOMEM;
    v->tid = public->tid;
    v->size = size;
    v->removed = bytes == NULL;
    if (size > 0 && bytes != NULL)
        memcpy(v->bytes, bytes, size);
    lk_rwlock_wrlock(&m->table);
    struct record *r = record_of(m, oid);
    bool again = r != NULL && r->newest != NULL && r->newest->tid == public->tid;
    bool kept = r != NULL && (again || remember(w, r));
    if (kept) {
        v->older = again ? r->newest->older : r->newest;
        if (again)
            free(r->newest);
        r->newest = v;
    }
    lk_rwlock_wrunlock(&m->table);
    if (!kept)
        free(v);
    return kept ? 0 : ENOMEM;
}

static void drop_record(struct mem *m, struct record *r)
{
    struct record **at = find(m, r->oid);
    *at = r->next;
    m->records--;
    free(r);
}

/* Nobody can reach the versions behind the one that the oldest snapshot sees. */
static void trim(struct mem *m, struct record *r, uint64_t oldest)
{
    struct version *v = r->newest;
    while (v->tid > oldest && v->older != NULL)
        v = v->older;
    free_versions(v->older);
    v->older = NULL;
    if (v == r->newest && v->removed && v->tid <= oldest) {
        free(v);
        drop_record(m, r);
    }
}

/* A version that was put is taken back. */
static void take_back(struct mem *m, struct record *r)
{
    struct version *v = r->newest;
    r->newest = v->older;
    free(v);
    if (r->newest == NULL)
        drop_record(m, r);
}

static void end_write(struct mem *m, struct write *w, bool commit)
{
    lk_rwlock_wrlock(&m->table);
    if (commit)
        m->tid = w->public.tid;
    uint64_t oldest = m->tid;
    for (struct snap *s = m->snaps; s != NULL; s = s->next)
        oldest = s->tid < oldest ? s->tid : oldest;
    for (size_t i = 0; i < w->n_touched; i++) {
        if (commit)
            trim(m, w->touched[i], oldest);
        else
            take_back(m, w->touched[i]);
    }
    lk_rwlock_wrunlock(&m->table);
    free(w->touched);
}

static int mem_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct mem *m = store;
    struct write w = {0};
    lk_mutex_lock(&m->writer);
    w.newest.tid = m->tid + 1;
    w.public = (struct lk_writing){m->tid + 1, &w.newest, mem_put, m, 0};
    int rc = body(arg, &w.public);
    end_write(m, &w, rc == 0);
    lk_mutex_unlock(&m->writer);
    if (rc == 0) {
        lk_mutex_lock(&m->waiting);
        lk_cond_broadcast(&m->changed);
        lk_mutex_unlock(&m->waiting);
        *tid = w.public.tid;
    }
    return rc;
}

static uint64_t newest_tid(struct mem *m)
{
    lk_rwlock_rdlock(&m->table);
    uint64_t tid = m->tid;
    lk_rwlock_rdunlock(&m->table);
    return tid;
}

static int mem_changes(void *store, uint64_t seen, const struct timespec *deadline, uint64_t *tid)
{
    struct mem *m = store;
    int rc = 0;
    lk_mutex_lock(&m->waiting);
    while ((*tid = newest_tid(m)) == seen && deadline != NULL && rc == 0)
        rc = lk_cond_wait_until(&m->changed, &m->waiting, deadline);
    lk_mutex_unlock(&m->waiting);
    return *tid != seen ? 0 : ETIMEDOUT;
}

static int mem_oids(struct lk_writing *w, uint64_t n, uint64_t *first)
{
    struct mem *m = w->store;
    *first = m->next_oid; /* the writer's lock is ours */
    m->next_oid += n;
    return 0;
}

const struct lk_store_ops lki_store_mem = {
    "mem",     mem_open,    mem_close, mem_snap, mem_unsnap, mem_load,
    mem_write, mem_changes, mem_oids,  NULL,     NULL,
};
