/* fault.c - a store whose n-th call fails, or is the last thing that the process does.
 *
 * Calls are: snap, load, the beginning of a write, each put, and a write's end; in a process that
 * dies there is one more behind the end, where the commit is done and nobody has been told. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "latchkey/mutex.h"
#include "store/store.h"

struct fault {
    lk_store inner;
    lk_mutex mu;
    uint64_t calls, at;
    bool die;
};

struct write {
    struct lk_writing public;
    struct lk_writing *inner;
    struct fault *f;
    lk_store_body *body;
    void *arg;
};

/* One more call; EIO if it is the one. */
static int step(struct fault *f)
{
    lk_mutex_lock(&f->mu);
    bool now = ++f->calls == f->at;
    lk_mutex_unlock(&f->mu);
    if (now && f->die)
        (void)kill(getpid(), SIGKILL);
    return now ? lki_fail(EIO, "the fault store's call %llu", (unsigned long long)f->at) : 0;
}

static int fault_open(void **store, const char *place, const struct lk_store_options *options)
{
    struct fault *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ENOMEM;
    char *end = NULL;
    f->die = strncmp(place, "die=", 4) == 0;
    if (f->die || strncmp(place, "fail=", 5) == 0)
        f->at = strtoull(strchr(place, '=') + 1, &end, 10);
    int rc = end == NULL || *end != ':'
                 ? lki_fail(EINVAL, "fault: wants fail=N:URL or die=N:URL, not '%s'", place)
                 : lk_store_open(&f->inner, end + 1, options);
    if (rc != 0)
        free(f);
    else
        *store = f;
    return rc;
}

static void fault_close(void *store)
{
    struct fault *f = store;
    lk_store_close(&f->inner);
    free(f);
}

static int fault_snap(void *store, void **snap, uint64_t *tid)
{
    struct fault *f = store;
    int rc = step(f);
    return rc != 0 ? rc : f->inner.ops->snap(f->inner.at, snap, tid);
}

static void fault_unsnap(void *store, void *snap)
{
    struct fault *f = store;
    f->inner.ops->unsnap(f->inner.at, snap);
}

static int fault_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    struct fault *f = store;
    int rc = step(f);
    return rc != 0 ? rc : f->inner.ops->load(f->inner.at, snap, oid, take, arg);
}

struct nth {
    size_t at;
    lk_store_take_nth *take;
    void *arg;
};

static int take_one(void *arg, const void *bytes, size_t size)
{
    struct nth *n = arg;
    return n->take(n->arg, n->at, bytes, size);
}

/* One call; a store that has no such function is asked for one after the other. */
static int fault_load_many(void *store, void *snap, const uint64_t *oid, size_t n,
                           lk_store_take_nth *take, void *arg)
{
    struct fault *f = store;
    int rc = step(f);
    if (rc != 0 || f->inner.ops->load_many != NULL)
        return rc != 0 ? rc : f->inner.ops->load_many(f->inner.at, snap, oid, n, take, arg);
    for (size_t i = 0; i < n && (rc == 0 || rc == ENOENT); i++)
        rc = f->inner.ops->load(f->inner.at, snap, oid[i], take_one, &(struct nth){i, take, arg});
    return rc == ENOENT ? 0 : rc;
}

static int fault_put(struct lk_writing *public, uint64_t oid, const void *bytes, size_t size)
{
    struct write *w = (struct write *)(void *)public;
    int rc = step(w->f);
    return rc != 0 ? rc : w->inner->put(w->inner, oid, bytes, size);
}

static int fault_body(void *arg, struct lk_writing *inner)
{
    struct write *w = arg;
    w->inner = inner;
    w->public = (struct lk_writing){inner->tid, inner->snap, fault_put, w->f, inner->unsure};
    int rc = w->body(w->arg, &w->public);
    return rc != 0 ? rc : step(w->f);
}

typedef int write_fn(void *store, lk_store_body *body, void *arg, uint64_t *tid);

static int write_by(struct fault *f, write_fn *fn, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct write w = {.f = f, .body = body, .arg = arg};
    int rc = step(f);
    if (rc == 0)
        rc = fn(f->inner.at, fault_body, &w, tid);
    if (rc == 0 && f->die)
        (void)step(f);
    return rc;
}

static int fault_write(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct fault *f = store;
    return write_by(f, f->inner.ops->write, body, arg, tid);
}

static int fault_write_shared(void *store, lk_store_body *body, void *arg, uint64_t *tid)
{
    struct fault *f = store;
    const struct lk_store_ops *ops = f->inner.ops;
    return write_by(f, ops->write_shared != NULL ? ops->write_shared : ops->write, body, arg, tid);
}

static int fault_changes(void *store, uint64_t seen, const struct timespec *deadline, uint64_t *tid)
{
    struct fault *f = store;
    return f->inner.ops->changes(f->inner.at, seen, deadline, tid);
}

static int fault_oids(struct lk_writing *public, uint64_t n, uint64_t *first)
{
    struct write *w = (struct write *)(void *)public;
    return w->f->inner.ops->oids(w->inner, n, first);
}

const struct lk_store_ops lki_store_fault = {
    "fault",     fault_open,    fault_close, fault_snap,      fault_unsnap,       fault_load,
    fault_write, fault_changes, fault_oids,  fault_load_many, fault_write_shared,
};
