/* latchkey/cache.h - a cache in shared memory that many processes use at once and no kill can
 * wedge.
 *
 * Keys and values are bytes.  A get takes no lock and waits for nobody: it copies an entry that
 * never changes once it can be seen and then checks that it was still the current one.  A change
 * locks one shard of the cache; whoever is killed inside, the next writer of that shard rebuilds
 * what can be derived and goes on, and readers notice nothing.  What a killed writer was changing
 * is old, new, or (for a delete) gone; nothing else is touched.
 *
 * Eviction is S3-FIFO with promotion after one hit.  Capacity counts the bytes of entries; a cache
 * of one shard (the default below 2 MiB) keeps it exactly, in larger ones each shard has its share.
 *
 * A handle may be used by all threads of the process at once.  After fork the child may go on using
 * the handle it inherited.  No call is safe from signal handlers.  No call runs anything found in
 * the segment, and whatever the segment holds, a call answers with data, an error or a miss.
 *
 * Time to live: nanoseconds on CLOCK_BOOTTIME, one clock for all processes of a machine, which goes
 * on while the machine sleeps: an entry for one hour is gone after one hour of wall time.  Setting
 * the wall clock does not matter.  (Processes in different Linux *time* namespaces disagree; do not
 * share a cache between those.)
 *
 * Source: J. Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023 (S3-FIFO);
 * J.-P. Aumasson, D. J. Bernstein, "SipHash", 2012; R. Nishtala et al., "Scaling Memcache at
 * Facebook", NSDI 2013 (leases). */
#ifndef LATCHKEY_CACHE_H
#define LATCHKEY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_cache lk_cache;

#define LK_CACHE_KEY_MAX 65535u

/* Time to live arguments: this many nanoseconds from now (at least 1), or one of these. */
#define LK_TTL_DEFAULT 0u             /* what the cache was made with (ttl_ns) */
#define LK_TTL_NEVER UINT64_MAX       /* until evicted */
#define LK_TTL_KEEP (UINT64_MAX - 1u) /* the one that the old entry has; a new entry: the default */

enum lk_cache_flags {
    LK_CACHE_CREATE = 1u << 0,    /* make it if the name is free */
    LK_CACHE_EXCLUSIVE = 1u << 1, /* with CREATE: EEXIST if it is there already */
    LK_CACHE_READ_ONLY = 1u << 2, /* attach read-only: only get, get_many, each, stat, verify
                                     work */
};

/* Zero everywhere means the default.  When the cache exists already, a field that is not zero must
 * agree with it, or opening fails with LK_EOPTIONS and lk_error_text() says which field, what it is
 * and what was asked.  lock_timeout_ns and flags belong to the handle and never disagree. */
struct lk_cache_options {
    uint32_t flags;           /* enum lk_cache_flags; NULL options mean LK_CACHE_CREATE */
    uint32_t shards;          /* 1..1024; default: one per MiB of capacity from 2 MiB on, at most
                                 64 */
    uint64_t capacity_bytes;  /* of entries (24-byte header, key and value, in whole granules);
                                 rounded up to a granule per shard; 64 bytes .. 1 TiB, and a
                                 granule a shard at least; default 64 MiB */
    uint32_t granule_bytes;   /* unit of allocation: a multiple of 8, 32..4096; default 48 */
    uint32_t entry_bytes;     /* average entry (key + value) to size the index for, 1..1 MiB;
                                 default
                                 96.  Smaller entries fill the index before the bytes: then
                                 eviction keeps the number of entries, and counts index_full */
    uint64_t ttl_ns;          /* time to live of entries set with LK_TTL_DEFAULT; default never */
    uint32_t threads;         /* threads attached at once, 1..LK_SEG_THREADS_MAX; default 128 */
    uint32_t checksum;        /* 1: a CRC32C in every entry, checked by every read that copies it */
    uint64_t lock_timeout_ns; /* longest wait for a shard that a live process keeps locked (it is
                                 stopped, say): then calls return ETIMEDOUT.  0 = for ever */
    uint64_t reserved[4];     /* zero */
};

/* Attach cache `name`, or make it (LK_CACHE_CREATE).  Names and directory: see seg.h.
 * Of several processes that open with CREATE at once, one makes it and all get it.  A cache that is
 * left from before the last boot is replaced when CREATE is given, else LK_EBOOT.
 * Returns     0             *out is the handle; lk_cache_close() it
 *             ENOENT        not there, and no CREATE;  EEXIST  there, and EXCLUSIVE
 *             EINVAL        an option out of range; lk_error_text() says which
 *             LK_EOPTIONS   there with other options
 *             ENOSPC        no room for it on the file system
 *             LK_EKIND      the segment is no cache;  otherwise as lk_seg_create(),
 *             lk_seg_open(). */
LK_API LK_MUST_USE int lk_cache_open(lk_cache **out, const char *name,
                                     const struct lk_cache_options *options);

/* A cache without a name, in a sealed memfd; lk_cache_fd() goes to other processes.  CREATE is
 * meant. */
LK_API LK_MUST_USE int lk_cache_open_anonymous(lk_cache **out,
                                               const struct lk_cache_options *options);

/* Attach the cache behind fd, which stays the caller's.  An fd opened read-only attaches read-only.
 * CREATE is ignored. */
LK_API LK_MUST_USE int lk_cache_open_fd(lk_cache **out, int fd,
                                        const struct lk_cache_options *options);

/* The descriptor of the cache's segment, owned by the handle. */
LK_API int lk_cache_fd(const lk_cache *c);

/* Give back the handle.  No other thread may be inside a call on it.  NULL is allowed. */
LK_API void lk_cache_close(lk_cache *c);

/* Remove the name; attached processes keep their cache.  Returns as lk_seg_unlink(). */
LK_API LK_MUST_USE int lk_cache_unlink(const char *name);

/* The options that the cache has, defaults filled in; flags and lock_timeout_ns are the
 * handle's. */
LK_API void lk_cache_options_of(const lk_cache *c, struct lk_cache_options *out);

/* What every call below may also return:
 *   EINVAL      key_size 0 or above LK_CACHE_KEY_MAX; a NULL where bytes are due
 * and every call that changes something:
 *   EROFS       the handle is read-only
 *   ETIMEDOUT   the shard stayed locked by a live process for lock_timeout_ns; nothing changed
 *   LK_ETHREADS, ENOTSUP, ENOMEM   this thread could not be attached (see seg.h); nothing changed
 *   EDEADLK     called from a signal handler inside a change of the same shard; nothing changed */

/* Copy the value of `key` into buf.
 * Returns     0         *size is the value's size, buf holds it
 *             ENOENT    absent or expired
 *             ENOBUFS   *size is the value's size, larger than capacity; buf is as it was
 *             LK_ECORRUPT  the entry's checksum does not fit (caches with checksum only)
 *             EAGAIN    the entry was replaced some thousand times while it was copied: try again
 * `buf` may have been written to even when the call fails with EAGAIN or LK_ECORRUPT.
 * Blocks      never for a dead or stopped process.  Lock-free. */
LK_API LK_MUST_USE int lk_cache_get(lk_cache *c, const void *key, size_t key_size, void *buf,
                                    size_t capacity, size_t *size);

/* What is known of an entry beside its value. */
struct lk_cache_entry {
    size_t size;        /* of the value, bytes */
    uint64_t version;   /* never 0, never the same twice in one cache's life; for lk_cache_cas() */
    uint64_t expire_ns; /* CLOCK_BOOTTIME, 0 = never */
};

/* lk_cache_get() that also tells version and expiry.  buf may be NULL with capacity 0: then ENOBUFS
 * is the answer for any value but an empty one, and *entry is filled in. */
LK_API LK_MUST_USE int lk_cache_get_entry(lk_cache *c, const void *key, size_t key_size, void *buf,
                                          size_t capacity, struct lk_cache_entry *entry);

/* One of the gets of lk_cache_get_many(). */
struct lk_cache_request {
    const void *key;
    size_t key_size;
    void *buf;
    size_t capacity;
    size_t size; /* out, as *size of lk_cache_get() */
    int rc;      /* out, what lk_cache_get() would have returned */
};

/* n gets whose memory accesses overlap.  Each is atomic, all together are not.
 * Returns the number of hits (rc == 0). */
LK_API size_t lk_cache_get_many(lk_cache *c, struct lk_cache_request *requests, size_t n);

/* Store the value under `key` for ttl_ns, whatever is there.
 * Returns     0, E2BIG (the value is larger than a quarter of a shard, or key and value together
 * than
 *             half of one; the old value stays), and the common ones above.
 * Never fails for lack of room or fragmentation: it evicts. */
LK_API LK_MUST_USE int lk_cache_set(lk_cache *c, const void *key, size_t key_size,
                                    const void *value, size_t value_size, uint64_t ttl_ns);

/* lk_cache_set() only if the key is absent (or expired): else EEXIST. */
LK_API LK_MUST_USE int lk_cache_add(lk_cache *c, const void *key, size_t key_size,
                                    const void *value, size_t value_size, uint64_t ttl_ns);

/* lk_cache_set() only if the key is present: else ENOENT. */
LK_API LK_MUST_USE int lk_cache_replace(lk_cache *c, const void *key, size_t key_size,
                                        const void *value, size_t value_size, uint64_t ttl_ns);

/* lk_cache_set() only if the entry still has `version`: else LK_ECHANGED, or ENOENT if it is
 * gone. */
LK_API LK_MUST_USE int lk_cache_cas(lk_cache *c, const void *key, size_t key_size,
                                    const void *value, size_t value_size, uint64_t ttl_ns,
                                    uint64_t version);

/* Remove the key.  Returns 0 or ENOENT. */
LK_API LK_MUST_USE int lk_cache_delete(lk_cache *c, const void *key, size_t key_size);

/* Give the entry a new time to live; value and version stay.  Returns 0 or ENOENT. */
LK_API LK_MUST_USE int lk_cache_touch(lk_cache *c, const void *key, size_t key_size,
                                      uint64_t ttl_ns);

/* Add `delta` to the value, a decimal integer as text ("-17"), atomically; an absent key is stored
 * as `initial` without adding.  The sum is clamped to INT64_MIN..INT64_MAX: a counter at its end
 * stays there.  ttl_ns is for a new key; an existing one keeps its own unless ttl_ns says otherwise
 * (LK_TTL_DEFAULT keeps it too).
 * Returns     0            *result is what is stored now (result may be NULL)
 *             LK_ENOTNUM   the value is no integer of 64 bits; it stays */
LK_API LK_MUST_USE int lk_cache_incr(lk_cache *c, const void *key, size_t key_size, int64_t delta,
                                     int64_t initial, uint64_t ttl_ns, int64_t *result);

/* A lease: the right to compute one absent value.  Opaque; copy freely within the thread. */
struct lk_lease {
    uint64_t hash_;
    uint32_t shard_;
    uint32_t record_;
    uint32_t stamp_;
    uint32_t word_;
};

enum lk_lease_flags {
    LK_LEASE_STALE = 1u << 0, /* rather than wait, take an expired value that is still there */
};

/* Get the value, or the lease to compute it.  While a thread has the lease of a key, others that
 * ask for it wait until the value is there, the lease is given back, its holder dies (then one of
 * them gets it at once) or `deadline` passes (absolute CLOCK_MONOTONIC; NULL = never).
 * Returns     0          hit, as lk_cache_get()
 *             ENOENT     the lease is the caller's: compute, then lk_cache_fill() or _release().
 *                        (Also when the shard's lease table is full of live leases: then the caller
 *                        computes without excluding others, and fill stores the value all the
 *                        same.)
 *             ESTALE     with LK_LEASE_STALE: buf and *size are an expired value; another thread
 *                        has the lease
 *             ETIMEDOUT  neither value nor lease by the deadline
 *             ENOBUFS, LK_ECORRUPT, EAGAIN as lk_cache_get()
 * A lease belongs to the thread; it ends with it. */
LK_API LK_MUST_USE int lk_cache_lease(lk_cache *c, const void *key, size_t key_size, void *buf,
                                      size_t capacity, size_t *size, unsigned flags,
                                      const struct timespec *deadline, struct lk_lease *lease);

/* Store the computed value and give the lease back; the waiters get it.
 * Returns     0
 *             ECANCELED  the key was set, deleted or flushed meanwhile, so what was computed may be
 *                        out of date: not stored, the lease is given back
 *             E2BIG      not stored, the lease is given back
 *             ETIMEDOUT  the shard stayed locked for lock_timeout_ns: the lease is still the
 *                        caller's, who may call again */
LK_API LK_MUST_USE int lk_cache_fill(lk_cache *c, const void *key, size_t key_size,
                                     const void *value, size_t value_size, uint64_t ttl_ns,
                                     struct lk_lease *lease);

/* Give the lease back without a value: one waiter gets it.
 * Returns     0 (also if the lease had ended already), EINVAL (not a lease of this cache),
 *             ETIMEDOUT (as lk_cache_fill(): call again, or the others wait until this thread
 * ends). */
LK_API int lk_cache_release(lk_cache *c, struct lk_lease *lease);

/* What lk_cache_each() shows; valid during the callback. */
struct lk_cache_item {
    const void *key;
    size_t key_size;
    const void *value;
    struct lk_cache_entry entry;
};

/* Show every entry whose key begins with the prefix (prefix_size 0: all), in no order, until `each`
 * returns non-zero.  Stops nobody: an entry that is there from beginning to end is shown exactly
 * once, one that comes, goes or changes meanwhile may be shown or not (a key that is deleted and
 * set again may be shown twice).  `each` may call anything, this cache included.
 * Returns     0, what `each` returned, ENOMEM. */
LK_API LK_MUST_USE int lk_cache_each(lk_cache *c, const void *prefix, size_t prefix_size,
                                     int (*each)(const struct lk_cache_item *item, void *arg),
                                     void *arg);

/* Remove every entry, shard after shard.  Entries set meanwhile may stay. */
LK_API LK_MUST_USE int lk_cache_flush(lk_cache *c);

/* Sums over all processes since the cache was made, and its present state.  Counters of dead
 * processes stay in.  Reads that attach no slot (read-only handles) are not counted. */
struct lk_cache_stat {
    uint64_t entries, used_bytes, capacity_bytes, segment_bytes;
    uint64_t hits, misses;           /* of get, get_many, lease; expired counts as a miss */
    uint64_t sets, deletes;          /* changes made: set add replace cas incr fill; delete */
    uint64_t evictions, expirations; /* live entries pushed out; expired ones dropped */
    uint64_t index_full;             /* evictions because there were too many small entries */
    uint64_t promotions, ghost_hits; /* S3-FIFO: moved to the main queue; admitted to it at
                                           once */
    uint64_t fragmented;             /* values that had to be stored in pieces */
    uint64_t leases, lease_waits;    /* granted; times that somebody waited for one */
    uint64_t lease_deaths;           /* leases taken over from a dead holder */
    uint64_t deaths, repairs;        /* shard locks found with a dead holder; shards rebuilt */
    uint64_t lock_waits;             /* times that a writer slept for a shard */
    uint64_t backstops;              /* sleeps that only the backstop timer ended: 0 if all is
                                           well */
    uint32_t shards, shards_locked;  /* locked at the moment, by anybody */
    uint32_t shards_dead;            /* of these, by a holder that is dead: the next writer
                                           repairs */
    uint32_t threads, threads_dead;  /* presence slots: live; dead and not yet reused */
    uint32_t threads_max, leases_held;
};
LK_API LK_MUST_USE int lk_cache_stat(lk_cache *c, struct lk_cache_stat *out);

/* Told of every problem that lk_cache_verify() meets; `place` names shard, bucket, slot or
 * block. */
typedef void lk_cache_problem_fn(const char *place, const char *problem, void *arg);

/* Check every invariant of the cache and change nothing.  Works on a read-only handle.  A shard
 * that is busy is tried again and, on a writable handle, finally locked for the moment of copying
 * it.  A shard whose holder died is checked for what readers rely on only; it is no problem by
 * itself (the next writer repairs it; see shards_dead).
 * Returns     0 sound, LK_ECORRUPT (problems were told), EAGAIN (a shard stayed busy), ENOMEM.
 * report may be NULL. */
LK_API LK_MUST_USE int lk_cache_verify(lk_cache *c, lk_cache_problem_fn *report, void *arg);

/* Lock each shard in turn and rebuild all that is derived: lists, counts, free space; drop entries
 * that contradict themselves.  `all` false: only shards whose last holder died.
 * Returns     0 and in *repaired (may be NULL) how many shards were rebuilt, or the common
 * errors. */
LK_API LK_MUST_USE int lk_cache_repair(lk_cache *c, bool all, unsigned *repaired);

#ifdef __cplusplus
}
#endif
#endif
