/* The robust reader-writer lock as shipped: writers exclude all, readers see whole states, a dead
 * writer is told to exactly the next comer, a dead reader to nobody, and nobody sleeps for ever.
 * A letter each for what the processes do: R read, W write, r w with a deadline, t T try to read or
 * write, D write and downgrade.  HELD: the first has the lock already when the others come.
 * Kills: robust.hold_left_without_wake, robust.hold_stored_late, robust.holds_looked_at_early,
 * robust.left_unseen, robust.waited_not_said, robust.reader_token_not_watched.
 *
 * Sources: src/life/rrwlock.c src/life/rmutex.c src/life/presence.c src/life/nap.c
 * Run: -DDO="WR"
 * Run: --deaths 2 -DDO="WR"
 * Run: --deaths 2 -DDO="WW"
 * Run: --deaths 2 -DDO="Wr"
 * Run: --deaths 2 -DDO="wR"
 * Run: --deaths 2 -DDO="Ww"
 * Run: --deaths 2 -DDO="Wt"
 * Run: --deaths 2 -DDO="TR"
 * Run: --deaths 2 -DDO="TW"
 * Run: --deaths 2 -DDO="Tt"
 * Run: --deaths 2 -DDO="DR"
 * Run: --deaths 2 -DDO="DW"
 * Run: --deaths 1 -DDO="RWR" -DHELD
 * Run: --deaths 2 -DDO="RWW" -DHELD
 * Campaign: --deaths 2 -DDO="RWR" -DHELD
 * Campaign: --states --deaths 2 -DDO="RWR" -DHELD
 * Campaign: -DDO="WRR" -DHELD
 * Campaign: --states -DDO="WRR" -DHELD
 * Campaign: --states -DDO="WWR" -DHELD
 */
#define THREADS ((int)sizeof DO - 1)
#include "robust_processes.h"

#include "life/rrwlock.h"

static const char todo[] = DO;
static uint32_t word, dirty;
static const struct lki_rrwlock lock = {&word, &dirty, 7};
static int first, second; /* equal but inside */

/* Locked, or not for a reason that the caller knows; repaired if somebody died inside. */
static bool locked(struct lki_self *self, int rc, int otherwise)
{
    if (rc == EOWNERDEAD) {
        second = first;
        assert(lki_rrwlock_consistent(&lock, self) == 0);
        return true;
    }
    assert(rc == 0 || rc == otherwise);
    return rc == 0;
}

static bool enter(struct lki_self *self)
{
    struct lki_wait wait = {0, 0};
    switch (todo[self->slot]) {
    case 'R':
        return locked(self, lki_rrwlock_rdlock(&lock, self, NULL, &wait), 0);
    case 'r':
        return locked(self, lki_rrwlock_rdlock(&lock, self, &some_time, &wait), ETIMEDOUT);
    case 't':
        return locked(self, lki_rrwlock_tryrdlock(&lock, self), EBUSY);
    case 'w':
        return locked(self, lki_rrwlock_wrlock(&lock, self, &some_time, &wait), ETIMEDOUT);
    case 'T':
        return locked(self, lki_rrwlock_trywrlock(&lock, self), EBUSY);
    default:
        return locked(self, lki_rrwlock_wrlock(&lock, self, NULL, &wait), 0);
    }
}

static bool writes(char what)
{
    return what == 'W' || what == 'w' || what == 'T' || what == 'D';
}

static void leave(struct lki_self *self)
{
    assert(first == second);
    if (writes(todo[self->slot])) {
        first++;
        second++;
    }
    if (todo[self->slot] == 'D') {
        assert(lki_rrwlock_downgrade(&lock, self) == 0);
        assert(first == second);
    }
    assert(lki_rrwlock_unlock(&lock, self) == 0);
}

#ifdef HELD
static struct lki_self holder;
#endif

static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
#ifdef HELD
    if (slot == 0) {
        leave(&holder);
        return NULL;
    }
#endif
    struct lki_self self = become(slot);
    if (enter(&self))
        leave(&self);
    return NULL;
}

int main(void)
{
    attach_all();
#ifdef HELD
    holder = become(0);
    assert(enter(&holder));
#endif
    run_attached(process);
    return 0;
}
