/* history.c - commits that were: list, forget, undo, follow. */
#include "object/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

/* What commit `tid` has freed is needed by states before it only. */
static int remove_freed(lk_db *db, struct lk_writing *w, uint64_t tid, uint64_t *freed)
{
    struct lki_state state;
    uint64_t *oid = NULL;
    int rc = lki_state_load(db, w->snap, LKI_OID_COMMIT(tid), &state, &oid, NULL);
    if (rc == ENOENT)
        return lki_fail(LK_ECORRUPT, "the record of commit %llu is missing",
                        (unsigned long long)tid);
    for (uint64_t i = 0; rc == 0 && i < state.freed; i++)
        rc = w->put(w, oid[i], NULL, 0);
    if (rc == 0)
        *freed += state.freed;
    free(oid);
    return rc;
}

int lki_pack(lk_db *db, struct lk_writing *w, struct lki_state *head, uint64_t tid, uint64_t *freed)
{
    int rc = 0;
    for (; head->oldest < tid && rc == 0; head->oldest++) {
        rc = remove_freed(db, w, head->oldest + 1, freed);
        if (rc == 0 && head->oldest > 0)
            rc = w->put(w, LKI_OID_COMMIT(head->oldest), NULL, 0);
    }
    return rc;
}

struct pack {
    lk_db *db;
    uint64_t tid, freed;
};

static int pack_body(void *arg, struct lk_writing *w)
{
    struct pack *p = arg;
    struct lki_state head;
    static const char note[] = "pack";
    int rc = lki_state_load(p->db, w->snap, LKI_OID_HEAD, &head, NULL, NULL);
    if (rc != 0)
        return rc; /* ENOENT: there is nothing yet */
    uint64_t last = head.tid;
    if (p->tid > last)
        return EINVAL;
    rc = lki_pack(p->db, w, &head, p->tid != 0 ? p->tid : last, &p->freed);
    if (rc != 0)
        return rc;
    head.tid = w->tid;
    head.time_ns = lki_wall_ns();
    head.freed = 0;
    head.note_size = sizeof note - 1;
    return lki_state_store(w, &head, NULL, note);
}

int lk_db_pack(lk_db *db, uint64_t tid, uint64_t *freed)
{
    struct pack p = {db, tid, 0};
    uint64_t made;
    int rc = db->store.ops->write(db->store.at, pack_body, &p, &made);
    if (rc == ENOENT)
        rc = 0;
    if (rc == 0 && freed != NULL)
        *freed = p.freed;
    return rc;
}

int lk_db_history(lk_db *db, uint64_t first, int (*fn)(void *arg, const struct lk_commit *c),
                  void *arg)
{
    lk_view *v;
    int rc = lk_db_view(db, &v);
    if (rc != 0)
        return rc;
    uint64_t tid = v->state.oldest > 0 ? v->state.oldest : 1;
    for (tid = first > tid ? first : tid; tid <= v->state.tid && rc == 0; tid++) {
        struct lki_state s;
        char *note = NULL;
        rc = lki_state_load(db, v->snap, LKI_OID_COMMIT(tid), &s, NULL, &note);
        if (rc == 0)
            rc = fn(arg, &(struct lk_commit){s.tid, s.time_ns, note, s.freed});
        else if (rc == ENOENT)
            rc = lki_fail(LK_ECORRUPT, "the record of commit %llu is missing",
                          (unsigned long long)tid);
        free(note);
    }
    lk_view_end(v);
    return rc;
}

/* ---- undo ----------------------------------------------------------------------------------- */

static int undo_tree(void *arg, const char *name, lk_tree *before, lk_tree *after)
{
    lk_tree *mine;
    int rc = lk_txn_tree(arg, name, NULL, &mine);
    return rc == 0 ? lk_tree_merge(after, before, mine, NULL, NULL) : rc;
}

int lk_db_undo(lk_db *db, uint64_t tid, uint64_t *new_tid)
{
    lk_view *before = NULL, *after = NULL;
    lk_txn *x = NULL;
    char note[64];
    if (tid == 0)
        return ENOENT;
    int rc = lk_db_view_at(db, tid - 1, &before);
    if (rc == 0)
        rc = lk_db_view_at(db, tid, &after);
    if (rc == 0)
        rc = lk_txn_begin(db, &x);
    if (rc == 0)
        rc = lki_each_both(before, after, undo_tree, x);
    if (rc == 0) {
        (void)snprintf(note, sizeof note, "undo of %llu", (unsigned long long)tid);
        rc = lk_txn_note(x, note);
    }
    if (rc == 0)
        rc = lk_txn_commit(x, new_tid);
    if (rc != 0)
        lk_txn_abort(x);
    lk_view_end(before);
    lk_view_end(after);
    return rc;
}

/* ---- the change feed ------------------------------------------------------------------------ */

struct feed {
    lk_change_fn *fn;
    void *arg;
    const char *name;
};

static int one_change(void *arg, struct lk_bytes key, const struct lk_bytes *before,
                      const struct lk_bytes *after)
{
    struct feed *f = arg;
    return f->fn(f->arg, f->name, key, before, after);
}

static int one_tree(void *arg, const char *name, lk_tree *before, lk_tree *after)
{
    struct feed *f = arg;
    f->name = name;
    return lk_tree_diff(before, after, one_change, f);
}

int lk_db_changes(lk_db *db, uint64_t seen, const struct timespec *deadline, lk_change_fn *fn,
                  void *arg, uint64_t *now)
{
    lk_view *before = NULL, *after = NULL;
    uint64_t tid;
    int rc = db->store.ops->changes(db->store.at, seen, deadline, &tid);
    if (rc != 0)
        return rc;
    rc = lk_db_view_at(db, seen, &before);
    if (rc == 0)
        rc = lk_db_view(db, &after);
    if (rc == 0)
        rc = lki_each_both(before, after, one_tree, &(struct feed){fn, arg, NULL});
    if (rc == 0)
        *now = lk_view_tid(after);
    lk_view_end(before);
    lk_view_end(after);
    return rc;
}
