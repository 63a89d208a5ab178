/* latchkey/store.h - where records lie: memory, LMDB, PostgreSQL, behind one table of functions.
 *
 * A store maps object numbers (oids, 64 bits) to byte strings.  A *write* changes any number of
 * them at once or none; there is one writer at a time, over all processes.  A *snapshot* is the
 * state between two writes: loads from it see that state, whatever is written meanwhile.  Writes
 * are numbered 1, 2, ...: the number is the transaction's id (tid).
 *
 * Places are named by a URL:  mem:                    this process's memory, gone when closed
 *                             lmdb:PATH               a file (liblmdb, loaded when first used)
 *                             postgresql://...        a server (libpq, loaded when first used)
 *                             fault:fail=N:URL        any of them; the N-th call fails (EIO)
 *                             fault:die=N:URL         the process kills itself at the N-th call
 * Safe from   any thread, but a snapshot is ended once.  Not across fork: open again in the
 * child. */
#ifndef LATCHKEY_STORE_H
#define LATCHKEY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a commit waits for. */
enum lk_sync {
    LK_SYNC_FULL,    /* it is on the disk: survives a power failure; threads share the wait */
    LK_SYNC_ORDERED, /* the store stays sound; the last commits may be missing after one */
    LK_SYNC_NONE,    /* the process's death loses nothing; a power failure may break the store */
};

struct lk_store_options {
    enum lk_sync sync;
    bool read_only;
    /* LMDB: how large this process may make the file; 0 = no limit (the map begins with 64 GiB of
     * address space, halved to fit, and grows). */
    uint64_t limit_bytes;
};

/* Given to the body of a write; its members are the store's. */
struct lk_writing {
    uint64_t tid; /* of this write */
    void *snap;   /* the newest state, and what put() has changed: for load() */
    /* Store `size` bytes as record `oid`; bytes NULL = remove it (no error if there is none). */
    int (*put)(struct lk_writing *w, uint64_t oid, const void *bytes, size_t size);
    void *store;
    /* Records from this number on may be gone if this write fails, and their numbers given again,
     * though they are not this write's: it shares a commit with others.  0 = none. */
    uint64_t unsure;
};

/* Sees a record where it lies; the bytes last until it returns.  Its result is load()'s. */
typedef int lk_store_take(void *arg, const void *bytes, size_t size);
/* The same for the i-th of several records. */
typedef int lk_store_take_nth(void *arg, size_t i, const void *bytes, size_t size);
/* Makes the changes of a write.  Anything but 0: nothing is changed, and write() returns it. */
typedef int lk_store_body(void *arg, struct lk_writing *w);

/* The table of functions that a store is. */
struct lk_store_ops {
    const char *scheme;
    int (*open)(void **store, const char *place, const struct lk_store_options *options);
    void (*close)(void *store);
    int (*snap)(void *store, void **snap, uint64_t *tid);
    void (*unsnap)(void *store, void *snap);
    /* ENOENT: no such record. */
    int (*load)(void *store, void *snap, uint64_t oid, lk_store_take *take, void *arg);
    int (*write)(void *store, lk_store_body *body, void *arg, uint64_t *tid);
    /* Wait until the newest tid is not `seen` (absolute CLOCK_MONOTONIC; NULL = do not wait).
     * *tid = the newest.  ETIMEDOUT: it is still `seen`; *tid is set. */
    int (*changes)(void *store, uint64_t seen, const struct timespec *deadline, uint64_t *tid);
    /* In a write: *first = the first of n numbers that no record ever had. */
    int (*oids)(struct lk_writing *w, uint64_t n, uint64_t *first);
    /* Load n records at once, in any order; those that are not there are left out.  NULL: the store
     * gains nothing by it, load() is as good. */
    int (*load_many)(void *store, void *snap, const uint64_t *oid, size_t n,
                     lk_store_take_nth *take, void *arg);
    /* As write(), but another thread that writes may run the body: writes that come together then
     * share one wait for the disk.  NULL: write() is as good. */
    int (*write_shared)(void *store, lk_store_body *body, void *arg, uint64_t *tid);
};

/* Numbers below this one are never given by oids(). */
#define LK_OID_FIRST 16u

typedef struct lk_store {
    const struct lk_store_ops *ops;
    void *at;
} lk_store;

/* Open the store that `url` names.
 * Returns  0, ENOTSUP (no such scheme, or its library is not there), EINVAL, ENOMEM, LK_ECORRUPT,
 *          or what the system said; lk_error_text() has the words. */
LK_API LK_MUST_USE int lk_store_open(lk_store *store, const char *url,
                                     const struct lk_store_options *options);
LK_API void lk_store_close(lk_store *store);

#ifdef __cplusplus
}
#endif
#endif
