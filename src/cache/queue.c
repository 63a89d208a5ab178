/* queue.c - two linked lists of slots, and the ghosts. */
#include "cache/queue.h"

#include "base/atomic.h"
#include "cache/entry.h"
#include "cache/hash.h"

#define QUEUE_BIT 0x80000000u
#define SLOT_BITS 0x7fffffffu

/* A link as read: anything may stand in the segment, so an end that leads nowhere is no slot. */
static uint32_t slot_or_none(const struct lki_shard *s, uint32_t end)
{
    uint32_t number = end & SLOT_BITS;
    return number <= s->geometry->slots ? number : 0;
}

static struct lki_link *link_at(const struct lki_shard *s, uint32_t number)
{
    return &lki_links(s)[number - 1];
}

enum lki_queue_name lki_queue_of(const struct lki_shard *s, uint32_t slot)
{
    return lki_links(s)[slot].prev & QUEUE_BIT ? LKI_MAIN : LKI_SMALL;
}

void lki_queue_clear(const struct lki_shard *s)
{
    struct lki_queue none = {0, 0, 0};
    lki_head(s)->queues[LKI_SMALL] = none;
    lki_head(s)->queues[LKI_MAIN] = none;
}

void lki_queue_add(const struct lki_shard *s, enum lki_queue_name name, uint32_t slot,
                   uint32_t granules)
{
    struct lki_queue *q = &lki_head(s)->queues[name];
    struct lki_link *mine = &lki_links(s)[slot];
    uint32_t bit = name == LKI_MAIN ? QUEUE_BIT : 0;
    uint32_t old = slot_or_none(s, q->head);
    mine->next = old;
    mine->prev = bit;
    if (old != 0)
        link_at(s, old)->prev = (slot + 1) | bit;
    else
        q->tail = slot + 1;
    q->head = slot + 1;
    q->granules += granules;
}

void lki_queue_remove(const struct lki_shard *s, uint32_t slot, uint32_t granules)
{
    struct lki_queue *q = &lki_head(s)->queues[lki_queue_of(s, slot)];
    struct lki_link *mine = &lki_links(s)[slot];
    uint32_t next = slot_or_none(s, mine->next);
    uint32_t prev = slot_or_none(s, mine->prev);
    if (prev != 0)
        link_at(s, prev)->next = next;
    else
        q->head = next;
    if (next != 0)
        link_at(s, next)->prev = prev | (link_at(s, next)->prev & QUEUE_BIT);
    else
        q->tail = prev;
    q->granules -= granules;
}

void lki_queue_resize(const struct lki_shard *s, uint32_t slot, uint32_t was, uint32_t is)
{
    lki_head(s)->queues[lki_queue_of(s, slot)].granules += is - was;
}

/* No more than readers store, whatever else a damaged segment says. */
static uint8_t frequency_of(const struct lki_shard *s, uint32_t slot)
{
    /* [queue.1] relaxed: a hint that readers store. */
    uint8_t frequency = lk_load_rlx_u8(lki_slot_frequency(s, slot));
    return frequency < LKI_FREQUENCY_MAX ? frequency : LKI_FREQUENCY_MAX;
}

static void set_frequency(const struct lki_shard *s, uint32_t slot, uint8_t to)
{
    /* [queue.2] relaxed: as [queue.1]. */
    lk_store_rlx_u8(lki_slot_frequency(s, slot), to);
}

/* Granules of the entry in a slot; 0 if there is none that makes sense. */
static uint32_t granules_in(const struct lki_shard *s, uint32_t slot)
{
    struct lki_view view;
    /* [queue.3] relaxed: the lock orders it; only its holder changes slot words. */
    uint64_t word = lk_load_rlx_u64(lki_slot_word(s, slot));
    return word != 0 && lki_view_load(s, word, &view) ? lki_view_granules(s, &view) : 0;
}

static void move_to(const struct lki_shard *s, enum lki_queue_name name, uint32_t slot,
                    uint8_t frequency)
{
    uint32_t granules = granules_in(s, slot);
    lki_queue_remove(s, slot, granules);
    lki_queue_add(s, name, slot, granules);
    set_frequency(s, slot, frequency);
}

/* Has the small queue its share of what is used?  That is the capacity, or less where it is the
 * number of entries that is at its limit. */
static bool small_is_full(const struct lki_shard *s)
{
    const struct lki_shard_head *head = lki_head(s);
    const struct lki_geometry *g = s->geometry;
    return (uint64_t)head->queues[LKI_SMALL].granules * g->capacity >=
           (uint64_t)g->small_capacity * head->used;
}

bool lki_queue_victim(const struct lki_shard *s, uint32_t keep, uint32_t *slot, bool *small,
                      uint32_t *promoted)
{
    struct lki_shard_head *head = lki_head(s);
    struct lki_queue *queues = head->queues;
    uint64_t rounds = ((uint64_t)LKI_FREQUENCY_MAX + 2) * s->geometry->slots + 2;
    while (rounds-- > 0) {
        uint32_t in_small = slot_or_none(s, queues[LKI_SMALL].tail);
        uint32_t in_main = slot_or_none(s, queues[LKI_MAIN].tail);
        bool from_small = in_small != 0 && (in_main == 0 || small_is_full(s));
        uint32_t number = from_small ? in_small : in_main;
        if (number == 0)
            return false;
        uint32_t candidate = number - 1;
        uint8_t frequency = frequency_of(s, candidate);
        if (candidate == keep) {
            if (head->entries <= 1)
                return false;
            move_to(s, LKI_MAIN, candidate, frequency);
        } else if (frequency == 0) {
            *slot = candidate;
            *small = from_small;
            return true;
        } else {
            *promoted += from_small;
            move_to(s, LKI_MAIN, candidate, from_small ? 0 : (uint8_t)(frequency - 1));
        }
    }
    return false;
}

/* A ghost: {fingerprint:20, time:12}.  Time runs GHOST_TICKS to a life, so a word that is forgotten
 * for three lives more is overwritten long before it looks young again. */
enum { GHOST_TICKS = 1024, GHOST_TIME = 0xfff };

static uint32_t ghost_now(const struct lki_shard *s)
{
    uint64_t clock = lki_head(s)->ghost_clock;
    return (uint32_t)(clock % ((uint64_t)s->geometry->max_entries << 20) * GHOST_TICKS /
                      s->geometry->max_entries) &
           GHOST_TIME;
}

static uint32_t *ghost_bucket(const struct lki_shard *s, uint64_t hash)
{
    uint32_t at = lki_hash_bucket(hash, s->geometry->ghost_buckets);
    return lki_ghosts(s) + (size_t)at * LKI_GHOST_WAYS;
}

static uint32_t age(uint32_t ghost, uint32_t now)
{
    return (now - (ghost & GHOST_TIME)) & GHOST_TIME;
}

void lki_ghost_add(const struct lki_shard *s, uint64_t hash)
{
    uint32_t *ways = ghost_bucket(s, hash);
    uint32_t fingerprint = lki_hash_fingerprint(hash);
    lki_head(s)->ghost_clock++;
    uint32_t now = ghost_now(s);
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < LKI_GHOST_WAYS; i++) {
        if (ways[i] == 0 || ways[i] >> 12 == fingerprint) {
            chosen = i;
            break;
        }
        if (age(ways[i], now) > age(ways[chosen], now))
            chosen = i;
    }
    ways[chosen] = fingerprint << 12 | now;
}

bool lki_ghost_take(const struct lki_shard *s, uint64_t hash)
{
    uint32_t *ways = ghost_bucket(s, hash);
    uint32_t fingerprint = lki_hash_fingerprint(hash);
    for (uint32_t i = 0; i < LKI_GHOST_WAYS; i++) {
        if (ways[i] >> 12 != fingerprint)
            continue;
        bool young = age(ways[i], ghost_now(s)) < GHOST_TICKS;
        ways[i] = 0;
        return young;
    }
    return false;
}
