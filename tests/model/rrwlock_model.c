/* The robust reader-writer lock as shipped: writers exclude all, readers see whole states, a dead
 * writer is told to exactly the next comer, a dead reader to nobody, and nobody sleeps for ever.
 * Kills: robust.hold_left_without_wake, robust.hold_stored_late, robust.holds_looked_at_early,
 * robust.left_unseen, robust.waited_not_said, robust.reader_token_not_watched.
 *
 * Sources: src/life/rrwlock.c src/life/rmutex.c src/life/presence.c src/life/nap.c
 * Run: -DTHREADS=2 -DWRITERS=1
 * Run: --deaths 2 -DTHREADS=2 -DWRITERS=1
 * Run: --deaths 2 -DTHREADS=2 -DWRITERS=2
 */
#include "robust_processes.h"

#include "life/rrwlock.h"

static uint32_t word, dirty;
static const struct lki_rrwlock lock = {&word, &dirty, 7};
static int first, second; /* equal but inside */

static void repair(struct lki_self *self)
{
    second = first;
    assert(lki_rrwlock_consistent(&lock, self) == 0);
}

static void write_once(struct lki_self *self)
{
    struct lki_wait wait = {0, 0};
    int rc = lki_rrwlock_wrlock(&lock, self, NULL, &wait);
    if (rc == EOWNERDEAD)
        repair(self);
    else
        assert(rc == 0);
    assert(first == second);
    first++;
    second++;
    assert(lki_rrwlock_unlock(&lock, self) == 0);
}

static void read_once(struct lki_self *self)
{
    struct lki_wait wait = {0, 0};
    int rc = lki_rrwlock_rdlock(&lock, self, NULL, &wait);
    if (rc == EOWNERDEAD)
        repair(self);
    else
        assert(rc == 0);
    assert(first == second);
    assert(lki_rrwlock_unlock(&lock, self) == 0);
}

/* The writers are the first threads. */
static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = become(slot);
    if (slot < WRITERS)
        write_once(&self);
    else
        read_once(&self);
    return NULL;
}

int main(void)
{
    run_all(process);
    return 0;
}
