/* The copy that lk_cache_verify() takes of a shard while others go on: if it counts as taken
 * outside every section, it shows no half of one.  The shard is two words behind its head, which
 * every section changes one after the other.
 *
 * All tries begin alike, so the first stands for all.
 *
 * Sources: @life src/cache/section.c
 * Run: --deaths 0 -DWRITES=2
 * Run: --deaths 1 -DWRITES=1
 */
#include "base/atomic.h"
#include "processes.h"

/* The sources that follow are of one file with the model: they look by way of it. */
static enum lki_rmutex_state first_try(const uint32_t *word, const struct lki_presence *p);
#define lki_rmutex_look first_try
#include "cache/verify.c"
#undef lki_rmutex_look
enum lki_rmutex_state lki_rmutex_look(const uint32_t *word, const struct lki_presence *p);

static struct {
    struct lki_shard_head head;
    uint64_t first, second;
} shard, copy;
static lk_cache cache;

/* A third look would be that of a second try. */
static enum lki_rmutex_state first_try(const uint32_t *word, const struct lki_presence *p)
{
    static unsigned looks;
    enum lki_rmutex_state state = lki_rmutex_look(word, p);
    looks++;
    lk_check_assume(looks < 3 && (looks == 2 || state != LKI_RMUTEX_HELD));
    return state;
}

/* The kernel reads in any order. */
ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    (void)fd;
    (void)to;
    (void)at;
    copy.second = lk_load_rlx_u64(&shard.second);
    copy.first = lk_load_rlx_u64(&shard.first);
    return (ssize_t)n;
}

void lki_shard_rebuild(const struct lki_shard *s, bool thorough)
{
    (void)s;
    (void)thorough;
    lk_store_rlx_u64(&shard.second, lk_load_rlx_u64(&shard.first));
}

static void *writer(void *arg)
{
    (void)become_process(true);
    for (uint64_t i = 1; i <= WRITES; i++) {
        struct lki_section x;
        assert(lki_section_enter(&x, &cache, 0) == 0);
        lk_store_rlx_u64(&shard.first, i);
        lk_store_rlx_u64(&shard.second, i);
        lki_section_leave(&x);
    }
    return arg;
}

int main(void)
{
    pthread_t id;
    struct verify v = {.cache = &cache};
    attach_all();
    (void)become_process(false);
    cache.geometry.stride = sizeof shard;
    cache.geometry.shards = 1;
    cache.segment = (struct lki_segment){.base = (char *)&shard,
                                         .body = (char *)&shard,
                                         .size = sizeof shard,
                                         .writable = true,
                                         .presence = &presence};
    v.live = lki_shard_at(&cache, 0);
    v.copy = v.live;
    v.copy.base = (char *)&copy;
    pthread_create(&id, NULL, writer, NULL);
    assert(take_copy(&v) == 0);
    assert(v.dead || copy.first == copy.second);
    pthread_join(id, NULL);
    return 0;
}
