/* images.c - sound segments to begin with. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/section.h"
#include "fuzz.h"
#include "shm/header.h"

/* What else is in the image. */
enum {
    PLAIN = 0,
    DEAD_WRITER = 1, /* a shard is locked by a thread that died half way through a change */
    LIVE_WRITER = 2, /* a shard is locked by a thread that seems to live */
    LEASES = 4,      /* leases of live and dead holders */
};

static const struct shape {
    struct lk_cache_options options;
    unsigned with;
    uint32_t value_max;
} shapes[] = {
    {{.shards = 1, .capacity_bytes = 128, .granule_bytes = 128, .threads = 2}, PLAIN, 30},
    {{.shards = 1, .capacity_bytes = 1024, .granule_bytes = 128, .threads = 3}, LEASES, 60},
    {{.shards = 1, .capacity_bytes = 4096, .granule_bytes = 32, .threads = 3}, PLAIN, 1000},
    {{.shards = 1, .capacity_bytes = 4096, .granule_bytes = 32, .threads = 3, .checksum = 1},
     DEAD_WRITER,
     1000},
    {{.shards = 4, .capacity_bytes = 16384, .threads = 4, .checksum = 1}, LEASES, 500},
    {{.shards = 3, .capacity_bytes = 9000, .granule_bytes = 40, .entry_bytes = 40, .threads = 3},
     DEAD_WRITER | LEASES,
     300},
    {{.shards = 1, .capacity_bytes = 40960, .granule_bytes = 4096, .threads = 6}, PLAIN, 8000},
    {{.shards = 1, .capacity_bytes = 32768, .entry_bytes = 10, .threads = 4}, LIVE_WRITER, 2000},
    {{.shards = 16, .capacity_bytes = 8192, .granule_bytes = 64, .threads = 3}, LIVE_WRITER, 100},
    {{.shards = 1, .capacity_bytes = 65536, .entry_bytes = 2000, .threads = 5}, LEASES, 3000},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static struct fuzz_image images[SHAPES];

uint32_t fuzz_images_count(void)
{
    return SHAPES;
}

/* The same hashes in every run: a seed must mean the same case. */
static void fix_hash_key(lk_cache *c)
{
    struct lki_header *h = (struct lki_header *)(void *)c->segment.base;
    h->key[0] = c->segment.header.key[0] = 0x0706050403020100u;
    h->key[1] = c->segment.header.key[1] = 0x0f0e0d0c0b0a0908u;
    lki_hash_key_make(&c->key, h->key);
}

static void fill(lk_cache *c, const struct shape *shape, struct fuzz_random *r)
{
    static char value[FUZZ_IMAGE_MAX];
    char key[FUZZ_KEY_MAX];
    for (uint32_t i = 0; i < 400; i++) {
        size_t key_size = fuzz_key(fuzz_below(r, FUZZ_KEYS), key);
        uint32_t what = fuzz_below(r, 20);
        size_t size = fuzz_below(r, shape->value_max);
        uint64_t ttl = what < 3 ? 1 : what < 6 ? (uint64_t)3600 * 1000000000u : LK_TTL_NEVER;
        fuzz_fill(r, value, size);
        if (what == 19)
            fuzz_ignore(lk_cache_delete(c, key, key_size));
        else if (what == 18)
            fuzz_ignore(lk_cache_incr(c, key, key_size, 1, 41, ttl, NULL));
        else
            fuzz_ignore(lk_cache_set(c, key, key_size, value, size, ttl));
    }
}

static void take_leases(lk_cache *c, uint32_t first)
{
    struct timespec now = {0, 0};
    for (uint32_t i = first; i < first + 5; i++) {
        char key[FUZZ_KEY_MAX], value[16];
        size_t key_size = fuzz_key(i, key), size;
        struct lk_lease lease;
        fuzz_ignore(lk_cache_delete(c, key, key_size));
        fuzz_ignore(lk_cache_lease(c, key, key_size, value, sizeof value, &size, 0, &now, &lease));
    }
}

/* In a child: die with leases, or inside a section whose shard is half changed. */
static void die_inside(lk_cache *c, const struct shape *shape)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct lki_section x;
        if (shape->with & LEASES)
            take_leases(c, 3);
        if ((shape->with & DEAD_WRITER) && lki_section_enter(&x, c, 0) == 0) {
            struct lki_shard_head *head = lki_head(&x.shard);
            head->entries += 3;
            head->queues[0].tail = head->queues[1].head;
            lki_bitmap(&x.shard)[0] ^= 0xff00ff;
        }
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static bool take_image(lk_cache *c, struct fuzz_image *image)
{
    image->size = c->segment.size;
    image->geometry = c->geometry;
    image->body_at = (size_t)(c->segment.body - c->segment.base);
    image->bytes = malloc(image->size);
    return image->bytes != NULL && image->size <= FUZZ_IMAGE_MAX / 2 &&
           pread(lk_cache_fd(c), image->bytes, image->size, 0) == (ssize_t)image->size;
}

static bool make(const struct shape *shape, struct fuzz_image *image, uint64_t seed)
{
    struct fuzz_random r = {seed};
    struct lki_section x;
    lk_cache *c = NULL;
    if (lk_cache_open_anonymous(&c, &shape->options) != 0)
        return false;
    fix_hash_key(c);
    fill(c, shape, &r);
    if (shape->with & (DEAD_WRITER | LEASES))
        die_inside(c, shape);
    if (shape->with & LEASES)
        take_leases(c, 20);
    bool locked = (shape->with & LIVE_WRITER) && lki_section_enter(&x, c, 0) == 0;
    bool made = take_image(c, image);
    if (locked)
        lki_section_leave(&x);
    lk_cache_close(c);
    return made;
}

bool fuzz_images_make(void)
{
    for (uint32_t i = 0; i < SHAPES; i++) {
        if (images[i].bytes == NULL && !make(&shapes[i], &images[i], i)) {
            fprintf(stderr, "cannot make image %u: %s\n", i, lk_error_text());
            return false;
        }
    }
    return true;
}

void fuzz_image_copy(uint32_t number, struct fuzz_image *to)
{
    const struct fuzz_image *from = &images[number % SHAPES];
    unsigned char *bytes = to->bytes;
    *to = *from;
    to->bytes = bytes;
    memcpy(bytes, from->bytes, from->size);
}

bool fuzz_image_look(struct fuzz_image *image)
{
    struct lki_header h;
    uint64_t body_size = 0;
    uint64_t file_size = 0;
    if (image->size < sizeof h)
        return false;
    memcpy(&h, image->bytes, sizeof h);
    if (lki_geometry_make(&image->geometry, h.params, &body_size) != 0 ||
        body_size > FUZZ_IMAGE_MAX)
        return false;
    h.body_size = body_size;
    if (!lki_header_file_size(&h, &file_size) || file_size > FUZZ_IMAGE_MAX)
        return false;
    image->body_at = h.page_bytes + lki_presence_bytes(h.threads, h.page_bytes);
    return true;
}

void fuzz_image_fix(struct fuzz_image *image)
{
    struct lki_header h;
    uint64_t body_size = 0;
    memcpy(&h, image->bytes, sizeof h);
    h.magic = LKI_MAGIC;
    h.layout_version = LKI_LAYOUT_VERSION;
    h.abi = lki_abi();
    h.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
    h.kind = LKI_KIND_CACHE;
    h.threads = h.threads % 8 + 1;
    (void)lki_boot_id(h.boot_id);
    memcpy(image->bytes, &h, sizeof h);
    if (!fuzz_image_look(image)) {
        memcpy(h.params, images[0].bytes + offsetof(struct lki_header, params), sizeof h.params);
        memcpy(image->bytes, &h, sizeof h);
        (void)fuzz_image_look(image);
    }
    (void)lki_geometry_make(&image->geometry, h.params, &body_size);
    h.body_size = body_size;
    (void)lki_header_file_size(&h, &h.file_size);
    memcpy(image->bytes, &h, sizeof h);
    if (h.file_size > image->size)
        memset(image->bytes + image->size, 0, h.file_size - image->size);
    image->size = h.file_size;
}
