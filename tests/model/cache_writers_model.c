/* Two writers at once, each of which may be killed: the shard's lock, its hand-over after a death,
 * and the repair inside the second one's section.
 *
 * Sources: @cache
 * Run: --deaths 0
 * Run: --deaths 1
 */
#include "tiny_cache.h"

enum { KEY = 7 };

static bool finished[2];

static void write_mine(uintptr_t number)
{
    assert(set(KEY + number, number + 1) == 0);
    finished[number] = true;
}

static void *writer(void *arg)
{
    (void)become_process(true);
    write_mine(1);
    return arg;
}

int main(void)
{
    pthread_t id;
    make_cache();
    (void)become_process(false);
    pthread_create(&id, NULL, writer, NULL);
    write_mine(0);
    pthread_join(id, NULL);
    assert(get(KEY) == 1);
    uint64_t other = get(KEY + 1);
    assert(finished[1] ? other == 2 : other == 0 || other == 2);
    assert(set(KEY, 3) == 0);
    check_all();
    return 0;
}
