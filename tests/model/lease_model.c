/* Leases: one process has the lease of an absent key; what it does (DOES: 0 gives the lease back, 1
 * stores the value, 2 stores another value as anybody may and keeps the lease) another that wants
 * the value waits for, and gets the value or the lease.  Nobody sleeps for ever, whoever is killed
 * (MORTAL: 0 the first, 1 the second) at whatever step, and at most one of the living has the
 * lease.  SETS: the other stores a value instead, and what was computed before that is refused.
 * TAKEOVER: the lease names somebody who is gone, and the other sleeps on its stamp: who takes the
 * lease over wakes it.
 *
 * Sources: @cache
 * Run: --deaths 0 -DDOES=0 -DMORTAL=0
 * Run: --deaths 0 -DDOES=1 -DMORTAL=0
 * Run: --deaths 0 -DDOES=2 -DMORTAL=0
 * Run: --deaths 0 -DDOES=1 -DMORTAL=0 -DSETS
 * Run: --deaths 0 -DDOES=1 -DMORTAL=0 -DTAKEOVER
 * Run: --deaths 1 -DDOES=1 -DMORTAL=0
 * Run: --deaths 1 -DDOES=1 -DMORTAL=1
 */
#include "tiny_cache.h"

enum { KEY = 7 };

static int computing; /* by the holder of the lease; races if there are two */
#ifdef SETS
static const bool sets_too = true;
#else
static const bool sets_too = false;
#endif

static void compute(struct lk_lease *lease, uint64_t number)
{
    struct value v = {{number, number}};
    uint64_t key = KEY;
    computing++;
    if (DOES == 1) {
        int rc = lk_cache_fill(&cache, &key, sizeof key, &v, sizeof v, LK_TTL_NEVER, lease);
        assert(rc == 0 || (rc == ECANCELED && sets_too));
    } else {
        lk_cache_release(&cache, lease);
    }
}

/* Ask for the value or for the lease; true = the lease. */
static bool ask(struct lk_lease *lease)
{
    struct value v = {{0, 0}};
    uint64_t key = KEY;
    size_t size = 0;
    int rc = lk_cache_lease(&cache, &key, sizeof key, &v, sizeof v, &size, 0, NULL, lease);
    if (rc == ENOENT)
        return true;
    assert(rc == 0 && DOES != 0);
    assert(v.word[0] == v.word[1] && v.word[0] != 0);
    return false;
}

static void want(uint64_t number)
{
    struct lk_lease lease;
    if (ask(&lease))
        compute(&lease, number);
}

#ifdef TAKEOVER
/* A lease of nobody: slot 3 is vacant. */
static struct lki_lease_record *leave_lease(void)
{
    struct lki_shard s = {.geometry = &cache.geometry, .base = body};
    uint64_t key = KEY;
    struct lki_lease_record *r = lki_lease_records(&s);
    *r = (struct lki_lease_record){
        .hash = lki_hash(&cache.key, &key, sizeof key), .holder = 1u << 10 | 3, .waiting = 1};
    lki_head(&s)->leases_held = 1;
    *token_of(2) = (uint64_t)1 << 32;
    return r;
}

static struct lki_lease_record *left;

/* As wait_for() of lease.c sleeps, but for the token, which tells nothing any more. */
static void *sleeper(void *arg)
{
    while (lki_futex_wait(&left->stamp, 0, NULL, 0, NULL) != EAGAIN)
        continue;
    return arg;
}
#endif

static void *process(void *arg)
{
#ifdef TAKEOVER
    return sleeper(arg);
#endif
    (void)become_process(MORTAL == 1);
    if (sets_too)
        assert(set(KEY, 5) == 0);
    else
        want(2);
    if (MORTAL == 0 && lk_check_dead(0)) {
        assert(get(KEY) != 0);
        check_all();
    }
    return arg;
}

int main(void)
{
    pthread_t id;
    struct lk_lease lease;
    make_cache();
    (void)become_process(false);
#ifdef TAKEOVER
    left = leave_lease();
    pthread_create(&id, NULL, process, NULL);
    assert(ask(&lease));
#else
    assert(ask(&lease));
    pthread_create(&id, NULL, process, NULL);
#endif
    lk_check_mortal(MORTAL == 0);
    if (DOES == 2)
        assert(set(KEY, 5) == 0);
    else
        compute(&lease, 1);
    lk_check_mortal(false);
    pthread_join(id, NULL);
    assert(DOES == 0 || get(KEY) != 0);
    assert(!sets_too || get(KEY) == 5);
    check_all();
    return 0;
}
