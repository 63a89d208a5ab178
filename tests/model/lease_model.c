/* Leases: one process has the lease of an absent key and stores the value (FILLS) or gives the
 * lease back; another wants the value meanwhile, waits, and gets it or the lease.  Nobody sleeps
 * for ever, whoever is killed (MORTAL: 0 the first, 1 the second) at whatever step, and at most one
 * of the living has the lease.
 *
 * Sources: @cache
 * Run: --deaths 0 -DFILLS=1 -DMORTAL=0
 * Run: --deaths 0 -DFILLS=0 -DMORTAL=0
 * Run: --deaths 1 -DFILLS=1 -DMORTAL=0
 * Run: --deaths 1 -DFILLS=1 -DMORTAL=1
 */
#include "tiny_cache.h"

enum { KEY = 7 };

static int computing; /* by the holder of the lease; races if there are two */

static void compute(struct lk_lease *lease, uint64_t number)
{
    struct value v = {{number, number}};
    uint64_t key = KEY;
    computing++;
    if (FILLS)
        assert(lk_cache_fill(&cache, &key, sizeof key, &v, sizeof v, LK_TTL_NEVER, lease) == 0);
    else
        lk_cache_release(&cache, lease);
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
    assert(rc == 0 && FILLS);
    assert(v.word[0] == v.word[1] && v.word[0] != 0);
    return false;
}

static void want(uint64_t number)
{
    struct lk_lease lease;
    if (ask(&lease))
        compute(&lease, number);
}

static void *process(void *arg)
{
    (void)become_process(MORTAL == 1);
    want(2);
    if (MORTAL == 0 && lk_check_dead(0)) {
        assert(get(KEY) != 0 || !FILLS);
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
    assert(ask(&lease));
    pthread_create(&id, NULL, process, NULL);
    lk_check_mortal(MORTAL == 0);
    compute(&lease, 1);
    lk_check_mortal(false);
    pthread_join(id, NULL);
    assert(!FILLS || get(KEY) != 0);
    check_all();
    return 0;
}
