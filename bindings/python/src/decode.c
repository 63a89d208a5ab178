/* decode.c - bytes as objects.  The bytes come from a segment: every size is checked against what
 * is there, and no byte makes anything run but a decoder that this process has registered. */
#include "core.h"

#include <string.h>

struct reader {
    struct lkp_state *state;
    const char *at, *end;
    bool damaged;
};

static PyObject *decode_one(struct reader *r, int depth);

static PyObject *damaged(struct reader *r)
{
    r->damaged = true;
    return NULL;
}

/* `size` bytes more, or NULL. */
static const char *take(struct reader *r, size_t size)
{
    const char *at = r->at;
    if ((size_t)(r->end - at) < size) {
        r->damaged = true;
        return NULL;
    }
    r->at += size;
    return at;
}

static const char *take_sized(struct reader *r, uint32_t *size)
{
    const char *head = take(r, sizeof *size);
    if (head == NULL)
        return NULL;
    memcpy(size, head, sizeof *size);
    return take(r, *size);
}

static PyObject *big_int(const char *bytes, uint32_t size)
{
    PyObject *result = NULL;
    PyObject *call = PyObject_GetAttrString((PyObject *)&PyLong_Type, "from_bytes");
    PyObject *args = Py_BuildValue("(y#s)", bytes, (Py_ssize_t)size, "little");
    PyObject *keywords = Py_BuildValue("{sO}", "signed", Py_True);
    if (call != NULL && args != NULL && keywords != NULL)
        result = PyObject_Call(call, args, keywords);
    Py_XDECREF(call);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return result;
}

static PyObject *decode_word(struct reader *r, char tag)
{
    const char *word = take(r, 8);
    if (word == NULL)
        return NULL;
    if (tag == 'i') {
        long long value;
        memcpy(&value, word, sizeof value);
        return PyLong_FromLongLong(value);
    }
    double value;
    memcpy(&value, word, sizeof value);
    return PyFloat_FromDouble(value);
}

static PyObject *decode_text(struct reader *r)
{
    uint32_t size;
    const char *bytes = take_sized(r, &size);
    if (bytes == NULL)
        return NULL;
    PyObject *text = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)size, "surrogatepass");
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeError)) {
        PyErr_Clear();
        return damaged(r);
    }
    return text;
}

/* A count of objects: each takes a byte at least. */
static bool take_count(struct reader *r, uint32_t *count)
{
    const char *head = take(r, sizeof *count);
    if (head == NULL)
        return false;
    memcpy(count, head, sizeof *count);
    r->damaged = *count > (size_t)(r->end - r->at);
    return !r->damaged;
}

static PyObject *decode_items(struct reader *r, char tag, int depth)
{
    uint32_t count;
    if (!take_count(r, &count))
        return NULL;
    PyObject *items = tag == 't' ? PyTuple_New((Py_ssize_t)count) : PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; items != NULL && i < count; i++) {
        PyObject *item = decode_one(r, depth + 1);
        if (item == NULL)
            Py_CLEAR(items);
        else if (tag == 't')
            PyTuple_SET_ITEM(items, (Py_ssize_t)i, item);
        else
            PyList_SET_ITEM(items, (Py_ssize_t)i, item);
    }
    return items;
}

static PyObject *decode_dict(struct reader *r, int depth)
{
    uint32_t count;
    if (!take_count(r, &count))
        return NULL;
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict != NULL && i < count; i++) {
        PyObject *key = decode_one(r, depth + 1);
        PyObject *value = key != NULL ? decode_one(r, depth + 1) : NULL;
        if (value == NULL || PyDict_SetItem(dict, key, value) != 0)
            Py_CLEAR(dict);
        if (value != NULL && dict == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear(); /* an unhashable key */
            r->damaged = true;
        }
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *decode_registered(struct reader *r, int depth)
{
    uint32_t size;
    const char *bytes = take_sized(r, &size);
    if (bytes == NULL)
        return NULL;
    PyObject *name = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)size);
    PyObject *decode = name != NULL ? lkp_dict_get(r->state->decoders, name) : NULL;
    Py_XDECREF(name);
    if (decode == NULL)
        return PyErr_Occurred() ? NULL : damaged(r);
    PyObject *plain = decode_one(r, depth + 1);
    PyObject *object = plain != NULL ? PyObject_CallOneArg(decode, plain) : NULL;
    Py_XDECREF(plain);
    Py_DECREF(decode);
    return object;
}

static PyObject *decode_one(struct reader *r, int depth)
{
    const char *tag = take(r, 1);
    const char *bytes;
    uint32_t size;
    if (tag == NULL || depth > LKP_DEPTH)
        return damaged(r);
    switch (*tag) {
    case 'i':
    case 'f':
        return decode_word(r, *tag);
    case 's':
        return decode_text(r);
    case 'N':
        Py_RETURN_NONE;
    case 'T':
        Py_RETURN_TRUE;
    case 'F':
        Py_RETURN_FALSE;
    case 'b':
        bytes = take_sized(r, &size);
        return bytes != NULL ? PyBytes_FromStringAndSize(bytes, (Py_ssize_t)size) : NULL;
    case 'I':
        bytes = take_sized(r, &size);
        return bytes != NULL ? big_int(bytes, size) : NULL;
    case 't':
    case 'l':
        return decode_items(r, *tag, depth);
    case 'd':
        return decode_dict(r, depth);
    case 'u':
        return decode_registered(r, depth);
    default:
        return damaged(r);
    }
}

PyObject *lkp_decode(struct lkp_state *state, const char *bytes, size_t size, bool *is_damaged)
{
    struct reader r = {.state = state, .at = bytes, .end = bytes + size};
    if (size == 9 && bytes[0] == 'i') { /* what counters and sizes are */
        long long value;
        memcpy(&value, bytes + 1, sizeof value);
        *is_damaged = false;
        return PyLong_FromLongLong(value);
    }
    PyObject *object = decode_one(&r, 0);
    if (object != NULL && r.at != r.end) {
        Py_CLEAR(object);
        r.damaged = true;
    }
    *is_damaged = r.damaged;
    return object;
}
