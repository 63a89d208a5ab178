/* core.h - what the files of the extension share.
 *
 * The extension uses the public headers of latchkey only.  One module state per interpreter, no
 * static objects: sub-interpreters share nothing but the segments.  Where an interpreter has no
 * global lock, each object that changes is guarded by its own critical section. */
#ifndef LKP_CORE_H
#define LKP_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <latchkey/cache.h>

#ifdef Py_GIL_DISABLED
#define LKP_BEGIN(object) Py_BEGIN_CRITICAL_SECTION(object)
#define LKP_END() Py_END_CRITICAL_SECTION()
#else
#define LKP_BEGIN(object) {
#define LKP_END() }
#endif

/* A new reference to what `dict` has for `key`, or NULL, perhaps with an exception. */
static inline PyObject *lkp_dict_get(PyObject *dict, PyObject *key)
{
    PyObject *value = NULL;
#if PY_VERSION_HEX >= 0x030d0000
    (void)PyDict_GetItemRef(dict, key, &value);
#else
    value = Py_XNewRef(PyDict_GetItemWithError(dict, key));
#endif
    return value;
}

struct lkp_state {
    PyTypeObject *memory_type, *shared_type, *cache_type, *lease_type, *info_type;
    PyObject *encoders; /* type -> (name as bytes, encode) */
    PyObject *decoders; /* name as bytes -> decode */
    PyObject *missing;  /* what peek() answers for a miss */
};

extern struct PyModuleDef lkp_module;
struct lkp_state *lkp_state_of(PyObject *module);

/* ---- errors ---------------------------------------------------------------------------------- */

/* Raise what `rc` means, with lk_error_text() if `opening`.  Returns NULL. */
PyObject *lkp_raise(int rc, bool opening);

/* ---- arguments ------------------------------------------------------------------------------- */

/* Sort out the arguments of a METH_FASTCALL | METH_KEYWORDS method: out[i] belongs to names[i],
 * NULL if it was not given.  The first `positional` may come by position, the first `required` must
 * be there.  names ends with NULL.  Returns 0 or -1 with an exception. */
int lkp_arguments(const char *method, const char *const *names, int positional, int required,
                  PyObject *const *args, Py_ssize_t count, PyObject *keywords, PyObject **out);

/* Seconds, or an object with total_seconds(), or None or NULL (`none`), as nanoseconds. */
int lkp_duration(PyObject *object, uint64_t none, uint64_t *ns);

uint64_t lkp_boot_ns(void);

/* ---- bytes that grow ------------------------------------------------------------------------- */

enum { LKP_FIRST_BYTES = 512 };

/* Bytes being written: in `first` until they outgrow it. */
struct lkp_writer {
    char *bytes;
    size_t size, capacity;
    size_t limit;          /* LKP_TOO_BIG beyond it */
    PyTypeObject *unknown; /* borrowed: the type that had no encoder */
    char first[LKP_FIRST_BYTES];
};

enum lkp_result {
    LKP_FAILED = -1, /* an exception is set */
    LKP_OK = 0,
    LKP_TOO_BIG,
    LKP_UNKNOWN, /* a type without an encoder, or too deep */
};

static inline void lkp_writer_begin(struct lkp_writer *w, size_t limit)
{
    w->bytes = w->first;
    w->size = 0;
    w->capacity = sizeof w->first;
    w->limit = limit;
    w->unknown = NULL;
}

static inline void lkp_writer_end(struct lkp_writer *w)
{
    if (w->bytes != w->first)
        PyMem_Free(w->bytes);
}

/* ---- codec ----------------------------------------------------------------------------------- */

/* Containers within containers; also what a segment's bytes may make the decoder do. */
enum { LKP_DEPTH = 100 };

/* Append an object.  `key`: only what is hashable. */
enum lkp_result lkp_encode(struct lkp_state *state, struct lkp_writer *w, PyObject *object,
                           bool key, int depth);

/* Append the arguments of a call, unambiguously, keywords in the order of their names. */
enum lkp_result lkp_encode_call(struct lkp_state *state, struct lkp_writer *w,
                                PyObject *const *args, size_t positional, PyObject *names);

/* The object that was encoded.  NULL with *damaged: the bytes are no encoding, or name a type that
 * is not registered here; NULL without: an exception of a registered decoder, or no memory. */
PyObject *lkp_decode(struct lkp_state *state, const char *bytes, size_t size, bool *damaged);

/* An object that the mapping stores: bytes, str, int.  *bytes may point into `object`. */
int lkp_key_bytes(PyObject *object, struct lkp_writer *w, const char **bytes, size_t *size);
int lkp_value_bytes(PyObject *object, struct lkp_writer *w, const char **bytes, size_t *size);
PyObject *lkp_key_object(const char *bytes, size_t size);
PyObject *lkp_value_object(const char *bytes, size_t size);

int lkp_put(struct lkp_writer *w, const void *bytes, size_t size);

/* ---- the shared cache ------------------------------------------------------------------------ */

struct lkp_cache {
    PyObject_HEAD lk_cache *handle; /* NULL: closed */
    lk_cache *closing;
    unsigned inside; /* calls that have released the lock of the interpreter */
    struct lkp_state *state;
    PyObject *weak;
};

/* The handle, or NULL with ValueError. */
static inline lk_cache *lkp_handle(struct lkp_cache *c)
{
    if (c->handle == NULL)
        PyErr_SetString(PyExc_ValueError, "the cache is closed");
    return c->handle;
}

/* Calls that may have to wait are repeated in slices: the handles' lock_timeout_ns makes a call on
 * a locked shard return ETIMEDOUT.  Between slices other threads run and signals are handled. */
#define LKP_SLICE_NS 1000000u

enum { LKP_RAISED = -1000 };

enum lkp_act {
    LKP_SET,
    LKP_ADD,
    LKP_REPLACE,
    LKP_CAS,
    LKP_FILL,
    LKP_DELETE,
    LKP_TOUCH,
    LKP_INCR,
    LKP_FLUSH,
    LKP_REPAIR,
};

/* A call that changes something; which fields it needs is the C call's matter. */
struct lkp_change {
    enum lkp_act act;
    const char *key;
    size_t key_size;
    const char *value;
    size_t value_size;
    uint64_t ttl_ns, version;
    int64_t delta, initial, result;
    struct lk_lease *lease;
    unsigned repaired;
};

/* Do it, waiting as above.  The cache is open.  Returns as the C call, or LKP_RAISED with an
 * exception. */
int lkp_change(struct lkp_cache *c, struct lkp_change *change);
void lkp_release(struct lkp_cache *c, struct lk_lease *lease);

/* Where a value is read to: `first`, or more on the heap. */
struct lkp_value {
    char *bytes;
    size_t size;
    char first[4096];
};
static inline void lkp_value_end(struct lkp_value *v)
{
    if (v->bytes != v->first)
        PyMem_RawFree(v->bytes);
}
/* lk_cache_get() with room for any value.  lkp_value_end() whatever it returns. */
int lkp_get(lk_cache *handle, const char *key, size_t key_size, struct lkp_value *v);
/* lk_cache_lease() with room for any value; waits in slices until `deadline_ns` (CLOCK_MONOTONIC, 0
 * = for ever, 1 = not at all). */
int lkp_lease(struct lkp_cache *c, const char *key, size_t key_size, struct lkp_value *v,
              unsigned flags, uint64_t deadline_ns, struct lk_lease *lease);
uint64_t lkp_mono_ns(void);
/* A deadline so many ns from now. */
uint64_t lkp_deadline(uint64_t timeout_ns);

/* ---- types ----------------------------------------------------------------------------------- */

extern PyType_Spec lkp_memory_spec, lkp_shared_spec, lkp_cache_spec, lkp_lease_spec;

PyObject *lkp_lease_new(struct lkp_cache *c, PyObject *key, uint64_t timeout_ns, bool stale);
PyObject *lkp_cache_scan(PyObject *self, PyObject *const *args, Py_ssize_t count,
                         PyObject *keywords);
PyObject *lkp_cache_stats(PyObject *self, PyObject *unused);
PyObject *lkp_cache_verify(PyObject *self, PyObject *unused);
PyObject *lkp_cache_repair(PyObject *self, PyObject *unused);
PyObject *lkp_cache_flush(PyObject *self, PyObject *unused);
PyObject *lkp_cache_get_many(PyObject *self, PyObject *keys);

/* What a cached function counts, in this process. */
struct lkp_counts {
    uint64_t hits, misses;
    uint64_t oversize;    /* keys or values too large */
    uint64_t uncacheable; /* results that could not be encoded */
    uint64_t errors;      /* the cache failed: computed without it */
};
PyTypeObject *lkp_info_type(void);
/* capacity UINT32_MAX: no limit. */
PyObject *lkp_info(const struct lkp_state *state, const struct lkp_counts *counts,
                   uint32_t capacity, uint64_t size);
PyObject *lkp_parameters(const char *backend, uint32_t capacity, uint64_t ttl_ns);

/* What the two function types share: binding to objects, copies, pickling by name. */
PyObject *lkp_bind(PyObject *self, PyObject *object, PyObject *type);
PyObject *lkp_same(PyObject *self, PyObject *unused);
PyObject *lkp_by_name(PyObject *self, PyObject *unused);

#endif
