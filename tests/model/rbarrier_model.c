/* The robust barrier as shipped: nobody goes on before the others have come or are dead, what they
 * did before is visible, and a member that dies at any step is not waited for.
 * Kills: robust.round_ends_unseen.
 *
 * Sources: @life src/life/rbarrier.c
 * Run: -DTHREADS=2
 * Run: --deaths 1 -DTHREADS=2
 */
#include "robust_processes.h"

#include "latchkey/robust.h"

static lk_rbarrier barrier = {.parties_ = THREADS};
static int done[THREADS];

static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = become(slot);
    lki_mine = &self;
    done[slot] = 1;
    int rc = lk_rbarrier_wait(&barrier);
    assert(rc == 0 || rc == EOWNERDEAD);
    if (rc == 0)
        assert(done[1 - slot] == 1);
    return NULL;
}

/* Members already: who dies before it comes is known of. */
int main(void)
{
    for (uint32_t i = 0; i < THREADS; i++)
        barrier.member_[i] = 1u << 10 | (i + 1);
    run_all(process);
    return 0;
}
