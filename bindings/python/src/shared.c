/* shared.c - a function cached in shared memory: what @latchkey.cache(backend="shared") makes.
 *
 * A hit encodes the arguments on the stack, copies the value to the stack and makes the object of
 * it: no other object, no lock, no wait.
 *
 * A miss takes the key's lease, so that of all processes one computes and the others wait for its
 * value.  A lease costs more than a short computation: while this process's computations take less
 * than SHORT_NS, it computes at once and stores what it got, as does everybody else.  Every 16th is
 * timed; one that took long brings the leases back for at least LEASED_AGAIN misses, and when
 * misses are LONG_NS apart, nobody knows how long the last took, and the next takes a lease.
 *
 * What is cheaper to compute than to store is not stored at its first miss: admit.c.
 *
 * Trouble of the cache never becomes trouble of the function: it is computed, and counted. */
#include "shared.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { SHORT_NS = 20000, LONG_NS = 10000000, LEASED_AGAIN = 64, TIMED = 16 };

/* ---- values ---------------------------------------------------------------------------------- */

/* Complaints of encoders and decoders mean that it cannot be done; only interrupts and the like go
 * on to the caller. */
static bool forgiven(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return false;
    PyErr_Clear();
    return true;
}

PyObject *lkp_shared_value(const struct shared *f, const struct lkp_value *v)
{
    bool damaged = false;
    PyObject *value;
    if (f->loads == NULL) {
        value = lkp_decode(f->state, v->bytes, v->size, &damaged);
    } else {
        PyObject *bytes = PyBytes_FromStringAndSize(v->bytes, (Py_ssize_t)v->size);
        value = bytes != NULL ? PyObject_CallOneArg(f->loads, bytes) : NULL;
        Py_XDECREF(bytes);
    }
    if (value == NULL && PyErr_Occurred())
        (void)forgiven();
    return value;
}

static enum lkp_result forgive(enum lkp_result rc)
{
    return rc == LKP_FAILED && forgiven() ? LKP_UNKNOWN : rc;
}

static enum lkp_result encode_value(struct shared *f, struct lkp_writer *w, PyObject *value)
{
    if (f->dumps == NULL)
        return forgive(lkp_encode(f->state, w, value, false, 0));
    PyObject *bytes = PyObject_CallOneArg(f->dumps, value);
    if (bytes == NULL)
        return forgive(LKP_FAILED);
    Py_buffer view;
    enum lkp_result rc = LKP_FAILED;
    if (PyUnicode_Check(bytes)) { /* json.dumps */
        Py_ssize_t size;
        const char *utf8 = PyUnicode_AsUTF8AndSize(bytes, &size);
        rc = utf8 != NULL ? (enum lkp_result)lkp_put(w, utf8, (size_t)size) : LKP_FAILED;
    } else if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) == 0) {
        rc = (enum lkp_result)lkp_put(w, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
    }
    Py_DECREF(bytes);
    return forgive(rc);
}

/* Once for each function: why its results are not kept. */
static int warn(struct shared *f, const struct lkp_writer *w, PyObject *value)
{
    if (f->warned)
        return 0;
    f->warned = true;
    PyTypeObject *type = w->unknown != NULL ? w->unknown : Py_TYPE(value);
    return PyErr_WarnFormat(
        PyExc_RuntimeWarning, 2,
        "%R: a result with a %.100s in it cannot be encoded and is not cached; register the type "
        "with latchkey.register(), or ask for serializer=\"pickle\"",
        f->function, type->tp_name);
}

/* ---- how long computing takes ---------------------------------------------------------------- */

static uint64_t coarse_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct timing {
    uint64_t begun;
    bool exact;
};

static struct timing timing_begin(struct shared *f, bool leased)
{
    struct timing t = {.exact = leased || ++f->untimed >= TIMED};
    if (t.exact) {
        f->untimed = 0;
        t.begun = lkp_mono_ns();
    }
    return t;
}

/* What is not timed has still taken no longer than since the miss before. */
static void timing_end(struct shared *f, const struct timing *t)
{
    uint64_t now = coarse_ns();
    uint64_t taken = t->exact ? lkp_mono_ns() - t->begun : 0;
    if (t->exact)
        lkp_admit_computed(&f->admission, taken);
    if (taken > SHORT_NS)
        f->leased = LEASED_AGAIN;
    else if (f->leased > 0)
        f->leased--;
    if (!t->exact && now - f->missed_ns > LONG_NS)
        f->leased = 1; /* who knows: the next one is leased, and timed */
    f->missed_ns = now;
}

/* ---- computing ------------------------------------------------------------------------------- */

int lkp_shared_keep(struct shared *f, const struct lkp_bytes *key, PyObject *value,
                    struct lk_lease *lease)
{
    struct lkp_writer w;
    lkp_writer_begin(&w, f->max_value);
    enum lkp_result result = encode_value(f, &w, value);
    int rc = 0;
    if (result == LKP_OK) {
        struct lkp_change change = {.act = lease != NULL ? LKP_FILL : LKP_SET,
                                    .key = key->bytes,
                                    .key_size = key->size,
                                    .value = w.bytes,
                                    .value_size = w.size,
                                    .ttl_ns = f->ttl_ns,
                                    .lease = lease};
        uint64_t begun = lkp_admit_begin(&f->admission);
        rc = f->cache->handle != NULL ? lkp_change(f->cache, &change) : EBADF;
        if (rc == 0)
            lkp_admit_stored(&f->admission, begun);
        if (rc == E2BIG)
            f->counts.oversize++;
        else if (rc != 0 && rc != ECANCELED && rc != LKP_RAISED)
            f->counts.errors++;
        lease = rc == LKP_RAISED ? lease : NULL;
    } else if (result == LKP_TOO_BIG) {
        f->counts.oversize++;
    } else if (result == LKP_UNKNOWN) {
        f->counts.uncacheable++;
        rc = warn(f, &w, value) != 0 ? LKP_RAISED : 0;
    } else {
        rc = LKP_RAISED;
    }
    lkp_writer_end(&w);
    if (lease != NULL)
        lkp_release(f->cache, lease);
    return rc == LKP_RAISED ? -1 : 0;
}

static PyObject *call_function(struct shared *f, PyObject *const *args, size_t flagged,
                               PyObject *names)
{
    if (f->function == NULL) { /* the garbage collector is at work */
        PyErr_SetString(PyExc_RuntimeError, "the cached function is gone");
        return NULL;
    }
    f->counts.misses++;
    return PyObject_Vectorcall(f->function, args, flagged, names);
}

static bool worth_storing(struct shared *f, const struct lkp_bytes *key)
{
    return f->always_lease || f->lease_ns == 0 ||
           lkp_admit(&f->admission, f->max_size, key->bytes, key->size);
}

static PyObject *compute(struct shared *f, const struct lkp_bytes *key, struct lk_lease *lease,
                         PyObject *const *args, size_t flagged, PyObject *names)
{
    struct timing timing = timing_begin(f, lease != NULL);
    PyObject *value = call_function(f, args, flagged, names);
    timing_end(f, &timing);
    if (value == NULL && lease != NULL) {
        PyObject *type, *error, *trace;
        PyErr_Fetch(&type, &error, &trace);
        lkp_release(f->cache, lease);
        PyErr_Restore(type, error, trace);
    }
    if (value != NULL && (lease != NULL || worth_storing(f, key)) &&
        lkp_shared_keep(f, key, value, lease) != 0)
        Py_CLEAR(value);
    return value;
}

static bool use_lease(const struct shared *f)
{
    return f->lease_ns != 0 && (f->always_lease || f->leased > 0);
}

/* The lease, or the value that another has computed meanwhile. */
static PyObject *leased(struct shared *f, const struct lkp_bytes *key, PyObject *const *args,
                        size_t flagged, PyObject *names)
{
    struct lk_lease lease;
    struct lkp_value v;
    PyObject *value = NULL;
    int rc = lkp_lease(f->cache, key->bytes, key->size, &v, 0, lkp_deadline(f->lease_ns), &lease);
    if (rc == 0) {
        value = lkp_shared_value(f, &v);
        f->counts.hits += value != NULL;
    }
    lkp_value_end(&v);
    if (value != NULL || PyErr_Occurred())
        return value;
    if (rc == ENOENT)
        return compute(f, key, &lease, args, flagged, names);
    if (rc != 0 && rc != ETIMEDOUT)
        f->counts.errors++;
    return compute(f, key, NULL, args, flagged, names);
}

static PyObject *miss(struct shared *f, const struct lkp_bytes *key, int rc, PyObject *const *args,
                      size_t flagged, PyObject *names)
{
    if (rc != ENOENT)
        f->counts.errors++;
    if (use_lease(f))
        return leased(f, key, args, flagged, names);
    return compute(f, key, NULL, args, flagged, names);
}

/* ---- the call -------------------------------------------------------------------------------- */

/* The commonest key, one int, as lkp_encode_call() writes it. */
static inline bool int_key(const struct shared *f, struct lkp_writer *w, PyObject *argument)
{
    static const char head[5] = {1, 0, 0, 0, 'i'};
    int overflow;
    if (!PyLong_CheckExact(argument) || f->max_key < sizeof head + 8)
        return false;
    long long value = PyLong_AsLongLongAndOverflow(argument, &overflow);
    if (overflow != 0)
        return false;
    w->bytes = w->first;
    memcpy(w->first, head, sizeof head);
    memcpy(w->first + sizeof head, &value, sizeof value);
    w->size = sizeof head + sizeof value;
    return true;
}

int lkp_shared_key(struct shared *f, struct lkp_writer *w, PyObject *const *args, size_t positional,
                   PyObject *names)
{
    lkp_writer_begin(w, f->max_key);
    enum lkp_result rc = lkp_encode_call(f->state, w, args, positional, names);
    if (rc == LKP_OK)
        return 1;
    if (rc == LKP_TOO_BIG) {
        f->counts.oversize++;
        return 0;
    }
    if (rc == LKP_UNKNOWN)
        PyErr_Format(PyExc_TypeError,
                     "a %.100s cannot be part of a shared cache's key; register the type with "
                     "latchkey.register()",
                     w->unknown != NULL ? w->unknown->tp_name : "container this deep");
    return -1;
}

PyObject *lkp_shared_look(struct shared *f, const struct lkp_bytes *key, int *rc)
{
    struct lkp_value v;
    PyObject *value = NULL;
    if (f->cache->handle == NULL) {
        *rc = EBADF;
        return NULL;
    }
    *rc = lkp_get(f->cache->handle, key->bytes, key->size, &v);
    if (*rc == 0) {
        value = lkp_shared_value(f, &v);
        if (value != NULL)
            f->counts.hits++;
        else
            *rc = LK_ECORRUPT;
    }
    lkp_value_end(&v);
    return value;
}

PyObject *lkp_shared_call(PyObject *self, PyObject *const *args, size_t flagged, PyObject *names)
{
    struct shared *f = (struct shared *)self;
    struct lkp_writer w;
    PyObject *value = NULL;
    int rc = EBADF;
    size_t positional = (size_t)PyVectorcall_NARGS(flagged);
    int made = positional == 1 && names == NULL && int_key(f, &w, args[0])
                   ? 1
                   : lkp_shared_key(f, &w, args, positional, names);
    struct lkp_bytes key = {w.bytes, w.size};
    if (made > 0)
        value = lkp_shared_look(f, &key, &rc);
    if (value == NULL && made >= 0 && !PyErr_Occurred()) {
        if (made > 0 && f->cache->handle != NULL) {
            value = miss(f, &key, rc, args, flagged, names);
        } else {
            f->counts.errors += made > 0;
            value = call_function(f, args, flagged, names);
        }
    }
    lkp_writer_end(&w);
    return value;
}
