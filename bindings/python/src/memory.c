/* memory.c - a function cached in this process: what @latchkey.cache(backend="memory") makes.
 *
 * A vectorcall: the arguments are looked up where the caller put them, no tuple is made.  As with
 * functools.lru_cache the function itself runs outside any lock: two threads that miss at once both
 * compute. */
#include "table.h"

#include <stddef.h>

struct memory {
    PyObject_HEAD vectorcallfunc call;
    PyObject *function;
    PyObject *dict, *weak;
    struct lkp_state *state;
    struct lkp_table table;
    uint64_t ttl_ns; /* 0 = for ever */
    uint64_t hits, misses;
};

static uint64_t now_of(const struct memory *m)
{
    return m->ttl_ns != 0 ? lkp_boot_ns() : 0;
}

/* As lkp_table_get(), a hit counted. */
static int look(struct memory *m, const struct lkp_call *call, PyObject **value)
{
    uint64_t now = now_of(m);
    int found = 0;
    LKP_BEGIN(m);
    found = lkp_table_get(&m->table, call, now, value);
    if (found > 0)
        m->hits++;
    LKP_END();
    return found;
}

static int store(struct memory *m, const struct lkp_call *call, PyObject *value)
{
    uint64_t expire_ns = m->ttl_ns != 0 ? lkp_boot_ns() + m->ttl_ns : 0;
    int rc = 0;
    LKP_BEGIN(m);
    rc = lkp_table_put(&m->table, call, value, expire_ns);
    LKP_END();
    return rc;
}

static PyObject *compute(struct memory *m, const struct lkp_call *call, PyObject *const *args,
                         size_t flagged, PyObject *names)
{
    if (m->function == NULL) { /* the garbage collector is at work */
        PyErr_SetString(PyExc_RuntimeError, "the cached function is gone");
        return NULL;
    }
    m->misses++;
    PyObject *value = PyObject_Vectorcall(m->function, args, flagged, names);
    if (value != NULL && store(m, call, value) != 0)
        Py_CLEAR(value);
    return value;
}

static PyObject *memory_call(PyObject *self, PyObject *const *args, size_t flagged, PyObject *names)
{
    struct memory *m = (struct memory *)self;
    struct lkp_call call;
    PyObject *value = NULL;
    Py_ssize_t positional = PyVectorcall_NARGS(flagged);
    if (positional == 1 && names == NULL) {
        call.args = args;
        call.count = 1;
        call.names = NULL;
        call.sorted = NULL;
        call.hash = PyObject_Hash(args[0]);
        if (call.hash == -1)
            return NULL;
    } else if (lkp_call_begin(&call, args, positional, names) != 0) {
        return NULL;
    }
    if (look(m, &call, &value) == 0)
        value = compute(m, &call, args, flagged, names);
    lkp_call_end(&call);
    return value;
}

/* ---- methods --------------------------------------------------------------------------------- */

static PyObject *peek(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    struct memory *m = (struct memory *)self;
    struct lkp_call call;
    PyObject *value = NULL;
    if (lkp_call_begin(&call, args, count, names) != 0)
        return NULL;
    if (look(m, &call, &value) == 0)
        value = Py_NewRef(m->state->missing);
    lkp_call_end(&call);
    return value;
}

/* store(value, *args, **kwargs) */
static PyObject *store_value(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *names)
{
    struct lkp_call call;
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "store() takes a value, then the arguments");
        return NULL;
    }
    if (lkp_call_begin(&call, args + 1, count - 1, names) != 0)
        return NULL;
    int rc = store((struct memory *)self, &call, args[0]);
    lkp_call_end(&call);
    if (rc != 0)
        return NULL;
    Py_RETURN_NONE;
}

/* count(hits, misses) */
static PyObject *count_calls(PyObject *self, PyObject *args)
{
    struct memory *m = (struct memory *)self;
    unsigned long long hits, misses;
    if (!PyArg_ParseTuple(args, "KK:count", &hits, &misses))
        return NULL;
    m->hits += hits;
    m->misses += misses;
    Py_RETURN_NONE;
}

static PyObject *cache_delete(PyObject *self, PyObject *const *args, Py_ssize_t count,
                              PyObject *names)
{
    struct memory *m = (struct memory *)self;
    struct lkp_call call;
    int found = 0;
    if (lkp_call_begin(&call, args, count, names) != 0)
        return NULL;
    LKP_BEGIN(m);
    found = m->table.capacity > 0 ? lkp_table_delete(&m->table, &call) : 0;
    LKP_END();
    lkp_call_end(&call);
    return found < 0 ? NULL : PyBool_FromLong(found);
}

static PyObject *cache_clear(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct memory *m = (struct memory *)self;
    LKP_BEGIN(m);
    m->hits = m->misses = 0;
    lkp_table_clear(&m->table);
    LKP_END();
    Py_RETURN_NONE;
}

static PyObject *cache_info(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct memory *m = (struct memory *)self;
    struct lkp_counts counts = {.hits = m->hits, .misses = m->misses};
    return lkp_info(m->state, &counts, m->table.capacity, m->table.count);
}

static PyObject *cache_parameters(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct memory *m = (struct memory *)self;
    return lkp_parameters("memory", m->table.capacity, m->ttl_ns);
}

/* ---- the type -------------------------------------------------------------------------------- */

/* MemoryFunction(function, max_size, ttl) */
static PyObject *memory_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"function", "max_size", "ttl", NULL};
    PyObject *function, *max_size, *ttl = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OO|O", names, &function, &max_size, &ttl))
        return NULL;
    uint64_t ttl_ns;
    unsigned long capacity = UINT32_MAX;
    if (!PyCallable_Check(function)) {
        PyErr_SetString(PyExc_TypeError, "the function must be callable");
        return NULL;
    }
    if (lkp_duration(ttl, 0, &ttl_ns) != 0)
        return NULL;
    if (max_size != Py_None)
        capacity = PyLong_AsUnsignedLong(max_size);
    if (capacity == (unsigned long)-1 && PyErr_Occurred())
        return NULL;
    if (capacity > UINT32_MAX || (capacity == UINT32_MAX && max_size != Py_None)) {
        PyErr_SetString(PyExc_ValueError, "max_size is too large");
        return NULL;
    }
    struct memory *m = (struct memory *)type->tp_alloc(type, 0);
    if (m == NULL)
        return NULL;
    m->call = memory_call;
    m->function = Py_NewRef(function);
    m->state = PyType_GetModuleState(type);
    m->ttl_ns = ttl_ns == LK_TTL_NEVER ? 0 : ttl_ns;
    if (lkp_table_begin(&m->table, (uint32_t)capacity) != 0)
        Py_CLEAR(m);
    return (PyObject *)m;
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    struct memory *m = (struct memory *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(m->function);
    Py_VISIT(m->dict);
    return lkp_table_traverse(&m->table, visit, arg);
}

static int clear(PyObject *self)
{
    struct memory *m = (struct memory *)self;
    Py_CLEAR(m->function);
    Py_CLEAR(m->dict);
    lkp_table_clear(&m->table);
    return 0;
}

static void dealloc(PyObject *self)
{
    struct memory *m = (struct memory *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (m->weak != NULL)
        PyObject_ClearWeakRefs(self);
    (void)clear(self);
    lkp_table_end(&m->table);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *repr(PyObject *self)
{
    return PyUnicode_FromFormat("<latchkey memory cache of %R>", ((struct memory *)self)->function);
}

#define KEYWORDS(method) ((PyCFunction)(void (*)(void))(method))

static PyMethodDef methods[] = {
    {"peek", KEYWORDS(peek), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("The cached value for these arguments, or `missing`; computes nothing.")},
    {"store", KEYWORDS(store_value), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("store(value, *args, **kwargs): what the function would return for them.")},
    {"count", count_calls, METH_VARARGS,
     PyDoc_STR("count(hits, misses): add to what cache_info() tells.")},
    {"cache_delete", KEYWORDS(cache_delete), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("Forget the value for these arguments.  True if there was one.")},
    {"cache_clear", cache_clear, METH_NOARGS,
     PyDoc_STR("cache_clear($self, /)\n--\n\nForget all values and set the counts to 0.")},
    {"cache_info", cache_info, METH_NOARGS,
     PyDoc_STR("cache_info($self, /)\n--\n\nHits, misses, capacity and size, as lru_cache's.")},
    {"cache_parameters", cache_parameters, METH_NOARGS,
     PyDoc_STR("cache_parameters($self, /)\n--\n\nWhat the cache was made with.")},
    {"__copy__", lkp_same, METH_NOARGS, NULL},
    {"__deepcopy__", lkp_same, METH_O, NULL},
    {"__reduce__", lkp_by_name, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(struct memory, call), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(struct memory, dict), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct memory, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A function whose results are kept in this process.")},
    {Py_tp_new, (void *)memory_new},
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

PyType_Spec lkp_memory_spec = {
    .name = "latchkey._core.MemoryFunction",
    .basicsize = sizeof(struct memory),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
