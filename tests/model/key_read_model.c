/* Sets and claims of locks that are read and written, as shipped: every workload of THREADS
 * threads, each of which wants each of LOCKS locks not at all, for reading or for writing, by a set
 * or by a claim (from the first to the last or the other way round); a claim that reads may turn a
 * read lock into the write lock, and back.  Nobody waits for ever, nothing is written while it is
 * read, and what was read under a lock that a claim had all the time still stands.
 * SAMPLE: not all workloads, but so many by chance.
 * Kills: key.upgrade_waits_holding.
 *
 * Sources: src/key/set.c src/key/key.c src/key/member.c src/key/claim.c src/key/level.c
 * Run: -DTHREADS=2 -DLOCKS=2 -DLK_MODEL_TURNS=0
 * Run: -DTHREADS=3 -DLOCKS=1 -DLK_MODEL_TURNS=0 -DUPGRADES=0
 * Campaign: -DTHREADS=2 -DLOCKS=2 -DLK_MODEL_TURNS=1 -DUPGRADES=2
 * Campaign: --states -DTHREADS=3 -DLOCKS=1 -DLK_MODEL_TURNS=1
 * Campaign: --states -DTHREADS=2 -DLOCKS=3 -DLK_MODEL_TURNS=1 -DUPGRADES=0
 * Campaign: --states -DTHREADS=3 -DLOCKS=2 -DLK_MODEL_TURNS=0 -DSAMPLE=100
 */
#include "key_seam.h"

static lk_krwlock lock[LOCKS];
static int count[LOCKS]; /* plain: the checker sees whoever reads it beside a writer */

enum { NOTHING, READ, WRITE, UPGRADE, WANTS };

#ifndef UPGRADES /* of one thread, at most */
#define UPGRADES 1
#endif
enum { BY_SET, CLAIM_UP, CLAIM_DOWN, HOWS };
struct script {
    unsigned how, wants[LOCKS];
};
static struct script script[THREADS];

static lk_member member(const struct script *s, unsigned i)
{
    return s->wants[i] == WRITE ? LK_LOCK(&lock[i]) : LK_READ(&lock[i]);
}

static void by_set(lk_key key, const struct script *s)
{
    lk_member m[LOCKS];
    unsigned n = 0;
    for (unsigned i = LOCKS; i-- > 0;)
        if (s->wants[i] != NOTHING)
            m[n++] = member(s, i);
    assert(lk_set_lock(key, LK_ARRAY(m, n)) == 0);
    for (unsigned i = 0; i < LOCKS; i++) {
        if (s->wants[i] == WRITE)
            count[i]++;
        else if (s->wants[i] == READ)
            assert(count[i] >= 0);
    }
    (void)lk_set_unlock(key);
}

static void upgrade(lk_claim *c, unsigned i)
{
    int seen = count[i];
    int rc = lk_claim_upgrade(c, &lock[i]);
    assert(rc == 0 || rc == EAGAIN);
    assert(rc == EAGAIN || count[i] == seen);
    count[i]++;
    assert(lk_claim_downgrade(c, &lock[i]) == 0);
    assert(count[i] > 0);
}

static void by_claim(lk_key key, const struct script *s)
{
    LK_CLAIM(c, LOCKS);
    unsigned n = 0, ups = 0;
    assert(lk_claim_begin(&c, key) == 0);
    for (unsigned j = 0; j < LOCKS; j++) {
        unsigned i = s->how == CLAIM_UP ? j : LOCKS - 1 - j;
        if (s->wants[i] == NOTHING)
            continue;
        int rc = lk_claim_lock(&c, member(s, i));
        assert(rc == 0 || rc == EAGAIN);
        n++;
    }
    for (unsigned i = 0; i < LOCKS; i++) {
        if (s->wants[i] == WRITE)
            count[i]++;
        if (s->wants[i] != UPGRADE)
            continue;
        upgrade(&c, i);
        ups++;
    }
    assert(lk_claim_restarts(&c) <= n - 1 + ups);
    lk_claim_end(&c, key);
}

static void *worker(void *arg)
{
    const struct script *s = arg;
    lk_key key = lk_key_take();
    if (s->how == BY_SET)
        by_set(key, s);
    else
        by_claim(key, s);
    lk_key_give(key);
    return NULL;
}

enum { SCRIPTS = HOWS * (LOCKS == 1 ? 4 : LOCKS == 2 ? 16 : 64) };

/* False: it wants nothing, or a set something that only a claim can do, or one lock only, in both
 * directions. */
static bool is_script(unsigned number, struct script *s)
{
    unsigned n = 0, ups = 0;
    s->how = number % HOWS;
    number /= HOWS;
    for (unsigned i = 0; i < LOCKS; i++, number /= WANTS) {
        s->wants[i] = number % WANTS;
        n += s->wants[i] != NOTHING;
        ups += s->wants[i] == UPGRADE;
    }
    return ups <= (s->how == BY_SET ? 0 : UPGRADES) && n > (s->how == CLAIM_DOWN);
}

/* The thread's script, of those from `least` on. */
static unsigned choose(unsigned t, uint64_t sample, unsigned least)
{
    unsigned fit[SCRIPTS], n = 0;
    for (unsigned number = least; number < SCRIPTS; number++)
        if (is_script(number, &script[t]))
            fit[n++] = number;
#ifdef SAMPLE
    unsigned number = fit[by_chance(sample * THREADS + t) % n];
#else
    unsigned number = fit[lk_check_choose(n)];
    (void)sample;
#endif
    assert(is_script(number, &script[t]));
    return number;
}

int main(void)
{
    pthread_t id[THREADS];
#ifdef SAMPLE
    uint64_t sample = lk_check_choose(SAMPLE);
    for (unsigned t = 0; t < THREADS; t++)
        (void)choose(t, sample, 0);
#else
    unsigned least = 0;
    for (unsigned t = 0; t < THREADS; t++)
        least = choose(t, 0, least); /* in no order: threads are alike */
#endif
    for (int t = 1; t < THREADS; t++)
        pthread_create(&id[t], NULL, worker, &script[t]);
    (void)worker(&script[0]);
    for (int t = 1; t < THREADS; t++)
        pthread_join(id[t], NULL);
    for (int i = 0; i < LOCKS; i++) {
        int wanted = 0;
        for (int t = 0; t < THREADS; t++)
            wanted += script[t].wants[i] == WRITE || script[t].wants[i] == UPGRADE;
        assert(count[i] == wanted && lock[i].lock_.state_ == 0);
    }
    return 0;
}
