/* cache_all.c - what concerns many entries of a cache or all of it. */
#include "core.h"

#include <errno.h>
#include <string.h>

static struct lkp_cache *cache_of(PyObject *self)
{
    return (struct lkp_cache *)self;
}

/* ---- iteration ------------------------------------------------------------------------------- */

enum wanted { KEYS, VALUES, ITEMS };

struct scan {
    PyObject *list;
    enum wanted wanted;
    PyTypeObject *type; /* of the prefix: only such keys; NULL = any */
};

static int collect(const struct lk_cache_item *item, void *arg)
{
    struct scan *scan = arg;
    PyObject *key = lkp_key_object(item->key, item->key_size);
    PyObject *value = NULL, *entry = NULL;
    int rc = -1;
    if (key != NULL && scan->type != NULL && Py_TYPE(key) != scan->type) {
        Py_DECREF(key);
        return 0;
    }
    if (key != NULL && scan->wanted != KEYS)
        value = lkp_value_object(item->value, item->entry.size);
    if (scan->wanted == KEYS)
        entry = Py_XNewRef(key);
    else if (value != NULL)
        entry = scan->wanted == VALUES ? Py_NewRef(value) : PyTuple_Pack(2, key, value);
    if (entry != NULL)
        rc = PyList_Append(scan->list, entry);
    Py_XDECREF(entry);
    Py_XDECREF(value);
    Py_XDECREF(key);
    return rc;
}

static int wanted_of(PyObject *what, enum wanted *wanted)
{
    static const char *const names[] = {"keys", "values", "items"};
    *wanted = ITEMS;
    if (what == NULL)
        return 0;
    for (int i = 0; PyUnicode_Check(what) && i < 3; i++) {
        if (PyUnicode_CompareWithASCIIString(what, names[i]) == 0) {
            *wanted = (enum wanted)i;
            return 0;
        }
    }
    PyErr_SetString(PyExc_ValueError, "what is 'keys', 'values' or 'items'");
    return -1;
}

/* str keys are stored as they are, but for those that begin like a tag (plain.c). */
static int prefix_of(PyObject *prefix, struct scan *scan, struct lkp_writer *w, const char **bytes,
                     size_t *size)
{
    *bytes = "";
    *size = 0;
    if (prefix == NULL || prefix == Py_None)
        return 0;
    if (!PyUnicode_CheckExact(prefix) && !PyBytes_CheckExact(prefix)) {
        PyErr_SetString(PyExc_TypeError, "a prefix is str or bytes");
        return -1;
    }
    scan->type = Py_TYPE(prefix);
    if (PyUnicode_Check(prefix) && PyUnicode_GET_LENGTH(prefix) == 0)
        return 0;
    return lkp_key_bytes(prefix, w, bytes, size);
}

PyObject *lkp_cache_scan(PyObject *self, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords)
{
    static const char *const names[] = {"prefix", "what", NULL};
    PyObject *given[2];
    struct scan scan = {.type = NULL};
    struct lkp_writer w;
    const char *prefix;
    size_t size;
    if (lkp_arguments("scan", names, 2, 0, args, count, keywords, given) != 0 ||
        wanted_of(given[1], &scan.wanted) != 0 || lkp_handle(cache_of(self)) == NULL)
        return NULL;
    scan.list = PyList_New(0);
    lkp_writer_begin(&w, LK_CACHE_KEY_MAX);
    int rc = scan.list != NULL ? prefix_of(given[0], &scan, &w, &prefix, &size) : -1;
    if (rc == 0) {
        rc = lk_cache_each(cache_of(self)->handle, prefix, size, collect, &scan);
        if (rc > 0)
            (void)lkp_raise(rc, false);
    }
    lkp_writer_end(&w);
    if (rc != 0)
        Py_CLEAR(scan.list);
    return scan.list;
}

/* ---- many gets ------------------------------------------------------------------------------- */

enum { MANY_BYTES = 256 };

/* One of the keys asked for. */
struct asked {
    struct lkp_writer key;
    char value[MANY_BYTES];
};

static int put_hit(struct lkp_cache *c, PyObject *dict, PyObject *key,
                   const struct lk_cache_request *r)
{
    struct lkp_value v;
    PyObject *value = NULL;
    int rc = r->rc;
    v.bytes = v.first;
    if (rc == 0)
        value = lkp_value_object(r->buf, r->size);
    else if (rc == ENOBUFS || rc == EAGAIN)
        rc = lkp_get(c->handle, r->key, r->key_size, &v);
    if (rc == 0 && value == NULL && !PyErr_Occurred())
        value = lkp_value_object(v.bytes, v.size);
    lkp_value_end(&v);
    if (value != NULL) {
        rc = PyDict_SetItem(dict, key, value);
        Py_DECREF(value);
        return rc;
    }
    if (rc != 0 && rc != ENOENT)
        (void)lkp_raise(rc, false);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *get_them(struct lkp_cache *c, PyObject *const *keys, size_t count,
                          struct asked *asked, struct lk_cache_request *requests)
{
    size_t made = 0;
    PyObject *dict = PyDict_New();
    for (; dict != NULL && made < count; made++) {
        struct lk_cache_request *r = &requests[made];
        const char *bytes;
        lkp_writer_begin(&asked[made].key, LK_CACHE_KEY_MAX);
        if (lkp_key_bytes(keys[made], &asked[made].key, &bytes, &r->key_size) != 0) {
            Py_CLEAR(dict);
            made++;
            break;
        }
        r->key = bytes;
        r->buf = asked[made].value;
        r->capacity = MANY_BYTES;
    }
    if (dict != NULL) {
        (void)lk_cache_get_many(c->handle, requests, count);
        for (size_t i = 0; dict != NULL && i < count; i++) {
            if (put_hit(c, dict, keys[i], &requests[i]) != 0)
                Py_CLEAR(dict);
        }
    }
    for (size_t i = 0; i < made; i++)
        lkp_writer_end(&asked[i].key);
    return dict;
}

PyObject *lkp_cache_get_many(PyObject *self, PyObject *keys)
{
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    /* A tuple of our own: the list may change while keys are hashed. */
    PyObject *tuple = PySequence_Tuple(keys);
    if (tuple == NULL)
        return NULL;
    size_t count = (size_t)PyTuple_GET_SIZE(tuple);
    struct asked *asked = PyMem_Malloc((count + 1) * sizeof *asked);
    struct lk_cache_request *requests = PyMem_Calloc(count + 1, sizeof *requests);
    PyObject *dict = NULL;
    if (asked == NULL || requests == NULL)
        PyErr_NoMemory();
    else
        dict = get_them(cache_of(self), &PyTuple_GET_ITEM(tuple, 0), count, asked, requests);
    PyMem_Free(asked);
    PyMem_Free(requests);
    Py_DECREF(tuple);
    return dict;
}

/* ---- the whole cache ------------------------------------------------------------------------- */

PyObject *lkp_cache_flush(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct lkp_change change = {.act = LKP_FLUSH};
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    int rc = lkp_change(cache_of(self), &change);
    if (rc != 0)
        return lkp_raise(rc, false);
    Py_RETURN_NONE;
}

PyObject *lkp_cache_repair(PyObject *self, PyObject *Py_UNUSED(unused))
{
    struct lkp_change change = {.act = LKP_REPAIR};
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    int rc = lkp_change(cache_of(self), &change);
    return rc == 0 ? PyLong_FromUnsignedLong(change.repaired) : lkp_raise(rc, false);
}

static void tell(const char *place, const char *problem, void *arg)
{
    PyObject *text = PyUnicode_FromFormat("%s: %s", place, problem);
    if (text == NULL || PyList_Append(arg, text) != 0)
        PyErr_Clear(); /* the call's own result says that there are problems */
    Py_XDECREF(text);
}

PyObject *lkp_cache_verify(PyObject *self, PyObject *Py_UNUSED(unused))
{
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    PyObject *problems = PyList_New(0);
    if (problems == NULL)
        return NULL;
    int rc = lk_cache_verify(cache_of(self)->handle, tell, problems);
    if (rc == 0 || rc == LK_ECORRUPT)
        return problems;
    Py_DECREF(problems);
    return lkp_raise(rc, true);
}

#define COUNT(field)                                                                               \
    {                                                                                              \
#field, offsetof(struct lk_cache_stat, field), sizeof(((struct lk_cache_stat *)0)->field)  \
    }

PyObject *lkp_cache_stats(PyObject *self, PyObject *Py_UNUSED(unused))
{
    static const struct {
        const char *name;
        size_t offset, size;
    } fields[] = {
        COUNT(entries),      COUNT(used_bytes),   COUNT(capacity_bytes), COUNT(segment_bytes),
        COUNT(hits),         COUNT(misses),       COUNT(sets),           COUNT(deletes),
        COUNT(evictions),    COUNT(expirations),  COUNT(index_full),     COUNT(promotions),
        COUNT(ghost_hits),   COUNT(fragmented),   COUNT(leases),         COUNT(lease_waits),
        COUNT(lease_deaths), COUNT(deaths),       COUNT(repairs),        COUNT(lock_waits),
        COUNT(backstops),    COUNT(shards),       COUNT(shards_locked),  COUNT(shards_dead),
        COUNT(threads),      COUNT(threads_dead), COUNT(threads_max),    COUNT(leases_held),
    };
    struct lk_cache_stat stat;
    if (lkp_handle(cache_of(self)) == NULL)
        return NULL;
    int rc = lk_cache_stat(cache_of(self)->handle, &stat);
    if (rc != 0)
        return lkp_raise(rc, false);
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < sizeof fields / sizeof fields[0]; i++) {
        const char *at = (const char *)&stat + fields[i].offset;
        uint64_t wide = 0;
        memcpy(&wide, at, fields[i].size); /* little-endian, as the library requires */
        PyObject *count = PyLong_FromUnsignedLongLong(wide);
        if (count == NULL || PyDict_SetItemString(dict, fields[i].name, count) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(count);
    }
    return dict;
}
