/* The granules of an entry come into the middle of a larger one, whose value has, where the old
 * entry's header was, a copy of that header.  A reader that began with the old slot word gets the
 * old value or a miss: only the slot word tells, and it does.
 *
 * Sources: @cache
 * Run: --deaths 0
 */
#define CAPACITY_ENTRIES 8
#include "tiny_cache.h"

enum { SMALL = 7, BEFORE = 8, LARGE = 9 };

static void *reader(void *arg)
{
    (void)become_process(false);
    assert(get(SMALL) <= 1);
    return arg;
}

/* Two granules: header, key, and a value of eight words, the third of which begins the second
 * granule. */
static void set_large(const struct lki_entry *old)
{
    uint64_t key = LARGE;
    uint64_t v[8] = {0, 0, old->version, old->expire_ns, old->shape, SMALL, 9, 10};
    assert(lk_cache_set(&cache, &key, sizeof key, v, sizeof v, LK_TTL_NEVER) == 0);
}

int main(void)
{
    pthread_t id;
    struct lki_shard s = {.geometry = &cache.geometry, .base = body};
    make_cache();
    (void)become_process(false);
    assert(set(BEFORE, 2) == 0);
    assert(set(SMALL, 1) == 0);
    struct lki_entry old;
    lki_copy_out(&old, lki_block(&s, 1), sizeof old);
    assert(lk_cache_delete(&cache, &(uint64_t){BEFORE}, sizeof(uint64_t)) == 0);
    lki_head(&s)->cursor = 0;
    pthread_create(&id, NULL, reader, NULL);
    assert(lk_cache_delete(&cache, &(uint64_t){SMALL}, sizeof(uint64_t)) == 0);
    lki_head(&s)->cursor = 0;
    set_large(&old);
    pthread_join(id, NULL);
    uint64_t there = 0;
    lki_copy_out(&there, lki_block(&s, 1), sizeof there);
    assert(there == old.version); /* it did come to lie there */
    check_all();
    return 0;
}
