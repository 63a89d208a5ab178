/* A writer that may be killed at any of its steps, a reader beside it and beside the repair, and
 * the next writer.  The reader gets what was there before, what was stored, or the miss that a
 * removal means; the next writer repairs the shard and goes on; then all that is derived agrees
 * with the entries.  In two phases the reader is beside the writer or beside who comes after it; in
 * one phase it is beside both, for one action at a time.  A flush empties all slots, also those
 * that never held anything: there a reader looks at the two that may (LK_MODEL_WAYS, kernel.h).
 *
 * Sources: @cache
 * Run: --deaths 0 -DPHASES=2
 * Run: --deaths 1 -DPHASES=2
 * Run: --deaths 1 -DPHASES=1 -DONLY=OVERWRITE
 * Run: --deaths 1 -DPHASES=1 -DONLY=STORE_NEW
 * Run: --deaths 1 -DPHASES=1 -DONLY=EVICT
 * Run: --deaths 1 -DPHASES=1 -DONLY=REMOVE
 * Run: --deaths 1 -DPHASES=1 -DONLY=FLUSH -DLK_MODEL_WAYS=2
 */
#include "tiny_cache.h"

enum action { OVERWRITE, STORE_NEW, EVICT, REMOVE, FLUSH, ACTIONS };
enum { OLD = 7, NEW = 8, OTHER = 9 };

static enum action action;
static bool finished; /* the writer came to its end */

/* What the reader asks for. */
static uint64_t key_read(void)
{
    return action == STORE_NEW ? NEW : OLD;
}

static void *writer(void *arg)
{
    (void)become_process(true);
    switch (action) {
    case OVERWRITE:
        assert(set(OLD, 2) == 0);
        break;
    case STORE_NEW:
        assert(set(NEW, 2) == 0);
        break;
    case EVICT:
        assert(set(NEW, 2) == 0);
        break;
    case REMOVE:
        assert(lk_cache_delete(&cache, &(uint64_t){OLD}, sizeof(uint64_t)) == 0);
        break;
    default:
        assert(lk_cache_flush(&cache) == 0);
        break;
    }
    finished = true;
    return arg;
}

/* Could a read of key_read() have this result at some moment? */
static bool possible(uint64_t seen)
{
    switch (action) {
    case OVERWRITE:
        return seen == 1 || seen == 2;
    case STORE_NEW:
        return seen == 0 || seen == 2;
    default:
        return seen == 0 || seen == 1;
    }
}

/* And after the writer's end?  (An entry that the reader hit is not the one to go.) */
static bool final(uint64_t seen)
{
    if (!finished || action == EVICT)
        return possible(seen);
    return seen == (action <= STORE_NEW ? 2 : 0);
}

static void *reader(void *arg)
{
    (void)become_process(false);
    assert(possible(get(key_read())));
    return arg;
}

/* The next one: it may have to repair. */
static void go_on(void)
{
    uint64_t left = get(key_read());
    assert(final(left));
    assert(set(OTHER, 5) == 0);
    assert(get(OTHER) == 5);
    if (action != EVICT)
        assert(get(key_read()) == left);
}

/* The slots that readers do not look at are empty. */
static void check_ways(void)
{
#ifdef LK_MODEL_WAYS
    struct lki_shard s = lki_shard_at(&cache, 0);
    for (uint32_t i = 0; i < cache.geometry.buckets; i++)
        for (uint32_t j = LK_MODEL_WAYS; j < LKI_BUCKET_SLOTS; j++)
            assert(lki_buckets(&s)[i].word[j] == 0);
#endif
}

int main(void)
{
    pthread_t w, r;
    bool after = PHASES > 1 && lk_check_choose(2) == 1;
#ifdef ONLY
    action = ONLY;
#else
    action = (enum action)lk_check_choose(ACTIONS);
#endif
    make_cache();
    (void)become_process(false);
    assert(set(OLD, 1) == 0);
    if (action == EVICT) /* full: the new one drives the oldest out */
        assert(set(OTHER, 4) == 0);
    pthread_create(&w, NULL, writer, NULL);
    if (!after)
        pthread_create(&r, NULL, reader, NULL);
    pthread_join(w, NULL);
    if (PHASES > 1 && !after)
        pthread_join(r, NULL);
    if (after)
        pthread_create(&r, NULL, reader, NULL);
    go_on();
    if (PHASES == 1 || after)
        pthread_join(r, NULL);
    check_all();
    check_ways();
    return 0;
}
