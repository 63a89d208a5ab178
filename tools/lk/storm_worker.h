/* storm_worker.h - what the files of the worker share (storm_work.c, storm_mix.c, storm_lk.c). */
#ifndef LK_STORM_WORKER_H
#define LK_STORM_WORKER_H

#include "storm.h"

enum { STORM_VALUE_MAX = 8 << 10 };

struct worker {
    struct storm *storm;
    struct storm_slot *slot;
    void *cache;
    bool own_handle; /* `cache` was opened here, not inherited */
    unsigned index;
    uint32_t stops;
    uint64_t random, last_ns, seen_version;
    int schedstat;                    /* descriptor; -1: the kernel does not tell */
    uint64_t queued_ns, queued_at_ns; /* waited for a processor in all; when that was read */
    unsigned char value[STORM_VALUE_MAX];
};

/* A chunk of a file under one of its two keys: space 'f' stays, 'x' expires within milliseconds. */
struct item {
    char key[STORM_KEY_MAX];
    size_t key_size;
    char space;
    uint32_t file, chunk, length;
    const unsigned char *bytes;
    _Atomic uint64_t *floor;
};

/* What was known before a get was sent. */
struct served {
    uint64_t floor_ns, boottime_ns;
};

uint64_t worker_below(struct worker *w, uint64_t n);
void worker_watch_queue(struct worker *w); /* once, at the begin */
void worker_begin(struct worker *w, enum storm_op op);
void worker_end(struct worker *w);
void worker_wrong(struct worker *w, struct storm_wrong what);
void worker_result(struct worker *w, const struct item *it, int rc); /* rc is not allowed here */

void item_make(struct worker *w, struct item *it, char space, uint32_t file, uint32_t chunk);
size_t item_encode(const struct worker *w, const struct item *it, uint64_t version_ns, void *out);
uint32_t worker_pick_file(struct worker *w);
void worker_pick(struct worker *w, struct item *it, char space);

struct served worker_asks(const struct worker *w, const struct item *it);
/* The value in w->value was served for *it: compare it with the file. */
void worker_check(struct worker *w, const struct item *it, const struct storm_got *got,
                  const struct served *when);
/* A change of *it that began at begun_ns has ended: nothing older may be served from now on. */
void worker_changed(const struct item *it, uint64_t begun_ns);

int worker_get(struct worker *w, const struct item *it);
int worker_put(struct worker *w, const struct item *it, enum storm_put how, uint64_t ttl_ns);
bool worker_read(struct worker *w, const struct item *it);

/* What only latchkey has (storm_lk.c); `cache` is a latchkey handle. */
void worker_lk_serve_leased(struct worker *w, const struct item *it);
void worker_lk_get_many(struct worker *w);
void worker_lk_each(struct worker *w);
void worker_lk_verify(struct worker *w);

#endif
