/* A shard whose lock says for ever "not recoverable" (only damage can make it say so): two writers
 * come, one of them takes it all the same and rebuilds, and both store.
 *
 * Sources: @cache
 * Run: --deaths 0
 */
#include "tiny_cache.h"

enum { KEY = 7, LOST = 0x40000000 };

static void *writer(void *arg)
{
    (void)become_process(false);
    int rc = set(KEY + 1, 2);
    assert(rc == 0 || rc == EBUSY);
    return arg;
}

int main(void)
{
    pthread_t id;
    make_cache();
    (void)become_process(false);
    assert(set(KEY, 1) == 0);
    lki_bitmap(&(struct lki_shard){.geometry = &cache.geometry, .base = body})[0] = ~(uint64_t)0;
    lki_head(&(struct lki_shard){.base = body})->lock = LOST;
    pthread_create(&id, NULL, writer, NULL);
    int rc = set(KEY, 3);
    assert(rc == 0 || rc == EBUSY);
    pthread_join(id, NULL);
    assert(get(KEY) == (rc == 0 ? 3 : 1));
    check_all();
    return 0;
}
