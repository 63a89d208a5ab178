// bench_locks_tbb.cpp - the loops over oneTBB's reader-writer mutex.
#include "bench_locks.h"

#include <new>
#include <oneapi/tbb/rw_mutex.h>

static void rw_init(void *lock)
{
    new (lock) tbb::rw_mutex;
}

#define RL(l) (l)->lock_shared()
#define RU(l) (l)->unlock_shared()
#define WL(l) (l)->lock()
#define WU(l) (l)->unlock()
LOCK_LOOPS(rw, tbb::rw_mutex, RL, RU, WL, WU)

extern "C" const struct lock_peer lock_peers_tbb[] = {
    LOCK_PEER(rw, "tbb::rw_mutex", ""),
    {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
};
