/* latchkey/db.h - a database of trees: views, transactions, history.
 *
 * A *view* is one committed state: it never changes, and any number of threads may share it.  A
 * *transaction* is a private continuation of the newest view.  To commit it is to redo its changes
 * on what is newest then, under the store's single writer: it refuses exactly if a key that it
 * changed (or required) has been changed since by another, and names the key and the other
 * transaction. Splits, merges and counts of nodes are no conflicts.  Between begin and commit it
 * sees its own changes on one state: snapshot isolation.
 *
 * Every committed state stays readable until it is packed away: lk_db_view_at(), history, undo and
 * the change feed compare two of them, at a cost that depends on what changed.
 *
 * Nodes are shared by all views and transactions of the process, loaded when used, and evicted
 * above the cache's limit, never while a section may see them (latchkey/object.h).
 * Several processes may open one LMDB or PostgreSQL store at once.
 * Safe from   any thread; a transaction is one thread's at a time.  Not across fork. */
#ifndef LATCHKEY_DB_H
#define LATCHKEY_DB_H

#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"
#include "latchkey/object.h"
#include "latchkey/store.h"
#include "latchkey/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lk_db_options {
    struct lk_store_options store;
    uint64_t cache_bytes; /* 0 = 256 MiB */
    uint64_t cache_nodes; /* 0 = no limit */
    uint64_t keep;        /* commits that stay in the history; 0 = all until lk_db_pack() */
    /* Asked about a key that two transactions changed; NULL: refuse. */
    lk_resolve_fn *resolve;
    void *resolve_arg;
};

/* Open, close.  URLs: latchkey/store.h.  lk_db_open_on() uses a store that stays the caller's.
 * At close no view or transaction may be open. */
LK_API LK_MUST_USE int lk_db_open(lk_db **db, const char *url, const struct lk_db_options *options);
LK_API LK_MUST_USE int lk_db_open_on(lk_db **db, const lk_store *store,
                                     const struct lk_db_options *options);
LK_API void lk_db_close(lk_db *db);
LK_API lk_heap *lk_db_heap(lk_db *db);

/* The newest state; the state behind commit `tid` (ENOENT: packed away, or not there yet). */
LK_API LK_MUST_USE int lk_db_view(lk_db *db, lk_view **view);
LK_API LK_MUST_USE int lk_db_view_at(lk_db *db, uint64_t tid, lk_view **view);
LK_API uint64_t lk_view_tid(const lk_view *view);
LK_API void lk_view_end(lk_view *view);
/* The names of its trees are the keys of this tree (its values are ours). */
LK_API lk_tree *lk_view_names(lk_view *view);

LK_API LK_MUST_USE int lk_txn_begin(lk_db *db, lk_txn **txn);
/* The state it began from. */
LK_API lk_view *lk_txn_base(lk_txn *txn);
/* Remember the present state; go back to it.  A mark is valid until the transaction goes back
 * before it. */
LK_API LK_MUST_USE int lk_txn_savepoint(lk_txn *txn, unsigned *mark);
LK_API LK_MUST_USE int lk_txn_rollback(lk_txn *txn, unsigned mark);
/* The commit refuses if another has changed this key of t, which was only read. */
LK_API LK_MUST_USE int lk_txn_require(lk_txn *txn, lk_tree *t, struct lk_bytes key);
/* A text for the history, up to 1024 bytes; copied. */
LK_API LK_MUST_USE int lk_txn_note(lk_txn *txn, const char *text);
/* Commit or give up: both end the transaction, but for a commit that fails: that one must be given
 * up, and may be asked for its conflict before.  *tid (may be NULL) = the commit's number, or that
 * of the base if nothing was changed.
 * Returns 0, LK_ECHANGED (conflict), or what the store says; then nothing was committed, except
 * that a server whose answer was lost may have committed. */
LK_API LK_MUST_USE int lk_txn_commit(lk_txn *txn, uint64_t *tid);
LK_API void lk_txn_abort(lk_txn *txn);

struct lk_conflict {
    const char *tree;
    struct lk_bytes key;
    uint64_t tid; /* the first commit since the base that changed the key */
};
/* After LK_ECHANGED; lasts until the transaction is given up.  Returns 0, ENOENT. */
LK_API LK_MUST_USE int lk_txn_conflict(lk_txn *txn, struct lk_conflict *conflict);

/* ---- objects ----
 *
 * An entry of a tree may be an object (latchkey/object.h): its class makes the state from the
 * entry's value (load) and the value from the state (save).  All views in which the entry lies in
 * the same node share one object, so a commit elsewhere loads nothing anew.  States count towards
 * the cache's limit and are evicted like nodes. */

/* What load is given as `arg`.  Bytes last until it returns.  A loader may use other objects. */
struct lk_entry {
    lk_view *view; /* for objects that this one refers to; in a transaction, its base */
    const char *tree;
    struct lk_bytes key, value;
};

/* The object that entry `key` of a view's tree is; loaded when it is used, by
 * lk_object_use(lk_db_heap(db), object, view, &state).  It lasts as long as the view, and asking
 * again gives the same.  Returns 0, ENOENT (no such entry or tree). */
LK_API LK_MUST_USE int lk_view_object(lk_view *view, const char *tree, struct lk_bytes key,
                                      const struct lk_class *class_, lk_object **object);
/* Load the objects of n keys, then those that they refer to, and so on, `steps` times; entries that
 * are not there are left out.  *loaded (may be NULL) = objects that are there now. */
LK_API LK_MUST_USE int lk_view_prefetch(lk_view *view, const char *tree,
                                        const struct lk_bytes *keys, size_t n,
                                        const struct lk_class *class_, unsigned steps,
                                        uint64_t *loaded);
/* Does every entry of a tree load as this class, and is every entry there that one refers to?
 * Returns 0, LK_ECORRUPT (lk_error_text() names the first that does not).  *n (may be NULL) =
 * objects. */
LK_API LK_MUST_USE int lk_view_check_objects(lk_view *view, const char *tree,
                                             const struct lk_class *class_, uint64_t *n);

/* *state = a private state of entry `key`, to be read and changed until the transaction ends;
 * asking again gives the same.  It is saved when the transaction commits, or by lk_txn_save(); if
 * another transaction has changed the entry by then, the class's merge is asked before
 * lk_db_options.resolve.  An entry that is to be deleted is given up first.  Returns 0, ENOENT. */
LK_API LK_MUST_USE int lk_txn_object(lk_txn *txn, lk_tree *t, struct lk_bytes key,
                                     const struct lk_class *class_, void **state);
/* A new entry, whose state is the transaction's from now on.  Returns 0, EEXIST (the state stays
 * yours). */
LK_API LK_MUST_USE int lk_txn_add_object(lk_txn *txn, lk_tree *t, struct lk_bytes key,
                                         const struct lk_class *class_, void *state);
/* Give up a private state: free it, save nothing.  Returns 0, ENOENT. */
LK_API LK_MUST_USE int lk_txn_drop_object(lk_txn *txn, lk_tree *t, struct lk_bytes key);
/* Write all private states into their trees, where reads see them.  A savepoint does so too, and
 * going back to it gives up all private states.  Returns 0, ENOTSUP (a class has no save), or what
 * save returned. */
LK_API LK_MUST_USE int lk_txn_save(lk_txn *txn);

/* Commits from `first` on, oldest first: fn returns other than 0 to stop. */
struct lk_commit {
    uint64_t tid, time_ns; /* CLOCK_REALTIME */
    const char *note;
    uint64_t freed; /* nodes that only older states need */
};
LK_API LK_MUST_USE int lk_db_history(lk_db *db, uint64_t first,
                                     int (*fn)(void *arg, const struct lk_commit *c), void *arg);
/* Forget the states before commit `tid` (0: before the newest) and free what only they need. */
LK_API LK_MUST_USE int lk_db_pack(lk_db *db, uint64_t tid, uint64_t *freed);
/* Take back what commit `tid` did, as a new commit.  Returns 0, LK_ECHANGED (a key has changed
 * since), ENOENT (not in the history). */
LK_API LK_MUST_USE int lk_db_undo(lk_db *db, uint64_t tid, uint64_t *new_tid);

/* The change feed: wait until there is a commit behind `seen` (deadline: absolute CLOCK_MONOTONIC;
 * NULL = do not wait), then call fn for each key that differs between `seen` and *now.
 * Returns 0, ETIMEDOUT, ENOENT (`seen` is packed away: read everything anew). */
typedef int lk_change_fn(void *arg, const char *tree, struct lk_bytes key,
                         const struct lk_bytes *before, const struct lk_bytes *after);
LK_API LK_MUST_USE int lk_db_changes(lk_db *db, uint64_t seen, const struct timespec *deadline,
                                     lk_change_fn *fn, void *arg, uint64_t *now);

/* Every invariant of every tree of the newest state.  *trees (may be NULL) = how many. */
LK_API LK_MUST_USE int lk_db_check(lk_db *db, uint64_t *trees);

#ifdef __cplusplus
}
#endif
#endif
