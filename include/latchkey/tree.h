/* latchkey/tree.h - ordered maps and sets of byte strings, in a view or a transaction of
 * latchkey/db.h.
 *
 * Keys are compared as memcmp does, a shorter one before its continuations; lk_key_*() make keys of
 * numbers, strings and tuples that sort as those do.  A set is a map of keys to empty values.
 * In a view a tree never changes and any number of threads may share it.  In a transaction it
 * belongs to one thread at a time.
 *
 * Results are not copied.  Bytes that a call gives out are valid until the thread's section ends
 * (latchkey/object.h) and, in a transaction, until the tree is changed.  Outside a section every
 * call that reads returns EPERM.
 *
 * Every call may return, beside what it says: EPERM (no section; a change in a view), ENOMEM,
 * LK_ECORRUPT (a node contradicts itself; lk_error_text() names it), ENOENT or EIO of the store. */
#ifndef LATCHKEY_TREE_H
#define LATCHKEY_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchkey/err.h"
#include "latchkey/object.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_db lk_db;
typedef struct lk_view lk_view;
typedef struct lk_txn lk_txn;
typedef struct lk_tree lk_tree;

#define LK_KEY_MAX 32767u        /* bytes of a key */
#define LK_VALUE_MAX 0x10000000u /* bytes of a value */

struct lk_tree_options {
    uint32_t leaf_max;  /* entries of a leaf, 2 to 4096; 0 = 64 */
    uint32_t inner_max; /* children of an inner node, 3 to 4096; 0 = 128 */
};

/* The tree called `name` in a view or a transaction.  It lasts as long as that, and asking again
 * gives the same.  In a transaction it is made if it is not there; options are those of the first
 * time. Returns 0, ENOENT (in a view), EINVAL. */
LK_API LK_MUST_USE int lk_view_tree(lk_view *view, const char *name, lk_tree **tree);
LK_API LK_MUST_USE int lk_txn_tree(lk_txn *txn, const char *name,
                                   const struct lk_tree_options *options, lk_tree **tree);

/* Fill a tree of a transaction, which is empty, with entries that come in key order, the way to
 * load many at once: nodes are made full and go to the store one by one, and no copy of them stays
 * in memory.  fn(arg, &key, &value) gives an entry and returns 0 (its bytes are copied before it is
 * called again), ENOENT after the last, or anything else to make the commit fail with that.  It is
 * called during the commit only; until then the tree looks empty and may not be changed (EBUSY).
 * Returns 0, EEXIST (it is not empty).  The commit then may return EINVAL (a key is not above the
 * one before it, or too long; lk_error_text() says which), LK_ECHANGED (another filled it). */
typedef int lk_load_fn(void *arg, struct lk_bytes *key, struct lk_bytes *value);
LK_API LK_MUST_USE int lk_tree_load(lk_tree *t, lk_load_fn *fn, void *arg);

/* *value = what `key` has.  Returns 0, ENOENT. */
LK_API LK_MUST_USE int lk_tree_get(lk_tree *t, struct lk_bytes key, struct lk_bytes *value);
/* Set it.  *is_new (may be NULL): was it absent?  Returns 0, EINVAL (too long). */
LK_API LK_MUST_USE int lk_tree_put(lk_tree *t, struct lk_bytes key, struct lk_bytes value,
                                   bool *is_new);
/* Set it only if it is absent.  Returns 0, EEXIST. */
LK_API LK_MUST_USE int lk_tree_add(lk_tree *t, struct lk_bytes key, struct lk_bytes value);
/* Set it only if it is there with value `old`.  Returns 0, ENOENT, LK_ECHANGED. */
LK_API LK_MUST_USE int lk_tree_swap(lk_tree *t, struct lk_bytes key, struct lk_bytes old,
                                    struct lk_bytes value);
/* Remove it.  Returns 0, ENOENT. */
LK_API LK_MUST_USE int lk_tree_del(lk_tree *t, struct lk_bytes key);
/* Remove everything. */
LK_API LK_MUST_USE int lk_tree_clear(lk_tree *t);
/* The first entry at or behind `key`, the last at or before it; key NULL: of all.  Returns 0,
 * ENOENT. */
LK_API LK_MUST_USE int lk_tree_min(lk_tree *t, const struct lk_bytes *at, struct lk_bytes *key,
                                   struct lk_bytes *value);
LK_API LK_MUST_USE int lk_tree_max(lk_tree *t, const struct lk_bytes *at, struct lk_bytes *key,
                                   struct lk_bytes *value);

/* An interval of keys.  All zero = everything.  An open end leaves its key out; an open end without
 * a key leaves the first or last entry out. */
struct lk_range {
    const struct lk_bytes *low, *high;
    bool low_open, high_open;
};

/* Exact numbers, in the time of two searches: how many entries, and the n-th (from 0; negative:
 * from the end, -1 the last).  Return 0; nth ERANGE. */
LK_API LK_MUST_USE int lk_tree_count(lk_tree *t, const struct lk_range *range, uint64_t *n);
LK_API LK_MUST_USE int lk_tree_nth(lk_tree *t, const struct lk_range *range, int64_t n,
                                   struct lk_bytes *key, struct lk_bytes *value);

/* A place in a tree that goes from one entry to the next.  In a view it sees one state; it belongs
 * to the section that it was begun in.  In a transaction it is live: each step gives the nearest
 * entry beyond the one given last, as the tree is then; it never gives a key twice.
 * lk_cursor_park() lets a cursor outlive its section. */
enum { LK_DEPTH_MAX_ = 32 };
typedef struct lk_cursor {
    const void *thread_; /* whose section it was begun in */
    uint64_t serial_;
    uint32_t left_; /* entries of the leaf that can be given without another look */
    int32_t step_;  /* bytes from one of them to the next, where they lie in a row; else 0 */
    const unsigned char *next_;
    uint32_t next_key_, next_value_; /* bytes of each */
    void *leaf_;
    lk_tree *tree_;
    uint32_t at_,
        end_; /* the next entry and the last one's neighbour in the leaf, going up or down */
    uint32_t depth_;
    bool down_, begun_, ended_, keyed_;
    uint64_t changes_;
    unsigned char *key_, *low_, *high_; /* NULL = none; the ends in small_ if they fit */
    size_t key_size_, key_room_, low_size_, high_size_;
    unsigned char small_[2][24];
    bool low_open_, high_open_;
    struct {
        void *node;
        uint32_t at;
    } path_[LK_DEPTH_MAX_];
} lk_cursor;

/* Begin at the low end going up, or at the high end going down.  The keys of the range are copied.
 * Ended by lk_cursor_end().  A cursor is not copied or moved. */
LK_API LK_MUST_USE int lk_cursor_begin(lk_cursor *c, lk_tree *t, const struct lk_range *range,
                                       bool down);
/* The next entry (value may be NULL).  Returns 0, ENOENT (no more). */
LK_API LK_MUST_USE int lk_cursor_next(lk_cursor *c, struct lk_bytes *key, struct lk_bytes *value);
LK_API LK_MUST_USE int lk_cursor_park(lk_cursor *c);
LK_API void lk_cursor_end(lk_cursor *c);

/* Load the nodes that the entries of a range lie in, level by level: a server is asked once for all
 * missing nodes of a level, not once for each.  A hint: what the cache's limit does not leave room
 * for is not loaded, or not for long.  *nodes (may be NULL) = how many were loaded. */
LK_API LK_MUST_USE int lk_tree_prefetch(lk_tree *t, const struct lk_range *range, uint64_t *nodes);

/* Every invariant: order, bounds, levels, sums, fill.  Returns 0 or LK_ECORRUPT. */
LK_API LK_MUST_USE int lk_tree_check(lk_tree *t);

struct lk_tree_stat {
    uint64_t entries, leaves, inner, bytes;
    uint32_t height, leaf_max, inner_max;
};
LK_API LK_MUST_USE int lk_tree_stat(lk_tree *t, struct lk_tree_stat *stat);
/* Call fn with the number of entries of each leaf, in order, until it returns other than 0. */
LK_API LK_MUST_USE int lk_tree_leaves(lk_tree *t, int (*fn)(void *arg, uint32_t entries),
                                      void *arg);

/* The differences from `before` to `after` in key order; what both share is not read.  A value
 * NULL: the key is absent there. */
typedef int lk_diff_fn(void *arg, struct lk_bytes key, const struct lk_bytes *before,
                       const struct lk_bytes *after);
LK_API LK_MUST_USE int lk_tree_diff(lk_tree *before, lk_tree *after, lk_diff_fn *fn, void *arg);

/* Bring the changes from `old` to `theirs` into `mine`, which came from `old` too.  A key that
 * both changed is asked about: resolve(arg, key, old, theirs, mine, &out) puts the value to keep
 * into out (at NULL = absent) and returns 0, or refuses.  resolve NULL refuses.
 * Returns 0, or LK_ECHANGED (refused; *mine is half merged: abort the transaction). */
typedef int lk_resolve_fn(void *arg, struct lk_bytes key, const struct lk_bytes *old,
                          const struct lk_bytes *theirs, const struct lk_bytes *mine,
                          struct lk_bytes *out);
LK_API LK_MUST_USE int lk_tree_merge(lk_tree *old, lk_tree *theirs, lk_tree *mine,
                                     lk_resolve_fn *resolve, void *arg);

/* Union, intersection, difference of n trees (difference: the first without all others), one entry
 * at a time in key order; nothing is stored.  n may be 0 but for the difference. */
enum lk_set_kind { LK_SET_UNION, LK_SET_INTERSECTION, LK_SET_DIFFERENCE };
typedef struct lk_set lk_set;
LK_API LK_MUST_USE int lk_set_begin(lk_set **set, enum lk_set_kind kind, lk_tree *const *trees,
                                    size_t n);
/* The next key; values[i] (values may be NULL) = its value in tree i, at NULL where it has none. */
LK_API LK_MUST_USE int lk_set_next(lk_set *set, struct lk_bytes *key, struct lk_bytes *values);
LK_API void lk_set_end(lk_set *set);

/* The entries whose value is at least `least`, largest value first, then largest key.  Values are
 * compared as bytes.  Sorts in memory.  fn as above. */
LK_API LK_MUST_USE int lk_tree_by_value(lk_tree *t, struct lk_bytes least,
                                        int (*fn)(void *arg, struct lk_bytes key,
                                                  struct lk_bytes value),
                                        void *arg);

/* Keys that sort as what they are made of.  Fixed sizes: 8 bytes. */
LK_API void lk_key_int64(unsigned char key[8], int64_t v);
LK_API void lk_key_uint64(unsigned char key[8], uint64_t v);
/* -0 before 0; NaN behind everything, by its bits. */
LK_API void lk_key_double(unsigned char key[8], double v);
LK_API int64_t lk_key_to_int64(const unsigned char key[8]);
LK_API uint64_t lk_key_to_uint64(const unsigned char key[8]);
LK_API double lk_key_to_double(const unsigned char key[8]);

/* Tuples: append parts to a buffer; tuples sort part by part, a shorter one before its
 * continuations, and parts of different kinds by kind (integers, doubles, strings).  Set at and
 * room. */
struct lk_tuple {
    unsigned char *at;
    size_t size, room;
};
/* Return 0, ENOBUFS (nothing appended). */
LK_API LK_MUST_USE int lk_tuple_int64(struct lk_tuple *t, int64_t v);
LK_API LK_MUST_USE int lk_tuple_double(struct lk_tuple *t, double v);
LK_API LK_MUST_USE int lk_tuple_bytes(struct lk_tuple *t, struct lk_bytes v);

#ifdef __cplusplus
}
#endif
#endif
