/* db.c - databases and their views. */
#include "object/db.h"

#include <errno.h>
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/error.h"

enum {
    DEFAULT_CACHE = 256 << 20,
    LEAF_MAX = 64,
    INNER_MAX = 128,
    NODE_MAX = 4096,
    NAME_MAX_ = 255
};

static const struct lk_tree_options default_sizes = {LEAF_MAX, INNER_MAX};

/* ---- states --------------------------------------------------------------------------------- */

struct wanted {
    uint64_t oid;
    struct lki_state *state;
    uint64_t **freed;
    char **note;
};

static int broken_state(uint64_t oid, const char *what)
{
    return lki_fail(LK_ECORRUPT, "state record %llx: %s", (unsigned long long)oid, what);
}

static int take_state(void *arg, const void *bytes, size_t size)
{
    const struct wanted *w = arg;
    struct lki_state s;
    uint32_t crc;
    if (size < sizeof s + sizeof crc)
        return broken_state(w->oid, "too short");
    memcpy(&s, bytes, sizeof s);
    memcpy(&crc, (const char *)bytes + size - sizeof crc, sizeof crc);
    if (s.magic != LKI_STATE_MAGIC || crc != lki_crc32c(bytes, size - sizeof crc))
        return broken_state(w->oid, "the checksum is wrong");
    size_t left = size - sizeof s - sizeof crc;
    if (s.note_size > LKI_NOTE_MAX || s.note_size > left || (left - s.note_size) / 8 != s.freed ||
        (left - s.note_size) % 8 != 0)
        return broken_state(w->oid, "sizes contradict each other");
    uint64_t *freed = NULL;
    char *note = NULL;
    const char *at = (const char *)bytes + sizeof s;
    if (w->freed != NULL && (freed = malloc(s.freed * 8 + 1)) == NULL)
        return ENOMEM;
    if (w->note != NULL && (note = calloc(1, s.note_size + 1)) == NULL) {
        free(freed);
        return ENOMEM;
    }
    if (freed != NULL) {
        memcpy(freed, at, s.freed * 8);
        *w->freed = freed;
    }
    if (note != NULL) {
        memcpy(note, at + s.freed * 8, s.note_size);
        *w->note = note;
    }
    *w->state = s;
    return 0;
}

int lki_state_load(lk_db *db, void *snap, uint64_t oid, struct lki_state *state, uint64_t **freed,
                   char **note)
{
    struct wanted w = {oid, state, freed, note};
    return db->store.ops->load(db->store.at, snap, oid, take_state, &w);
}

/* ---- trees by name -------------------------------------------------------------------------- */

int lki_named_get(lk_tree *names, const char *name, struct lki_named *named)
{
    struct lk_bytes value, key = {name, strlen(name)};
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lk_tree_get(names, key, &value);
    if (rc == 0 && value.size != sizeof *named)
        rc = lki_fail(LK_ECORRUPT, "the tree '%s' is described by %zu bytes", name, value.size);
    if (rc == 0)
        memcpy(named, value.at, sizeof *named);
    if (rc == 0 && (named->leaf_max < 2 || named->leaf_max > NODE_MAX || named->inner_max < 3 ||
                    named->inner_max > NODE_MAX))
        rc = lki_fail(LK_ECORRUPT, "the tree '%s' has nodes of %u", name, named->leaf_max);
    lk_section_end();
    return rc;
}

int lki_open_named(lk_tree *names, const struct lki_source *source, const char *name, lk_tree **out)
{
    struct lki_named named;
    int rc = lki_named_get(names, name, &named);
    if (rc != 0)
        return rc;
    struct lki_ref *root = named.root != 0 ? lki_ref_get(source->nodes, named.root) : NULL;
    struct lk_tree_options sizes = {named.leaf_max, named.inner_max};
    lk_tree *t = named.root != 0 && root == NULL
                     ? NULL
                     : lki_tree_new(name, source, root, named.entries, &sizes);
    if (t == NULL) {
        lki_ref_drop(root);
        return ENOMEM;
    }
    *out = t;
    return 0;
}

/* ---- databases ------------------------------------------------------------------------------ */

int lk_db_open_on(lk_db **out, const lk_store *store, const struct lk_db_options *options)
{
    lk_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return ENOMEM;
    if (options != NULL)
        db->options = *options;
    db->store = *store;
    struct lk_heap_options limit = {
        .limit_bytes = db->options.cache_bytes != 0 ? db->options.cache_bytes : DEFAULT_CACHE,
        .limit_objects = db->options.cache_nodes,
    };
    int rc = lki_nodes_init(&db->nodes, &limit);
    if (rc != 0) {
        free(db);
        return rc;
    }
    lk_view *v;
    rc = lk_db_view(db, &v); /* is it a database? */
    if (rc != 0) {
        lk_db_close(db);
        return rc;
    }
    lk_view_end(v);
    *out = db;
    return 0;
}

int lk_db_open(lk_db **db, const char *url, const struct lk_db_options *options)
{
    lk_store store;
    int rc = lk_store_open(&store, url, options != NULL ? &options->store : NULL);
    if (rc != 0)
        return rc;
    rc = lk_db_open_on(db, &store, options);
    if (rc != 0)
        lk_store_close(&store);
    else
        (*db)->owns_store = true;
    return rc;
}

void lk_db_close(lk_db *db)
{
    if (db == NULL)
        return;
    lk_view_end(db->newest);
    lki_entries_destroy(db);
    lki_nodes_destroy(&db->nodes);
    if (db->owns_store)
        lk_store_close(&db->store);
    free(db);
}

lk_heap *lk_db_heap(lk_db *db)
{
    return db->nodes.heap;
}

/* ---- views ---------------------------------------------------------------------------------- */

struct lki_source lki_view_source(lk_view *v)
{
    return (struct lki_source){&v->db->nodes, &v->db->store, v->snap, 0};
}

/* A view of the state in record `oid`; `snap` becomes the view's. */
static int view_new(lk_db *db, void *snap, uint64_t oid, lk_view **out)
{
    lk_view *v = calloc(1, sizeof *v);
    if (v == NULL)
        return ENOMEM;
    *v = (lk_view){.db = db, .snap = snap, .users = 1};
    int rc = lki_state_load(db, snap, oid, &v->state, NULL, NULL);
    if (rc == ENOENT && (oid == LKI_OID_HEAD || oid == LKI_OID_FIRST_STATE))
        rc = 0; /* nothing was ever committed */
    struct lki_source source = lki_view_source(v);
    struct lki_ref *root = NULL;
    if (rc == 0 && v->state.root != 0 && (root = lki_ref_get(&db->nodes, v->state.root)) == NULL)
        rc = ENOMEM;
    if (rc == 0) {
        v->names = lki_tree_new("", &source, root, v->state.entries, &default_sizes);
        if (v->names == NULL) {
            lki_ref_drop(root);
            rc = ENOMEM;
        }
    }
    if (rc != 0)
        free(v);
    else
        *out = v;
    return rc;
}

int lk_db_view(lk_db *db, lk_view **out)
{
    void *snap;
    uint64_t tid;
    int rc = db->store.ops->snap(db->store.at, &snap, &tid);
    if (rc != 0)
        return rc;
    lk_mutex_lock(&db->mu);
    lk_view *v = db->newest, *old = NULL;
    bool again = v != NULL && v->state.tid >= tid;
    if (again)
        v->users++;
    lk_mutex_unlock(&db->mu);
    if (again) {
        db->store.ops->unsnap(db->store.at, snap);
        *out = v;
        return 0;
    }
    rc = view_new(db, snap, LKI_OID_HEAD, &v);
    if (rc != 0) {
        db->store.ops->unsnap(db->store.at, snap);
        return rc;
    }
    lk_mutex_lock(&db->mu);
    if (db->newest == NULL || db->newest->state.tid < v->state.tid) {
        old = db->newest;
        db->newest = v;
        v->users++;
    }
    lk_mutex_unlock(&db->mu);
    lk_view_end(old);
    *out = v;
    return 0;
}

int lk_db_view_at(lk_db *db, uint64_t tid, lk_view **out)
{
    lk_view *now;
    int rc = lk_db_view(db, &now);
    if (rc != 0)
        return rc;
    if (now->state.tid == tid) {
        *out = now;
        return 0;
    }
    uint64_t oldest = now->state.oldest, newest = now->state.tid;
    lk_view_end(now);
    if (tid < oldest || tid > newest)
        return ENOENT;
    void *snap;
    uint64_t seen;
    rc = db->store.ops->snap(db->store.at, &snap, &seen);
    if (rc != 0)
        return rc;
    /* The state before the first commit has no record: it is empty. */
    rc = view_new(db, snap, tid == 0 ? LKI_OID_FIRST_STATE : LKI_OID_COMMIT(tid), out);
    if (rc != 0)
        db->store.ops->unsnap(db->store.at, snap);
    return rc;
}

uint64_t lk_view_tid(const lk_view *view)
{
    return view->state.tid;
}

lk_tree *lk_view_names(lk_view *view)
{
    return view->names;
}

void lk_view_end(lk_view *v)
{
    if (v == NULL)
        return;
    lk_db *db = v->db;
    lk_mutex_lock(&db->mu);
    bool last = --v->users == 0;
    lk_mutex_unlock(&db->mu);
    if (!last)
        return;
    lki_entries_let_go(v);
    while (v->trees != NULL) {
        lk_tree *t = v->trees;
        v->trees = t->next;
        lki_tree_free(t);
    }
    lki_tree_free(v->names);
    db->store.ops->unsnap(db->store.at, v->snap);
    free(v);
}

int lk_view_tree(lk_view *v, const char *name, lk_tree **tree)
{
    struct lki_source source = lki_view_source(v);
    int rc = 0;
    /* Opening may load nodes: it is not done under the lock, and the second to come wins. */
    lk_tree *made = NULL;
    for (;;) {
        lk_mutex_lock(&v->mu);
        lk_tree *t = v->trees;
        while (t != NULL && strcmp(t->name, name) != 0)
            t = t->next;
        if (t == NULL && made != NULL) {
            made->next = v->trees;
            v->trees = t = made;
            made = NULL;
        }
        lk_mutex_unlock(&v->mu);
        if (made != NULL)
            lki_tree_free(made);
        if (t != NULL) {
            *tree = t;
            return 0;
        }
        rc = lki_open_named(v->names, &source, name, &made);
        if (rc != 0)
            return rc;
    }
}

/* A tree of the view, or an empty one of the same name. */
static int tree_or_empty(lk_view *v, const char *name, lk_tree **tree, lk_tree **empty)
{
    int rc = lk_view_tree(v, name, tree);
    if (rc != ENOENT)
        return rc;
    struct lki_source source = lki_view_source(v);
    *tree = *empty = lki_tree_new(name, &source, NULL, 0, &default_sizes);
    return *empty != NULL ? 0 : ENOMEM;
}

struct both {
    lk_view *before, *after;
    lki_both_fn *fn;
    void *arg;
};

static int one_name(void *arg, struct lk_bytes key, const struct lk_bytes *before,
                    const struct lk_bytes *after)
{
    struct both *b = arg;
    lk_tree *old = NULL, *new = NULL, *empty[2] = {NULL, NULL};
    char name[NAME_MAX_ + 1];
    (void)before;
    (void)after;
    if (key.size == 0 || key.size > NAME_MAX_ || memchr(key.at, '\0', key.size) != NULL)
        return lki_fail(LK_ECORRUPT, "commit %llu: a tree's name of %zu bytes is none",
                        (unsigned long long)b->after->state.tid, key.size);
    memcpy(name, key.at, key.size);
    name[key.size] = '\0';
    int rc = tree_or_empty(b->before, name, &old, &empty[0]);
    if (rc == 0)
        rc = tree_or_empty(b->after, name, &new, &empty[1]);
    if (rc == 0)
        rc = b->fn(b->arg, name, old, new);
    for (int i = 0; i < 2; i++)
        if (empty[i] != NULL)
            lki_tree_free(empty[i]);
    return rc;
}

int lki_each_both(lk_view *before, lk_view *after, lki_both_fn *fn, void *arg)
{
    struct both b = {before, after, fn, arg};
    return lk_tree_diff(before->names, after->names, one_name, &b);
}

int lk_db_check(lk_db *db, uint64_t *trees)
{
    lk_view *v;
    lk_cursor c;
    struct lk_bytes key;
    uint64_t n = 0;
    int rc = lk_db_view(db, &v);
    if (rc != 0)
        return rc;
    rc = lk_section_begin();
    if (rc != 0) {
        lk_view_end(v);
        return rc;
    }
    rc = lk_tree_check(v->names);
    if (rc == 0 && (rc = lk_cursor_begin(&c, v->names, NULL, false)) == 0) {
        while ((rc = lk_cursor_next(&c, &key, NULL)) == 0) {
            char name[NAME_MAX_ + 1] = "";
            lk_tree *t;
            memcpy(name, key.at, key.size < NAME_MAX_ ? key.size : NAME_MAX_);
            rc = lk_view_tree(v, name, &t);
            if (rc == 0)
                rc = lk_tree_check(t);
            if (rc != 0)
                break;
            n++;
        }
        lk_cursor_end(&c);
    }
    lk_section_end();
    lk_view_end(v);
    if (rc == ENOENT) {
        rc = 0;
        if (trees != NULL)
            *trees = n;
    }
    return rc;
}
