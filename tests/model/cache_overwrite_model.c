/* A reader beside a writer that overwrites: it gets the old value or a new one, whole, and never
 * misses the key, though the second store reuses the granules that the first one freed.
 *
 * Sources: @cache
 * Run: --deaths 0
 */
#include "tiny_cache.h"

enum { KEY = 7 };

static void *reader(void *arg)
{
    (void)become_process(false);
    uint64_t first = get(KEY);
    assert(first >= 1 && first <= 3);
    return arg;
}

int main(void)
{
    pthread_t id;
    make_cache();
    (void)become_process(false);
    assert(set(KEY, 1) == 0);
    pthread_create(&id, NULL, reader, NULL);
    assert(set(KEY, 2) == 0);
    assert(set(KEY, 3) == 0);
    pthread_join(id, NULL);
    assert(get(KEY) == 3);
    check_all();
    return 0;
}
