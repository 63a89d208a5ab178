/* encode.c - objects as bytes that say what they are.
 *
 * Each object is a tag and what the tag asks for, sizes in front, so that no two objects and no two
 * argument lists have the same bytes: 1, 1.0 and True differ, and f(1, b=2) differs from
 * f((1,), (("b", 2),)).  Exact types only: a subclass would come back as something else. */
#include "core.h"

#include <string.h>

int lkp_put(struct lkp_writer *w, const void *bytes, size_t size)
{
    if (size > w->limit || w->size > w->limit - size)
        return LKP_TOO_BIG;
    if (size > w->capacity - w->size) {
        size_t capacity = (w->size + size) * 2;
        char *grown =
            w->bytes == w->first ? PyMem_Malloc(capacity) : PyMem_Realloc(w->bytes, capacity);
        if (grown == NULL) {
            PyErr_NoMemory();
            return LKP_FAILED;
        }
        if (w->bytes == w->first)
            memcpy(grown, w->first, w->size);
        w->bytes = grown;
        w->capacity = capacity;
    }
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
    return LKP_OK;
}

/* A few bytes, of a size that the compiler knows. */
static inline enum lkp_result put_few(struct lkp_writer *w, const void *bytes, size_t size)
{
    if (size > w->capacity - w->size || w->size + size > w->limit)
        return (enum lkp_result)lkp_put(w, bytes, size);
    memcpy(w->bytes + w->size, bytes, size);
    w->size += size;
    return LKP_OK;
}

static enum lkp_result put_sized(struct lkp_writer *w, char tag, const void *bytes, size_t size)
{
    char head[5] = {tag};
    uint32_t size32 = (uint32_t)size;
    if (size > w->limit || size > UINT32_MAX)
        return LKP_TOO_BIG;
    memcpy(head + 1, &size32, sizeof size32);
    enum lkp_result rc = put_few(w, head, sizeof head);
    return rc != LKP_OK ? rc : (enum lkp_result)lkp_put(w, bytes, size);
}

static enum lkp_result put_word(struct lkp_writer *w, char tag, const void *word)
{
    char bytes[9] = {tag};
    memcpy(bytes + 1, word, 8);
    return put_few(w, bytes, sizeof bytes);
}

/* Beyond 64 bits: two's complement, little-endian. */
static enum lkp_result put_big_int(struct lkp_writer *w, PyObject *object)
{
    enum lkp_result rc = LKP_FAILED;
    PyObject *raw = NULL, *call = NULL, *keywords = NULL;
    PyObject *bits = PyObject_CallMethod(object, "bit_length", NULL);
    size_t size = bits != NULL ? PyLong_AsSize_t(bits) / 8 + 1 : 0;
    Py_XDECREF(bits);
    if (size > w->limit && !PyErr_Occurred())
        return LKP_TOO_BIG;
    if (!PyErr_Occurred() && (call = PyObject_GetAttrString(object, "to_bytes")) != NULL &&
        (keywords = Py_BuildValue("{sO}", "signed", Py_True)) != NULL) {
        PyObject *args = Py_BuildValue("(ns)", (Py_ssize_t)size, "little");
        raw = args != NULL ? PyObject_Call(call, args, keywords) : NULL;
        Py_XDECREF(args);
    }
    if (raw != NULL)
        rc = put_sized(w, 'I', PyBytes_AS_STRING(raw), size);
    Py_XDECREF(raw);
    Py_XDECREF(call);
    Py_XDECREF(keywords);
    return rc;
}

static enum lkp_result put_int(struct lkp_writer *w, PyObject *object)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow == 0 ? put_word(w, 'i', &value) : put_big_int(w, object);
}

static enum lkp_result put_text(struct lkp_writer *w, PyObject *object)
{
    if (PyUnicode_IS_COMPACT_ASCII(object))
        return put_sized(w, 's', PyUnicode_DATA(object), (size_t)PyUnicode_GET_LENGTH(object));
    /* Lone surrogates too: os.fsdecode() makes them. */
    PyObject *utf8 = PyUnicode_AsEncodedString(object, "utf-8", "surrogatepass");
    if (utf8 == NULL)
        return LKP_FAILED;
    enum lkp_result rc = put_sized(w, 's', PyBytes_AS_STRING(utf8), (size_t)PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
    return rc;
}

static enum lkp_result put_items(struct lkp_state *state, struct lkp_writer *w, char tag,
                                 PyObject *object, bool key, int depth)
{
    bool tuple = tag == 't';
    Py_ssize_t count = tuple ? PyTuple_GET_SIZE(object) : PyList_GET_SIZE(object);
    enum lkp_result rc = put_sized(w, tag, "", 0);
    uint32_t count32 = (uint32_t)count;
    if (rc != LKP_OK)
        return rc;
    memcpy(w->bytes + w->size - 4, &count32, 4);
    for (Py_ssize_t i = 0; i < count && rc == LKP_OK; i++) {
        /* A registered encoder may have changed the list. */
        if (!tuple && i >= PyList_GET_SIZE(object))
            return LKP_UNKNOWN;
        PyObject *item = tuple ? PyTuple_GET_ITEM(object, i) : PyList_GET_ITEM(object, i);
        Py_INCREF(item);
        rc = lkp_encode(state, w, item, key, depth + 1);
        Py_DECREF(item);
    }
    if (rc == LKP_OK && !tuple && count != PyList_GET_SIZE(object))
        return LKP_UNKNOWN;
    return rc;
}

static enum lkp_result put_dict(struct lkp_state *state, struct lkp_writer *w, PyObject *object,
                                int depth)
{
    PyObject *items = PyDict_Items(object);
    if (items == NULL)
        return LKP_FAILED;
    Py_ssize_t count = PyList_GET_SIZE(items);
    uint32_t count32 = (uint32_t)count;
    enum lkp_result rc = put_sized(w, 'd', "", 0);
    if (rc == LKP_OK)
        memcpy(w->bytes + w->size - 4, &count32, 4);
    for (Py_ssize_t i = 0; i < count && rc == LKP_OK; i++) {
        PyObject *pair = PyList_GET_ITEM(items, i);
        rc = lkp_encode(state, w, PyTuple_GET_ITEM(pair, 0), false, depth + 1);
        if (rc == LKP_OK)
            rc = lkp_encode(state, w, PyTuple_GET_ITEM(pair, 1), false, depth + 1);
    }
    Py_DECREF(items);
    return rc;
}

/* A type that was registered: its name, then what its encoder makes of the object. */
static enum lkp_result put_registered(struct lkp_state *state, struct lkp_writer *w,
                                      PyObject *object, bool key, int depth)
{
    PyObject *entry = lkp_dict_get(state->encoders, (PyObject *)Py_TYPE(object));
    if (entry == NULL) {
        w->unknown = Py_TYPE(object);
        return PyErr_Occurred() ? LKP_FAILED : LKP_UNKNOWN;
    }
    PyObject *name = PyTuple_GET_ITEM(entry, 0);
    PyObject *plain = NULL;
    enum lkp_result rc = put_sized(w, 'u', PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
    if (rc == LKP_OK) {
        plain = PyObject_CallOneArg(PyTuple_GET_ITEM(entry, 1), object);
        rc = plain != NULL ? lkp_encode(state, w, plain, key, depth + 1) : LKP_FAILED;
    }
    if (rc == LKP_UNKNOWN && w->unknown == Py_TYPE(plain))
        w->unknown = Py_TYPE(object); /* the one that the caller knows */
    Py_XDECREF(plain);
    Py_DECREF(entry);
    return rc;
}

enum lkp_result lkp_encode(struct lkp_state *state, struct lkp_writer *w, PyObject *object,
                           bool key, int depth)
{
    PyTypeObject *type = Py_TYPE(object);
    if (type == &PyLong_Type)
        return put_int(w, object);
    if (type == &PyUnicode_Type)
        return put_text(w, object);
    if (object == Py_None)
        return put_few(w, "N", 1);
    if (type == &PyBool_Type)
        return put_few(w, object == Py_True ? "T" : "F", 1);
    if (type == &PyFloat_Type) {
        double value = PyFloat_AS_DOUBLE(object);
        return put_word(w, 'f', &value);
    }
    if (type == &PyBytes_Type)
        return put_sized(w, 'b', PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
    if (depth >= LKP_DEPTH) {
        w->unknown = type;
        return LKP_UNKNOWN;
    }
    if (type == &PyTuple_Type)
        return put_items(state, w, 't', object, key, depth);
    if (!key && type == &PyList_Type)
        return put_items(state, w, 'l', object, key, depth);
    if (!key && type == &PyDict_Type)
        return put_dict(state, w, object, depth);
    return put_registered(state, w, object, key, depth);
}

/* The order of the keywords by name: order[] holds their places.  There are few. */
static void sort_names(PyObject *names, uint16_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && PyUnicode_Compare(PyTuple_GET_ITEM(names, order[at - 1]),
                                           PyTuple_GET_ITEM(names, i)) > 0;
             at--)
            order[at] = order[at - 1];
        order[at] = (uint16_t)i;
    }
}

enum lkp_result lkp_encode_call(struct lkp_state *state, struct lkp_writer *w,
                                PyObject *const *args, size_t positional, PyObject *names)
{
    size_t named = names != NULL ? (size_t)PyTuple_GET_SIZE(names) : 0;
    uint16_t counts[2] = {(uint16_t)positional, (uint16_t)named};
    uint16_t order[256];
    if (positional > UINT16_MAX || named > sizeof order / sizeof order[0])
        return LKP_TOO_BIG;
    enum lkp_result rc = put_few(w, counts, sizeof counts);
    for (size_t i = 0; i < positional && rc == LKP_OK; i++)
        rc = lkp_encode(state, w, args[i], true, 0);
    if (named > 0)
        sort_names(names, order, named);
    for (size_t i = 0; i < named && rc == LKP_OK; i++) {
        rc = put_text(w, PyTuple_GET_ITEM(names, order[i]));
        if (rc == LKP_OK)
            rc = lkp_encode(state, w, args[positional + order[i]], true, 0);
    }
    /* Keys of 8 bytes and more are found faster; what was written says where it ends. */
    while (rc == LKP_OK && w->size < 8)
        rc = put_few(w, "", 1);
    return rc;
}
