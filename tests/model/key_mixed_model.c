/* Sets, levels and claims together, as shipped: every workload of THREADS threads, each of which
 * takes LEAST to PER of LOCKS locks, by a set (any order of writing), by levels (ascending), or by
 * a claim (any order): nobody waits for ever, sections exclude each other, a claim of n locks gives
 * way at most n - 1 times and never hears 0 when what it has read may have changed.
 * Kills: key.claim_waits_out_of_order, key.set_not_sorted, key.turns_keep_the_first.
 * ONLY: a mask of the disciplines, 1 set, 2 levels, 4 claim.  LK_MODEL_TURNS: how often a set gives
 * all back before it locks in order.  FEWER: claims give way fewer times than that (they do not:
 * campaign_key.sh prints the most that happens).  SAMPLE: not all workloads, but so many by chance.
 * RING: one workload, in which thread t locks lock t and the next ones by HOW.  PLAIN: lk_mutex,
 * which cannot tell claims about changes.  Every exploration ends, so nothing goes round for ever.
 * All workloads of three threads and three locks: key_states.c.
 *
 * Sources: src/key/set.c src/key/key.c src/key/member.c src/key/claim.c src/key/level.c
 * Run: -DTHREADS=2 -DLOCKS=3 -DPER=2 -DLK_MODEL_TURNS=2
 * Run: -DTHREADS=2 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=0
 * Run: -DTHREADS=3 -DLOCKS=3 -DPER=2 -DLEAST=2 -DLK_MODEL_TURNS=0 -DONLY=6
 * Run: -DTHREADS=3 -DLOCKS=3 -DPER=2 -DLK_MODEL_TURNS=1 -DRING -DHOW=1
 * Campaign: --states -DTHREADS=2 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=8
 * Campaign: -DTHREADS=2 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=1 -DPLAIN
 * Campaign: --states -DTHREADS=3 -DLOCKS=3 -DPER=2 -DLEAST=1 -DLK_MODEL_TURNS=1 -DSAMPLE=100
 * Campaign: --states -DTHREADS=3 -DLOCKS=3 -DPER=3 -DLEAST=1 -DLK_MODEL_TURNS=0 -DSAMPLE=100
 * Campaign: --states -DTHREADS=4 -DLOCKS=4 -DPER=2 -DLEAST=1 -DLK_MODEL_TURNS=0 -DSAMPLE=50
 */
#include "key_seam.h"

#ifndef ONLY
#define ONLY 7
#endif

/* Neighbours, so that their order is that of their numbers. */
#ifdef PLAIN
static lk_mutex lock[LOCKS];
#else
static lk_kmutex lock[LOCKS];
#endif
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

static bool is_free(const void *l)
{
    uint32_t word;
    memcpy(&word, l, sizeof word); /* that of the mutex, which comes first in both kinds */
    return word == 0;
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

/* ---- the workloads: listed once, before anything is explored
 * ------------------------------------- */

enum { MOST_SCRIPTS = 256, MOST_WORKLOADS = 16384 };
static struct script script_of[MOST_SCRIPTS];
static unsigned scripts;
static unsigned char workload[MOST_WORKLOADS][THREADS];
static unsigned workloads;

/* The scripts of n locks by discipline `how`: every order of different locks; levels only
 * upwards. */
static void list_scripts(unsigned how, unsigned n)
{
    unsigned all = 1;
    for (unsigned i = 0; i < n; i++)
        all *= LOCKS;
    for (unsigned code = 0; code < all; code++) {
        struct script s = {.how = how, .n = n};
        bool fits = true;
        for (unsigned i = 0, rest = code; i < n; i++, rest /= LOCKS) {
            s.lock[i] = rest % LOCKS;
            for (unsigned j = 0; j < i; j++)
                fits = fits && (how == 2 ? s.lock[j] < s.lock[i] : s.lock[j] != s.lock[i]);
        }
        if (fits) {
            assert(scripts < MOST_SCRIPTS);
            script_of[scripts++] = s;
        }
    }
}

/* Only the order of the locks matters, so those that are used are the first ones. */
static bool uses_the_first(const unsigned char *w)
{
    unsigned used = 0;
    for (unsigned t = 0; t < THREADS; t++)
        for (unsigned i = 0; i < script_of[w[t]].n; i++)
            used |= 1u << script_of[w[t]].lock[i];
    return (used & (used + 1)) == 0;
}

/* Threads are alike, so their scripts are in no order: each workload once, with those numbers
 * ascending. */
static void list_workloads(void)
{
    unsigned char w[THREADS] = {0};
    for (;;) {
        if (uses_the_first(w)) {
            assert(workloads < MOST_WORKLOADS);
            memcpy(workload[workloads++], w, sizeof w);
        }
        unsigned t = THREADS;
        while (t > 0 && w[t - 1] == scripts - 1u)
            t--;
        if (t == 0)
            return;
        memset(&w[t - 1], w[t - 1] + 1, THREADS - t + 1);
    }
}

__attribute__((constructor)) static void list(void)
{
    for (unsigned n = LEAST; n <= PER; n++)
        for (unsigned how = 1; how <= 4; how *= 2)
            if (how & ONLY)
                list_scripts(how, n);
#if !defined SAMPLE && !defined RING
    list_workloads();
#endif
}

static void choose(void)
{
#ifdef SAMPLE
    uint64_t at = lk_check_choose(SAMPLE) * (uint64_t)THREADS;
    for (unsigned t = 0; t < THREADS; t++)
        script[t] = script_of[by_chance(at + t) % scripts];
#elif defined RING /* each wants the lock of its number, then the next ones, by HOW */
    for (unsigned t = 0; t < THREADS; t++) {
        script[t] = (struct script){.how = HOW, .n = PER};
        for (unsigned i = 0; i < PER; i++)
            script[t].lock[i] = (t + i) % LOCKS;
    }
#else
    unsigned w = lk_check_choose(workloads);
    for (unsigned t = 0; t < THREADS; t++)
        script[t] = script_of[workload[w][t]];
#endif
}

int main(void)
{
    pthread_t id[THREADS];
    choose();
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
        assert(is_free(&lock[i]));
    return 0;
}
