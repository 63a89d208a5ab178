/* commit.c - redoing a transaction on what is newest, and storing it.
 *
 * Under the store's single writer: a tree whose newest root is the one that the transaction began
 * from is taken as the transaction left it.  Another one is changed key by key, by the difference
 * between the transaction's base and its own state. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/atomic.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "object/db.h"
#include "object/history.h"
#include "object/load.h"

struct commit {
    lk_txn *txn;
    lk_db *db;
    struct lk_writing *w;
    struct lki_source source;
    struct lki_state head;
    lk_tree *names;
    lk_tree *redone; /* trees that were changed key by key */
    struct lki_oids freed;
    struct lki_ref **stored; /* nodes that were written */
    size_t n_stored, room;
};

/* ---- writing nodes -------------------------------------------------------------------------- */

static int remember(struct commit *c, struct lki_ref *ref)
{
    if (c->n_stored == c->room) {
        size_t room = c->room * 2 + 64;
        struct lki_ref **more = realloc(c->stored, room * sizeof *more);
        if (more == NULL)
            return ENOMEM;
        c->stored = more;
        c->room = room;
    }
    c->stored[c->n_stored++] = ref;
    return 0;
}

static int store_node(struct commit *c, struct lki_ref *ref)
{
    struct lki_node *n = ref->object.state_;
    struct lk_bytes record;
    for (uint32_t i = 0; n->page->level > 0 && i < n->page->count; i++) {
        struct lki_below below = lki_node_below(n, i);
        if (n->child[i] == NULL)
            continue; /* as it was loaded */
        below.oid = n->child[i]->oid;
        lki_node_set_below(n, i, below);
    }
    n = lki_node_seal(n, &record);
    if (n == NULL)
        return ENOMEM;
    /* [commit.1] relaxed: the transaction's own until it is stored. */
    lk_store_rlx_u64((uint64_t *)(void *)&ref->object.state_, (uint64_t)(uintptr_t)n);
    int rc = c->db->store.ops->oids(c->w, 1, &ref->oid);
    if (rc == 0)
        rc = c->w->put(c->w, ref->oid, record.at, record.size);
    return rc == 0 ? remember(c, ref) : rc;
}

static bool is_new(const struct lki_ref *ref)
{
    return ref->owned && ref->oid == 0;
}

/* Every node that is not stored yet, those below before it. */
static int store_tree(struct commit *c, lk_tree *t)
{
    struct lki_path p = {.depth = 0};
    int rc = 0;
    if (t->root == NULL || !is_new(t->root))
        return 0;
    p.step[p.depth++] = (struct lki_step){t->root, t->root->object.state_, 0};
    while (rc == 0 && p.depth > 0) {
        struct lki_step *s = &p.step[p.depth - 1];
        struct lki_ref *child = NULL;
        if (s->node->page->level > 0 && s->at < s->node->page->count)
            child = s->node->child[s->at++];
        if (child == NULL) {
            rc = store_node(c, s->ref);
            p.depth--;
        } else if (is_new(child)) {
            p.step[p.depth++] = (struct lki_step){child, child->object.state_, 0};
        }
    }
    return rc;
}

static int take_freed(struct commit *c, const lk_tree *t)
{
    int rc = 0;
    for (size_t i = 0; i < t->freed.n && rc == 0; i++)
        rc = lki_oids_add(&c->freed, t->freed.oid[i]);
    return rc;
}

static int store_named(struct commit *c, lk_tree *t)
{
    struct lki_named named = {0, t->entries, t->leaf_max, t->inner_max};
    int rc = t->load != NULL ? lki_load(t, &c->db->store, c->w, &named) : store_tree(c, t);
    if (rc == 0)
        rc = take_freed(c, t);
    if (rc != 0)
        return rc;
    if (t->root != NULL)
        named.root = t->root->oid;
    return lk_tree_put(c->names, (struct lk_bytes){t->name, strlen(t->name)},
                       (struct lk_bytes){&named, sizeof named}, NULL);
}

/* ---- redoing -------------------------------------------------------------------------------- */

static int refuse(struct commit *c, lk_tree *t, struct lk_bytes key)
{
    lk_txn *x = c->txn;
    free(x->conflict_key);
    x->conflict_key = malloc(key.size + 1);
    if (x->conflict_key == NULL)
        return ENOMEM;
    if (key.size > 0)
        memcpy(x->conflict_key, key.at, key.size);
    x->conflict_size = key.size;
    x->conflict_tree = t;
    return lki_fail(LK_ECHANGED,
                    "tree '%s': a key that this transaction changed or required was "
                    "changed since commit %llu",
                    t->name, (unsigned long long)x->base->state.tid);
}

struct resolving {
    struct commit *c;
    lk_tree *t;
};

/* Here `mine` is what is committed, and `theirs` the transaction's: the caller is told the
 * reverse. */
static int resolve(void *arg, struct lk_bytes key, const struct lk_bytes *old,
                   const struct lk_bytes *theirs, const struct lk_bytes *mine, struct lk_bytes *out)
{
    struct resolving *r = arg;
    const struct lk_db_options *o = &r->c->db->options;
    int rc = theirs != NULL ? lki_private_merge(r->c->txn, r->t, key, old, mine, out) : ENOENT;
    if (rc == 0 || rc == ENOMEM)
        return rc;
    if (o->resolve != NULL && o->resolve(o->resolve_arg, key, old, mine, theirs, out) == 0)
        return 0;
    return refuse(r->c, r->t, key);
}

/* Is `t` in the newest state what it was in the transaction's base?  *named: the newest. */
static int unmoved(struct commit *c, lk_tree *t, bool *same, struct lki_named *named)
{
    int rc = lki_named_get(c->names, t->name, named);
    if (rc == ENOENT)
        *named = (struct lki_named){0, 0, t->leaf_max, t->inner_max};
    else if (rc != 0)
        return rc;
    *same = named->root == (t->base_root != NULL ? t->base_root->oid : 0);
    return 0;
}

/* The newest state of a tree, to be changed. */
static lk_tree *newest_tree(struct commit *c, const char *name, const struct lki_named *named)
{
    struct lk_tree_options sizes = {named->leaf_max, named->inner_max};
    struct lki_ref *root = named->root != 0 ? lki_ref_get_from(&c->source, named->root) : NULL;
    lk_tree *t = named->root == 0 || root != NULL
                     ? lki_tree_new(name, &c->source, root, named->entries, &sizes)
                     : NULL;
    if (t == NULL) {
        lki_ref_drop(root);
        return NULL;
    }
    t->edit = c->txn->edit;
    t->next = c->redone;
    c->redone = t;
    return t;
}

static int redo(struct commit *c, lk_tree *t, const struct lki_named *named)
{
    struct lk_tree_options sizes = {t->leaf_max, t->inner_max};
    lk_tree *newest = newest_tree(c, t->name, named);
    if (newest == NULL)
        return ENOMEM;
    lk_tree *base = lki_tree_new(t->name, &t->source, t->base_root, t->base_entries, &sizes);
    if (base == NULL)
        return ENOMEM;
    if (base->root != NULL)
        lki_ref_keep(base->root);
    int rc = lk_tree_merge(base, t, newest, resolve, &(struct resolving){c, t});
    lki_tree_free(base);
    return rc == 0 ? store_named(c, newest) : rc;
}

static int commit_tree(struct commit *c, lk_tree *t)
{
    struct lki_named named;
    bool same;
    if (t->broken != 0)
        return t->broken;
    if (!t->changed)
        return 0;
    int rc = unmoved(c, t, &same, &named);
    if (rc != 0)
        return rc;
    if (!same && t->load != NULL)
        return lki_fail(LK_ECHANGED, "tree '%s': it was to be loaded, and is empty no more",
                        t->name);
    return same ? store_named(c, t) : redo(c, t, &named);
}

/* A key that was only read must be what it was. */
static int check_required(struct commit *c, const struct required *r)
{
    struct lk_bytes key = {r->key, r->size}, a, b;
    struct lki_named named;
    lk_tree *old = NULL;
    bool same;
    int rc = unmoved(c, r->tree, &same, &named);
    if (rc != 0 || same)
        return rc;
    lk_tree *newest = newest_tree(c, r->tree->name, &named);
    if (newest == NULL)
        return ENOMEM;
    int ra = lk_view_tree(c->txn->base, r->tree->name, &old);
    ra = ra == 0 ? lk_tree_get(old, key, &a) : ra;
    int rb = lk_tree_get(newest, key, &b);
    if ((ra != 0 && ra != ENOENT) || (rb != 0 && rb != ENOENT))
        return ra != 0 && ra != ENOENT ? ra : rb;
    return ra == rb && (ra != 0 || lki_compare(a, b) == 0) ? 0 : refuse(c, r->tree, key);
}

/* ---- the whole ------------------------------------------------------------------------------ */

int lki_state_store(struct lk_writing *w, const struct lki_state *state, const uint64_t *freed,
                    const char *note)
{
    size_t size = sizeof *state + state->freed * 8 + state->note_size;
    unsigned char *record = malloc(size + 4);
    if (record == NULL)
        return ENOMEM;
    memcpy(record, state, sizeof *state);
    if (state->freed > 0)
        memcpy(record + sizeof *state, freed, state->freed * 8);
    if (state->note_size > 0)
        memcpy(record + size - state->note_size, note, state->note_size);
    uint32_t crc = lki_crc32c(record, size);
    memcpy(record + size, &crc, 4);
    int rc = w->put(w, LKI_OID_COMMIT(state->tid), record, size + 4);
    free(record);
    if (rc != 0)
        return rc;
    /* The head: the same without lists. */
    struct {
        struct lki_state state;
        uint32_t crc, unused;
    } head = {*state, 0, 0};
    head.state.freed = 0;
    head.state.note_size = 0;
    head.crc = lki_crc32c(&head.state, sizeof head.state);
    return w->put(w, LKI_OID_HEAD, &head, sizeof head.state + 4);
}

uint64_t lki_wall_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int load_head(struct commit *c)
{
    int rc = lki_state_load(c->db, c->w->snap, LKI_OID_HEAD, &c->head, NULL, NULL);
    if (rc == ENOENT)
        c->head = (struct lki_state){.magic = LKI_STATE_MAGIC};
    else if (rc != 0)
        return rc;
    struct lki_named names = {c->head.root, c->head.entries, 64, 128};
    c->names = newest_tree(c, "", &names);
    return c->names != NULL ? 0 : ENOMEM;
}

static int store_state(struct commit *c)
{
    int rc = store_tree(c, c->names);
    if (rc == 0)
        rc = take_freed(c, c->names);
    if (rc != 0)
        return rc;
    c->head.tid = c->w->tid;
    c->head.time_ns = lki_wall_ns();
    c->head.root = c->names->root != NULL ? c->names->root->oid : 0;
    c->head.entries = c->names->entries;
    c->head.freed = c->freed.n;
    c->head.note_size = (uint32_t)strlen(c->txn->note);
    uint64_t keep = c->db->options.keep;
    uint64_t forget = keep != 0 && c->head.tid > keep ? c->head.tid - keep : 0, freed = 0;
    rc = lki_pack(c->db, c->w, &c->head, forget, &freed);
    return rc == 0 ? lki_state_store(c->w, &c->head, c->freed.oid, c->txn->note) : rc;
}

/* In a section of its own: the thread may be another. */
static int body(void *arg, struct lk_writing *w)
{
    struct commit *c = arg;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    c->w = w;
    c->source = (struct lki_source){&c->db->nodes, &c->db->store, w->snap, w->unsure};
    rc = load_head(c);
    for (const struct required *r = c->txn->required; r != NULL && rc == 0; r = r->next)
        rc = check_required(c, r);
    for (lk_tree *t = c->txn->trees; t != NULL && rc == 0; t = t->next)
        rc = commit_tree(c, t);
    if (rc == 0)
        rc = store_state(c);
    lk_section_end();
    return rc;
}

/* May another thread do it?  Not if functions of the caller's are called. */
static bool may_be_shared(const lk_txn *x)
{
    bool calls = x->db->options.resolve != NULL || x->privates != NULL;
    for (const lk_tree *t = x->trees; t != NULL; t = t->next)
        calls = calls || t->load != NULL;
    return x->db->store.ops->write_shared != NULL && !calls;
}

static bool nothing_changed(const lk_txn *x)
{
    for (const lk_tree *t = x->trees; t != NULL; t = t->next)
        if (t->changed || t->broken != 0)
            return false;
    return x->required == NULL;
}

int lk_txn_commit(lk_txn *x, uint64_t *tid)
{
    struct commit c = {.txn = x, .db = x->db};
    uint64_t made = x->base->state.tid;
    int rc = lk_section_begin();
    if (rc != 0)
        return rc;
    rc = lki_privates_save(x);
    const struct lk_store_ops *ops = x->db->store.ops;
    if (rc == 0 && !nothing_changed(x))
        rc = (may_be_shared(x) ? ops->write_shared : ops->write)(x->db->store.at, body, &c, &made);
    for (size_t i = 0; i < c.n_stored && rc == 0; i++)
        lki_ref_stored(c.stored[i]);
    lk_section_end();
    while (c.redone != NULL) {
        lk_tree *t = c.redone;
        c.redone = t->next;
        lki_tree_free(t);
    }
    free(c.freed.oid);
    free(c.stored);
    if (rc != 0)
        return rc;
    lk_txn_abort(x);
    if (tid != NULL)
        *tid = made;
    return 0;
}
