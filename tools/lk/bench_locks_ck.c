/* bench_locks_ck.c - the loops over Concurrency Kit's phase-fair lock. */
#include "bench_locks.h"

#if __has_include(<ck_pflock.h>)
#include <ck_pflock.h>

static void pflock_init(void *lock)
{
    ck_pflock_init(lock);
}

LOCK_LOOPS(pflock, ck_pflock_t, ck_pflock_read_lock, ck_pflock_read_unlock, ck_pflock_write_lock,
           ck_pflock_write_unlock)

const struct lock_peer lock_peers_ck[] = {LOCK_PEER(pflock, "ck_pflock", ""), {0}};
#else
const struct lock_peer lock_peers_ck[] = {{0}};
#endif
