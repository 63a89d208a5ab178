/* table.c - the table of the memory backend: hash chains over an array of entries, two queues.
 *
 * Comparing keys may run Python code (__eq__), which may change this very table: then the search
 * begins anew.  Releasing objects may run Python code too: it is done last. */
#include "table.h"

#include <string.h>

enum { ROOM_FIRST = 64, FREQUENCY_MAX = 3, SMALL = 0, MAIN = 1, TRIES = 1000 };

#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- comparing ------------------------------------------------------------------------------- */

static int same(PyObject *a, PyObject *b);

static int same_tuple(PyObject *a, PyObject *b)
{
    Py_ssize_t count = PyTuple_GET_SIZE(a);
    if (count != PyTuple_GET_SIZE(b))
        return 0;
    if (Py_EnterRecursiveCall(" while comparing arguments"))
        return -1;
    int rc = 1;
    for (Py_ssize_t i = 0; i < count && rc == 1; i++)
        rc = same(PyTuple_GET_ITEM(a, i), PyTuple_GET_ITEM(b, i));
    Py_LeaveRecursiveCall();
    return rc;
}

/* Types whose == runs no Python code. */
static inline bool quiet(PyTypeObject *type)
{
    return type == &PyLong_Type || type == &PyUnicode_Type || type == &PyBytes_Type;
}

static inline int same_quiet(PyTypeObject *type, PyObject *a, PyObject *b)
{
    PyObject *answer = type->tp_richcompare(a, b, Py_EQ);
    int rc = answer == Py_True;
    Py_DECREF(answer);
    return rc;
}

/* 1 the same key, 0 not, -1 an exception. */
static int same(PyObject *a, PyObject *b)
{
    PyTypeObject *type = Py_TYPE(a);
    if (a == b)
        return 1;
    if (type != Py_TYPE(b))
        return 0;
    if (quiet(type))
        return same_quiet(type, a, b);
    if (type == &PyFloat_Type) { /* by their bits: 0.0 and -0.0 differ */
        double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
        return memcmp(&x, &y, sizeof x) == 0;
    }
    if (type == &PyTuple_Type)
        return same_tuple(a, b);
    return PyObject_RichCompareBool(a, b, Py_EQ);
}

static int same_names(PyObject *a, PyObject *b)
{
    if (a == b)
        return 1;
    if (a == NULL || b == NULL || PyTuple_GET_SIZE(a) != PyTuple_GET_SIZE(b))
        return 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(a); i++) {
        PyObject *x = PyTuple_GET_ITEM(a, i), *y = PyTuple_GET_ITEM(b, i);
        if (x != y && PyUnicode_Compare(x, y) != 0)
            return 0;
    }
    return 1;
}

/* Compare a whole key; *changed: the table is another now, the answer means nothing. */
static int same_call(const struct lkp_table *t, uint32_t at, const struct lkp_call *call,
                     bool *changed)
{
    const struct lkp_entry *e = &t->entries[at];
    uint64_t changes = t->changes;
    int rc = e->count == call->count && same_names(e->names, call->names);
    for (Py_ssize_t i = 0; i < call->count && rc == 1; i++) {
        PyObject *mine = Py_NewRef(e->args[i]);
        rc = same(mine, call->args[i]);
        Py_DECREF(mine);
        if (t->changes != changes) {
            *changed = true;
            return rc < 0 ? -1 : 0;
        }
    }
    return rc;
}

/* ---- chains ---------------------------------------------------------------------------------- */

static inline uint32_t *head_of(const struct lkp_table *t, Py_hash_t hash)
{
    uint64_t spread = (uint64_t)hash * 0x9e3779b97f4a7c15u;
    return &t->heads[(spread >> 32) & t->mask];
}

/* entry + 1; 0 = not there; UINT32_MAX = an exception. */
static uint32_t find_any(const struct lkp_table *t, const struct lkp_call *call)
{
    for (int i = 0; i < TRIES; i++) {
        bool changed = false;
        uint32_t at = *head_of(t, call->hash);
        while (at != 0 && !changed) {
            const struct lkp_entry *e = &t->entries[at - 1];
            int rc = e->hash == call->hash ? same_call(t, at - 1, call, &changed) : 0;
            if (rc != 0)
                return rc < 0 ? UINT32_MAX : at;
            if (!changed)
                at = t->entries[at - 1].chain;
        }
        if (!changed)
            return 0;
    }
    PyErr_SetString(PyExc_RuntimeError, "comparing arguments changes the cache for ever");
    return UINT32_MAX;
}

static inline uint32_t find(const struct lkp_table *t, const struct lkp_call *call)
{
    if (call->count != 1 || call->names != NULL || !quiet(Py_TYPE(call->args[0])))
        return find_any(t, call);
    PyObject *mine = call->args[0];
    /* One argument of the common types: nothing can change meanwhile. */
    uint32_t at = *head_of(t, call->hash);
    while (at != 0) {
        const struct lkp_entry *e = &t->entries[at - 1];
        if (e->hash == call->hash && e->count == 1 && e->names == NULL) {
            PyTypeObject *type = Py_TYPE(mine);
            if (e->one == mine || (Py_TYPE(e->one) == type && same_quiet(type, e->one, mine)))
                return at;
        }
        at = e->chain;
    }
    return 0;
}

static void unchain(struct lkp_table *t, uint32_t at)
{
    uint32_t *link = head_of(t, t->entries[at].hash);
    while (*link != at + 1)
        link = &t->entries[*link - 1].chain;
    *link = t->entries[at].chain;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static struct lkp_queue *queue_of(struct lkp_table *t, uint32_t at)
{
    return t->entries[at].queue == MAIN ? &t->main : &t->small;
}

static void enqueue(struct lkp_table *t, uint32_t at, uint8_t queue)
{
    struct lkp_entry *e = &t->entries[at];
    struct lkp_queue *q = queue == MAIN ? &t->main : &t->small;
    e->queue = queue;
    e->newer = 0;
    e->older = q->newest;
    if (q->newest != 0)
        t->entries[q->newest - 1].newer = at + 1;
    else
        q->oldest = at + 1;
    q->newest = at + 1;
    q->count++;
}

static void dequeue(struct lkp_table *t, uint32_t at)
{
    struct lkp_entry *e = &t->entries[at];
    struct lkp_queue *q = queue_of(t, at);
    if (e->newer != 0)
        t->entries[e->newer - 1].older = e->older;
    else
        q->newest = e->older;
    if (e->older != 0)
        t->entries[e->older - 1].newer = e->newer;
    else
        q->oldest = e->newer;
    q->count--;
}

/* Who must go: the oldest of the small queue while that is over its tenth, else of the main one;
 * those that were hit go on to the main queue, or round in it. */
static uint32_t victim(struct lkp_table *t)
{
    uint32_t small_size = t->capacity / 10 > 0 ? t->capacity / 10 : 1;
    for (;;) {
        bool from_small =
            t->small.oldest != 0 && (t->main.oldest == 0 || t->small.count >= small_size);
        uint32_t at = (from_small ? t->small.oldest : t->main.oldest) - 1;
        struct lkp_entry *e = &t->entries[at];
        if (e->frequency == 0)
            return at;
        dequeue(t, at);
        e->frequency = from_small ? 0 : (uint8_t)(e->frequency - 1);
        enqueue(t, at, MAIN);
    }
}

static struct lkp_ghost *ghost_of(const struct lkp_table *t, Py_hash_t hash, uint32_t *fingerprint)
{
    uint64_t spread = (uint64_t)hash * 0xd6e8feb86659fd93u;
    *fingerprint = (uint32_t)(spread >> 32) | 1;
    return &t->ghosts[spread >> 7 & t->ghost_mask];
}

static void remember(struct lkp_table *t, Py_hash_t hash)
{
    uint32_t fingerprint;
    struct lkp_ghost *g = ghost_of(t, hash, &fingerprint);
    *g = (struct lkp_ghost){fingerprint, t->ghost_time++};
}

static bool remembered(const struct lkp_table *t, Py_hash_t hash)
{
    uint32_t fingerprint;
    const struct lkp_ghost *g = ghost_of(t, hash, &fingerprint);
    return g->fingerprint == fingerprint && t->ghost_time - g->time <= t->capacity;
}

/* ---- entries --------------------------------------------------------------------------------- */

static void release(struct lkp_dropped *d)
{
    Py_XDECREF(d->value);
    Py_XDECREF(d->names);
    if (d->args == NULL)
        Py_XDECREF(d->one);
    for (uint32_t i = 0; d->args != NULL && i < d->count; i++)
        Py_DECREF(d->args[i]);
    PyMem_Free(d->args);
}

/* Take the entry out; its objects are the caller's to release. */
static struct lkp_dropped drop(struct lkp_table *t, uint32_t at)
{
    struct lkp_entry *e = &t->entries[at];
    struct lkp_dropped d = {e->value, e->names, e->args == &e->one ? NULL : e->args, e->one,
                            e->count};
    unchain(t, at);
    dequeue(t, at);
    *e = (struct lkp_entry){.chain = t->free_list};
    t->free_list = at + 1;
    t->count--;
    t->changes++;
    return d;
}

/* More entries; those with one argument point into themselves. */
static int more_room(struct lkp_table *t)
{
    uint32_t room = t->room == 0 ? ROOM_FIRST : t->room * 2;
    if (room > t->capacity)
        room = t->capacity;
    struct lkp_entry *grown = PyMem_Realloc(t->entries, room * sizeof *grown);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < t->begun; i++) {
        if (grown[i].value != NULL && grown[i].count <= 1)
            grown[i].args = &grown[i].one;
    }
    t->entries = grown;
    t->room = room;
    return 0;
}

/* Twice as many heads as entries, at least. */
static int more_heads(struct lkp_table *t)
{
    uint32_t wanted = t->mask + 1;
    if (t->heads != NULL && t->count < wanted / 2)
        return 0;
    wanted = t->heads == NULL ? ROOM_FIRST * 2 : wanted * 2;
    uint32_t *heads = PyMem_Calloc(wanted, sizeof *heads);
    if (heads == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(t->heads);
    t->heads = heads;
    t->mask = wanted - 1;
    for (uint32_t i = 0; i < t->begun; i++) {
        struct lkp_entry *e = &t->entries[i];
        if (e->value == NULL)
            continue;
        uint32_t *head = head_of(t, e->hash);
        e->chain = *head;
        *head = i + 1;
    }
    return 0;
}

static int hold_args(struct lkp_entry *e, const struct lkp_call *call)
{
    e->args = &e->one;
    e->one = NULL;
    e->count = (uint32_t)call->count;
    if (call->count > 1) {
        e->args = PyMem_Malloc((size_t)call->count * sizeof(PyObject *));
        if (e->args == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < call->count; i++)
        e->args[i] = Py_NewRef(call->args[i]);
    e->names = Py_XNewRef(call->names);
    return 0;
}

static uint32_t free_entry(struct lkp_table *t)
{
    uint32_t at = t->free_list;
    if (at == 0)
        return t->begun++;
    t->free_list = t->entries[at - 1].chain;
    return at - 1;
}

static int insert(struct lkp_table *t, const struct lkp_call *call, PyObject *value,
                  uint64_t expire_ns, struct lkp_dropped *dropped)
{
    bool known = t->ghosts != NULL && remembered(t, call->hash);
    if (t->count == t->capacity) {
        uint32_t at = victim(t);
        if (t->entries[at].queue == SMALL && t->ghosts != NULL)
            remember(t, t->entries[at].hash);
        *dropped = drop(t, at);
    }
    if (t->free_list == 0 && t->begun == t->room && more_room(t) != 0)
        return -1;
    if (more_heads(t) != 0)
        return -1;
    uint32_t at = free_entry(t);
    struct lkp_entry *e = &t->entries[at];
    if (hold_args(e, call) != 0) {
        *e = (struct lkp_entry){.chain = t->free_list};
        t->free_list = at + 1;
        return -1;
    }
    e->hash = call->hash;
    e->value = Py_NewRef(value);
    e->expire_ns = expire_ns;
    e->frequency = 0;
    uint32_t *head = head_of(t, e->hash);
    e->chain = *head;
    *head = at + 1;
    enqueue(t, at, known ? MAIN : SMALL);
    t->count++;
    t->changes++;
    return 0;
}

/* ---- what others call ------------------------------------------------------------------------ */

int lkp_table_begin(struct lkp_table *t, uint32_t capacity)
{
    memset(t, 0, sizeof *t);
    t->capacity = capacity;
    if (more_heads(t) != 0)
        return -1;
    if (capacity < 10 || capacity == UINT32_MAX)
        return 0; /* the ghosts of so few say nothing */
    uint32_t ghosts = 16;
    while (ghosts < capacity && ghosts < 1u << 30)
        ghosts *= 2;
    t->ghosts = PyMem_Calloc(ghosts, sizeof *t->ghosts);
    t->ghost_mask = ghosts - 1;
    t->ghost_time = capacity + 1;
    if (t->ghosts == NULL)
        PyErr_NoMemory();
    return t->ghosts != NULL ? 0 : -1;
}

void lkp_table_clear(struct lkp_table *t)
{
    struct lkp_table old = *t;
    t->entries = NULL;
    t->room = t->begun = t->free_list = t->count = 0;
    t->small = t->main = (struct lkp_queue){0, 0, 0};
    if (t->heads != NULL)
        memset(t->heads, 0, ((size_t)t->mask + 1) * sizeof *t->heads);
    t->changes++;
    for (uint32_t i = 0; i < old.begun; i++) {
        struct lkp_entry *e = &old.entries[i];
        struct lkp_dropped d = {e->value, e->names, e->args == &e->one ? NULL : e->args, e->one,
                                e->count};
        if (e->value != NULL)
            release(&d);
    }
    PyMem_Free(old.entries);
}

void lkp_table_end(struct lkp_table *t)
{
    lkp_table_clear(t);
    PyMem_Free(t->heads);
    PyMem_Free(t->ghosts);
    t->heads = NULL;
    t->ghosts = NULL;
}

int lkp_table_traverse(const struct lkp_table *t, visitproc visit, void *arg)
{
    for (uint32_t i = 0; i < t->begun; i++) {
        const struct lkp_entry *e = &t->entries[i];
        if (e->value == NULL)
            continue;
        Py_VISIT(e->value);
        Py_VISIT(e->names);
        for (uint32_t j = 0; j < e->count; j++)
            Py_VISIT(e->args[j]);
    }
    return 0;
}

int lkp_table_get(struct lkp_table *t, const struct lkp_call *call, uint64_t now_ns,
                  PyObject **value)
{
    uint32_t at = find(t, call);
    if (at == 0 || at == UINT32_MAX)
        return at == 0 ? 0 : -1;
    struct lkp_entry *e = &t->entries[at - 1];
    if (UNLIKELY(e->expire_ns != 0 && e->expire_ns <= now_ns))
        return 0;
    if (e->frequency < FREQUENCY_MAX)
        e->frequency++;
    *value = Py_NewRef(e->value);
    return 1;
}

int lkp_table_put(struct lkp_table *t, const struct lkp_call *call, PyObject *value,
                  uint64_t expire_ns)
{
    struct lkp_dropped dropped = {0};
    uint32_t at = t->capacity > 0 ? find(t, call) : 0;
    int rc = at == UINT32_MAX ? -1 : 0;
    if (at != 0 && rc == 0) {
        struct lkp_entry *e = &t->entries[at - 1];
        dropped.value = e->value;
        e->value = Py_NewRef(value);
        e->expire_ns = expire_ns;
    } else if (rc == 0 && t->capacity > 0) {
        rc = insert(t, call, value, expire_ns, &dropped);
    }
    release(&dropped);
    return rc;
}

int lkp_table_delete(struct lkp_table *t, const struct lkp_call *call)
{
    uint32_t at = find(t, call);
    if (at == 0 || at == UINT32_MAX)
        return at == 0 ? 0 : -1;
    struct lkp_dropped dropped = drop(t, at - 1);
    release(&dropped);
    return 1;
}
