/* A reader beside a writer that overwrites: it gets the old value or a new one, whole, and never
 * misses the key, though what is stored second reuses the granules that the first store freed.
 * That may be another key; or the same one, so much later that the slot word is what it once was:
 * then a reader that slept through all of that may miss, but gets nothing torn.
 *
 * Sources: @cache
 * Run: --deaths 0 -DGET=get
 * Run: --deaths 0 -DGET=get_entry
 */
#include "tiny_cache.h"

enum { KEY = 7, OTHER = 8, ROUND = 1 << 16 }; /* a slot word has 16 bits of the version */

/* The long way, which get() takes only if the short one decides nothing. */
static inline uint64_t get_entry(uint64_t key)
{
    struct value v = {{0, 0}};
    struct lk_cache_entry entry;
    int rc = lk_cache_get_entry(&cache, &key, sizeof key, &v, sizeof v, &entry);
    assert(rc == ENOENT || (rc == 0 && entry.size == sizeof v && v.word[0] == v.word[1]));
    return v.word[0];
}

static uint64_t second; /* which key is stored second */

static void *reader(void *arg)
{
    (void)become_process(false);
    uint64_t seen = GET(KEY);
    assert(seen <= 3 && (seen != 0 || second == KEY));
    return arg;
}

int main(void)
{
    pthread_t id;
    second = lk_check_choose(2) ? OTHER : KEY;
    make_cache();
    (void)become_process(false);
    assert(set(KEY, 1) == 0);
    if (second == KEY) /* as many stores of other keys came and went */
        lki_head(&(struct lki_shard){.base = body})->version += (ROUND - 2) << LKI_VERSION_SHIFT;
    pthread_create(&id, NULL, reader, NULL);
    assert(set(KEY, 2) == 0);
    assert(set(second, 3) == 0);
    pthread_join(id, NULL);
    assert(get(second) == 3);
    check_all();
    return 0;
}
