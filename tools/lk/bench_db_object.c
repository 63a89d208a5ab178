/* bench_db_object.c - what a ghost's load costs beyond the store's read, what a use of a resident
 * object costs, and two readers of one object beside one. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench_db_peers.h"

enum { LEAF = 60, LEAVES = 1000, ASKED = 2 * LEAVES, OBJECTS = 64, USES = 1 << 20 };

/* ---- loads ---------------------------------------------------------------------------------- */

/* A store that remembers which records were asked for. */
static lk_store inner;
static uint64_t asked[ASKED];
static size_t n_asked;

static int noting_load(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg)
{
    if (n_asked < ASKED)
        asked[n_asked++] = oid;
    return inner.ops->load(store, snap, oid, take, arg);
}

static int fill(lk_db *db)
{
    lk_txn *x;
    lk_tree *t;
    int rc = lk_txn_begin(db, &x);
    if (rc != 0)
        return rc;
    rc = lk_txn_tree(x, "leaves", &(struct lk_tree_options){LEAF, 0}, &t);
    for (int64_t i = 0; i < (int64_t)LEAF * LEAVES && rc == 0; i++) {
        unsigned char key[8];
        lk_key_int64(key, i);
        rc = lk_tree_put(t, (struct lk_bytes){key, 8}, (struct lk_bytes){&i, 8}, NULL);
    }
    if (rc == 0)
        rc = lk_txn_commit(x, NULL);
    if (rc != 0)
        lk_txn_abort(x);
    return rc;
}

/* One get in each leaf: *ns for all of them. */
static int touch(lk_tree *t, double *ns)
{
    double begun = db_cpu_ns();
    int rc = lk_section_begin();
    for (int64_t i = 0; i < LEAVES && rc == 0; i++) {
        unsigned char key[8];
        struct lk_bytes value;
        lk_key_int64(key, i * LEAF);
        rc = lk_tree_get(t, (struct lk_bytes){key, 8}, &value);
    }
    lk_section_end();
    *ns = db_cpu_ns() - begun;
    return rc;
}

static int copy(void *arg, const void *bytes, size_t size)
{
    memcpy(arg, bytes, size < 8192 ? size : 8192);
    return 0;
}

/* The same records read from the store, into a buffer. */
static int read_all(double *ns)
{
    static unsigned char buffer[8192];
    void *snap;
    uint64_t tid;
    int rc = inner.ops->snap(inner.at, &snap, &tid);
    if (rc != 0)
        return rc;
    double begun = db_cpu_ns();
    for (size_t i = 0; i < n_asked && rc == 0; i++)
        rc = inner.ops->load(inner.at, snap, asked[i], copy, buffer);
    *ns = db_cpu_ns() - begun;
    inner.ops->unsnap(inner.at, snap);
    return rc;
}

/* Cold gets less warm ones are the loads, the few inner nodes among them. */
static int load_round(const lk_store *store, struct db_object_figures *f, bool noted)
{
    lk_db *db;
    lk_view *v;
    lk_tree *t;
    double cold = 0, warm = 0, read = 0;
    struct lk_heap_stat before = {0}, after = {0};
    int rc = lk_db_open_on(&db, store, NULL);
    if (rc != 0)
        return rc;
    rc = lk_db_view(db, &v);
    if (rc == 0) {
        rc = lk_view_tree(v, "leaves", &t);
        n_asked = 0;
        lk_heap_stat(lk_db_heap(db), &before);
        if (rc == 0)
            rc = touch(t, &cold);
        lk_heap_stat(lk_db_heap(db), &after);
        if (rc == 0)
            rc = touch(t, &warm);
        if (rc == 0)
            rc = read_all(&read);
        lk_view_end(v);
    }
    lk_db_close(db);
    double loads = (double)(after.loads - before.loads);
    if (rc == 0 && noted && (loads < LEAVES || loads > 2 * LEAVES || n_asked != (size_t)loads))
        return EIO; /* the leaves have not the size that is measured */
    if (rc == 0 && noted) {
        bench_add(&f->load_ns, (cold - warm) / loads);
        bench_add(&f->read_ns, read / loads);
    }
    return rc;
}

static int load_rounds(struct db_object_figures *f, const char *place, uint64_t rounds)
{
    char url[128];
    lk_db *db;
    snprintf(url, sizeof url, "lmdb:%s/leaves", place);
    int rc = lk_store_open(&inner, url, &(struct lk_store_options){.sync = LK_SYNC_NONE});
    if (rc != 0)
        return rc;
    rc = lk_db_open_on(&db, &inner, NULL);
    if (rc == 0) {
        rc = fill(db);
        lk_db_close(db);
    }
    struct lk_store_ops ops = *inner.ops;
    ops.load = noting_load;
    lk_store noting = {&ops, inner.at};
    for (uint64_t i = 0; i <= rounds && rc == 0; i++)
        rc = load_round(&noting, f, i > 0); /* the first one warms the processor's caches */
    lk_store_close(&inner);
    return rc;
}

/* ---- uses ----------------------------------------------------------------------------------- */

static lk_heap *heap;
static lk_object object[OBJECTS];

static int never_loaded(lk_object *o, void *arg, void **state, size_t *bytes)
{
    (void)o, (void)arg, (void)state, (void)bytes;
    return EIO;
}

static const struct lk_class class = {.name = "bench", .load = never_loaded, .free = free};

struct reader {
    int cpu;
    size_t objects; /* used in turn */
    pthread_barrier_t *start;
    uint64_t begun, ended, sum;
    double cpu_ns;
};

static void *read_objects(void *arg)
{
    struct reader *r = arg;
    uint64_t sum = 0;
    bench_pin(r->cpu);
    (void)pthread_barrier_wait(r->start);
    r->begun = cli_now_ns();
    double cpu = db_cpu_ns();
    for (uint64_t i = 0; i < USES / DB_USES; i++) {
        if (lk_section_begin() != 0)
            break;
        for (size_t k = 0; k < DB_USES; k++) {
            void *state;
            if (lk_object_use(heap, &object[k & (r->objects - 1)], NULL, &state) == 0)
                sum += *(const uint64_t *)state;
        }
        lk_section_end();
    }
    r->cpu_ns = db_cpu_ns() - cpu;
    r->ended = cli_now_ns();
    r->sum = sum;
    return NULL;
}

enum { TRIES = 40 };

/* From the first beginning to the last end of `n` readers; NAN if one was not on its CPU all the
 * time, 0 if one did not see what it should. */
static double once_together(unsigned n, size_t objects)
{
    pthread_t id[2];
    pthread_barrier_t start;
    struct reader r[2];
    uint64_t begun = UINT64_MAX, ended = 0;
    bool right = true, disturbed = false;
    (void)pthread_barrier_init(&start, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        r[i] = (struct reader){.cpu = bench_cpu(i), .objects = objects, .start = &start};
        if (pthread_create(&id[i], NULL, read_objects, &r[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_join(id[i], NULL);
        begun = r[i].begun < begun ? r[i].begun : begun;
        ended = r[i].ended > ended ? r[i].ended : ended;
        right = right && r[i].sum == USES;
        disturbed = disturbed || r[i].cpu_ns < 0.95 * (double)(r[i].ended - r[i].begun);
    }
    (void)pthread_barrier_destroy(&start);
    return !right ? 0 : disturbed ? NAN : (double)(ended - begun);
}

/* The same, undisturbed, if that can be had. */
static double together(unsigned n, size_t objects)
{
    double ns = NAN;
    for (int i = 0; i < TRIES && isnan(ns); i++)
        ns = once_together(n, objects);
    return ns;
}

static int use_rounds(struct db_object_figures *f, uint64_t rounds)
{
    int rc = lk_heap_new(&heap, NULL);
    for (size_t i = 0; i < OBJECTS && rc == 0; i++) {
        uint64_t *one = malloc(sizeof *one);
        object[i].class_ = &class;
        if (one == NULL)
            return ENOMEM;
        *one = 1;
        rc = lk_object_adopt(heap, &object[i], one, sizeof *one);
    }
    for (uint64_t i = 0; i < rounds && rc == 0; i++) {
        double many = together(1, OBJECTS), one = together(1, 1);
        double two = bench_cpus() > 1 ? together(2, 1) : NAN;
        if (many <= 0 || one <= 0 || two <= 0)
            rc = EIO; /* a wrong value was seen */
        if (!isnan(many))
            bench_add(&f->use_ns, many / USES);
        if (!isnan(one) && !isnan(two))
            bench_add(&f->readers, 2 * one / two);
    }
    for (size_t i = 0; i < OBJECTS; i++)
        lk_object_drop(heap, &object[i]);
    lk_heap_free(heap);
    return rc;
}

int db_object_rounds(struct db_object_figures *f, const char *place, uint64_t rounds)
{
    int rc = load_rounds(f, place, rounds);
    return rc == 0 ? use_rounds(f, rounds) : rc;
}
