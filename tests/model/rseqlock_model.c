/* The robust sequence lock as shipped: a read is one state that was written, also when writers and
 * those who mend die, and nobody waits for ever.  TIMED: the last process has a deadline.
 * Kills: robust.odd_without_fence, robust.look_again_early.
 *
 * Sources: @life src/life/rseqlock.c src/base/copy.c
 * Run: -DTHREADS=2 -DWRITERS=1
 * Run: --deaths 2 -DTHREADS=2 -DWRITERS=1
 * Run: --deaths 2 -DTHREADS=2 -DWRITERS=2
 * Run: --deaths 2 -DTHREADS=2 -DWRITERS=1 -DTIMED
 * Run: --deaths 2 -DTHREADS=2 -DWRITERS=2 -DTIMED
 */
#include "robust_processes.h"

#include "latchkey/robust.h"

static lk_rseqlock lock;
static uint64_t payload[2], copy[2]; /* the second is the first's double */
static const struct lk_rseqlock_mend mend = {.copy = copy};

static void read_once(const struct timespec *limit)
{
    uint64_t seen[2];
    int rc = lk_rseqlock_read(&lock, seen, payload, sizeof seen, &mend, limit);
    assert(rc == 0 || (limit != NULL && rc == ETIMEDOUT));
    assert(rc != 0 || seen[1] == 2 * seen[0]);
}

static void write_once(uint64_t value, const struct timespec *limit)
{
    uint64_t new[2] = {value, 2 * value};
    int rc = lk_rseqlock_write(&lock, payload, new, sizeof new, &mend, limit);
    assert(rc == 0 || (limit != NULL && rc == ETIMEDOUT));
}

/* The writers are the first threads. */
static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = become(slot);
    lki_mine = &self;
    if (slot < WRITERS)
        write_once(slot + 1, limit_of(slot));
    else
        read_once(limit_of(slot));
    return NULL;
}

int main(void)
{
    run_all(process);
    lk_check_mortal(false);
    return 0;
}
