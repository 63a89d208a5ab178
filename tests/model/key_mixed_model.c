/* Sets, levels and claims together, as shipped: every workload of THREADS threads, each of which
 * takes LEAST to PER of LOCKS locks, by a set (any order of writing), by levels (ascending), or by
 * a claim (any order): nobody waits for ever, sections exclude each other, a claim of n locks gives
 * way at most n - 1 times and never hears 0 when what it has read may have changed.
 * Kills: key.claim_waits_out_of_order, key.set_not_sorted, key.turns_keep_the_first.
 * ONLY: a mask of the disciplines, 1 set, 2 levels, 4 claim.  LK_MODEL_TURNS: how often a set gives
 * all back before it locks in order.  FEWER: claims give way fewer times than that (they do not:
 * campaign_key.sh prints the most that happens).  Every exploration ends, so nothing goes round for
 * ever.
 *
 * Sources: src/key/set.c src/key/key.c src/key/member.c src/key/claim.c src/key/level.c
 * Run: -DTHREADS=2 -DLOCKS=3 -DPER=2 -DLK_MODEL_TURNS=2
 * Run: -DTHREADS=2 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=0
 * Run: -DTHREADS=3 -DLOCKS=3 -DPER=2 -DLEAST=2 -DLK_MODEL_TURNS=0 -DONLY=6
 * Run: -DTHREADS=3 -DLOCKS=3 -DPER=2 -DLK_MODEL_TURNS=1 -DRING -DHOW=1
 * Campaign: -DTHREADS=2 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=8
 * Campaign: -DTHREADS=3 -DLOCKS=3 -DPER=2 -DLEAST=1 -DLK_MODEL_TURNS=1
 * Campaign: -DTHREADS=3 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=0
 * Campaign: -DTHREADS=4 -DLOCKS=4 -DPER=2 -DLK_MODEL_TURNS=1 -DRING
 * Campaign: -DTHREADS=4 -DLOCKS=4 -DPER=2 -DLK_MODEL_TURNS=0 -DONLY=4
 */
#include "key_seam.h"

#ifndef ONLY
#define ONLY 7
#endif

/* Neighbours, so that their order is that of their numbers. */
static lk_kmutex lock[LOCKS];
static int count[LOCKS];

#ifndef LEAST
#define LEAST PER
#endif

/* What a thread does: a discipline, and an order of n locks, LEAST to PER. */
struct script {
    unsigned how;
    unsigned n, lock[PER];
};
static struct script script[THREADS];

static void inside(const struct script *s)
{
    for (unsigned i = 0; i < s->n; i++)
        count[s->lock[i]]++;
}

static void by_set(lk_key key, const struct script *s)
{
    lk_member m[PER];
    for (unsigned i = 0; i < s->n; i++)
        m[i] = LK_LOCK(&lock[s->lock[i]]);
    assert(lk_set_lock(key, LK_ARRAY(m, s->n)) == 0);
    inside(s);
    (void)lk_set_unlock(key);
}

/* Level 1 is that of lock[0], and so on: levels and addresses are one order, so that the three
 * disciplines may meet on the same locks. */
static void by_levels(lk_key key, const struct script *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        lk_member m[1] = {LK_LOCK_LEVEL(&lock[s->lock[i]], s->lock[i] + 1)};
        assert(lk_level_lock_(key.k_, s->lock[i] + 1, LK_ARRAY(m, 1), "model") == 0);
    }
    inside(s);
    for (unsigned i = 0; i < s->n; i++)
        lk_level_unlock_(key.k_);
}

static void by_claim(lk_key key, const struct script *s)
{
    LK_CLAIM(c, PER);
    int seen[PER];
    assert(lk_claim_begin(&c, key) == 0);
    for (unsigned i = 0; i < s->n; i++) {
        int rc = lk_claim_lock(&c, LK_LOCK(&lock[s->lock[i]]));
        assert(rc == 0 || rc == EAGAIN);
        for (unsigned j = 0; j < i; j++)
            assert(rc == EAGAIN || seen[j] == count[s->lock[j]]); /* it still stands */
        for (unsigned j = 0; j <= i; j++)
            seen[j] = count[s->lock[j]];
    }
    assert(lk_claim_restarts(&c) <= s->n - 1);
#ifdef FEWER /* do claims give way so often at all? */
    assert(lk_claim_restarts(&c) < FEWER);
#endif
    inside(s);
    lk_claim_end(&c, key);
}

static void *worker(void *arg)
{
    const struct script *s = arg;
    lk_key key = lk_key_take();
    if (s->how == 1)
        by_set(key, s);
    else if (s->how == 2)
        by_levels(key, s);
    else
        by_claim(key, s);
    lk_key_give(key);
    return NULL;
}

/* Every script of n locks, in turn, until *number have been passed. */
static bool nth_of(unsigned n, unsigned *number, struct script *s)
{
    unsigned all = 1;
    for (unsigned i = 0; i < n; i++)
        all *= LOCKS;
    s->n = n;
    for (unsigned code = 0; code < 3 * all; code++) {
        bool ok = true, ascending = true;
        s->how = 1u << code / all;
        for (unsigned i = 0, rest = code % all; i < n; i++, rest /= LOCKS) {
            s->lock[i] = rest % LOCKS;
            for (unsigned j = 0; j < i; j++)
                ok = ok && s->lock[j] != s->lock[i];
            ascending = ascending && (i == 0 || s->lock[i] > s->lock[i - 1]);
        }
        if (ok && (s->how & ONLY) && (s->how != 2 || ascending) && (*number)-- == 0)
            return true;
    }
    return false;
}

/* False: there are fewer. */
static bool nth_script(unsigned number, struct script *s)
{
    for (unsigned n = LEAST; n <= PER; n++)
        if (nth_of(n, &number, s))
            return true;
    return false;
}

static unsigned scripts(void)
{
    struct script s;
    unsigned n = 0;
    while (nth_script(n, &s))
        n++;
    return n;
}

int main(void)
{
    pthread_t id[THREADS];
    unsigned least = 0, n = scripts();
    for (unsigned t = 0; t < THREADS; t++) {
#ifdef RING /* thread t wants lock t, then the next ones: by HOW, or by a set or a claim */
#ifdef HOW
        script[t].how = HOW;
#else
        script[t].how = lk_check_choose(2) ? 1 : 4;
#endif
        script[t].n = PER;
        for (unsigned i = 0; i < PER; i++)
            script[t].lock[i] = (t + i) % LOCKS;
        (void)least;
        (void)n;
#else
        least += lk_check_choose(n - least); /* in no order: threads are alike */
        assert(nth_script(least, &script[t]));
#endif
    }
    for (int t = 1; t < THREADS; t++)
        pthread_create(&id[t], NULL, worker, &script[t]);
    (void)worker(&script[0]);
    int sum = 0, wanted = 0;
    for (int t = 1; t < THREADS; t++)
        pthread_join(id[t], NULL);
    for (int i = 0; i < LOCKS; i++)
        sum += count[i];
    for (int t = 0; t < THREADS; t++)
        wanted += (int)script[t].n;
    assert(sum == wanted);
    for (int i = 0; i < LOCKS; i++)
        assert(lock[i].lock_.word_ == 0);
    return 0;
}
