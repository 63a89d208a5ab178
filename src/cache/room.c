/* room.c - a bitmap of granules, searched from where the last search ended or something was
 * freed. */
#include "cache/room.h"

#include <string.h>

#include "base/atomic.h"

/* A search reads at most so many words before it makes do with pieces. */
enum { SEARCH_WORDS = 2048 };

/* The bits of word `w` that belong to the run. */
static uint64_t mask_in_word(struct lki_run run, uint32_t w)
{
    uint32_t begin = run.first > w * 64 ? run.first - w * 64 : 0;
    uint32_t end = run.first + run.count - w * 64;
    uint64_t mask = ~(uint64_t)0 << begin;
    return end < 64 ? mask & (((uint64_t)1 << end) - 1) : mask;
}

/* Take granules that are free and within one word of the bitmap. */
static bool take_in_word(const struct lki_shard *s, uint32_t first, uint32_t want)
{
    uint32_t bit = first % 64;
    if (want > 64 - bit || want > s->geometry->granules - first)
        return false;
    uint64_t mask = (~(uint64_t)0 >> (64 - want)) << bit;
    uint64_t *word = &lki_bitmap(s)[first / 64];
    if (*word & mask)
        return false;
    *word |= mask;
    return true;
}

bool lki_room_take(const struct lki_shard *s, struct lki_run run)
{
    uint64_t *bitmap = lki_bitmap(s);
    uint32_t last = (run.first + run.count - 1) / 64;
    if (take_in_word(s, run.first, run.count))
        return true;
    for (uint32_t w = run.first / 64; w <= last; w++) {
        if (bitmap[w] & mask_in_word(run, w))
            return false;
    }
    for (uint32_t w = run.first / 64; w <= last; w++)
        bitmap[w] |= mask_in_word(run, w);
    return true;
}

bool lki_room_take_next(const struct lki_shard *s, uint32_t granules, struct lki_run *run)
{
    struct lki_shard_head *head = lki_head(s);
    uint32_t cursor = head->cursor;
    if (cursor >= s->geometry->granules || !take_in_word(s, cursor, granules))
        return false;
    *run = (struct lki_run){cursor, granules};
    head->cursor = cursor + granules;
    return true;
}

void lki_room_give(const struct lki_shard *s, struct lki_run run)
{
    uint64_t *bitmap = lki_bitmap(s);
    uint32_t bit = run.first % 64;
    if (run.count <= 64 - bit) {
        bitmap[run.first / 64] &= ~((~(uint64_t)0 >> (64 - run.count)) << bit);
        return;
    }
    uint32_t last = (run.first + run.count - 1) / 64;
    for (uint32_t w = run.first / 64; w <= last; w++)
        bitmap[w] &= ~mask_in_word(run, w);
}

void lki_room_give_all(const struct lki_shard *s, struct lki_view *view, uint32_t granules)
{
    lki_head(s)->cursor = view->block; /* search there next: like sizes fit at once */
    if (view->run_count == 1) {
        lki_room_give(s, (struct lki_run){view->block, granules});
        return;
    }
    for (uint32_t i = 0; i < view->run_count; i++)
        lki_room_give(s, view->runs[i]);
}

void lki_room_prefetch(const struct lki_shard *s)
{
    uint32_t cursor = lki_head(s)->cursor;
    if (cursor >= s->geometry->granules)
        return;
    const char *at = lki_block(s, cursor);
    lk_prefetch_write(at);
    lk_prefetch_write(at + 64);
    lk_prefetch_write(at + 128);
    lk_prefetch_write(&lki_bitmap(s)[cursor / 64]);
}

void lki_room_clear(const struct lki_shard *s)
{
    memset(lki_bitmap(s), 0, s->geometry->bitmap_words * sizeof(uint64_t));
    lki_head(s)->cursor = 0;
}

/* The free run that begins at the first free granule from `at` on, before `end`; count 0: none. */
static struct lki_run next_free(const uint64_t *bitmap, uint32_t at, uint32_t end, uint32_t want)
{
    struct lki_run run = {end, 0};
    while (at < end) {
        uint64_t free_bits = ~bitmap[at / 64] >> (at % 64);
        if (free_bits != 0) {
            at += (uint32_t)__builtin_ctzll(free_bits);
            break;
        }
        at += 64 - at % 64;
    }
    if (at >= end)
        return run;
    run.first = at;
    while (at < end && run.count < want) {
        uint64_t taken_bits = bitmap[at / 64] >> (at % 64);
        uint32_t length = taken_bits != 0 ? (uint32_t)__builtin_ctzll(taken_bits) : 64 - at % 64;
        at += length;
        run.count += length;
        if (taken_bits != 0)
            break;
    }
    if (run.count > end - run.first)
        run.count = end - run.first;
    return run;
}

/* The longest runs met, longest first. */
struct best {
    struct lki_run runs[LKI_RUNS_MAX];
    uint32_t count;
};

static void keep_if_long(struct best *best, struct lki_run run)
{
    uint32_t i = best->count;
    if (i == LKI_RUNS_MAX) {
        if (run.count <= best->runs[i - 1].count)
            return;
        i--;
    } else {
        best->count++;
    }
    for (; i > 0 && best->runs[i - 1].count < run.count; i--)
        best->runs[i] = best->runs[i - 1];
    best->runs[i] = run;
}

/* Look through [at, end) for `want` granules in one run; remember the longest others. */
static bool search(const struct lki_shard *s, uint32_t at, uint32_t end, uint32_t want,
                   struct best *best, uint32_t *budget)
{
    const uint64_t *bitmap = lki_bitmap(s);
    while (at<end && * budget> 0) {
        struct lki_run run = next_free(bitmap, at, end, want);
        uint32_t words = (run.first + run.count - at) / 64 + 1;
        *budget -= words < *budget ? words : *budget;
        if (run.count == 0)
            break;
        if (run.count >= want) {
            best->runs[0] = (struct lki_run){run.first, want};
            best->count = 1;
            return true;
        }
        keep_if_long(best, run);
        at = run.first + run.count;
    }
    return false;
}

/* Cut the longest runs to what the entry needs in that many pieces; 0 if they are not enough. */
static uint32_t use_pieces(const struct lki_shard *s, struct best *best,
                           const struct lki_change *change, struct lki_run runs[LKI_RUNS_MAX])
{
    const struct lki_geometry *g = s->geometry;
    uint32_t sum = 0;
    for (uint32_t n = 1; n <= best->count; n++) {
        sum += best->runs[n - 1].count;
        uint32_t need = lki_entry_granules(g, change->key.size, change->value_size, n);
        uint32_t table = LKI_ENTRY_HEADER + LKI_ENTRY_CHECKSUM + 8 * LKI_RUNS_MAX;
        if (need == 0 || (uint64_t)best->runs[0].count * g->granule < table)
            return 0;
        if (sum < need)
            continue;
        memcpy(runs, best->runs, n * sizeof runs[0]);
        runs[n - 1].count -= sum - need;
        return n;
    }
    return 0;
}

uint32_t lki_room_find(const struct lki_shard *s, const struct lki_change *change,
                       struct lki_run runs[LKI_RUNS_MAX])
{
    const struct lki_geometry *g = s->geometry;
    struct lki_shard_head *head = lki_head(s);
    uint32_t want = change->granules;
    uint32_t cursor = head->cursor < g->granules ? head->cursor : 0;
    uint32_t budget = SEARCH_WORDS;
    uint32_t count = 1;
    struct best best;
    best.count = 0;
    if (lki_room_take_next(s, want, &runs[0]))
        return 1;
    if (search(s, cursor, g->granules, want, &best, &budget) ||
        search(s, 0, cursor, want, &best, &budget))
        runs[0] = best.runs[0];
    else
        count = use_pieces(s, &best, change, runs);
    for (uint32_t i = 0; i < count; i++)
        (void)lki_room_take(s, runs[i]);
    if (count > 0)
        head->cursor = runs[0].first + runs[0].count;
    return count;
}
