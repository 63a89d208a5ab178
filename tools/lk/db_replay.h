/* db_replay.h - what the files of lk db replay share. */
#ifndef LK_DB_REPLAY_H
#define LK_DB_REPLAY_H

#include "cli.h"
#include "db_trace.h"

enum { REPLAY_CONTAINERS = 32, REPLAY_CURSORS = 16, REPLAY_WORDS = 1024 };

struct container {
    char name[32];
    enum trace_family family;
    bool map;
    struct lk_tree_options sizes;
    lk_tree *tree; /* in the present transaction */
};

/* A cursor that goes on from transaction to transaction. */
struct replay_cursor {
    char name[32];
    struct container *of; /* NULL: free */
    lk_cursor cursor;
    bool begun; /* cursor is one of the present transaction */
    struct trace_bytes low, high, last;
    bool has_low, has_high, low_open, high_open, moved;
};

/* A state that is to be read again. */
struct replay_snap {
    char name[32];
    struct container *of;
    uint64_t tid;
    lk_view *view; /* NULL: ask for it by its tid */
};

struct replay {
    lk_store store;
    struct lk_db_options options;
    lk_db *db;
    lk_txn *txn;
    uint64_t commit_every, since_commit, commits;
    bool cold; /* a new cache behind each commit */
    struct container container[REPLAY_CONTAINERS];
    size_t containers;
    struct replay_cursor cursor[REPLAY_CURSORS];
    struct replay_snap snap[REPLAY_CURSORS];
    lk_db *merge_db;
    uint64_t checked, wrong, own_splits, line;
    bool quiet;
    uint64_t node_size;       /* not 0: of every tree, instead of the trace's */
    char *word[REPLAY_WORDS]; /* of the present line's operation */
    size_t words;
    int failed; /* a library call's unexpected result */
};

int replay_commit(struct replay *r);
struct container *replay_container(struct replay *r, const char *name);

/* Run the operation in word[] and write its result to `out`.  False: not an operation of this
 * program. */
bool replay_operation(struct replay *r, FILE *out);
bool replay_set_operation(struct replay *r, FILE *out);
/* A line about leaves: the sum, and our own bounds. */
bool replay_leaves(struct replay *r, const char *expected, FILE *out);
/* A merge line: `expected` is needed, for a refusal may be right or needless. */
bool replay_merge(struct replay *r, char *line, const char *expected, FILE *out);

#endif
