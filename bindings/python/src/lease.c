/* lease.c - the right to compute an absent value, as a context manager:
 *
 *     with cache.lease(key) as lease:
 *         if not lease.hit:
 *             lease.fill(compute())
 *     return lease.value
 *
 * Entering waits for the value or for the lease; leaving without fill() gives the lease back, and
 * one of those that wait gets it.  A lease belongs to the thread that entered. */
#include "core.h"

#include <errno.h>
#include <stddef.h>

struct lease {
    PyObject_HEAD struct lkp_cache *cache;
    PyObject *key, *value;
    uint64_t timeout_ns;
    struct lk_lease lease;
    bool use_stale, held, hit, is_stale;
};

PyObject *lkp_lease_new(struct lkp_cache *c, PyObject *key, uint64_t timeout_ns, bool stale)
{
    struct lkp_state *state = c->state;
    struct lease *l = (struct lease *)state->lease_type->tp_alloc(state->lease_type, 0);
    if (l == NULL)
        return NULL;
    l->cache = (struct lkp_cache *)Py_NewRef(c);
    l->key = Py_NewRef(key);
    l->timeout_ns = timeout_ns;
    l->use_stale = stale;
    return (PyObject *)l;
}

static void give_back(struct lease *l)
{
    if (l->held)
        lkp_release(l->cache, &l->lease);
    l->held = false;
}

/* ---- entering and leaving -------------------------------------------------------------------- */

static PyObject *enter(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct lease *l = (struct lease *)self;
    struct lkp_writer w;
    struct lkp_value v;
    const char *key;
    size_t size;
    int rc = LKP_RAISED;
    if (lkp_handle(l->cache) == NULL)
        return NULL;
    give_back(l);
    Py_CLEAR(l->value);
    l->hit = l->is_stale = false;
    lkp_writer_begin(&w, LK_CACHE_KEY_MAX);
    if (lkp_key_bytes(l->key, &w, &key, &size) == 0) {
        rc = lkp_lease(l->cache, key, size, &v, l->use_stale ? LK_LEASE_STALE : 0,
                       lkp_deadline(l->timeout_ns), &l->lease);
        if (rc == 0 || rc == ESTALE)
            l->value = lkp_value_object(v.bytes, v.size);
        lkp_value_end(&v);
    }
    lkp_writer_end(&w);
    if (rc != 0 && rc != ENOENT && rc != ESTALE)
        return lkp_raise(rc, false);
    if (PyErr_Occurred())
        return NULL;
    l->held = rc == ENOENT;
    l->hit = rc != ENOENT;
    l->is_stale = rc == ESTALE;
    return Py_NewRef(self);
}

static PyObject *leave(PyObject *self, PyObject *Py_UNUSED(args))
{
    give_back((struct lease *)self);
    Py_RETURN_FALSE;
}

static PyObject *fill(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"value", "ttl", NULL};
    struct lease *l = (struct lease *)self;
    struct lkp_change change = {.act = LKP_FILL, .lease = &l->lease};
    struct lkp_writer key, value;
    PyObject *given[2];
    int rc = LKP_RAISED;
    if (lkp_arguments("fill", names, 2, 1, args, count, keywords, given) != 0 ||
        lkp_duration(given[1], LK_TTL_DEFAULT, &change.ttl_ns) != 0 || lkp_handle(l->cache) == NULL)
        return NULL;
    if (!l->held) {
        PyErr_SetString(PyExc_RuntimeError, "this lease is not held");
        return NULL;
    }
    lkp_writer_begin(&key, LK_CACHE_KEY_MAX);
    lkp_writer_begin(&value, UINT32_MAX);
    if (lkp_key_bytes(l->key, &key, &change.key, &change.key_size) == 0 &&
        lkp_value_bytes(given[0], &value, &change.value, &change.value_size) == 0)
        rc = lkp_change(l->cache, &change);
    lkp_writer_end(&key);
    lkp_writer_end(&value);
    if (rc == LKP_RAISED)
        return NULL;
    l->held = false;
    if (rc == 0 || rc == ECANCELED)
        Py_XSETREF(l->value, Py_NewRef(given[0]));
    return rc == 0 || rc == ECANCELED ? PyBool_FromLong(rc == 0) : lkp_raise(rc, false);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *get_value(PyObject *self, void *Py_UNUSED(unused))
{
    PyObject *value = ((struct lease *)self)->value;
    return Py_NewRef(value != NULL ? value : Py_None);
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    struct lease *l = (struct lease *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(l->cache);
    Py_VISIT(l->key);
    Py_VISIT(l->value);
    return 0;
}

static void dealloc(PyObject *self)
{
    struct lease *l = (struct lease *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    give_back(l);
    Py_CLEAR(l->cache);
    Py_CLEAR(l->key);
    Py_CLEAR(l->value);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", leave, METH_VARARGS, NULL},
    {"fill", (PyCFunction)(void (*)(void))fill, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "fill($self, value, ttl=None)\n--\n\n"
         "Store what was computed; those that wait get it.  False: the key was set or deleted "
         "meanwhile, so the value was not stored.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"hit", T_BOOL, offsetof(struct lease, hit), READONLY,
     PyDoc_STR("Was the value there?  If not, it is for you to compute.")},
    {"stale", T_BOOL, offsetof(struct lease, is_stale), READONLY,
     PyDoc_STR("Is the value one that has expired, and another computes a new one?")},
    {"held", T_BOOL, offsetof(struct lease, held), READONLY, PyDoc_STR("Do others wait for you?")},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"value", get_value, NULL, PyDoc_STR("The value: found, or filled in.  Else None."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The value of a key, or the right to compute it.")},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {0, NULL},
};

PyType_Spec lkp_lease_spec = {
    .name = "latchkey._core.Lease",
    .basicsize = sizeof(struct lease),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
