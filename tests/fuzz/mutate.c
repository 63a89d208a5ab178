/* mutate.c - ways to damage a segment: blindly, and with knowledge of the layout. */
#include <string.h>

#include "cache/entry.h"
#include "cache/hash.h"
#include "fuzz.h"
#include "shm/segment.h"

/* A part of the file: one shard's part of a kind, a presence page, the header, all. */
struct area {
    size_t at, size;
};

static struct area shard_part(const struct fuzz_image *image, struct fuzz_random *r, size_t at,
                              size_t size)
{
    const struct lki_geometry *g = &image->geometry;
    size_t shard = fuzz_below(r, g->shards);
    return (struct area){image->body_at + shard * g->stride + at, size};
}

static struct area choose_area(const struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    switch (fuzz_below(r, 12)) {
    case 0:
        return (struct area){0, sizeof(struct lki_header)};
    case 1:
        return (struct area){4096, image->body_at - 4096};
    case 2:
    case 3:
        return shard_part(image, r, 0, sizeof(struct lki_shard_head));
    case 4:
    case 5:
        return shard_part(image, r, g->buckets_at, g->buckets * sizeof(struct lki_bucket));
    case 6:
        return shard_part(image, r, g->links_at, g->slots * sizeof(struct lki_link));
    case 7:
        return shard_part(image, r, g->bitmap_at, g->bitmap_words * sizeof(uint64_t));
    case 8:
        return shard_part(image, r, g->ghost_at, g->leases_at - g->ghost_at);
    case 9:
        return shard_part(image, r, g->leases_at, LKI_LEASES * sizeof(struct lki_lease_record));
    case 10:
        return shard_part(image, r, g->blocks_at, (size_t)g->granules * g->granule);
    default:
        return (struct area){image->body_at, g->stride * g->shards};
    }
}

/* A number that is likely to mean something to the code that meets it. */
static uint64_t telling_number(const struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    const uint64_t numbers[] = {0,
                                1,
                                UINT64_MAX,
                                UINT32_MAX,
                                0x80000000u,
                                0x40000000u,
                                g->granules,
                                g->slots,
                                g->capacity,
                                g->buckets,
                                g->stride,
                                (uint64_t)g->granules << 32 | 1,
                                UINT64_MAX >> 1,
                                0xff,
                                0xffff};
    uint64_t n = numbers[fuzz_below(r, sizeof numbers / sizeof numbers[0])];
    return n + fuzz_below(r, 3) - 1;
}

static void put_word(struct fuzz_image *image, size_t at, uint64_t word, size_t bytes)
{
    if (at + bytes <= image->size)
        memcpy(image->bytes + at, &word, bytes);
}

static uint64_t get_word(const struct fuzz_image *image, size_t at)
{
    uint64_t word = 0;
    if (at + 8 <= image->size)
        memcpy(&word, image->bytes + at, 8);
    return word;
}

static void flip_bits(struct fuzz_image *image, struct fuzz_random *r)
{
    uint32_t n = 1 + fuzz_below(r, 64);
    struct area a = choose_area(image, r);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = a.at + fuzz_draw(r) % a.size;
        if (at < image->size)
            image->bytes[at] ^= (unsigned char)(1u << fuzz_below(r, 8));
    }
}

static void put_words(struct fuzz_image *image, struct fuzz_random *r)
{
    uint32_t n = 1 + fuzz_below(r, 16);
    struct area a = choose_area(image, r);
    for (uint32_t i = 0; i < n; i++) {
        size_t bytes = fuzz_below(r, 2) ? 4 : 8;
        size_t at = a.at + fuzz_draw(r) % a.size / bytes * bytes;
        uint64_t word = fuzz_below(r, 3) ? telling_number(image, r) : fuzz_draw(r);
        put_word(image, at, word, bytes);
    }
}

static void fill_area(struct fuzz_image *image, struct fuzz_random *r)
{
    struct area a = choose_area(image, r);
    if (fuzz_below(r, 2)) { /* a part of it */
        size_t skip = fuzz_draw(r) % a.size;
        a.at += skip;
        a.size = 1 + fuzz_draw(r) % (a.size - skip);
    }
    if (a.at + a.size > image->size)
        return;
    uint32_t how = fuzz_below(r, 4);
    if (how < 2)
        fuzz_fill(r, image->bytes + a.at, a.size);
    else
        memset(image->bytes + a.at, how == 2 ? 0 : 0xff, a.size);
}

/* Copy a piece of the segment over another. */
static void copy_piece(struct fuzz_image *image, struct fuzz_random *r)
{
    struct area from = choose_area(image, r);
    struct area to = fuzz_below(r, 2) ? from : choose_area(image, r);
    size_t size = 8 * (1 + fuzz_draw(r) % 16);
    size_t a = from.at + fuzz_draw(r) % from.size / 8 * 8;
    size_t b = to.at + fuzz_draw(r) % to.size / 8 * 8;
    if (a + size <= image->size && b + size <= image->size)
        memmove(image->bytes + b, image->bytes + a, size);
}

static size_t random_slot(const struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    struct area a = shard_part(image, r, g->buckets_at, 0);
    return a.at + fuzz_below(r, g->buckets) * sizeof(struct lki_bucket) +
           fuzz_below(r, LKI_BUCKET_SLOTS) * sizeof(uint64_t);
}

/* Slot words change places, or two slots get one entry. */
static void swap_slots(struct fuzz_image *image, struct fuzz_random *r)
{
    for (uint32_t n = 1 + fuzz_below(r, 8); n > 0; n--) {
        size_t a = random_slot(image, r);
        size_t b = random_slot(image, r);
        uint64_t word = get_word(image, a);
        if (fuzz_below(r, 2))
            put_word(image, a, get_word(image, b), 8);
        put_word(image, b, word, 8);
    }
}

/* Queue links that lead in circles, ends that lead to empty slots. */
static void tangle_links(struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    struct area shard = shard_part(image, r, 0, 0);
    for (uint32_t n = 1 + fuzz_below(r, 40); n > 0; n--) {
        size_t at = shard.at + g->links_at + fuzz_below(r, g->slots) * sizeof(struct lki_link);
        uint64_t to = fuzz_below(r, g->slots + 1);
        if (fuzz_below(r, 2))
            to |= 0x80000000u;
        put_word(image, at + 4 * fuzz_below(r, 2), to, 4);
    }
    for (uint32_t i = 0; i < 8; i++) {
        if (fuzz_below(r, 4) == 0)
            put_word(image, shard.at + offsetof(struct lki_shard_head, queues) + 4 * i,
                     fuzz_below(r, g->slots + 2), 4);
    }
}

/* Where a key's entry belongs, as the image's own hash key says. */
struct place {
    uint64_t hash;
    size_t shard_at;
    uint32_t shard, bucket;
};

static struct place place_of(const struct fuzz_image *image, const char *key, size_t size)
{
    struct lki_header h;
    struct lki_hash_key hash_key;
    struct place p;
    memcpy(&h, image->bytes, sizeof h);
    lki_hash_key_make(&hash_key, h.key);
    p.hash = lki_hash(&hash_key, key, size);
    p.shard = lki_hash_shard(p.hash, image->geometry.shards);
    p.bucket = lki_hash_bucket(p.hash, image->geometry.buckets);
    p.shard_at = image->body_at + p.shard * image->geometry.stride;
    return p;
}

/* Number of granules: around the limits that the reader checks. */
static uint32_t telling_granule(const struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    switch (fuzz_below(r, 5)) {
    case 0:
        return g->granules - fuzz_below(r, 3);
    case 1:
        return (uint32_t)telling_number(image, r);
    default:
        return fuzz_below(r, g->granules + 1);
    }
}

/* What a crafted entry says of itself. */
struct claim {
    uint32_t block, others; /* runs besides the first */
    uint64_t value_size;
    struct lki_run runs[16];
};

/* Any numbers, mostly nonsense. */
static void claim_anything(const struct fuzz_image *image, struct fuzz_random *r, struct claim *c)
{
    const struct lki_geometry *g = &image->geometry;
    c->block = fuzz_below(r, 4) ? fuzz_below(r, g->granules) : g->granules - 1;
    c->others = fuzz_below(r, 3) ? 0 : fuzz_below(r, 10);
    c->value_size = fuzz_below(r, 3)
                        ? fuzz_below(r, g->granule * 4)
                        : (uint64_t)telling_granule(image, r) * g->granule - fuzz_below(r, 64);
    for (uint32_t i = 0; i < c->others; i++)
        c->runs[i] = (struct lki_run){telling_granule(image, r), telling_granule(image, r)};
}

/* Sizes that add up, in places that may lie at the very end or beyond it. */
static void claim_pieces(const struct fuzz_image *image, struct fuzz_random *r, size_t key_size,
                         struct claim *c)
{
    const struct lki_geometry *g = &image->geometry;
    uint32_t total = 2 + fuzz_below(r, g->entry_limit);
    uint32_t first = 1 + 128 / g->granule; /* room for the table */
    uint32_t left = total > first ? total - first : 1;
    c->others = 1 + fuzz_below(r, left < 7 ? left : 7);
    c->block = fuzz_below(r, 3) ? fuzz_below(r, g->granules) : g->granules - 1 - fuzz_below(r, 4);
    for (uint32_t i = 0; i < c->others; i++) {
        uint32_t count = i + 1 < c->others ? 1 : left - i;
        uint32_t at = fuzz_below(r, 2) ? fuzz_below(r, g->granules)
                                       : g->granules - 1 - fuzz_below(r, count + 1) % g->granules;
        c->runs[i] = (struct lki_run){at, count};
    }
    uint64_t bytes = (uint64_t)(first + left) * g->granule - fuzz_below(r, g->granule);
    uint64_t before = LKI_ENTRY_HEADER + (g->checksum ? LKI_ENTRY_CHECKSUM : 0) + key_size +
                      c->others * sizeof(uint64_t);
    c->value_size = bytes > before ? bytes - before : 0;
}

/* An entry that passes the first checks (tag, version, key) and lies about its size or pieces. */
static void craft_entry(struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    char key[FUZZ_KEY_MAX];
    struct claim c;
    size_t key_size = fuzz_key(fuzz_below(r, FUZZ_KEYS), key);
    struct place p = place_of(image, key, key_size);
    if (fuzz_below(r, 2))
        claim_pieces(image, r, key_size, &c);
    else
        claim_anything(image, r, &c);
    uint64_t version = (fuzz_draw(r) % 1000 + 1) << LKI_VERSION_SHIFT | p.shard;
    uint64_t shape = (c.value_size & UINT32_MAX) << 32 | c.others << 24 |
                     (fuzz_below(r, 8) ? key_size : fuzz_below(r, 65536));
    size_t at = p.shard_at + g->blocks_at + (size_t)c.block * g->granule;
    put_word(image, at, version, 8);
    put_word(image, at + 8, fuzz_below(r, 3) ? 0 : fuzz_draw(r), 8);
    put_word(image, at + 16, shape, 8);
    at += LKI_ENTRY_HEADER + (g->checksum ? LKI_ENTRY_CHECKSUM : 0);
    for (uint32_t i = 0; i < c.others; i++, at += 8)
        put_word(image, at, (uint64_t)c.runs[i].first << 32 | c.runs[i].count, 8);
    for (size_t i = 0; i < key_size; i++)
        put_word(image, at + i, (unsigned char)key[i], 1);
    size_t slot = p.shard_at + g->buckets_at + p.bucket * sizeof(struct lki_bucket) +
                  fuzz_below(r, LKI_BUCKET_SLOTS) * sizeof(uint64_t);
    put_word(image, slot, lki_word_make(lki_hash_tag(p.hash), version, c.block), 8);
}

/* Give an entry that is there another size, other pieces, another expiry. */
static void bend_entry(struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    for (int i = 0; i < 50; i++) {
        size_t slot = random_slot(image, r);
        uint64_t word = get_word(image, slot);
        uint32_t block = lki_word_block(word);
        if (word == 0 || block >= g->granules)
            continue;
        size_t shard = (slot - image->body_at) / g->stride;
        size_t at = image->body_at + shard * g->stride + g->blocks_at + (size_t)block * g->granule;
        uint64_t shape = get_word(image, at + 16);
        switch (fuzz_below(r, 5)) {
        case 0:
            shape ^= (uint64_t)1 << fuzz_below(r, 64);
            break;
        case 1:
            shape = (shape & ~0xff000000ull) | (uint64_t)fuzz_below(r, 256) << 24;
            break;
        case 2:
            shape = (shape & UINT32_MAX) | (telling_number(image, r) << 32);
            break;
        case 3:
            put_word(image, at + 8, telling_number(image, r), 8);
            break;
        default: /* the table of pieces */
            put_word(image, at + LKI_ENTRY_HEADER + 8 * fuzz_below(r, 8),
                     (uint64_t)telling_granule(image, r) << 32 | telling_granule(image, r), 8);
        }
        put_word(image, at + 16, shape, 8);
        return;
    }
}

/* Locks and leases that name whoever: live, dead, no slot at all. */
static void forge_holders(struct fuzz_image *image, struct fuzz_random *r)
{
    const struct lki_geometry *g = &image->geometry;
    struct area shard = shard_part(image, r, 0, 0);
    uint32_t holder = (fuzz_below(r, 3) << 10 | fuzz_below(r, 8)) | fuzz_below(r, 4) << 30;
    if (fuzz_below(r, 4) == 0)
        holder = (uint32_t)fuzz_draw(r);
    if (fuzz_below(r, 2))
        put_word(image, shard.at, holder, 4);
    for (uint32_t n = fuzz_below(r, 33); n > 0; n--) {
        char key[FUZZ_KEY_MAX];
        size_t size = fuzz_key(fuzz_below(r, FUZZ_KEYS), key);
        size_t at =
            shard.at + g->leases_at + fuzz_below(r, LKI_LEASES) * sizeof(struct lki_lease_record);
        put_word(image, at, place_of(image, key, size).hash, 8);
        put_word(image, at + 8, holder, 4);
    }
    for (uint32_t n = fuzz_below(r, 4); n > 0; n--) { /* tokens */
        size_t page = 4096 + fuzz_below(r, (uint32_t)(image->body_at / 4096 - 1)) * 4096u;
        put_word(image, page + 4096 - 8 * (1 + fuzz_below(r, 3)),
                 (uint64_t)fuzz_below(r, 3) << 32 | (fuzz_below(r, 2) ? 0x40000001u : 77), 8);
    }
}

/* A header that describes something else, with a file of the size that it says or not. */
static void change_header(struct fuzz_image *image, struct fuzz_random *r)
{
    struct lki_header h;
    memcpy(&h, image->bytes, sizeof h);
    uint32_t n = 1 + fuzz_below(r, 3);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t param = fuzz_below(r, 8);
        h.params[param] = fuzz_below(r, 2) ? telling_number(image, r) : h.params[param] * 2 + 8;
    }
    if (fuzz_below(r, 4) == 0)
        h.threads = fuzz_below(r, 12);
    memcpy(image->bytes, &h, sizeof h);
    if (fuzz_below(r, 2))
        fuzz_image_fix(image);
}

static void change_size(struct fuzz_image *image, struct fuzz_random *r)
{
    size_t size = fuzz_draw(r) % (image->size * 2);
    if (fuzz_below(r, 2))
        size = image->size / 4096 * 4096 + 4096 * fuzz_below(r, 2);
    if (size > FUZZ_IMAGE_MAX)
        size = FUZZ_IMAGE_MAX;
    if (size > image->size)
        fuzz_fill(r, image->bytes + image->size, size - image->size);
    image->size = size;
}

static void mutate_once(struct fuzz_image *image, struct fuzz_random *r)
{
    static void (*const ways[])(struct fuzz_image *, struct fuzz_random *) = {
        flip_bits,   put_words,   fill_area,  copy_piece, swap_slots,    tangle_links,
        craft_entry, craft_entry, bend_entry, bend_entry, forge_holders, flip_bits,
    };
    uint32_t rare = fuzz_below(r, 64);
    if (rare == 0)
        change_size(image, r);
    else if (rare < 3)
        change_header(image, r);
    else
        ways[fuzz_below(r, sizeof ways / sizeof ways[0])](image, r);
}

void fuzz_mutate(struct fuzz_image *image, struct fuzz_random *r)
{
    static const uint8_t times[] = {1, 1, 2, 3, 5, 10, 30};
    for (uint32_t n = times[fuzz_below(r, sizeof times)]; n > 0; n--) {
        if (image->size < sizeof(struct lki_header) || !fuzz_image_look(image))
            return;
        mutate_once(image, r);
    }
}
