/* call.c - the arguments of a call as a key: hashed, compared. */
#include "table.h"

#include <string.h>

static Py_hash_t mix(Py_uhash_t sum, Py_hash_t hash)
{
    sum ^= (Py_uhash_t)hash;
    sum *= 0x9e3779b97f4a7c15u;
    return (Py_hash_t)(sum ^ sum >> 29);
}

static bool in_order(PyObject *names)
{
    for (Py_ssize_t i = 1; i < PyTuple_GET_SIZE(names); i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(names, i - 1), PyTuple_GET_ITEM(names, i)) > 0)
            return false;
    }
    return true;
}

/* Copies of the arguments and names with the keywords in order. */
static int sort(struct lkp_call *call, Py_ssize_t positional)
{
    Py_ssize_t named = PyTuple_GET_SIZE(call->names);
    PyObject *names = PyTuple_New(named);
    PyObject **args = PyMem_Malloc((size_t)call->count * sizeof *args);
    if (names == NULL || args == NULL) {
        Py_XDECREF(names);
        PyMem_Free(args);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(args, call->args, (size_t)positional * sizeof *args);
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(call->names, i);
        Py_ssize_t at = i;
        for (; at > 0 && PyUnicode_Compare(PyTuple_GET_ITEM(names, at - 1), name) > 0; at--) {
            PyTuple_SET_ITEM(names, at, PyTuple_GET_ITEM(names, at - 1));
            args[positional + at] = args[positional + at - 1];
        }
        PyTuple_SET_ITEM(names, at, name);
        args[positional + at] = call->args[positional + i];
    }
    for (Py_ssize_t i = 0; i < named; i++)
        Py_INCREF(PyTuple_GET_ITEM(names, i));
    call->names = names;
    call->args = call->sorted = args;
    return 0;
}

int lkp_call_begin(struct lkp_call *call, PyObject *const *args, Py_ssize_t positional,
                   PyObject *names)
{
    Py_ssize_t named = names != NULL ? PyTuple_GET_SIZE(names) : 0;
    *call = (struct lkp_call){
        .args = args, .count = positional + named, .names = named > 0 ? names : NULL};
    if (call->count > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "too many arguments for a cache");
        return -1;
    }
    if (named > 1 && !in_order(names) && sort(call, positional) != 0)
        return -1;
    Py_hash_t sum = call->count;
    for (Py_ssize_t i = 0; i < call->count; i++) {
        Py_hash_t hash = PyObject_Hash(call->args[i]);
        if (hash == -1) {
            lkp_call_end(call);
            return -1;
        }
        sum = call->count == 1 ? hash : mix((Py_uhash_t)sum, hash);
    }
    for (Py_ssize_t i = 0; i < named; i++)
        sum = mix((Py_uhash_t)sum, PyObject_Hash(PyTuple_GET_ITEM(call->names, i)));
    call->hash = sum;
    return 0;
}

void lkp_call_end(struct lkp_call *call)
{
    if (call->sorted == NULL)
        return;
    PyMem_Free(call->sorted);
    Py_DECREF(call->names);
    call->sorted = NULL;
}
