/* module.c - the module latchkey._core: its state, its types, its functions. */
#include "core.h"

#include <errno.h>

struct lkp_state *lkp_state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

/* ---- registered types ------------------------------------------------------------------------ */

static PyObject *register_type(PyObject *module, PyObject *args)
{
    struct lkp_state *state = lkp_state_of(module);
    PyObject *type, *encode, *decode;
    const char *name;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "O!s#OO:register", &PyType_Type, &type, &name, &size, &encode,
                          &decode))
        return NULL;
    if (!PyCallable_Check(encode) || !PyCallable_Check(decode)) {
        PyErr_SetString(PyExc_TypeError, "encode and decode must be callable");
        return NULL;
    }
    PyObject *key = PyBytes_FromStringAndSize(name, size);
    PyObject *entry = key != NULL ? PyTuple_Pack(2, key, encode) : NULL;
    int rc = entry != NULL ? PyDict_SetItem(state->decoders, key, decode) : -1;
    if (rc == 0)
        rc = PyDict_SetItem(state->encoders, type, entry);
    Py_XDECREF(entry);
    Py_XDECREF(key);
    if (rc != 0)
        return NULL;
    Py_RETURN_NONE;
}

/* For tests, and for those who want to keep encodings elsewhere. */
static PyObject *encode(PyObject *module, PyObject *object)
{
    struct lkp_writer w;
    PyObject *result = NULL;
    lkp_writer_begin(&w, PY_SSIZE_T_MAX);
    enum lkp_result rc = lkp_encode(lkp_state_of(module), &w, object, false, 0);
    if (rc == LKP_OK)
        result = PyBytes_FromStringAndSize(w.bytes, (Py_ssize_t)w.size);
    else if (rc != LKP_FAILED)
        PyErr_Format(PyExc_TypeError, "cannot encode %.100s",
                     w.unknown != NULL ? w.unknown->tp_name : Py_TYPE(object)->tp_name);
    lkp_writer_end(&w);
    return result;
}

static PyObject *decode(PyObject *module, PyObject *bytes)
{
    bool damaged;
    if (!PyBytes_Check(bytes)) {
        PyErr_SetString(PyExc_TypeError, "decode() takes bytes");
        return NULL;
    }
    PyObject *object = lkp_decode(lkp_state_of(module), PyBytes_AS_STRING(bytes),
                                  (size_t)PyBytes_GET_SIZE(bytes), &damaged);
    if (object == NULL && damaged)
        PyErr_SetString(PyExc_ValueError, "these bytes are no encoding");
    return object;
}

/* ---- segments -------------------------------------------------------------------------------- */

static PyObject *unlink_name(PyObject *Py_UNUSED(module), PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return NULL;
    int rc = lk_cache_unlink(text);
    if (rc != 0)
        return lkp_raise(rc, true);
    Py_RETURN_NONE;
}

static PyObject *version(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyUnicode_FromString(lk_version());
}

/* ---- the module ------------------------------------------------------------------------------ */

static PyMethodDef functions[] = {
    {"register", register_type, METH_VARARGS,
     PyDoc_STR(
         "register(type, name, encode, decode)\n--\n\n"
         "Let functions cached in shared memory take and return objects of exactly this type. "
         "encode(object) makes something that can be encoded, decode() the object again.")},
    {"encode", encode, METH_O,
     PyDoc_STR("encode(object, /)\n--\n\nThe bytes that a shared cache stores for the object.")},
    {"decode", decode, METH_O,
     PyDoc_STR("decode(data, /)\n--\n\nThe object that encode() made the bytes of.")},
    {"unlink", unlink_name, METH_O,
     PyDoc_STR("unlink(name, /)\n--\n\n"
               "Remove the name of a cache.  Processes that have it open keep it.")},
    {"library_version", version, METH_NOARGS,
     PyDoc_STR("library_version()\n--\n\nThe version of liblatchkey.")},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, type) != 0)
        Py_CLEAR(type);
    return type;
}

static int execute(PyObject *module)
{
    struct lkp_state *state = lkp_state_of(module);
    state->encoders = PyDict_New();
    state->decoders = PyDict_New();
    state->missing = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    if (state->encoders == NULL || state->decoders == NULL || state->missing == NULL ||
        (state->memory_type = add_type(module, &lkp_memory_spec)) == NULL ||
        (state->cache_type = add_type(module, &lkp_cache_spec)) == NULL ||
        (state->shared_type = add_type(module, &lkp_shared_spec)) == NULL ||
        (state->lease_type = add_type(module, &lkp_lease_spec)) == NULL ||
        (state->info_type = lkp_info_type()) == NULL ||
        PyModule_AddType(module, state->info_type) != 0)
        return -1;
    return PyModule_AddObjectRef(module, "missing", state->missing);
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    struct lkp_state *state = lkp_state_of(module);
    Py_VISIT(state->memory_type);
    Py_VISIT(state->shared_type);
    Py_VISIT(state->cache_type);
    Py_VISIT(state->lease_type);
    Py_VISIT(state->info_type);
    Py_VISIT(state->encoders);
    Py_VISIT(state->decoders);
    Py_VISIT(state->missing);
    return 0;
}

static int clear(PyObject *module)
{
    struct lkp_state *state = lkp_state_of(module);
    Py_CLEAR(state->memory_type);
    Py_CLEAR(state->shared_type);
    Py_CLEAR(state->cache_type);
    Py_CLEAR(state->lease_type);
    Py_CLEAR(state->info_type);
    Py_CLEAR(state->encoders);
    Py_CLEAR(state->decoders);
    Py_CLEAR(state->missing);
    return 0;
}

static void free_module(void *module)
{
    (void)clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_MOD_GIL_NOT_USED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef lkp_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "latchkey._core",
    .m_doc = PyDoc_STR("What latchkey does in C: see the package latchkey."),
    .m_size = sizeof(struct lkp_state),
    .m_methods = functions,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&lkp_module);
}
