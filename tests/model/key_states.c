/* Sets, levels and claims as shipped, every workload: threads that each lock some of a few locks,
 * by a set (any order of writing), a set written in place, one built beforehand, by levels
 * (ascending) or by a claim (any order), each alone or mixed.  Explored to the end with states.h: 0
 * deadlocks, 0 livelocks, sections have all they locked and nobody else has it, a claim of n locks
 * gives way at most n - 1 times and never hears 0 when what it has read may have changed.
 *
 * usage: key_states [options]
 *   --threads N --locks N       up to 4 (3 and 3)
 *   --most N                    locks of one thread, from 1 (all)
 *   --plain | --counting        lk_mutex | lk_kmutex, which tells claims about changes (--plain)
 *   --reads                     reader-writer locks, each wanted for reading or for writing; not i,
 *   b
 *   --only LETTERS              of the disciplines: s set, i written in place, b built, l levels,
 *                               c claim, u claim that upgrades and downgrades; o and r are none of
 *                               ours: in the order of writing, and the retries of std::lock (slc)
 *   --sample N --seed N         not all workloads, but so many by chance
 *   --strictly                  a try fails only if the lock is taken
 * Exit: 0 no error, 1 an error, 2 bad usage. */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "key_floor.h"
#include "states.h"

static unsigned threads = 3, locks = 3, most, sample, seed;
static bool counting, reads, strictly;
static const char *only = "slc";

/* Neighbours, so that their order is that of their numbers. */
static union any_lock {
    lk_mutex plain;
    lk_kmutex counting;
    lk_rwlock rw;
    lk_krwlock counting_rw;
} lock[STATES_LOCKS];
static uint64_t count[STATES_LOCKS]; /* of writing sections, guarded by the lock */

/* What a thread does: a discipline, and n locks in an order; reading: a mask of the places. */
struct script {
    char how;
    unsigned n, lock[STATES_LOCKS], reading;
};
static const struct script *script[STATES_THREADS];
static unsigned most_restarts[STATES_LOCKS + 1];

static unsigned this_thread(void)
{
    return states_thread();
}

static lk_member member(const struct script *s, unsigned i, unsigned level)
{
    union any_lock *l = &lock[s->lock[i]];
    bool reading = s->reading >> i & 1;
    lk_member m = !reads     ? counting ? LK_LOCK(&l->counting) : LK_LOCK(&l->plain)
                      : counting ? reading ? LK_READ(&l->counting_rw) : LK_LOCK(&l->counting_rw)
                      : reading ? LK_READ(&l->rw)
                             : LK_LOCK(&l->rw);
    m.what_ |= (uint64_t)level << 16;
    return m;
}

/* ---- the disciplines
 * ---------------------------------------------------------------------------- */

static void inside(const struct script *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        bool reading = s->reading >> i & 1;
        if (!states_holds(s->lock[i], reading))
            states_fail("a section does not have all its locks");
        if (!reading)
            count[s->lock[i]]++;
    }
}

static void must(bool condition, const char *otherwise)
{
    if (!condition)
        states_fail(otherwise);
}

static void by_set(lk_key key, const struct script *s)
{
    lk_member m[STATES_LOCKS];
    for (unsigned i = 0; i < s->n; i++)
        m[i] = member(s, i, 0);
    must(lk_set_lock(key, LK_ARRAY(m, s->n)) == 0, "a set cannot be locked");
    inside(s);
    (void)lk_set_unlock(key);
}

/* The inline ways of a scope, which the compiler takes only when it optimises. */
static void by_scope(lk_key key, const struct script *s)
{
    lk_member m[STATES_LOCKS];
    lk_set set;
    for (unsigned i = 0; i < s->n; i++)
        m[i] = member(s, i, 0);
    if (s->how == 'b')
        must(lk_set_init(&set, m, s->n, s->n, NULL) == 0, "a set cannot be built");
    struct lk_held_ held = s->how == 'i' ? lk_scope_few_(key, LK_ARRAY(m, s->n), "model")
                                         : lk_scope_built_(key, LK_OF(&set), "model");
    inside(s);
    lk_scope_leave_(&held);
}

/* Level 1 is that of lock 0, and so on: levels and addresses are one order, so that the disciplines
 * may meet on the same locks. */
static void by_levels(lk_key key, const struct script *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        lk_member m[1] = {member(s, i, s->lock[i] + 1)};
        must(lk_level_lock_(key.k_, s->lock[i] + 1, LK_ARRAY(m, 1), "model") == 0, "a level");
    }
    inside(s);
    for (unsigned i = 0; i < s->n; i++)
        lk_level_unlock_(key.k_);
}

/* A lock that is read is written for a while.  1, or 0: it is written already. */
static unsigned upgrade(lk_claim *c, const struct script *s, unsigned i)
{
    lk_rwlock *l = &lock[s->lock[i]].rw;
    uint64_t seen = count[s->lock[i]];
    if (!(s->reading >> i & 1))
        return 0;
    int rc = lk_claim_upgrade(c, l);
    must(rc == 0 || rc == EAGAIN, "a claim cannot upgrade");
    must(rc == EAGAIN || seen == count[s->lock[i]], "a claim hears 0 after a change");
    must(states_holds(s->lock[i], false), "an upgrade has not the lock");
    count[s->lock[i]]++;
    must(lk_claim_downgrade(c, l) == 0, "a claim cannot downgrade");
    must(states_holds(s->lock[i], true), "a downgrade has not the lock");
    return 1;
}

static void by_claim(lk_key key, const struct script *s)
{
    LK_CLAIM(c, STATES_LOCKS);
    uint64_t seen[STATES_LOCKS] = {0};
    unsigned ups = 0;
    must(lk_claim_begin(&c, key) == 0, "a claim cannot begin");
    for (unsigned i = 0; i < s->n; i++) {
        int rc = lk_claim_lock(&c, member(s, i, 0));
        must(rc == 0 || rc == EAGAIN, "a claim cannot lock");
        for (unsigned j = 0; j < i; j++)
            must(rc == EAGAIN || seen[j] == count[s->lock[j]], "a claim hears 0 after a change");
        for (unsigned j = 0; j <= i; j++)
            seen[j] = count[s->lock[j]];
    }
    inside(s);
    for (unsigned i = 0; s->how == 'u' && i < s->n; i++)
        ups += upgrade(&c, s, i);
    unsigned restarts = (unsigned)lk_claim_restarts(&c);
    must(restarts < s->n + ups, "a claim gives way too often");
    most_restarts[s->n] = restarts > most_restarts[s->n] ? restarts : most_restarts[s->n];
    lk_claim_end(&c, key);
}

/* ---- two that are none of ours, so that what this test looks for is known to be found */

static void in_order_of_writing(const struct script *s)
{
    for (unsigned i = 0; i < s->n; i++)
        (void)lk_mutex_lock_until(&lock[s->lock[i]].plain, NULL);
    inside(s);
    for (unsigned i = 0; i < s->n; i++)
        lk_mutex_unlock(&lock[s->lock[i]].plain);
}

static void by_retries(const struct script *s)
{
    unsigned first = 0;
    for (;;) {
        unsigned got = 1;
        (void)lk_mutex_lock_until(&lock[s->lock[first]].plain, NULL);
        while (got < s->n && lk_mutex_trylock(&lock[s->lock[(first + got) % s->n]].plain) == 0)
            got++;
        if (got == s->n)
            break;
        for (unsigned i = 0; i < got; i++)
            lk_mutex_unlock(&lock[s->lock[(first + i) % s->n]].plain);
        first = (first + got) % s->n;
    }
    inside(s);
    for (unsigned i = 0; i < s->n; i++)
        lk_mutex_unlock(&lock[s->lock[i]].plain);
}

/* ---- a run
 * -------------------------------------------------------------------------------------- */

static struct lk_key_ *mine[STATES_THREADS];

static void run(unsigned t)
{
    const struct script *s = script[t];
    lk_key key = lk_key_take();
    if (s->how == 's')
        by_set(key, s);
    else if (s->how == 'i' || s->how == 'b')
        by_scope(key, s);
    else if (s->how == 'l')
        by_levels(key, s);
    else if (s->how == 'c' || s->how == 'u')
        by_claim(key, s);
    else if (s->how == 'o')
        in_order_of_writing(s);
    else
        by_retries(s);
    lk_key_give(key);
}

static unsigned lock_number(const void *address)
{
    return (unsigned)((const union any_lock *)address - lock);
}

/* What of a key is ever touched: its first words, and the first STATES_LOCKS of each array.  (Where
 * it waits is for others to print: nobody here reads it.) */
static const struct {
    size_t at, size;
} part[] = {
    {0, offsetof(struct lk_key_, waits_for_)},
    {offsetof(struct lk_key_, hold_), STATES_LOCKS * sizeof(struct lk_hold_)},
    {offsetof(struct lk_key_, member_), STATES_LOCKS * sizeof(lk_member)},
    {offsetof(struct lk_key_, claimed_), (STATES_LOCKS + 1) * sizeof(struct lk_claimed_)},
};
enum { PARTS = sizeof part / sizeof *part };

static void begin(void)
{
    for (unsigned t = 0; t < threads; t++)
        for (unsigned i = 0; i < PARTS; i++)
            memset((char *)&keys[t] + part[i].at, 0, part[i].size);
    memset(lock, 0, sizeof lock);
    memset(count, 0, sizeof count);
    memset(mine, 0, sizeof mine);
}

static bool end(void)
{
    uint64_t wanted[STATES_LOCKS] = {0};
    for (unsigned t = 0; t < threads; t++)
        for (unsigned i = 0; i < script[t]->n; i++)
            wanted[script[t]->lock[i]] += script[t]->how == 'u' || !(script[t]->reading >> i & 1);
    return memcmp(wanted, count, sizeof wanted) == 0;
}

static size_t memory(unsigned i, void **piece)
{
    if (i == threads * PARTS) {
        *piece = lock;
        return sizeof lock;
    }
    if (i == threads * PARTS + 1) {
        *piece = count;
        return sizeof count;
    }
    if (i > threads * PARTS)
        return 0;
    *piece = (char *)&keys[i / PARTS] + part[i % PARTS].at;
    return part[i % PARTS].size;
}

static void resume(unsigned t)
{
    lki_key_mine = mine[t];
}

static void suspend(unsigned t)
{
    mine[t] = lki_key_mine;
}

/* ---- the workloads
 * ------------------------------------------------------------------------------ */

static struct script *scripts;
static unsigned n_scripts;

static void add_script(const struct script *s)
{
    if ((n_scripts & (n_scripts - 1)) == 0) {
        scripts = realloc(scripts, (n_scripts == 0 ? 1 : 2 * n_scripts) * sizeof *scripts);
        assert(scripts != NULL);
    }
    scripts[n_scripts++] = *s;
}

/* Every order of n different locks; levels only upwards; with reads, every choice of them. */
static void list_scripts(char how, unsigned n)
{
    unsigned all = 1;
    for (unsigned i = 0; i < n; i++)
        all *= locks;
    for (unsigned code = 0; code < all; code++) {
        struct script s = {.how = how, .n = n};
        bool fits = true;
        for (unsigned i = 0, rest = code; i < n; i++, rest /= locks) {
            s.lock[i] = rest % locks;
            for (unsigned j = 0; j < i; j++)
                fits = fits && (how == 'l' ? s.lock[j] < s.lock[i] : s.lock[j] != s.lock[i]);
        }
        for (; fits && s.reading < (reads ? 1u << n : 1u); s.reading++)
            add_script(&s);
    }
}

/* Only the order of the locks matters, so those that are used are the first ones. */
static bool uses_the_first(const unsigned *w)
{
    unsigned used = 0;
    for (unsigned t = 0; t < threads; t++)
        for (unsigned i = 0; i < scripts[w[t]].n; i++)
            used |= 1u << scripts[w[t]].lock[i];
    return (used & (used + 1)) == 0;
}

/* The next workload: threads are alike, so the numbers of their scripts ascend.  False: no more. */
static bool next_workload(unsigned *w)
{
    unsigned t = threads;
    while (t > 0 && w[t - 1] == n_scripts - 1)
        t--;
    if (t == 0)
        return false;
    unsigned number = w[t - 1] + 1;
    for (t--; t < threads; t++)
        w[t] = number;
    return true;
}

static uint64_t random_number(void) /* SplitMix64 */
{
    static uint64_t at;
    uint64_t z = (seed + ++at) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct {
    uint64_t workloads, states, steps, most_states;
    unsigned deepest;
} all;

static bool explore(const unsigned *w)
{
    const struct states_program program = {threads, run,    lock_number, begin,   end,
                                           memory,  resume, suspend,     strictly};
    for (unsigned t = 0; t < threads; t++)
        script[t] = &scripts[w[t]];
    struct states_found found = states_explore(&program);
    all.workloads++;
    all.states += found.states;
    all.steps += found.steps;
    all.most_states = found.states > all.most_states ? found.states : all.most_states;
    all.deepest = found.deepest > all.deepest ? found.deepest : all.deepest;
    if (found.error == NULL)
        return true;
    printf("FAIL %s\n", found.error);
    for (unsigned t = 0; t < threads; t++) {
        printf("    thread %u: %c", t, script[t]->how);
        for (unsigned i = 0; i < script[t]->n; i++)
            printf(" %s%u", script[t]->reading >> i & 1 ? "read " : "", script[t]->lock[i]);
        printf("\n");
    }
    return false;
}

static bool explore_all(void)
{
    unsigned w[STATES_THREADS] = {0};
    bool good = true;
    for (unsigned i = 0; good && i < sample; i++) {
        for (unsigned t = 0; t < threads; t++)
            w[t] = (unsigned)(random_number() % n_scripts);
        good = explore(w);
    }
    if (sample == 0)
        do
            good = !uses_the_first(w) || explore(w);
        while (good && next_workload(w));
    return good;
}

static void say(double seconds)
{
    printf("%s: %u threads, %u locks, 1 to %u of them each, %s%s, %u turns: %s %llu workloads, "
           "%llu states (most %llu), %llu steps, deepest %u, 0 deadlocks, 0 livelocks; claims of",
           only, threads, locks, most, counting ? "counting " : "", reads ? "rwlocks" : "mutexes",
           LK_MODEL_TURNS, sample != 0 ? "a sample of" : "all", (unsigned long long)all.workloads,
           (unsigned long long)all.states, (unsigned long long)all.most_states,
           (unsigned long long)all.steps, all.deepest);
    for (unsigned n = 1; n <= most; n++)
        printf(" %u", n);
    printf(" locks gave way at most");
    for (unsigned n = 1; n <= most; n++)
        printf(" %u", most_restarts[n]);
    printf(" times; %.1f s\n", seconds);
}

static bool parse(int argc, char **argv)
{
    static const struct option option[] = {{"threads", required_argument, NULL, 't'},
                                           {"locks", required_argument, NULL, 'l'},
                                           {"most", required_argument, NULL, 'm'},
                                           {"plain", no_argument, NULL, 'p'},
                                           {"counting", no_argument, NULL, 'c'},
                                           {"reads", no_argument, NULL, 'r'},
                                           {"only", required_argument, NULL, 'o'},
                                           {"sample", required_argument, NULL, 'n'},
                                           {"seed", required_argument, NULL, 's'},
                                           {"strictly", no_argument, NULL, 'x'},
                                           {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", option, NULL)) != -1;) {
        unsigned n = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        switch (c) {
        case 't':
            threads = n;
            break;
        case 'l':
            locks = n;
            break;
        case 'm':
            most = n;
            break;
        case 'p':
            counting = false;
            break;
        case 'c':
            counting = true;
            break;
        case 'r':
            reads = true;
            break;
        case 'o':
            only = optarg;
            break;
        case 'n':
            sample = n;
            break;
        case 's':
            seed = n;
            break;
        case 'x':
            strictly = true;
            break;
        default:
            return false;
        }
    }
    most = most == 0 ? locks : most;
    return optind == argc && threads - 1 < STATES_THREADS && locks - 1 < STATES_LOCKS &&
           most <= locks && only[strspn(only, "siblcuor")] == '\0';
}

int main(int argc, char **argv)
{
    struct timespec before, after;
    if (!parse(argc, argv)) {
        fprintf(stderr, "usage: see the head of tests/model/key_states.c\n");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (unsigned n = 1; n <= most; n++)
        for (const char *how = only; *how != '\0'; how++)
            list_scripts(*how, n);
    if (!explore_all())
        return 1;
    clock_gettime(CLOCK_MONOTONIC, &after);
    say((double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec));
    return 0;
}
