/* shared.h - a function cached in shared memory: its state, and what its methods do. */
#ifndef LKP_SHARED_H
#define LKP_SHARED_H

#include "admit.h"
#include "core.h"

struct shared {
    PyObject_HEAD vectorcallfunc call;
    PyObject *function;
    PyObject *dict, *weak;
    struct lkp_state *state;
    struct lkp_cache *cache;
    PyObject *dumps, *loads; /* of another serializer, or NULL */
    size_t max_key, max_value;
    uint64_t ttl_ns;
    uint64_t lease_ns; /* longest wait for another's lease; 0 = leases are not used */
    uint32_t max_size;
    bool always_lease;
    uint32_t leased; /* misses to come that take leases */
    uint32_t untimed;
    uint64_t missed_ns; /* the end of the last miss, by the coarse clock */
    bool warned;
    struct lkp_admission admission;
    struct lkp_counts counts;
};

enum { LKP_LEASED_FIRST = 4 };

struct lkp_bytes {
    const char *bytes;
    size_t size;
};

PyObject *lkp_shared_call(PyObject *self, PyObject *const *args, size_t flagged, PyObject *names);

/* The key in w.  1: done; 0: too large to be cached, counted; -1: an exception. */
int lkp_shared_key(struct shared *f, struct lkp_writer *w, PyObject *const *args, size_t positional,
                   PyObject *names);

/* A hit, or NULL: an exception, or *rc is why not. */
PyObject *lkp_shared_look(struct shared *f, const struct lkp_bytes *key, int *rc);

/* NULL without an exception: what is there is damaged, or of a type unknown here. */
PyObject *lkp_shared_value(const struct shared *f, const struct lkp_value *v);

/* Put the value into the cache, and give the lease back (`lease` may be NULL).  -1: an exception
 * that must not be swallowed. */
int lkp_shared_keep(struct shared *f, const struct lkp_bytes *key, PyObject *value,
                    struct lk_lease *lease);

#endif
