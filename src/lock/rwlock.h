/* rwlock.h - the state of an lk_rwlock, for rwlock.c and rwlock_change.c.  What its fields mean is
 * said in rwlock.c. */
#ifndef LKI_LOCK_RWLOCK_H
#define LKI_LOCK_RWLOCK_H

#include "base/atomic.h"
#include "base/futex.h"
#include "base/line.h"
#include "base/spin.h"
#include "latchkey/rwlock.h"

#define INSIDE UINT64_C(0xffff)
#define WAITING UINT64_C(0xffff0000)
#define ONE_WAITING UINT64_C(0x10000)
#define WRITER LK_RWLOCK_WRITER_
#define READERS_SLEEP (WRITER << 1)
#define CROWDED (WRITER << 2)
#define UPGRADING (WRITER << 3)
#define HUNGRY (WRITER << 4)
#define PHASE (WRITER << 5)
#define AWAKE (WRITER << 6)
#define UPGRADER_SLEEPS (WRITER << 7)
#define WRITERS UINT64_C(0xffff000000000000)
#define ONE_WRITER (UINT64_C(1) << 48)
/* Inside or waiting; the other half of INSIDE is for readers that have just come and must leave. */
#define MOST_READERS LK_RWLOCK_READERS_
#define MOST_WRITERS 65534u

/* kind_ */
#define KIND_MASK 3u
#define UPGRADER_GATE 8u

static inline uint64_t look(const lk_rwlock *l)
{
    /* [rwlock.8] relaxed: a guess; the compare-and-swap decides. */
    return lk_load_rlx_u64(&l->state_);
}

static inline bool is_shared(const lk_rwlock *l)
{
    /* [rwlock.27] relaxed: these bits never change. */
    return (lk_load_rlx_u32(&l->kind_) & LK_RWLOCK_SHARED_) != 0;
}

static inline unsigned kind_of(const lk_rwlock *l)
{
    /* [rwlock.28] relaxed: these bits never change. */
    return lk_load_rlx_u32(&l->kind_) & KIND_MASK;
}

static inline bool reader_may_enter(uint64_t s, unsigned kind)
{
    if (s & WRITER)
        return false;
    if (kind == LK_RWLOCK_PREFER_READER || (s & (WRITERS | UPGRADING)) == 0)
        return true;
    return kind == LK_RWLOCK_PREFER_WRITER && (s & INSIDE) != 0;
}

/* Nobody is there to whom these bits would say something. */
static inline uint64_t tidy(uint64_t s)
{
    if ((s & WAITING) == 0)
        s &= ~(s & INSIDE ? READERS_SLEEP : READERS_SLEEP | PHASE);
    if ((s & WRITERS) == 0)
        s &= ~(CROWDED | HUNGRY | AWAKE);
    return s;
}

/* The state after a writer has left and the waiting readers have been let in, if the kind lets them
 * in now. */
static inline uint64_t let_in(uint64_t s, unsigned kind)
{
    uint64_t waiting = (s & WAITING) >> 16;
    bool writers = (s & (WRITERS | UPGRADING)) != 0;
    if (waiting == 0 ||
        (writers && kind != LK_RWLOCK_PREFER_READER && kind != LK_RWLOCK_PHASE_FAIR))
        return tidy(s);
    return tidy(((s & ~(WAITING | READERS_SLEEP)) ^ PHASE) + waiting);
}

/* The state after somebody has given up whom waiting readers may have waited for: if they may enter
 * now, those that sleep must be woken, and enter one by one.  They are not let in: PHASE turns only
 * when a writer leaves, so it cannot turn twice while a reader that was let in has not looked. */
static inline uint64_t given_up(uint64_t s, unsigned kind, bool raised)
{
    if (raised && (s & WRITERS))
        s |= CROWDED;
    if (reader_may_enter(s, kind))
        s &= ~READERS_SLEEP;
    return tidy(s);
}

/* Wake the readers that sleep. */
void lki_rwlock_wake_readers(lk_rwlock *l);
/* Wake the upgrader: UPGRADER_SLEEPS was cleared. */
void lki_rwlock_wake_upgrader(lk_rwlock *l);

#endif
