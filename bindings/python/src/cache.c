/* cache.c - the shared cache as a mapping: bytes, str and int to bytes, str and int. */
#include "core.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static struct lkp_cache *cache_of(PyObject *self)
{
    return (struct lkp_cache *)self;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A new reference, or NULL with *rc (0: an exception). */
static PyObject *read_value(struct lkp_cache *c, PyObject *key, int *rc)
{
    struct lkp_writer w;
    struct lkp_value v;
    const char *bytes;
    size_t size;
    PyObject *value = NULL;
    *rc = 0;
    if (lkp_handle(c) == NULL)
        return NULL;
    lkp_writer_begin(&w, LK_CACHE_KEY_MAX);
    if (lkp_key_bytes(key, &w, &bytes, &size) == 0) {
        *rc = lkp_get(c->handle, bytes, size, &v);
        if (*rc == 0)
            value = lkp_value_object(v.bytes, v.size);
        lkp_value_end(&v);
    }
    lkp_writer_end(&w);
    return value;
}

static PyObject *cache_get(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    static const char *const names[] = {"key", "default", NULL};
    PyObject *given[2];
    int rc;
    if (lkp_arguments("get", names, 2, 1, args, count, keywords, given) != 0)
        return NULL;
    PyObject *value = read_value(cache_of(self), given[0], &rc);
    if (value != NULL || rc == 0)
        return value;
    if (rc == ENOENT)
        return Py_NewRef(given[1] != NULL ? given[1] : Py_None);
    return lkp_raise(rc, false);
}

static PyObject *subscript(PyObject *self, PyObject *key)
{
    int rc;
    PyObject *value = read_value(cache_of(self), key, &rc);
    if (value != NULL || rc == 0)
        return value;
    if (rc != ENOENT)
        return lkp_raise(rc, false);
    PyErr_SetObject(PyExc_KeyError, key);
    return NULL;
}

/* What is known of an entry: (value, version, seconds left or None), or None. */
static PyObject *cache_entry(PyObject *self, PyObject *key)
{
    struct lkp_cache *c = cache_of(self);
    struct lkp_writer w;
    struct lk_cache_entry entry = {.size = 0};
    const char *bytes;
    char *buf = NULL;
    size_t size;
    int rc = EINVAL;
    PyObject *result = NULL;
    if (lkp_handle(c) == NULL)
        return NULL;
    lkp_writer_begin(&w, LK_CACHE_KEY_MAX);
    if (lkp_key_bytes(key, &w, &bytes, &size) == 0) {
        rc = ENOBUFS;
        for (size_t room = 512; rc == ENOBUFS; room = entry.size) {
            PyMem_Free(buf);
            buf = PyMem_Malloc(room);
            rc = buf != NULL ? lk_cache_get_entry(c->handle, bytes, size, buf, room, &entry)
                             : ENOMEM;
        }
        if (rc == ENOENT)
            result = Py_NewRef(Py_None);
        else if (rc != 0)
            (void)lkp_raise(rc, false);
    }
    if (rc == 0) {
        PyObject *value = lkp_value_object(buf, entry.size);
        uint64_t now = lkp_boot_ns();
        double left = entry.expire_ns > now ? (double)(entry.expire_ns - now) / 1e9 : 0.0;
        PyObject *ttl = entry.expire_ns == 0 ? Py_NewRef(Py_None) : PyFloat_FromDouble(left);
        if (value != NULL && ttl != NULL)
            result = Py_BuildValue("NKN", value, (unsigned long long)entry.version, ttl);
    }
    PyMem_Free(buf);
    lkp_writer_end(&w);
    return result;
}

static int contains(PyObject *self, PyObject *key)
{
    struct lkp_cache *c = cache_of(self);
    struct lkp_writer w;
    struct lk_cache_entry entry;
    const char *bytes;
    size_t size;
    int found = -1;
    if (lkp_handle(c) == NULL)
        return -1;
    lkp_writer_begin(&w, LK_CACHE_KEY_MAX);
    if (lkp_key_bytes(key, &w, &bytes, &size) == 0) {
        int rc = lk_cache_get_entry(c->handle, bytes, size, NULL, 0, &entry);
        found = rc == 0 || rc == ENOBUFS;
        if (!found && rc != ENOENT) {
            (void)lkp_raise(rc, false);
            found = -1;
        }
    }
    lkp_writer_end(&w);
    return found;
}

static Py_ssize_t length(PyObject *self)
{
    struct lk_cache_stat stat;
    if (lkp_handle(cache_of(self)) == NULL)
        return -1;
    int rc = lk_cache_stat(cache_of(self)->handle, &stat);
    if (rc == 0)
        return (Py_ssize_t)stat.entries;
    (void)lkp_raise(rc, false);
    return -1;
}

/* ---- changing -------------------------------------------------------------------------------- */

/* One change of a key.  Returns the C call's code, or LKP_RAISED. */
static int change_key(PyObject *self, PyObject *key, PyObject *value, struct lkp_change *change)
{
    struct lkp_cache *c = cache_of(self);
    struct lkp_writer key_bytes, value_bytes;
    int rc = LKP_RAISED;
    if (lkp_handle(c) == NULL)
        return rc;
    lkp_writer_begin(&key_bytes, LK_CACHE_KEY_MAX);
    lkp_writer_begin(&value_bytes, UINT32_MAX);
    if (lkp_key_bytes(key, &key_bytes, &change->key, &change->key_size) == 0 &&
        (value == NULL ||
         lkp_value_bytes(value, &value_bytes, &change->value, &change->value_size) == 0))
        rc = lkp_change(c, change);
    lkp_writer_end(&value_bytes);
    lkp_writer_end(&key_bytes);
    return rc;
}

/* True, False for `no`, or an exception. */
static PyObject *answer(int rc, int no)
{
    return rc == 0 || rc == no ? PyBool_FromLong(rc == 0) : lkp_raise(rc, false);
}

/* The methods of key, value, ttl. */
static int store(const char *method, enum lkp_act act, PyObject *self, PyObject *const *args,
                 Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "value", "ttl", NULL};
    PyObject *given[3];
    struct lkp_change change = {.act = act};
    if (lkp_arguments(method, names, 3, 2, args, count, keywords, given) != 0 ||
        lkp_duration(given[2], LK_TTL_DEFAULT, &change.ttl_ns) != 0)
        return LKP_RAISED;
    return change_key(self, given[0], given[1], &change);
}

static PyObject *cache_set(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    int rc = store("set", LKP_SET, self, args, count, keywords);
    if (rc != 0)
        return lkp_raise(rc, false);
    Py_RETURN_NONE;
}

static PyObject *cache_add(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    return answer(store("add", LKP_ADD, self, args, count, keywords), EEXIST);
}

static PyObject *cache_replace(PyObject *self, PyObject *const *args, Py_ssize_t count,
                               PyObject *keywords)
{
    return answer(store("replace", LKP_REPLACE, self, args, count, keywords), ENOENT);
}

static PyObject *cache_cas(PyObject *self, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords)
{
    static const char *const names[] = {"key", "value", "version", "ttl", NULL};
    PyObject *given[4];
    struct lkp_change change = {.act = LKP_CAS};
    if (lkp_arguments("cas", names, 4, 3, args, count, keywords, given) != 0 ||
        lkp_duration(given[3], LK_TTL_DEFAULT, &change.ttl_ns) != 0)
        return NULL;
    change.version = PyLong_AsUnsignedLongLong(given[2]);
    if (PyErr_Occurred())
        return NULL;
    int rc = change_key(self, given[0], given[1], &change);
    return answer(rc == ENOENT ? LK_ECHANGED : rc, LK_ECHANGED);
}

static PyObject *cache_delete(PyObject *self, PyObject *key)
{
    struct lkp_change change = {.act = LKP_DELETE};
    return answer(change_key(self, key, NULL, &change), ENOENT);
}

static PyObject *cache_touch(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    static const char *const names[] = {"key", "ttl", NULL};
    PyObject *given[2];
    struct lkp_change change = {.act = LKP_TOUCH};
    if (lkp_arguments("touch", names, 2, 1, args, count, keywords, given) != 0 ||
        lkp_duration(given[1], LK_TTL_DEFAULT, &change.ttl_ns) != 0)
        return NULL;
    return answer(change_key(self, given[0], NULL, &change), ENOENT);
}

static PyObject *cache_incr(PyObject *self, PyObject *const *args, Py_ssize_t count,
                            PyObject *keywords)
{
    static const char *const names[] = {"key", "delta", "initial", "ttl", NULL};
    PyObject *given[4];
    struct lkp_change change = {.act = LKP_INCR, .delta = 1};
    if (lkp_arguments("incr", names, 4, 1, args, count, keywords, given) != 0 ||
        lkp_duration(given[3], LK_TTL_DEFAULT, &change.ttl_ns) != 0)
        return NULL;
    if (given[1] != NULL)
        change.delta = PyLong_AsLongLong(given[1]);
    int64_t initial = given[2] != NULL && !PyErr_Occurred() ? PyLong_AsLongLong(given[2]) : 0;
    if (PyErr_Occurred())
        return NULL;
    /* The C call stores `initial` without adding. */
    if (__builtin_add_overflow(initial, change.delta, &change.initial))
        change.initial = change.delta > 0 ? INT64_MAX : INT64_MIN;
    int rc = change_key(self, given[0], NULL, &change);
    return rc == 0 ? PyLong_FromLongLong(change.result) : lkp_raise(rc, false);
}

static int assign(PyObject *self, PyObject *key, PyObject *value)
{
    struct lkp_change change = {.act = value != NULL ? LKP_SET : LKP_DELETE};
    int rc = change_key(self, key, value, &change);
    if (rc == 0)
        return 0;
    if (rc == ENOENT)
        PyErr_SetObject(PyExc_KeyError, key);
    else
        (void)lkp_raise(rc, false);
    return -1;
}

/* ---- leases ---------------------------------------------------------------------------------- */

static PyObject *cache_lease(PyObject *self, PyObject *const *args, Py_ssize_t count,
                             PyObject *keywords)
{
    static const char *const names[] = {"key", "timeout", "stale", NULL};
    PyObject *given[3];
    uint64_t timeout_ns;
    if (lkp_arguments("lease", names, 2, 1, args, count, keywords, given) != 0 ||
        lkp_duration(given[1], UINT64_MAX, &timeout_ns) != 0)
        return NULL;
    int stale = given[2] != NULL ? PyObject_IsTrue(given[2]) : 0;
    if (stale < 0 || lkp_handle(cache_of(self)) == NULL)
        return NULL;
    return lkp_lease_new(cache_of(self), given[0], timeout_ns, stale != 0);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int open_cache(struct lkp_cache *c, const char *name, int fd,
                      const struct lk_cache_options *options)
{
    int rc;
    Py_BEGIN_ALLOW_THREADS;
    if (fd >= 0)
        rc = lk_cache_open_fd(&c->handle, fd, options);
    else if (name != NULL)
        rc = lk_cache_open(&c->handle, name, options);
    else
        rc = lk_cache_open_anonymous(&c->handle, options);
    Py_END_ALLOW_THREADS;
    return rc;
}

/* The options, from what was given; -1 = an exception. */
static int options_of(PyObject *args, PyObject *keywords, struct lk_cache_options *o,
                      const char **name, int *fd)
{
    static char *names[] = {"name",      "size",   "ttl",     "create",     "exclusive",
                            "read_only", "shards", "threads", "entry_size", "block_size",
                            "checksum",  "fd",     NULL};
    PyObject *ttl = NULL;
    unsigned long long size = 0;
    int create = 1, exclusive = 0, read_only = 0, checksum = 0;
    *name = NULL;
    *fd = -1;
    memset(o, 0, sizeof *o);
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|z$KOpppIIIIpi:Cache", names, name, &size,
                                     &ttl, &create, &exclusive, &read_only, &o->shards, &o->threads,
                                     &o->entry_bytes, &o->granule_bytes, &checksum, fd) ||
        lkp_duration(ttl, 0, &o->ttl_ns) != 0)
        return -1;
    o->capacity_bytes = size;
    o->checksum = checksum != 0;
    o->lock_timeout_ns = LKP_SLICE_NS;
    if (read_only)
        o->flags = LK_CACHE_READ_ONLY;
    else if (create)
        o->flags = LK_CACHE_CREATE | (exclusive ? LK_CACHE_EXCLUSIVE : 0u);
    return 0;
}

static PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct lk_cache_options options;
    const char *name;
    int fd;
    if (options_of(args, keywords, &options, &name, &fd) != 0)
        return NULL;
    PyObject *module = PyType_GetModuleByDef(type, &lkp_module); /* of a subclass too */
    struct lkp_cache *c = module != NULL ? (struct lkp_cache *)type->tp_alloc(type, 0) : NULL;
    if (c == NULL)
        return NULL;
    c->state = lkp_state_of(module);
    int rc = open_cache(c, name, fd, &options);
    if (rc == 0)
        return (PyObject *)c;
    Py_DECREF(c);
    return lkp_raise(rc, true);
}

/* Calls that are waiting keep the handle until the last of them returns. */
static PyObject *cache_close(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct lkp_cache *c = cache_of(self);
    lk_cache *handle = NULL;
    LKP_BEGIN(self);
    handle = c->handle;
    c->handle = NULL;
#ifdef Py_GIL_DISABLED
    bool wait = true; /* others may be in the middle of a call: the last reference closes it */
#else
    bool wait = c->inside > 0;
#endif
    if (wait && handle != NULL) {
        c->closing = handle;
        handle = NULL;
    }
    LKP_END();
    lk_cache_close(handle);
    Py_RETURN_NONE;
}

static void dealloc(PyObject *self)
{
    struct lkp_cache *c = cache_of(self);
    PyTypeObject *type = Py_TYPE(self);
    if (c->weak != NULL)
        PyObject_ClearWeakRefs(self);
    lk_cache_close(c->handle);
    lk_cache_close(c->closing);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *get_closed(PyObject *self, void *Py_UNUSED(unused))
{
    return PyBool_FromLong(cache_of(self)->handle == NULL);
}

static PyObject *cache_fileno(PyObject *self, PyObject *Py_UNUSED(unused))
{
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    return PyLong_FromLong(lk_cache_fd(cache_of(self)->handle));
}

static PyObject *get_capacity(PyObject *self, void *Py_UNUSED(unused))
{
    struct lk_cache_options options;
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    lk_cache_options_of(cache_of(self)->handle, &options);
    return PyLong_FromUnsignedLongLong(options.capacity_bytes);
}

/* ---- the type -------------------------------------------------------------------------------- */

#define KEYWORDS(method) ((PyCFunction)(void (*)(void))(method))
#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"get", KEYWORDS(cache_get), FAST,
     PyDoc_STR("get($self, key, default=None)\n--\n\nThe value, or `default`.")},
    {"entry", cache_entry, METH_O,
     PyDoc_STR("entry($self, key, /)\n--\n\n"
               "(value, version, seconds left or None), or None if the key is absent.")},
    {"get_many", lkp_cache_get_many, METH_O,
     PyDoc_STR("get_many($self, keys, /)\n--\n\nA dict of those of the keys that are there.")},
    {"set", KEYWORDS(cache_set), FAST,
     PyDoc_STR("set($self, key, value, ttl=None)\n--\n\n"
               "Store the value for `ttl` seconds (None: the cache's own; math.inf: for ever).")},
    {"add", KEYWORDS(cache_add), FAST,
     PyDoc_STR("add($self, key, value, ttl=None)\n--\n\nStore if the key is absent.  True if so.")},
    {"replace", KEYWORDS(cache_replace), FAST,
     PyDoc_STR("replace($self, key, value, ttl=None)\n--\n\n"
               "Store if the key is present.  True if so.")},
    {"cas", KEYWORDS(cache_cas), FAST,
     PyDoc_STR("cas($self, key, value, version, ttl=None)\n--\n\n"
               "Store if the entry still has the version that entry() told.  True if so.")},
    {"incr", KEYWORDS(cache_incr), FAST,
     PyDoc_STR(
         "incr($self, key, delta=1, initial=0, ttl=None)\n--\n\n"
         "Add to an int, atomically; an absent one counts as `initial`.  The sum, which stays "
         "within 64 bits.")},
    {"touch", KEYWORDS(cache_touch), FAST,
     PyDoc_STR(
         "touch($self, key, ttl=None)\n--\n\nA new time to live.  True if the key is there.")},
    {"delete", cache_delete, METH_O,
     PyDoc_STR("delete($self, key, /)\n--\n\nRemove the key.  True if it was there.")},
    {"lease", KEYWORDS(cache_lease), FAST,
     PyDoc_STR("lease($self, key, timeout=None, *, stale=False)\n--\n\n"
               "A context manager: the value, or the right to compute it while others wait.")},
    {"scan", KEYWORDS(lkp_cache_scan), FAST,
     PyDoc_STR("scan($self, prefix=None, what='items')\n--\n\n"
               "A list of the 'keys', 'values' or 'items' whose key begins with the prefix.")},
    {"clear", lkp_cache_flush, METH_NOARGS,
     PyDoc_STR("clear($self, /)\n--\n\nRemove every entry.")},
    {"stats", lkp_cache_stats, METH_NOARGS,
     PyDoc_STR("stats($self, /)\n--\n\n"
               "A dict of counts over all processes since the cache was made.")},
    {"verify", lkp_cache_verify, METH_NOARGS,
     PyDoc_STR("verify($self, /)\n--\n\nA list of problems; empty if every invariant holds.")},
    {"repair", lkp_cache_repair, METH_NOARGS,
     PyDoc_STR("repair($self, /)\n--\n\n"
               "Rebuild at once what dead processes left; the number of shards rebuilt.")},
    {"fileno", cache_fileno, METH_NOARGS,
     PyDoc_STR("fileno($self, /)\n--\n\nThe descriptor of the cache's memory.")},
    {"close", cache_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\nGive the handle back.  The cache stays.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct lkp_cache, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef properties[] = {
    {"closed", get_closed, NULL, PyDoc_STR("Was close() called?"), NULL},
    {"capacity", get_capacity, NULL, PyDoc_STR("Bytes for entries."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A cache that processes share.")},
    {Py_tp_new, (void *)cache_new},
    {Py_tp_dealloc, (void *)dealloc},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {Py_tp_getset, properties},
    {Py_mp_subscript, (void *)subscript},
    {Py_mp_ass_subscript, (void *)assign},
    {Py_mp_length, (void *)length},
    {Py_sq_contains, (void *)contains},
    {0, NULL},
};

PyType_Spec lkp_cache_spec = {
    .name = "latchkey._core.Cache",
    .basicsize = sizeof(struct lkp_cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = slots,
};
