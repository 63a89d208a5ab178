/* plain.c - keys and values of the mapping: bytes, str, int.
 *
 * What other programs store, they find as they left it, and the other way round:
 *   key    str    UTF-8                            value  bytes  as they are
 *          bytes  \2 and the bytes                        int    decimal text, as lk_cache_incr()
 *          int    \3 and decimal text                     str    \1 and UTF-8
 *                                                         int beyond 64 bits  \3 and hexadecimal
 * A str key that is empty or begins with \1..\3 gets \1 in front, bytes that begin with \1..\3 or
 * look like a decimal integer of 64 bits get \2. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 1, BYTES = 2, INTEGER = 3, NUMBER_MAX = 20 };

static bool tagged(const char *bytes, size_t size)
{
    return size > 0 && bytes[0] >= TEXT && bytes[0] <= INTEGER;
}

/* Exactly what printf("%lld") would print? */
static bool number(const char *bytes, size_t size, long long *value)
{
    char text[NUMBER_MAX + 1], again[NUMBER_MAX + 4];
    if (size == 0 || size > NUMBER_MAX || (bytes[0] != '-' && (bytes[0] < '0' || bytes[0] > '9')))
        return false;
    memcpy(text, bytes, size);
    text[size] = 0;
    errno = 0;
    *value = strtoll(text, NULL, 10);
    int printed = snprintf(again, sizeof again, "%lld", *value);
    return errno == 0 && (size_t)printed == size && memcmp(again, bytes, size) == 0;
}

/* The bytes with a tag before them, in w. */
static int with_tag(struct lkp_writer *w, char tag, const char *bytes, size_t size)
{
    int rc = lkp_put(w, &tag, 1);
    if (rc == LKP_OK)
        rc = lkp_put(w, bytes, size);
    if (rc == LKP_TOO_BIG)
        PyErr_SetString(PyExc_ValueError, "the key or value is too large");
    return rc == LKP_OK ? 0 : -1;
}

static int text_bytes(PyObject *object, struct lkp_writer *w, bool always, const char **bytes,
                      size_t *size)
{
    Py_ssize_t length;
    const char *utf8 = PyUnicode_AsUTF8AndSize(object, &length);
    if (utf8 == NULL)
        return -1;
    if (always || length == 0 || tagged(utf8, (size_t)length)) {
        if (with_tag(w, TEXT, utf8, (size_t)length) != 0)
            return -1;
        utf8 = w->bytes;
        length = (Py_ssize_t)w->size;
    }
    *bytes = utf8;
    *size = (size_t)length;
    return 0;
}

static int int_bytes(PyObject *object, struct lkp_writer *w, bool key)
{
    char text[NUMBER_MAX + 4];
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow == 0 && value == -1 && PyErr_Occurred())
        return -1;
    if (overflow == 0) {
        int size = snprintf(text, sizeof text, "%s%lld", key ? "\3" : "", value);
        return lkp_put(w, text, (size_t)size) == LKP_OK ? 0 : -1;
    }
    /* Hexadecimal: the time for it grows with the size only. */
    PyObject *digits = PyNumber_ToBase(object, 16);
    Py_ssize_t size;
    const char *ascii = digits != NULL ? PyUnicode_AsUTF8AndSize(digits, &size) : NULL;
    int rc = ascii != NULL ? with_tag(w, INTEGER, ascii, (size_t)size) : -1;
    Py_XDECREF(digits);
    return rc;
}

static int not_stored(PyObject *object, const char *what)
{
    PyErr_Format(PyExc_TypeError,
                 "a %s is bytes, str or int, not %.100s; encode it, for example with json.dumps()",
                 what, Py_TYPE(object)->tp_name);
    return -1;
}

/* From w unless the object's own bytes will do. */
int lkp_key_bytes(PyObject *object, struct lkp_writer *w, const char **bytes, size_t *size)
{
    int rc;
    if (PyUnicode_Check(object))
        return text_bytes(object, w, false, bytes, size);
    if (PyBytes_Check(object))
        rc = with_tag(w, BYTES, PyBytes_AS_STRING(object), (size_t)PyBytes_GET_SIZE(object));
    else if (PyLong_Check(object))
        rc = int_bytes(object, w, true);
    else
        rc = not_stored(object, "key");
    *bytes = w->bytes;
    *size = w->size;
    return rc;
}

int lkp_value_bytes(PyObject *object, struct lkp_writer *w, const char **bytes, size_t *size)
{
    int rc;
    long long unused;
    if (PyBytes_Check(object)) {
        *bytes = PyBytes_AS_STRING(object);
        *size = (size_t)PyBytes_GET_SIZE(object);
        if (!tagged(*bytes, *size) && !number(*bytes, *size, &unused))
            return 0;
        rc = with_tag(w, BYTES, *bytes, *size);
    } else if (PyUnicode_Check(object)) {
        return text_bytes(object, w, true, bytes, size);
    } else if (PyLong_Check(object)) {
        rc = int_bytes(object, w, false);
    } else {
        rc = not_stored(object, "value");
    }
    *bytes = w->bytes;
    *size = w->size;
    return rc;
}

static PyObject *int_object(const char *bytes, size_t size, int base)
{
    PyObject *text = PyUnicode_FromStringAndSize(bytes, (Py_ssize_t)size);
    PyObject *value = text != NULL ? PyLong_FromUnicodeObject(text, base) : NULL;
    Py_XDECREF(text);
    return value;
}

/* What another program has written is bytes unless it reads as one of ours. */
static PyObject *or_bytes(PyObject *object, const char *bytes, size_t size)
{
    if (object != NULL || !PyErr_ExceptionMatches(PyExc_ValueError))
        return object;
    PyErr_Clear();
    return PyBytes_FromStringAndSize(bytes, (Py_ssize_t)size);
}

PyObject *lkp_key_object(const char *bytes, size_t size)
{
    PyObject *object;
    long long value;
    if (!tagged(bytes, size))
        object = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)size, NULL);
    else if (bytes[0] == TEXT)
        object = PyUnicode_DecodeUTF8(bytes + 1, (Py_ssize_t)size - 1, NULL);
    else if (bytes[0] == BYTES)
        object = PyBytes_FromStringAndSize(bytes + 1, (Py_ssize_t)size - 1);
    else if (number(bytes + 1, size - 1, &value))
        object = PyLong_FromLongLong(value);
    else
        object = int_object(bytes + 1, size - 1, 16);
    return or_bytes(object, bytes, size);
}

PyObject *lkp_value_object(const char *bytes, size_t size)
{
    PyObject *object;
    long long value;
    if (number(bytes, size, &value))
        object = PyLong_FromLongLong(value);
    else if (!tagged(bytes, size))
        object = PyBytes_FromStringAndSize(bytes, (Py_ssize_t)size);
    else if (bytes[0] == TEXT)
        object = PyUnicode_DecodeUTF8(bytes + 1, (Py_ssize_t)size - 1, NULL);
    else if (bytes[0] == BYTES)
        object = PyBytes_FromStringAndSize(bytes + 1, (Py_ssize_t)size - 1);
    else
        object = int_object(bytes + 1, size - 1, 16);
    return or_bytes(object, bytes, size);
}
