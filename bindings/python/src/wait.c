/* wait.c - calls that lock a shard or wait for a lease.
 *
 * A call is tried with the interpreter's lock held: most need no wait.  When it had to wait for its
 * slice of a millisecond, it is repeated with the interpreter's lock released until it succeeds or
 * a signal raises. */
#include "core.h"

#include <errno.h>
#include <time.h>

enum { LEASE_SLICE_NS = 50000000 };

/* Others may run.  The cache stays open meanwhile: see cache.c. */
static PyThreadState *step_out(struct lkp_cache *c)
{
    c->inside++;
    return PyEval_SaveThread();
}

static void step_in(struct lkp_cache *c, PyThreadState *thread)
{
    PyEval_RestoreThread(thread);
    c->inside--;
#ifndef Py_GIL_DISABLED
    if (c->inside == 0 && c->closing != NULL) {
        lk_cache *closing = c->closing;
        c->closing = NULL;
        lk_cache_close(closing);
    }
#endif
}

/* The cache may be closed by another thread between two slices. */
static lk_cache *still_open(struct lkp_cache *c)
{
    return lkp_handle(c);
}

static int once(lk_cache *h, struct lkp_change *x)
{
    switch (x->act) {
    case LKP_SET:
        return lk_cache_set(h, x->key, x->key_size, x->value, x->value_size, x->ttl_ns);
    case LKP_ADD:
        return lk_cache_add(h, x->key, x->key_size, x->value, x->value_size, x->ttl_ns);
    case LKP_REPLACE:
        return lk_cache_replace(h, x->key, x->key_size, x->value, x->value_size, x->ttl_ns);
    case LKP_CAS:
        return lk_cache_cas(h, x->key, x->key_size, x->value, x->value_size, x->ttl_ns, x->version);
    case LKP_FILL:
        return lk_cache_fill(h, x->key, x->key_size, x->value, x->value_size, x->ttl_ns, x->lease);
    case LKP_DELETE:
        return lk_cache_delete(h, x->key, x->key_size);
    case LKP_TOUCH:
        return lk_cache_touch(h, x->key, x->key_size, x->ttl_ns);
    case LKP_INCR:
        return lk_cache_incr(h, x->key, x->key_size, x->delta, x->initial, x->ttl_ns, &x->result);
    case LKP_FLUSH:
        return lk_cache_flush(h);
    case LKP_REPAIR:
        return lk_cache_repair(h, false, &x->repaired);
    }
    return EINVAL;
}

int lkp_change(struct lkp_cache *c, struct lkp_change *change)
{
    int rc = once(c->handle, change);
    while (rc == ETIMEDOUT) {
        if (PyErr_CheckSignals() != 0 || still_open(c) == NULL)
            return LKP_RAISED;
        lk_cache *handle = c->handle;
        PyThreadState *thread = step_out(c);
        rc = once(handle, change);
        step_in(c, thread);
    }
    return rc;
}

/* Others wait for the lease, so only a shard that stays locked for so long keeps it from going
 * back; then it ends with this thread. */
enum { RELEASE_SLICES = 1000 };

void lkp_release(struct lkp_cache *c, struct lk_lease *lease)
{
    int rc = c->handle != NULL ? lk_cache_release(c->handle, lease) : 0;
    for (int i = 0; rc == ETIMEDOUT && c->handle != NULL && i < RELEASE_SLICES; i++) {
        lk_cache *handle = c->handle;
        PyThreadState *thread = step_out(c);
        rc = lk_cache_release(handle, lease);
        step_in(c, thread);
    }
}

/* ---- values of any size ---------------------------------------------------------------------- */

/* Room for a value that did not fit.  It may have changed by the next look. */
static int grow(struct lkp_value *v, size_t size)
{
    lkp_value_end(v);
    v->bytes = PyMem_RawMalloc(size);
    if (v->bytes == NULL) {
        v->bytes = v->first;
        return ENOMEM;
    }
    return ENOBUFS;
}

int lkp_get(lk_cache *handle, const char *key, size_t key_size, struct lkp_value *v)
{
    v->bytes = v->first;
    int rc = lk_cache_get(handle, key, key_size, v->first, sizeof v->first, &v->size);
    while (rc == ENOBUFS) {
        size_t capacity = v->size;
        rc = grow(v, capacity);
        if (rc == ENOBUFS)
            rc = lk_cache_get(handle, key, key_size, v->bytes, capacity, &v->size);
    }
    return rc;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
}

/* One slice; the value may need more room. */
static int lease_slice(lk_cache *handle, const char *key, size_t key_size, struct lkp_value *v,
                       size_t *capacity, unsigned flags, uint64_t until_ns, struct lk_lease *lease)
{
    struct timespec until = timespec_of(until_ns);
    int rc =
        lk_cache_lease(handle, key, key_size, v->bytes, *capacity, &v->size, flags, &until, lease);
    while (rc == ENOBUFS) {
        *capacity = v->size;
        rc = grow(v, *capacity);
        if (rc == ENOBUFS)
            rc = lk_cache_lease(handle, key, key_size, v->bytes, *capacity, &v->size, flags, &until,
                                lease);
    }
    return rc;
}

int lkp_lease(struct lkp_cache *c, const char *key, size_t key_size, struct lkp_value *v,
              unsigned flags, uint64_t deadline_ns, struct lk_lease *lease)
{
    size_t capacity = sizeof v->first;
    v->bytes = v->first;
    /* A deadline that has passed: the answer without any wait. */
    int rc = lease_slice(c->handle, key, key_size, v, &capacity, flags, 0, lease);
    while (rc == ETIMEDOUT && deadline_ns != 1) {
        uint64_t now = lkp_mono_ns();
        uint64_t until = now + LEASE_SLICE_NS;
        if (deadline_ns != 0 && now >= deadline_ns)
            break;
        if (deadline_ns != 0 && until > deadline_ns)
            until = deadline_ns;
        if (PyErr_CheckSignals() != 0 || still_open(c) == NULL)
            return LKP_RAISED;
        lk_cache *handle = c->handle;
        PyThreadState *thread = step_out(c);
        rc = lease_slice(handle, key, key_size, v, &capacity, flags, until, lease);
        step_in(c, thread);
    }
    return rc;
}
