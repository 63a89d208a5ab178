/* The robust barrier as shipped: nobody goes on before the others have come or are dead, what they
 * did before is visible, and a member that dies at any step is not waited for.  ROUNDS: how often
 * they meet.  TIMED: the last member has a deadline, and comes no more when it has passed.  JOIN:
 * the second takes its place while the first waits, and may die from then on.
 * Kills: robust.round_ends_unseen.
 *
 * Sources: @life src/life/rbarrier.c
 * Run: -DTHREADS=2
 * Run: --deaths 2 -DTHREADS=2
 * Campaign: -DTHREADS=2 -DROUNDS=2
 * Campaign: -DTHREADS=2 -DTIMED
 * Campaign: --deaths 2 -DTHREADS=2 -DROUNDS=2
 * Campaign: --deaths 1 -DTHREADS=2 -DTIMED
 * Campaign: --deaths 1 -DTHREADS=3
 * Campaign: -DTHREADS=2 -DJOIN
 * Campaign: --deaths 1 -DTHREADS=2 -DJOIN
 * Find: --deaths 1 -DTHREADS=2 -DJOIN
 */
#include "robust_processes.h"

#include "latchkey/robust.h"

#ifndef ROUNDS
#define ROUNDS 1
#endif

static lk_rbarrier barrier = {.parties_ = THREADS};
static int done[ROUNDS][THREADS];

static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = become(slot);
    lki_mine = &self;
#ifdef JOIN
    lk_check_mortal(false);
    if (slot != 0) {
        assert(lk_rbarrier_join(&barrier) == 0);
        lk_check_mortal(true);
    }
#endif
    bool all_live = true;
    for (int round = 0; round < ROUNDS; round++) {
        done[round][slot] = 1;
        int rc = lk_rbarrier_wait_until(&barrier, limit_of(slot));
        assert(rc == 0 || rc == EOWNERDEAD || (rc == ETIMEDOUT && limit_of(slot) != NULL));
        all_live &= rc == 0;
        for (uint32_t i = 0; i < THREADS && all_live; i++)
            assert(done[round][i] == 1);
        if (rc == ETIMEDOUT) {
            lk_rbarrier_leave(&barrier);
            break;
        }
    }
    return NULL;
}

/* Members already: who dies before it comes is known of. */
int main(void)
{
#ifndef JOIN
    for (uint32_t i = 0; i < THREADS; i++)
        barrier.member_[i] = 1u << 10 | (i + 1);
#endif
    run_all(process);
    return 0;
}
