// bench_locks_std.cpp - the loops over std::shared_mutex and, where they are installed,
// absl::Mutex, nsync_mu and the read side of userspace RCU.
#include "bench_locks.h"

#include <new>
#include <shared_mutex>

#define RL(l) (l)->lock_shared()
#define RU(l) (l)->unlock_shared()
#define WL(l) (l)->lock()
#define WU(l) (l)->unlock()
static void shared_init(void *lock)
{
    new (lock) std::shared_mutex;
}
LOCK_LOOPS(shared, std::shared_mutex, RL, RU, WL, WU)

#ifdef LK_HAVE_ABSL
#include <absl/synchronization/mutex.h>
#define ARL(l) (l)->ReaderLock()
#define ARU(l) (l)->ReaderUnlock()
#define AWL(l) (l)->WriterLock()
#define AWU(l) (l)->WriterUnlock()
static void absl_init(void *lock)
{
    new (lock) absl::Mutex;
}
LOCK_LOOPS(absl, absl::Mutex, ARL, ARU, AWL, AWU)
#endif

#ifdef LK_HAVE_NSYNC
#include <nsync_mu.h>
using nsync::nsync_mu;
static void nsync_init(void *lock)
{
    nsync::nsync_mu_init((nsync_mu *)lock);
}
LOCK_LOOPS(nsync, nsync_mu, nsync::nsync_mu_rlock, nsync::nsync_mu_runlock, nsync::nsync_mu_lock,
           nsync::nsync_mu_unlock)
#endif

#ifdef LK_HAVE_URCU
extern "C" {
#include <urcu-bp.h>
}
static void urcu_init(void *)
{
}
#define URL(l) ((void)(l), urcu_bp_read_lock())
#define URU(l) ((void)(l), urcu_bp_read_unlock())
LOCK_LOOPS(urcu, char, URL, URU, URL, URU)
#endif

extern "C" const struct lock_peer lock_peers_std[] = {
    LOCK_PEER(shared, "std::shared_mutex", ""),
#ifdef LK_HAVE_ABSL
    LOCK_PEER(absl, "absl::Mutex", ""),
#endif
#ifdef LK_HAVE_NSYNC
    LOCK_PEER(nsync, "nsync_mu", ""),
#endif
#ifdef LK_HAVE_URCU
    // Its writers copy: there is no write lock to measure.
    {"urcu read side", "", urcu_init, urcu_pairs_read, nullptr, urcu_mixed, urcu_timed},
#endif
    {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
};
