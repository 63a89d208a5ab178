/* storm_sleeps.h - which lock a sleep was for that only the backstop timer ended, and what had
 * happened to that lock: `lk storm --locks`. */
#ifndef LK_STORM_SLEEPS_H
#define LK_STORM_SLEEPS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum storm_lock { STORM_RWLOCK, STORM_MUTEX, STORM_SEQLOCK, STORM_LOCKS };

/* Of one lock, by whoever does it; in the segment.  Times are 0: never. */
struct storm_life {
    _Atomic uint64_t grants;
    _Atomic uint64_t freed_ns;       /* the last unlock, or kill of a holder */
    _Atomic uint64_t waiter_died_ns; /* the last kill of one that asked for the lock */
};

/* One such sleep. */
struct storm_sleep {
    _Atomic int ready;
    int lock, writes, rc;
    uint64_t waited_ns, free_ns; /* how long the lock was free, or its holder dead */
    uint64_t grants;             /* to others, while this one waited */
    int freeing;                 /* an unlocker was at it */
    int waiter_died;             /* one that asked for the lock was killed, meanwhile */
};

enum { STORM_SLEEPS = 256 };

/* In the segment. */
struct storm_sleeps {
    struct storm_life life[STORM_LOCKS];
    _Atomic uint64_t n, claimed;
    struct storm_sleep sleep[STORM_SLEEPS];
};

/* What a thread knows when it begins to ask for a lock. */
struct storm_ask {
    enum storm_lock lock;
    bool writes;
    uint64_t begun_ns, backstops, grants;
};

/* `memory`: of the segment. */
struct storm_ask storm_ask(struct storm_sleeps *s, const void *memory, enum storm_lock lock,
                           bool writes);
/* The answer has come.  `freeing`: a thread has unlocked and may not have come to the wake yet. */
void storm_answered(struct storm_sleeps *s, const void *memory, const struct storm_ask *ask, int rc,
                    bool freeing);
/* So long that a backstop timer may have ended it? */
bool storm_was_long(const struct storm_ask *ask);
void storm_freed(struct storm_sleeps *s, enum storm_lock lock);

/* The killer is about to kill one that holds `held` and asks for `asked`; STORM_LOCKS: none. */
void storm_kills(struct storm_sleeps *s, enum storm_lock held, enum storm_lock asked);

json_t *storm_sleeps_json(const struct storm_sleeps *s);
void storm_sleeps_print(const struct storm_sleeps *s);

#endif
