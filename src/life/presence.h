/* presence.h - which threads are attached to a segment, and which of them have died.
 *
 * Token: one 64-bit word per presence slot in the segment: {generation:32, robust word:32}.  The
 * low half is a robust word (base/robust.h): the kernel marks it when the thread is gone.
 *   VACANT   low half 0                    nobody; may be claimed
 *   LIVE     id in the low half            a thread is attached, as (slot, generation)
 *   DEAD     LKI_WORD_DIED in the low half the thread is gone; may be claimed
 * VACANT or DEAD -> LIVE by one compare-and-swap that also raises the generation, so (slot,
 * generation) names one attachment and can never look alive again.  LIVE -> VACANT by its thread,
 * LIVE -> DEAD by the kernel.  WAITERS may be set in LIVE: somebody sleeps on the token.
 *
 * Holder name, as it stands in lock words: {generation:20, slot + 1:10} in the low 30 bits, 0
 * nobody. A slot whose dead thread is replaced is *swept* first: the segment's owner releases
 * whatever still names an older generation of the slot, so the short generation cannot come round
 * unseen.
 *
 * The links of the kernel's list are pointers, and a peer that may write to the segment must not be
 * able to lead them astray.  So each thread maps its token's page once more, with a private page
 * right behind it: the token is in the last bytes of the page, the links fall on the private
 * one. */
#ifndef LKI_PRESENCE_H
#define LKI_PRESENCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/robust.h"

enum { LKI_TOKENS_PER_PAGE = 3, LKI_RECORD_WORDS = 64 };

/* Read holds: words of a presence slot that say which locks its thread reads (rrwlock.h). */
enum { LKI_HOLDS = 4 };

#define LKI_HOLDER_SLOT 0x3ffu
#define LKI_HOLDER_ANY 0x3fffffffu

struct lki_self;

/* A segment's presence slots as this process sees them.  On the heap; lives until the handle and
 * every thread that is attached have let go of it. */
struct lki_presence {
    char *pages;       /* where the presence pages are mapped; NULL once the mapping is gone */
    const char *begin; /* the whole mapping, to find the segment that an address is in */
    const char *end;
    uint64_t offset; /* of the presence pages in the file */
    size_t page_bytes;
    uint32_t threads; /* slots */
    int fd;           /* own duplicate, to map a page again */
    bool writable;
    uint32_t references;
    /* Called in a newly attached thread whose slot a dead one had: release what names the slot with
     * another generation. */
    void (*sweep)(void *owner, struct lki_self *self);
    void *owner;
};

/* One attachment of the calling thread. */
struct lki_self {
    struct lki_presence *presence;
    struct lki_self *next; /* the thread's other attachments */
    uint64_t *token;       /* in the thread's own mapping of the page */
    uint64_t *record;      /* LKI_RECORD_WORDS counters that only this thread writes */
    uint32_t holder;       /* this thread's holder name */
    uint32_t slot;
    uint32_t epoch;            /* of the process that attached: a child of fork is not attached */
    void *pair;                /* the token's page and the private one */
    uint32_t *holds;           /* LKI_HOLDS words that others look at */
    uint32_t reading;          /* how many of them are taken */
    uint32_t depth[LKI_HOLDS]; /* how many times over each */
};

/* What the calling thread needs to read-lock once more the reader-writer lock that it read last
 * (rrwlock_public.c), while it reads nothing else; all in one place, since each load that waits for
 * another one delays the locked instruction. */
struct lki_quick {
    const void *lock; /* NULL: nothing is known */
    uint32_t *hold;   /* the first of self->holds */
    struct lki_self *self;
    uint32_t key, epoch;
    uint32_t unmaps; /* lki_unmaps then */
    uint32_t held;   /* 1: it is locked, and self->reading does not say so yet */
};

extern __thread struct lki_quick lki_quick __attribute__((tls_model("initial-exec")));

/* How many segments this process has unmapped: what was known about an address may be wrong
 * since. */
extern uint32_t lki_unmaps;

/* Bytes of presence pages for `threads` slots. */
size_t lki_presence_bytes(uint32_t threads, size_t page_bytes);

/* *out has one reference.  fd is duplicated.  Returns 0, ENOMEM, EMFILE. */
int lki_presence_new(struct lki_presence **out, char *pages, uint64_t offset, uint32_t threads,
                     size_t page_bytes, int fd, bool writable);

/* Give back a reference; the mapping of `pages` must be gone or stay for good. */
void lki_presence_put(struct lki_presence *p);

/* close(2) of a descriptor of a segment: not while another thread claims a slot, whose record lock
 * it would end. */
void lki_presence_close(int fd);

/* The segment is about to be unmapped in this process. */
void lki_presence_unmapped(struct lki_presence *p);

/* The calling thread's attachment, attaching it first if need be.
 * Returns 0, LK_ETHREADS, ENOTSUP, ENOMEM, EROFS. */
int lki_attach(struct lki_presence *p, struct lki_self **self);

/* The calling thread's attachment, or NULL if it has none and cannot get one; cheap when refused
 * often. */
struct lki_self *lki_attach_slowly(struct lki_presence *p);

/* The calling thread's attachments, most recently used first. */
extern __thread struct lki_self *lki_mine __attribute__((tls_model("initial-exec")));

/* The first of them, if it is of this presence: so it is for a thread that uses one segment. */
static inline struct lki_self *lki_attached(const struct lki_presence *p)
{
    struct lki_self *self = lki_mine;
    bool mine = self != NULL && self->presence == p && self->epoch == lki_fork_epoch();
    return __builtin_expect(mine, 1) ? self : NULL;
}

static inline struct lki_self *lki_attach_try(struct lki_presence *p)
{
    struct lki_self *self = lki_attached(p);
    return __builtin_expect(self != NULL, 1) ? self : lki_attach_slowly(p);
}

static inline int lki_attach_fast(struct lki_presence *p, struct lki_self **self)
{
    *self = lki_attached(p);
    return __builtin_expect(*self != NULL, 1) ? 0 : lki_attach(p, self);
}

/* End the calling thread's attachment, if there is one. */
void lki_detach(struct lki_presence *p);

/* The presence of the segment that `address` lies in, or NULL. */
struct lki_presence *lki_presence_of(const void *address);

/* Is the holder that a lock word names alive?  A name of no slot is dead. */
bool lki_holder_alive(const struct lki_presence *p, uint32_t holder);

/* Prepare to sleep until `holder` dies: *word and *value are what to give lki_futex_wait().
 * False if it is dead already. */
bool lki_holder_watch(const struct lki_presence *p, uint32_t holder, const uint32_t **word,
                      uint32_t *value);

/* The holder was found dead: wake whoever else sleeps until its death.  The kernel wakes only
 * one. */
void lki_holder_mourn(const struct lki_presence *p, uint32_t holder);

/* After a sleep that watched `holder`.  If it has died, the kernel's one wake may have been this
 * one, and this thread may look at a lock that the dead one left long before: others sleep for
 * other locks that it held, or for none. */
static inline void lki_holder_watched(const struct lki_presence *p, uint32_t holder)
{
    lki_holder_mourn(p, holder);
}

/* Between presence.c and attach.c: the token of a slot, and VACANT or DEAD `found` -> `live`. */
uint64_t lki_token_read(const struct lki_presence *p, uint32_t slot);
bool lki_token_claim(const struct lki_presence *p, uint32_t slot, uint64_t found, uint64_t live);

/* What a slot is in at the moment, for statistics. */
enum lki_slot_state { LKI_SLOT_VACANT, LKI_SLOT_LIVE, LKI_SLOT_DEAD };
enum lki_slot_state lki_slot_state(const struct lki_presence *p, uint32_t slot);
const uint64_t *lki_slot_record(const struct lki_presence *p, uint32_t slot);

/* The read holds of a slot, and where they are in its page: in pairs of cache lines between records
 * and tokens, so that two readers never share one and the slots' lines do not fall on the same few
 * sets of the processor's cache. */
enum { LKI_HOLDS_AT = 1536, LKI_HOLDS_STRIDE = 128, LKI_HOLDS_PLACES = 18 };
_Static_assert(LKI_HOLDS_AT >= LKI_TOKENS_PER_PAGE * LKI_RECORD_WORDS * 8, "behind the records");
_Static_assert(LKI_HOLDS_AT + LKI_HOLDS_STRIDE * LKI_HOLDS_PLACES <= 4096 - 128, "before tokens");

static inline size_t lki_holds_place(uint32_t slot)
{
    return LKI_HOLDS_AT + slot % LKI_HOLDS_PLACES * (size_t)LKI_HOLDS_STRIDE;
}

static inline uint32_t *lki_slot_holds(const struct lki_presence *p, uint32_t slot)
{
    size_t page = slot / LKI_TOKENS_PER_PAGE * p->page_bytes;
    return (uint32_t *)(void *)(p->pages + page + lki_holds_place(slot));
}

/* The holder name of the thread that is in the slot; 0 if none is alive there. */
uint32_t lki_slot_holder(const struct lki_presence *p, uint32_t slot);

/* Between attach.c and rrwlock.c: a newly attached thread lets go of what the slot's last one read
 * and did not unlock. */
void lki_holds_clear(struct lki_self *self);

/* Add to one of the thread's counters. */
static inline void lki_count(struct lki_self *self, unsigned counter, uint64_t n)
{
    uint64_t *word = &self->record[counter];
    /* [presence.4] relaxed: a counter with one writer; readers only sum. */
    uint64_t old = lk_load_rlx_u64(word);
    /* [presence.5] relaxed: as [presence.4]. */
    lk_store_rlx_u64(word, old + n);
}

#endif
