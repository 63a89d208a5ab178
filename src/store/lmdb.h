/* lmdb.h - what the two files of the LMDB store share. */
#ifndef LKI_LMDB_H
#define LKI_LMDB_H

#include <lmdb.h>
#include <sys/types.h>

#include "latchkey/mutex.h"
#include "latchkey/sem.h"
#include "store/store.h"

/* What we use of liblmdb, which is loaded when it is needed: lki_lmdb.mdb_get() and so on. */
#define LKI_LMDB_FUNCTIONS(F)                                                                      \
    F(mdb_env_create)                                                                              \
    F(mdb_env_open)                                                                                \
    F(mdb_env_info)                                                                                \
    F(mdb_env_stat)                                                                                \
    F(mdb_env_close)                                                                               \
    F(mdb_env_get_fd)                                                                              \
    F(mdb_env_set_mapsize)                                                                         \
    F(mdb_env_set_maxreaders)                                                                      \
    F(mdb_txn_begin)                                                                               \
    F(mdb_txn_commit)                                                                              \
    F(mdb_txn_abort)                                                                               \
    F(mdb_txn_reset)                                                                               \
    F(mdb_txn_renew)                                                                               \
    F(mdb_dbi_open)                                                                                \
    F(mdb_get)                                                                                     \
    F(mdb_put)                                                                                     \
    F(mdb_del)                                                                                     \
    F(mdb_strerror)                                                                                \
    F(mdb_reader_check)

#define LKI_LMDB_POINTER(f) __typeof__(&(f)) f;
struct lki_lmdb_calls {
    LKI_LMDB_FUNCTIONS(LKI_LMDB_POINTER)
};
extern struct lki_lmdb_calls lki_lmdb;

struct lki_waiting;

/* An open file of this process. */
struct lki_file {
    struct lki_file *next;
    dev_t device;
    ino_t inode;
    unsigned users;
    MDB_env *env;
    MDB_dbi dbi;
    bool read_only, limited; /* its size has a limit that was asked for */
    bool shares;             /* commits wait for the disk, so they share the wait */
    lk_mutex mu;             /* the lists; inside it snapshots' own */
    struct lki_lmdb_snap *spare, *live;
    unsigned spares;
    struct lki_waiting *waiting; /* see lmdb_write.c */
    bool busy;
    uint64_t swept_ns; /* when dead processes' snapshots were looked for last */
};

struct lki_lmdb_snap {
    struct lki_lmdb_snap *next, **at; /* at: what points to it among the live ones */
    lk_mutex mu;
    MDB_txn *txn;
};

/* Record 0. */
struct lki_lmdb_head {
    uint64_t tid, next_oid;
};

/* LMDB's codes in ours. */
int lki_lmdb_failed(int rc, const char *what);
MDB_val lki_lmdb_key(uint64_t oid, unsigned char bytes[8]);
int lki_lmdb_get_head(MDB_txn *txn, MDB_dbi dbi, struct lki_lmdb_head *head);
/* Nobody of this process writes between the two, which the thread itself does not.  ETIMEDOUT. */
int lki_lmdb_begin_change(struct lki_file *f, const struct timespec *deadline);
void lki_lmdb_end_change(struct lki_file *f);
/* Give the map `size` bytes; as many as the file has grown to in another process.  Between the two
 * above, or by who writes, before it begins. */
int lki_lmdb_remap(struct lki_file *f, size_t size);
int lki_lmdb_follow(struct lki_file *f);
int lki_lmdb_write(void *store, lk_store_body *body, void *arg, uint64_t *tid);
int lki_lmdb_write_shared(void *store, lk_store_body *body, void *arg, uint64_t *tid);
int lki_lmdb_oids(struct lk_writing *w, uint64_t n, uint64_t *first);

#endif
