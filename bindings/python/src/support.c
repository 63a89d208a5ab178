/* support.c - errors, arguments, durations. */
#include "core.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

static PyObject *exception_of(int rc)
{
    switch (rc) {
    case EINVAL:
    case E2BIG:
    case LK_ENAME:
    case LK_EOPTIONS:
        return PyExc_ValueError;
    case LK_ENOTNUM:
        return PyExc_TypeError;
    case LK_EOWNER:
    case LK_EMODE:
        return PyExc_PermissionError;
    case LK_ETHREADS:
    case EDEADLK:
        return PyExc_RuntimeError;
    default:
        return PyExc_OSError;
    }
}

PyObject *lkp_raise(int rc, bool opening)
{
    if (rc == LKP_RAISED)
        return NULL;
    if (rc == ENOMEM)
        return PyErr_NoMemory();
    const char *text = opening ? lk_error_text() : "";
    PyObject *message =
        PyUnicode_FromFormat("%s%s%s", lk_strerror(rc), text[0] != 0 ? ": " : "", text);
    PyObject *type = exception_of(rc);
    if (message == NULL)
        return NULL;
    if (type == PyExc_OSError && rc > 0) { /* picks TimeoutError, FileNotFoundError, ... */
        PyObject *error = PyObject_CallFunction(type, "iO", rc, message);
        if (error != NULL)
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_XDECREF(error);
    } else {
        PyErr_SetObject(type, message);
    }
    Py_DECREF(message);
    return NULL;
}

static int named(const char *method, const char *const *names, PyObject *name, PyObject *value,
                 PyObject **out)
{
    for (int i = 0; names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) != 0)
            continue;
        if (out[i] == NULL) {
            out[i] = value;
            return 0;
        }
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", method, name);
        return -1;
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", method, name);
    return -1;
}

int lkp_arguments(const char *method, const char *const *names, int positional, int required,
                  PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject **out)
{
    for (int i = 0; names[i] != NULL; i++)
        out[i] = NULL;
    if (count > positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)",
                     method, positional, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        out[i] = args[i];
    for (Py_ssize_t i = 0; keywords != NULL && i < PyTuple_GET_SIZE(keywords); i++) {
        if (named(method, names, PyTuple_GET_ITEM(keywords, i), args[count + i], out) != 0)
            return -1;
    }
    for (int i = 0; i < required; i++) {
        if (out[i] != NULL)
            continue;
        PyErr_Format(PyExc_TypeError, "%s() missing argument '%s'", method, names[i]);
        return -1;
    }
    return 0;
}

int lkp_duration(PyObject *object, uint64_t none, uint64_t *ns)
{
    *ns = none;
    if (object == NULL || object == Py_None)
        return 0;
    PyObject *number = NULL;
    double seconds;
    if (PyObject_HasAttrString(object, "total_seconds"))
        number = PyObject_CallMethod(object, "total_seconds", NULL);
    else
        number = Py_NewRef(object);
    if (number == NULL)
        return -1;
    seconds = PyFloat_AsDouble(number);
    Py_DECREF(number);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(seconds) || seconds < 0) {
        PyErr_SetString(PyExc_ValueError, "a time must be a number of seconds, not negative");
        return -1;
    }
    /* Below the values with a meaning of their own (cache.h). */
    *ns = seconds >= 1.8e10 ? LK_TTL_NEVER : (uint64_t)(seconds * 1e9);
    if (*ns == 0)
        *ns = 1;
    return 0;
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t lkp_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

uint64_t lkp_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t lkp_deadline(uint64_t timeout_ns)
{
    uint64_t now = lkp_mono_ns();
    return timeout_ns >= UINT64_MAX - now ? 0 : now + timeout_ns;
}

/* ---- what the function types share ----------------------------------------------------------- */

PyObject *lkp_bind(PyObject *self, PyObject *object, PyObject *Py_UNUSED(type))
{
    if (object == NULL || object == Py_None)
        return Py_NewRef(self);
    return PyMethod_New(self, object);
}

PyObject *lkp_same(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return Py_NewRef(self);
}

PyObject *lkp_by_name(PyObject *self, PyObject *Py_UNUSED(unused))
{
    return PyObject_GetAttrString(self, "__qualname__");
}

/* ---- cache_info() ---------------------------------------------------------------------------- */

static PyStructSequence_Field info_fields[] = {
    {"hits", "calls answered from the cache"},
    {"misses", "calls that were computed"},
    {"maxsize", "how many results are kept; None: no limit"},
    {"currsize", "how many are there now"},
    {"oversize", "calls whose key or result was too large to be kept"},
    {"uncacheable", "results of a type that cannot be encoded"},
    {"errors", "calls computed because the shared cache failed"},
    {NULL, NULL},
};

static PyStructSequence_Desc info_description = {
    .name = "latchkey._core.CacheInfo",
    .doc = "What a cached function has done in this process.",
    .fields = info_fields,
    .n_in_sequence = 7,
};

PyTypeObject *lkp_info_type(void)
{
    return PyStructSequence_NewType(&info_description);
}

static PyObject *limit(uint32_t capacity)
{
    return capacity == UINT32_MAX ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(capacity);
}

PyObject *lkp_info(const struct lkp_state *state, const struct lkp_counts *counts,
                   uint32_t capacity, uint64_t size)
{
    PyObject *info = PyStructSequence_New(state->info_type);
    if (info == NULL)
        return NULL;
    PyStructSequence_SetItem(info, 0, PyLong_FromUnsignedLongLong(counts->hits));
    PyStructSequence_SetItem(info, 1, PyLong_FromUnsignedLongLong(counts->misses));
    PyStructSequence_SetItem(info, 2, limit(capacity));
    PyStructSequence_SetItem(info, 3, PyLong_FromUnsignedLongLong(size));
    PyStructSequence_SetItem(info, 4, PyLong_FromUnsignedLongLong(counts->oversize));
    PyStructSequence_SetItem(info, 5, PyLong_FromUnsignedLongLong(counts->uncacheable));
    PyStructSequence_SetItem(info, 6, PyLong_FromUnsignedLongLong(counts->errors));
    if (PyErr_Occurred())
        Py_CLEAR(info);
    return info;
}

PyObject *lkp_parameters(const char *backend, uint32_t capacity, uint64_t ttl_ns)
{
    PyObject *max_size = limit(capacity);
    PyObject *ttl = ttl_ns == 0 || ttl_ns == LK_TTL_NEVER
                        ? Py_NewRef(Py_None)
                        : PyFloat_FromDouble((double)ttl_ns / 1e9);
    if (max_size == NULL || ttl == NULL) {
        Py_XDECREF(max_size);
        Py_XDECREF(ttl);
        return NULL;
    }
    return Py_BuildValue("{sssNsN}", "backend", backend, "max_size", max_size, "ttl", ttl);
}
