/* shared_type.c - the type of functions cached in shared memory, and its methods. */
#include "shared.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static PyObject *peek(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct shared *f = (struct shared *)self;
    struct lkp_writer w;
    PyObject *value = NULL;
    int rc;
    int made = lkp_shared_key(f, &w, args, (size_t)count, names);
    struct lkp_bytes key = {w.bytes, w.size};
    if (made > 0)
        value = lkp_shared_look(f, &key, &rc);
    lkp_writer_end(&w);
    if (value == NULL && made >= 0 && !PyErr_Occurred())
        value = Py_NewRef(f->state->missing);
    return value;
}

static PyObject *key_of(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct lkp_writer w;
    PyObject *key = NULL;
    int made = lkp_shared_key((struct shared *)self, &w, args, (size_t)count, names);
    if (made > 0)
        key = PyBytes_FromStringAndSize(w.bytes, (Py_ssize_t)w.size);
    else if (made == 0)
        key = Py_NewRef(Py_None);
    lkp_writer_end(&w);
    return key;
}

static PyObject *cache_delete(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    struct shared *f = (struct shared *)self;
    struct lkp_writer w;
    int rc = ENOENT;
    int made =
        lkp_handle(f->cache) != NULL ? lkp_shared_key(f, &w, args, (size_t)count, names) : -2;
    if (made > 0) {
        struct lkp_change change = {.act = LKP_DELETE, .key = w.bytes, .key_size = w.size};
        rc = lkp_change(f->cache, &change);
    }
    if (made != -2)
        lkp_writer_end(&w);
    if (made < 0)
        return NULL;
    return rc == 0 || rc == ENOENT ? PyBool_FromLong(rc == 0) : lkp_raise(rc, false);
}

static PyObject *cache_clear(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct shared *f = (struct shared *)self;
    f->counts = (struct lkp_counts){0};
    lkp_admit_forget(&f->admission);
    return lkp_cache_flush((PyObject *)f->cache, NULL);
}

static PyObject *cache_info(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct shared *f = (struct shared *)self;
    struct lk_cache_stat stat;
    if (lkp_handle(f->cache) == NULL)
        return NULL;
    int rc = lk_cache_stat(f->cache->handle, &stat);
    return rc == 0 ? lkp_info(f->state, &f->counts, f->max_size, stat.entries)
                   : lkp_raise(rc, false);
}

static PyObject *cache_parameters(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct shared *f = (struct shared *)self;
    return lkp_parameters("shared", f->max_size, f->ttl_ns);
}

/* ---- what the asynchronous form is made of --------------------------------------------------- */

enum { IS_VALUE, IS_LEASE, IS_BUSY };

static PyObject *try_lease(PyObject *self, PyObject *key)
{
    struct shared *f = (struct shared *)self;
    struct lkp_value v;
    struct lk_lease lease;
    PyObject *value = NULL;
    if (!PyBytes_Check(key)) {
        PyErr_SetString(PyExc_TypeError, "a key is bytes");
        return NULL;
    }
    if (lkp_handle(f->cache) == NULL)
        return NULL;
    int rc = lkp_lease(f->cache, PyBytes_AS_STRING(key), (size_t)PyBytes_GET_SIZE(key), &v, 0, 1,
                       &lease);
    if (rc == 0)
        value = lkp_shared_value(f, &v);
    lkp_value_end(&v);
    if (value != NULL) {
        f->counts.hits++;
        return Py_BuildValue("iN", IS_VALUE, value);
    }
    if (PyErr_Occurred())
        return NULL;
    if (rc == ENOENT)
        return Py_BuildValue("iy#", IS_LEASE, (char *)&lease, (Py_ssize_t)sizeof lease);
    if (rc == ETIMEDOUT)
        return Py_BuildValue("iO", IS_BUSY, Py_None);
    f->counts.errors++;
    return Py_BuildValue("iO", IS_LEASE, Py_None); /* compute without */
}

/* The bytes that try_lease() made, or None. */
static int lease_of(PyObject *object, struct lk_lease *lease, struct lk_lease **out)
{
    *out = NULL;
    if (object == Py_None)
        return 0;
    if (!PyBytes_Check(object) || PyBytes_GET_SIZE(object) != (Py_ssize_t)sizeof *lease) {
        PyErr_SetString(PyExc_TypeError, "this is no lease");
        return -1;
    }
    memcpy(lease, PyBytes_AS_STRING(object), sizeof *lease);
    *out = lease;
    return 0;
}

/* keep(key, value, lease) */
static PyObject *keep(PyObject *self, PyObject *args)
{
    struct shared *f = (struct shared *)self;
    struct lk_lease lease, *held;
    struct lkp_bytes key;
    Py_ssize_t size;
    PyObject *value, *lease_object;
    if (!PyArg_ParseTuple(args, "y#OO:keep", &key.bytes, &size, &value, &lease_object) ||
        lease_of(lease_object, &lease, &held) != 0)
        return NULL;
    key.size = (size_t)size;
    if (lkp_shared_keep(f, &key, value, held) != 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *release(PyObject *self, PyObject *lease_object)
{
    struct lk_lease lease, *held;
    if (lease_of(lease_object, &lease, &held) != 0)
        return NULL;
    if (held != NULL)
        lkp_release(((struct shared *)self)->cache, held);
    Py_RETURN_NONE;
}

/* count(hits, misses) */
static PyObject *count_calls(PyObject *self, PyObject *args)
{
    struct shared *f = (struct shared *)self;
    unsigned long long hits, misses;
    if (!PyArg_ParseTuple(args, "KK:count", &hits, &misses))
        return NULL;
    f->counts.hits += hits;
    f->counts.misses += misses;
    Py_RETURN_NONE;
}

/* ---- the type -------------------------------------------------------------------------------- */

static int set_up(struct shared *f, PyObject *const *given)
{
    enum { FUNCTION, CACHE, MAX_SIZE, TTL, MAX_KEY, MAX_VALUE, DUMPS, LOADS, LEASE, ALWAYS };
    unsigned long max_size = PyLong_AsUnsignedLong(given[MAX_SIZE]);
    if (max_size == (unsigned long)-1 && PyErr_Occurred())
        return -1;
    if (max_size == 0 || max_size >= UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "max_size of a shared cache is at least 1");
        return -1;
    }
    f->max_key = PyLong_AsSize_t(given[MAX_KEY]);
    f->max_value = PyLong_AsSize_t(given[MAX_VALUE]);
    if (PyErr_Occurred() || lkp_duration(given[TTL], LK_TTL_NEVER, &f->ttl_ns) != 0 ||
        lkp_duration(given[LEASE], UINT64_MAX, &f->lease_ns) != 0)
        return -1;
    if (given[LEASE] == Py_False)
        f->lease_ns = 0;
    f->always_lease = PyObject_IsTrue(given[ALWAYS]) == 1;
    f->leased = LKP_LEASED_FIRST;
    f->max_size = (uint32_t)max_size;
    f->function = Py_NewRef(given[FUNCTION]);
    f->cache = (struct lkp_cache *)Py_NewRef(given[CACHE]);
    if (given[DUMPS] != Py_None && given[LOADS] != Py_None) {
        f->dumps = Py_NewRef(given[DUMPS]);
        f->loads = Py_NewRef(given[LOADS]);
    }
    f->call = lkp_shared_call;
    return 0;
}

/* SharedFunction(function, cache, max_size, ttl, max_key_size, max_value_size, dumps, loads,
 * lease_timeout, always_lease); lease_timeout False: no leases. */
static PyObject *shared_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct lkp_state *state = PyType_GetModuleState(type);
    PyObject *given[10];
    if (keywords != NULL && PyDict_GET_SIZE(keywords) > 0) {
        PyErr_SetString(PyExc_TypeError, "SharedFunction() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OO!OOOOOOOO:SharedFunction", &given[0], state->cache_type,
                          &given[1], &given[2], &given[3], &given[4], &given[5], &given[6],
                          &given[7], &given[8], &given[9]))
        return NULL;
    if (!PyCallable_Check(given[0])) {
        PyErr_SetString(PyExc_TypeError, "the function must be callable");
        return NULL;
    }
    struct shared *f = (struct shared *)type->tp_alloc(type, 0);
    if (f == NULL)
        return NULL;
    f->state = state;
    if (set_up(f, given) != 0)
        Py_CLEAR(f);
    return (PyObject *)f;
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    struct shared *f = (struct shared *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(f->function);
    Py_VISIT(f->dict);
    Py_VISIT(f->cache);
    Py_VISIT(f->dumps);
    Py_VISIT(f->loads);
    return 0;
}

/* The cache and the serializer stay: a call may still come. */
static int clear(PyObject *self)
{
    struct shared *f = (struct shared *)self;
    Py_CLEAR(f->function);
    Py_CLEAR(f->dict);
    return 0;
}

static void dealloc(PyObject *self)
{
    struct shared *f = (struct shared *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (f->weak != NULL)
        PyObject_ClearWeakRefs(self);
    (void)clear(self);
    Py_CLEAR(f->cache);
    Py_CLEAR(f->dumps);
    Py_CLEAR(f->loads);
    lkp_admit_end(&f->admission);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *repr(PyObject *self)
{
    return PyUnicode_FromFormat("<latchkey shared cache of %R>", ((struct shared *)self)->function);
}

#define KEYWORDS(method) ((PyCFunction)(void (*)(void))(method))

static PyMethodDef methods[] = {
    {"peek", KEYWORDS(peek), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("The cached value for these arguments, or `missing`; computes nothing.")},
    {"key", KEYWORDS(key_of), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("The key of these arguments as bytes; None if it is too large.")},
    {"cache_delete", KEYWORDS(cache_delete), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("Forget the value for these arguments, in all processes.  True if there was one.")},
    {"cache_clear", cache_clear, METH_NOARGS,
     PyDoc_STR("cache_clear($self, /)\n--\n\n"
               "Forget all values, in all processes, and set this process's counts to 0.")},
    {"cache_info", cache_info, METH_NOARGS,
     PyDoc_STR("cache_info($self, /)\n--\n\n"
               "Hits and misses of this process; capacity and size of the shared cache.")},
    {"cache_parameters", cache_parameters, METH_NOARGS,
     PyDoc_STR("cache_parameters($self, /)\n--\n\nWhat the cache was made with.")},
    {"try_lease", try_lease, METH_O,
     PyDoc_STR("try_lease($self, key, /)\n--\n\n"
               "(0, value), (1, lease) or (2, None): another computes.  Never waits.")},
    {"keep", keep, METH_VARARGS,
     PyDoc_STR("keep(key, value, lease): store what was computed, give the lease back.")},
    {"release", release, METH_O,
     PyDoc_STR("release($self, lease, /)\n--\n\nGive a lease back without a value.")},
    {"count", count_calls, METH_VARARGS,
     PyDoc_STR("count(hits, misses): add to what cache_info() tells.")},
    {"__copy__", lkp_same, METH_NOARGS, NULL},
    {"__deepcopy__", lkp_same, METH_O, NULL},
    {"__reduce__", lkp_by_name, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct shared, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(struct shared, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct shared, weak), READONLY, NULL},
    {"cache", T_OBJECT_EX, offsetof(struct shared, cache), READONLY,
     PyDoc_STR("The cache that all processes share.")},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A function whose results are shared by processes.")},
    {Py_tp_new, (void *)shared_new},
    {Py_tp_call, (void *)PyVectorcall_Call},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_clear, (void *)clear},
    {Py_tp_repr, (void *)repr},
    {Py_tp_descr_get, (void *)lkp_bind},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {0, NULL},
};

PyType_Spec lkp_shared_spec = {
    .name = "latchkey._core.SharedFunction",
    .basicsize = sizeof(struct shared),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
