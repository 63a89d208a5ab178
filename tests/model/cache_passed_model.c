/* A key whose bucket is full, so that its entry is in the next one: a search finds it only because
 * the full bucket counts that it was passed.  A writer is killed at any step while it removes or
 * stores beside it; a reader and the repair find the key all the same, always.
 *
 * Sources: @cache
 * Run: --deaths 1
 */
#define CAPACITY_ENTRIES 12
#include "tiny_cache.h"

static uint64_t keys[LKI_BUCKET_SLOTS + 2]; /* all of one bucket; the last is stored by the
                                               writer */

static void find_keys(void)
{
    uint32_t n = 0;
    for (uint64_t key = 1; n < sizeof keys / sizeof keys[0]; key++) {
        uint64_t hash = lki_hash(&cache.key, &key, sizeof key);
        if (lki_hash_bucket(hash, cache.geometry.buckets) == 0)
            keys[n++] = key;
    }
}

static void *writer(void *arg)
{
    (void)become_process(true);
    if (arg == NULL)
        assert(lk_cache_delete(&cache, &keys[0], sizeof keys[0]) == 0);
    else
        assert(set(keys[LKI_BUCKET_SLOTS + 1], 2) == 0);
    return arg;
}

static void *reader(void *arg)
{
    (void)become_process(false);
    assert(get(keys[LKI_BUCKET_SLOTS]) == 1);
    return arg;
}

int main(void)
{
    pthread_t w, r;
    make_cache();
    find_keys();
    (void)become_process(false);
    for (int i = 0; i <= LKI_BUCKET_SLOTS; i++)
        assert(set(keys[i], 1) == 0);
    pthread_create(&w, NULL, writer, lk_check_choose(2) ? &keys : NULL);
    pthread_create(&r, NULL, reader, NULL);
    pthread_join(w, NULL);
    assert(set(keys[1], 3) == 0); /* repairs after a death */
    pthread_join(r, NULL);
    assert(get(keys[LKI_BUCKET_SLOTS]) == 1);
    check_all();
    return 0;
}
