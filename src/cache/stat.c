/* stat.c - sums over shards and presence records, and repair on request. */
#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "cache/section.h"
#include "life/rmutex.h"

static uint64_t number(const uint32_t *word)
{
    return lk_load_rlx_u32(word); /* [stat.1] relaxed: a report */
}

/* Has the next holder to rebuild the shard? */
static bool is_dead(enum lki_rmutex_state state)
{
    return state == LKI_RMUTEX_DEAD || state == LKI_RMUTEX_LOST;
}

static void add_shard(const struct lk_cache *c, uint32_t index, struct lk_cache_stat *out)
{
    struct lki_shard s = lki_shard_at(c, index);
    const struct lki_shard_head *head = lki_head(&s);
    out->entries += number(&head->entries);
    out->used_bytes += number(&head->used) * c->geometry.granule;
    out->leases_held += (uint32_t)number(&head->leases_held);
    enum lki_rmutex_state state = lki_rmutex_look(&head->lock, c->segment.presence);
    out->shards_locked += state == LKI_RMUTEX_HELD || state == LKI_RMUTEX_DEAD;
    out->shards_dead += is_dead(state);
}

static void add_records(const struct lk_cache *c, struct lk_cache_stat *out)
{
    uint64_t *const sums[LKI_COUNTERS] = {
        [LKI_HITS] = &out->hits,
        [LKI_MISSES] = &out->misses,
        [LKI_SETS] = &out->sets,
        [LKI_DELETES] = &out->deletes,
        [LKI_EVICTIONS] = &out->evictions,
        [LKI_EXPIRATIONS] = &out->expirations,
        [LKI_INDEX_FULL] = &out->index_full,
        [LKI_PROMOTIONS] = &out->promotions,
        [LKI_GHOST_HITS] = &out->ghost_hits,
        [LKI_FRAGMENTED] = &out->fragmented,
        [LKI_LEASES_GRANTED] = &out->leases,
        [LKI_LEASE_WAITS] = &out->lease_waits,
        [LKI_LEASE_DEATHS] = &out->lease_deaths,
        [LKI_DEATHS] = &out->deaths,
        [LKI_REPAIRS] = &out->repairs,
        [LKI_LOCK_WAITS] = &out->lock_waits,
        [LKI_BACKSTOPS] = &out->backstops,
    };
    const struct lki_presence *p = c->segment.presence;
    for (uint32_t slot = 0; slot < p->threads; slot++) {
        const uint64_t *record = lki_slot_record(p, slot);
        for (unsigned i = 0; i < LKI_COUNTERS; i++)
            *sums[i] += lk_load_rlx_u64(&record[i]); /* [stat.2] relaxed: a report */
        enum lki_slot_state state = lki_slot_state(p, slot);
        out->threads += state == LKI_SLOT_LIVE;
        out->threads_dead += state == LKI_SLOT_DEAD;
    }
    out->threads_max = p->threads;
}

int lk_cache_stat(lk_cache *c, struct lk_cache_stat *out)
{
    const struct lki_geometry *g = &c->geometry;
    memset(out, 0, sizeof *out);
    out->shards = g->shards;
    out->capacity_bytes = (uint64_t)g->capacity * g->granule * g->shards;
    out->segment_bytes = c->segment.size;
    for (uint32_t i = 0; i < g->shards; i++)
        add_shard(c, i, out);
    add_records(c, out);
    return 0;
}

static bool holder_is_dead(const struct lk_cache *c, uint32_t index)
{
    struct lki_shard s = lki_shard_at(c, index);
    enum lki_rmutex_state state = lki_rmutex_look(&lki_head(&s)->lock, c->segment.presence);
    return is_dead(state);
}

static unsigned count_dead(const struct lk_cache *c)
{
    unsigned dead = 0;
    for (uint32_t i = 0; i < c->geometry.shards; i++)
        dead += holder_is_dead(c, i);
    return dead;
}

int lk_cache_repair(lk_cache *c, bool all, unsigned *repaired)
{
    struct lki_self *self;
    unsigned dead_before = count_dead(c);
    int rc = lki_attach(c->segment.presence, &self);
    if (rc != 0)
        return rc;
    /* To attach in a dead thread's slot has repaired what that thread left. */
    unsigned dead_now = count_dead(c);
    unsigned rebuilt = !all && dead_before > dead_now ? dead_before - dead_now : 0;
    for (uint32_t i = 0; i < c->geometry.shards && rc == 0; i++) {
        struct lki_section x;
        bool dead = holder_is_dead(c, i);
        if (!all && !dead)
            continue;
        rc = lki_section_enter(&x, c, i);
        if (rc != 0)
            break;
        if (!dead) {
            lki_shard_rebuild(&x.shard, true);
            lki_count(x.self, LKI_REPAIRS, 1);
        }
        rebuilt++;
        lki_section_leave(&x);
    }
    if (rc == 0 && repaired != NULL)
        *repaired = rebuilt;
    return rc;
}
