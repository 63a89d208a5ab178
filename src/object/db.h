/* db.h - what the files about databases share; records that are no nodes. */
#ifndef LKI_DB_H
#define LKI_DB_H

#include "object/tree.h"

struct lki_entry; /* an entry that is an object */
struct lki_kind;

/* The entries that are objects of some view. */
struct lki_entries {
    lk_mutex mu; /* table, counts, kinds; inside it only nodes.mu */
    struct lki_entry **bucket;
    size_t buckets, n;
    struct lki_kind *kinds;
};

struct lk_db {
    lk_store store;
    bool owns_store;
    struct lk_db_options options;
    struct lki_nodes nodes;
    struct lki_entries entries;
    lk_mutex mu; /* newest, and its count of users; outside nodes.mu */
    lk_view *newest;
};

/* Record 1, and one for each commit that is remembered: the state behind it. */
#define LKI_OID_HEAD 1u
#define LKI_OID_FIRST_STATE 2u /* never written: the state before the first commit */
#define LKI_OID_COMMIT(tid) ((UINT64_C(1) << 63) | (tid))
#define LKI_STATE_MAGIC 0x3154534bu /* "KST1" */
enum { LKI_NOTE_MAX = 1024 };

/* Followed by the numbers that it has freed, the note, and a CRC-32C of all. */
struct lki_state {
    uint32_t magic, note_size;
    uint64_t tid, time_ns;
    uint64_t root, entries; /* of the tree of names */
    uint64_t oldest;        /* the first commit that is remembered */
    uint64_t freed;
};

/* What a tree's name stands for. */
struct lki_named {
    uint64_t root, entries;
    uint32_t leaf_max, inner_max;
};

struct lk_view {
    lk_db *db;
    void *snap;
    struct lki_state state;
    uint32_t users; /* under db->mu */
    lk_mutex mu;    /* trees, held */
    lk_tree *names, *trees;
    struct lki_entry **held; /* a table of the objects that were asked for */
    size_t held_n, held_room;
};

struct savepoint {
    struct savepoint *older;
    unsigned mark;
    struct saved_tree {
        lk_tree *tree;
        struct lki_ref *root;
        uint64_t entries;
        size_t freed;
        bool changed;
        lk_load_fn *load;
    } * tree;
    size_t n;
};

struct required {
    struct required *next;
    lk_tree *tree;
    size_t size;
    unsigned char key[];
};

struct lk_txn {
    lk_db *db;
    lk_view *base;
    lk_tree *trees;
    uint64_t edit;
    struct savepoint *savepoints;
    unsigned marks;
    struct required *required;
    struct lki_private **privates; /* a table of states to be saved; NULL = none */
    char note[LKI_NOTE_MAX + 1];
    /* The conflict that a commit was refused for. */
    lk_tree *conflict_tree;
    unsigned char *conflict_key;
    size_t conflict_size;
};

/* A state's record.  freed, note (may be NULL): on the heap if they are asked for; free() them. */
int lki_state_load(lk_db *db, void *snap, uint64_t oid, struct lki_state *state, uint64_t **freed,
                   char **note);

/* The entry of `name` in a tree of names. */
int lki_named_get(lk_tree *names, const char *name, struct lki_named *named);

/* A tree of a state: ENOENT if there is none of that name. */
int lki_open_named(lk_tree *names, const struct lki_source *source, const char *name,
                   lk_tree **out);

struct lki_source lki_view_source(lk_view *v);

/* A view, a database ends: its objects go. */
void lki_entries_let_go(lk_view *v);
void lki_entries_destroy(lk_db *db);

/* Save the private states that are there; free them all (nothing is saved), `whole`: for good. */
int lki_privates_save(lk_txn *x);
void lki_privates_drop(lk_txn *x, bool whole);
/* Ask the class about a key that another transaction changed too: 0 and *out, the transaction's
 * until it ends; ENOENT: it has no such object, or the class has nothing to say. */
int lki_private_merge(lk_txn *x, lk_tree *t, struct lk_bytes key, const struct lk_bytes *old,
                      const struct lk_bytes *theirs, struct lk_bytes *out);

/* fn for each name of one or both views, in order, with their trees; a missing one is empty. */
typedef int lki_both_fn(void *arg, const char *name, lk_tree *before, lk_tree *after);
int lki_each_both(lk_view *before, lk_view *after, lki_both_fn *fn, void *arg);

#endif
