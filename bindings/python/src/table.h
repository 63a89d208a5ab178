/* table.h - the table of the memory backend: arguments of a call -> value, at most so many, in the
 * memory of this process.
 *
 * Eviction is S3-FIFO with promotion after one hit, as in the shared cache: a hit stores one byte
 * at most and moves nothing.  The capacity is exact, however small.
 *
 * Keys are the arguments themselves, compared one by one: of one type and equal.  1, 1.0 and True
 * are three keys, also within tuples; within other objects their own == decides. */
#ifndef LKP_TABLE_H
#define LKP_TABLE_H

#include "core.h"

/* Arguments of a call as a key.  Keywords are in the order of their names. */
struct lkp_call {
    PyObject *const *args; /* positional ones, then the values of the keywords */
    Py_ssize_t count;      /* of both */
    PyObject *names;       /* tuple, sorted; NULL = no keywords */
    Py_hash_t hash;
    PyObject **sorted; /* what lkp_call_end() frees, or NULL */
};

/* Returns 0 or -1 with an exception (an argument that is unhashable). */
int lkp_call_begin(struct lkp_call *call, PyObject *const *args, Py_ssize_t positional,
                   PyObject *names);
void lkp_call_end(struct lkp_call *call);

struct lkp_entry {
    Py_hash_t hash;
    PyObject *value; /* NULL: this entry is free */
    PyObject *names;
    PyObject **args; /* &one, or allocated */
    PyObject *one;
    uint64_t expire_ns; /* CLOCK_BOOTTIME; 0 = never */
    uint32_t count;
    uint32_t chain;        /* next of the same head; entry + 1, 0 = none; or of the free list */
    uint32_t newer, older; /* in its queue */
    uint8_t frequency;     /* hits, 0..3 */
    uint8_t queue;
};

struct lkp_queue {
    uint32_t newest, oldest, count;
};

struct lkp_ghost {
    uint32_t fingerprint, time;
};

struct lkp_table {
    struct lkp_entry *entries;
    uint32_t *heads; /* entry + 1 */
    struct lkp_ghost *ghosts;
    uint32_t mask;      /* of heads */
    uint32_t room;      /* entries allocated */
    uint32_t begun;     /* entries ever used */
    uint32_t free_list; /* entry + 1 */
    uint32_t count, capacity;
    uint32_t ghost_mask, ghost_time;
    uint64_t changes; /* a lookup that ran Python code looks whether this is as before */
    struct lkp_queue small, main;
};

/* An object or several that left the table, to be released when the table is whole again. */
struct lkp_dropped {
    PyObject *value, *names, **args, *one;
    uint32_t count;
};

int lkp_table_begin(struct lkp_table *t, uint32_t capacity);
void lkp_table_end(struct lkp_table *t);
int lkp_table_traverse(const struct lkp_table *t, visitproc visit, void *arg);

/* A new reference in *value: 1 found, 0 not found or expired, -1 an exception of some __eq__. */
int lkp_table_get(struct lkp_table *t, const struct lkp_call *call, uint64_t now_ns,
                  PyObject **value);
/* Store unless the key is there (then only the value is replaced).  0, or -1 with an exception. */
int lkp_table_put(struct lkp_table *t, const struct lkp_call *call, PyObject *value,
                  uint64_t expire_ns);
/* 1 removed, 0 not there, -1 an exception. */
int lkp_table_delete(struct lkp_table *t, const struct lkp_call *call);
void lkp_table_clear(struct lkp_table *t);

#endif
