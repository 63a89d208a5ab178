/* The robust barrier as shipped: nobody goes on before the others have come or are dead, what they
 * did before is visible, and a member that dies at any step is not waited for.  ROUNDS: how often
 * they meet.  TIMED: the last member has a deadline, and comes no more when it has passed.  JOIN:
 * the second takes its place while the first waits, and may die from then on.  CHAIN: the first
 * waits for the third, that one for the second, which ends the round and may die.  LEAVES: the
 * third waits for the second, which leaves instead, and then for the first, which may die; EARLY:
 * the first is dead before, and the second may die while it leaves.  GOES:
 * the second leaves in the end.
 * Kills: robust.round_ends_unseen.
 *
 * Sources: @life src/life/rbarrier.c
 * Run: -DTHREADS=2
 * Run: --deaths 2 -DTHREADS=2
 * Run: --model sc --deaths 1 -DTHREADS=3 -DCHAIN
 * Run: --model sc --deaths 1 -DTHREADS=3 -DLEAVES
 * Run: --states --deaths 2 -DTHREADS=3 -DLEAVES -DEARLY
 * Run: -DTHREADS=2 -DGOES
 * Run: --states -DTHREADS=2 -DROUNDS=2
 * Run: --states --deaths 1 -DTHREADS=2 -DTIMED
 * Campaign: --states -DTHREADS=2 -DTIMED
 * Campaign: --states --deaths 2 -DTHREADS=2 -DROUNDS=2
 * Campaign: --states --deaths 1 -DTHREADS=3 -DCHAIN -DTIMED
 * Campaign: -DTHREADS=2 -DJOIN
 * Campaign: --deaths 1 -DTHREADS=2 -DJOIN
 * Find: --deaths 1 -DTHREADS=2 -DJOIN
 * Find: --states --deaths 1 -DTHREADS=3 -DCHAIN -DTIMED
 */
#include "robust_processes.h"

#include "latchkey/robust.h"

#ifndef ROUNDS
#define ROUNDS 1
#endif

static lk_rbarrier barrier = {.parties_ = THREADS};
static int done[ROUNDS][THREADS];

#if defined CHAIN || defined LEAVES
static uint32_t has(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Only executions in which `slot` comes when another watches it. */
static void come_watched(uint32_t slot)
{
    lk_check_assume(__atomic_load_n(token_of(slot), __ATOMIC_RELAXED) & 0x80000000u);
}

/* `slot` lives on until `other` has gone on: its end would wake who watches it. */
static void outlive(uint32_t slot, uint32_t other)
{
    static uint32_t gone[THREADS];
    __atomic_store_n(&gone[slot], 1, __ATOMIC_RELAXED);
    while (has(&gone[other]) == 0)
        ;
}
#endif

/* The members come in an order; who waits watches the last of those that have not. */
static void come(uint32_t slot)
{
#ifdef CHAIN
    lk_check_mortal(slot == 1);
    if (slot != 0)
        come_watched(slot);
#elif defined LEAVES && defined EARLY
    lk_check_mortal(slot == 1);
    if (slot == 0) {
        lk_check_crash_point();
        lk_check_assume(false);
    }
    if (slot == 1)
        come_watched(1);
    if (slot == 1)
        lk_rbarrier_leave(&barrier);
#elif defined LEAVES
    lk_check_mortal(slot == 0);
    if (slot == 1)
        come_watched(1);
    if (slot == 1)
        lk_rbarrier_leave(&barrier);
    if (slot == 0)
        lk_check_assume(has(&barrier.member_[1]) == UINT32_MAX && has(&barrier.word_) == 0);
#endif
    (void)slot;
}

static bool comes(uint32_t slot)
{
#ifdef LEAVES
    return slot != 1;
#else
    (void)slot;
    return true;
#endif
}

static void go(uint32_t slot)
{
#ifdef CHAIN
    if (slot != 1)
        outlive(slot, 0);
#elif defined LEAVES
    if (slot != 0)
        outlive(slot, 2);
#endif
    (void)slot;
}

static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = become(slot);
    lki_mine = &self;
    come(slot);
#ifdef JOIN
    lk_check_mortal(false);
    if (slot != 0) {
        assert(lk_rbarrier_join(&barrier) == 0);
        lk_check_mortal(true);
    }
#endif
    bool all_live = true;
    for (int round = 0; round < ROUNDS && comes(slot); round++) {
        done[round][slot] = 1;
        int rc = lk_rbarrier_wait_until(&barrier, limit_of(slot));
        assert(rc == 0 || rc == EOWNERDEAD || (rc == ETIMEDOUT && limit_of(slot) != NULL));
        all_live &= rc == 0;
        for (uint32_t i = 0; i < THREADS && all_live; i++)
            assert(done[round][i] == 1 || !comes(i));
        if (rc == ETIMEDOUT) {
            lk_rbarrier_leave(&barrier);
            break;
        }
    }
    go(slot);
#ifdef GOES
    if (slot != 0)
        lk_rbarrier_leave(&barrier);
#endif
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
