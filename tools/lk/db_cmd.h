/* db_cmd.h - what the actions of lk db share. */
#ifndef LK_DB_CMD_H
#define LK_DB_CMD_H

#include "cli.h"
#include "latchkey/db.h"

struct db_action;

/* One call of lk db, its command line taken apart. */
struct db_call {
    const struct db_action *action;
    const char *store; /* --store, or the first word of most actions */
    char **words;      /* behind it */
    int n_words;
    struct lk_db_options options;
    uint64_t commit_every, tid, limit;
    bool tid_given, cold, json, quiet, csv, keys, reverse, numbers;
    const char *low, *high, *note;
    uint64_t node_size; /* replay; 0 = the trace's */
    bool check;         /* bench */
    uint64_t rounds;
    const char *sizes; /* the picture's path */
    lk_db *db;         /* open, if the action opens it */
};

struct db_action {
    const char *name, *synopsis, *help;
    int (*run)(struct db_call *call);
    int least_words, most_words; /* behind the store */
    bool opens;                  /* the first word is the store, and db is open */
};

int db_replay(struct db_call *call), db_bench(struct db_call *call);
int db_info(struct db_call *call), db_ls(struct db_call *call);
int db_get(struct db_call *call), db_put(struct db_call *call), db_del(struct db_call *call);
int db_range(struct db_call *call), db_dump(struct db_call *call), db_load(struct db_call *call);
int db_check(struct db_call *call), db_pack(struct db_call *call);
int db_history(struct db_call *call), db_undo(struct db_call *call);

/* An argument as a key or value: as it stands, or (--int) an integer. */
struct db_text {
    unsigned char number[8];
    struct lk_bytes bytes;
};
bool db_read(const struct db_call *call, const char *text, struct db_text *out);
/* CLI_PROBLEM or CLI_CANNOT with a message. */
int db_failed(const struct db_call *call, const char *what, int rc);

#endif
