/* An iteration beside a writer that overwrites: the entry, which is there throughout, is shown
 * once, whole, with the old value or a new one.
 *
 * Sources: @cache src/cache/each.c
 * Run: --deaths 0
 */
#include "tiny_cache.h"

enum { KEY = 7 };

static int show(const struct lk_cache_item *item, void *arg)
{
    struct value v;
    uint64_t key;
    assert(item->entry.size == sizeof v);
    memcpy(&key, item->key, sizeof key);
    memcpy(&v, item->value, sizeof v);
    assert(key == KEY && v.word[0] == v.word[1] && v.word[0] >= 1 && v.word[0] <= 3);
    ++*(int *)arg;
    return 0;
}

static void *reader(void *arg)
{
    int shown = 0;
    (void)become_process(false);
    assert(lk_cache_each(&cache, NULL, 0, show, &shown) == 0);
    assert(shown == 1);
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
    check_all();
    return 0;
}
