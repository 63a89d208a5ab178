#include "survivor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "latchkey/err.h"
#include "life/presence.h"
#include "shm/segment.h"
#include "test.h"

static const char absent_key[] = "nobody sets this";

const char *picture_key(unsigned i)
{
    static char names[PICTURE_KEYS][8];
    if (names[i][0] == '\0')
        (void)snprintf(names[i], sizeof names[i], "k%02u", i);
    return names[i];
}

const char *lease_key(void)
{
    return picture_key(PICTURE_KEYS - 1);
}

static uint64_t digest(const unsigned char *bytes, size_t n)
{
    uint64_t sum = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3u;
    return sum | 1;
}

void picture_take(lk_cache *c, struct picture *p)
{
    memset(p, 0, sizeof *p);
    for (unsigned i = 0; i < PICTURE_KEYS; i++) {
        unsigned char buf[PICTURE_VALUE_MAX];
        struct lk_cache_entry entry;
        const char *key = picture_key(i);
        int rc = lk_cache_get_entry(c, key, strlen(key), buf, sizeof buf, &entry);
        if (rc == ENOENT)
            continue;
        T_REQUIRE_RC(rc, 0);
        p->value[i] = digest(buf, entry.size);
        p->expire_ns[i] = entry.expire_ns;
        if (entry.version > p->version_max)
            p->version_max = entry.version;
    }
}

void survivor_open(struct survivor *v, const char *what, size_t size)
{
    char path[64];
    *v = (struct survivor){.what = what, .size = size, .fd_read_only = -1};
    v->fd = memfd_create("survivor", MFD_CLOEXEC);
    T_REQUIRE(v->fd >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", v->fd);
    v->fd_read_only = open(path, O_RDONLY | O_CLOEXEC);
    v->image = malloc(size);
    T_REQUIRE(v->fd_read_only >= 0 && v->image != NULL);
}

void survivor_close(struct survivor *v)
{
    free(v->image);
    (void)close(v->fd_read_only);
    (void)close(v->fd);
}

static void put_image(const struct survivor *v)
{
    T_REQUIRE_EQ(pwrite(v->fd, v->image, v->size, 0), v->size);
}

void survivor_copy(struct survivor *v, const char *segment, lk_cache **c)
{
    memcpy(v->image, segment, v->size);
    put_image(v);
    T_REQUIRE_RC(lk_cache_open_fd(c, v->fd, NULL), 0);
}

/* The token of a slot: see life/presence.c. */
static uint32_t *token(unsigned char *image, uint32_t slot)
{
    const struct lki_header *h = (const struct lki_header *)(void *)image;
    size_t page = 1 + slot / LKI_TOKENS_PER_PAGE;
    size_t back = LKI_TOKENS_PER_PAGE - slot % LKI_TOKENS_PER_PAGE;
    return (uint32_t *)(void *)(image + (page + 1) * h->page_bytes - back * sizeof(uint64_t));
}

static uint32_t threads_of(const unsigned char *image)
{
    return ((const struct lki_header *)(const void *)image)->threads;
}

void survivor_mark_dead(unsigned char *image, pid_t dead)
{
    for (uint32_t slot = 0; slot < threads_of(image); slot++) {
        uint32_t *word = token(image, slot);
        if ((*word & LKI_WORD_ID) == (uint32_t)dead && dead != 0)
            *word = (*word & LKI_WORD_WAITERS) | LKI_WORD_DIED;
    }
}

/* Somebody alive has each vacant slot, so that the next who attaches gets a dead one's. */
static void fill_vacant(unsigned char *image)
{
    for (uint32_t slot = 0; slot < threads_of(image); slot++) {
        uint32_t *word = token(image, slot);
        if (word[0] == 0) {
            word[0] = 1;
            word[1]++; /* the generation: an earlier attachment stays dead */
        }
    }
}

static bool any_dead(unsigned char *image)
{
    for (uint32_t slot = 0; slot < threads_of(image); slot++) {
        if (*token(image, slot) & LKI_WORD_DIED)
            return true;
    }
    return false;
}

/* One check of one point, for messages. */
struct point {
    const struct survivor *v;
    unsigned long instruction;
    const char *stage;
};

static void show_problem(const char *place, const char *problem, void *arg)
{
    const struct point *at = arg;
    T_LOG("%s, instruction %lu, %s: %s: %s", at->v->what, at->instruction, at->stage, place,
          problem);
}

#define AT_POINT(at, expr, expected)                                                               \
    do {                                                                                           \
        int rc_ = (expr);                                                                          \
        if (rc_ != (expected))                                                                     \
            T_FAIL("%s, instruction %lu, %s: %s returned %d (%s): %s", (at)->v->what,              \
                   (at)->instruction, (at)->stage, #expr, rc_, lk_strerror(rc_), lk_error_text()); \
    } while (0)

static void check_picture(const struct point *at, lk_cache *c, const struct picture *before,
                          const struct picture *after, bool *seen_after, struct picture *now)
{
    picture_take(c, now);
    for (unsigned i = 0; i < PICTURE_KEYS; i++) {
        bool old = now->value[i] == before->value[i];
        bool new = now->value[i] == after->value[i];
        if (!old && !new)
            T_FAIL("%s, instruction %lu, %s: %s is %s, neither old nor new", at->v->what,
                   at->instruction, at->stage, picture_key(i),
                   now->value[i] == 0 ? "absent" : "something");
        if (seen_after[i] && !new)
            T_FAIL("%s, instruction %lu, %s: %s was new already and is old again", at->v->what,
                   at->instruction, at->stage, picture_key(i));
        if (new && !old)
            seen_after[i] = true;
        if (before->value[i] == after->value[i] && before->expire_ns[i] == after->expire_ns[i] &&
            now->expire_ns[i] != before->expire_ns[i])
            T_FAIL("%s, instruction %lu, %s: %s expires at another time", at->v->what,
                   at->instruction, at->stage, picture_key(i));
    }
}

static int count_item(const struct lk_cache_item *item, void *arg)
{
    (void)item;
    ++*(unsigned *)arg;
    return 0;
}

static void check_each(const struct point *at, lk_cache *c, const struct picture *now)
{
    unsigned shown = 0, present = 0;
    for (unsigned i = 0; i < PICTURE_KEYS; i++)
        present += now->value[i] != 0;
    AT_POINT(at, lk_cache_each(c, "", 0, count_item, &shown), 0);
    if (shown != present)
        T_FAIL("%s, instruction %lu: each() shows %u entries, %u are there", at->v->what,
               at->instruction, shown, present);
}

/* Nothing may be in the way of a lease: whoever had one, of the last key for example, is dead. */
static void check_leases(const struct point *at, lk_cache *c, const struct picture *now)
{
    const struct timespec at_once = {0, 0};
    for (int i = 0; i < 2; i++) {
        const char *key = i == 0 ? lease_key() : absent_key;
        struct lk_lease lease;
        char buf[PICTURE_VALUE_MAX];
        size_t size;
        int rc = lk_cache_lease(c, key, strlen(key), buf, sizeof buf, &size, 0, &at_once, &lease);
        if (i == 0 && now->value[PICTURE_KEYS - 1] != 0) {
            AT_POINT(at, rc, 0);
            continue;
        }
        AT_POINT(at, rc, ENOENT);
        T_REQUIRE(lease.record_ != 0);
        AT_POINT(at, lk_cache_fill(c, key, strlen(key), "f", 1, LK_TTL_NEVER, &lease), 0);
        AT_POINT(at, lk_cache_delete(c, key, strlen(key)), 0);
    }
}

/* The cache works on, and empties without a granule lost. */
static void check_use(const struct point *at, lk_cache *c, uint64_t version_max)
{
    struct lk_cache_stat stat;
    struct lk_cache_entry entry;
    char buf[8];
    AT_POINT(at, lk_cache_set(c, "survivor", 8, "alive", 5, LK_TTL_NEVER), 0);
    AT_POINT(at, lk_cache_get_entry(c, "survivor", 8, buf, sizeof buf, &entry), 0);
    if (entry.size != 5 || memcmp(buf, "alive", 5) != 0 || entry.version <= version_max)
        T_FAIL("%s, instruction %lu: a new entry has version %llu, an old one %llu", at->v->what,
               at->instruction, (unsigned long long)entry.version, (unsigned long long)version_max);
    AT_POINT(at, lk_cache_verify(c, show_problem, (void *)at), 0);
    AT_POINT(at, lk_cache_flush(c), 0);
    AT_POINT(at, lk_cache_verify(c, show_problem, (void *)at), 0);
    AT_POINT(at, lk_cache_stat(c, &stat), 0);
    if (stat.used_bytes != 0 || stat.entries != 0 || stat.shards_locked != 0)
        T_FAIL("%s, instruction %lu: after a flush %llu bytes are used, %u shards locked",
               at->v->what, at->instruction, (unsigned long long)stat.used_bytes,
               stat.shards_locked);
}

/* Readers, who repair nothing. */
static void check_readers(struct point *at, const struct picture *before,
                          const struct picture *after, bool *seen_after)
{
    lk_cache *c;
    struct picture now;
    at->stage = "reading";
    AT_POINT(at, lk_cache_open_fd(&c, at->v->fd_read_only, NULL), 0);
    check_picture(at, c, before, after, seen_after, &now);
    check_each(at, c, &now);
    AT_POINT(at, lk_cache_verify(c, show_problem, at), 0);
    lk_cache_close(c);
}

/* The next writer: by repair, or by any change. */
static void check_writer(struct point *at, const struct picture *before,
                         const struct picture *after, bool *seen_after, bool by_repair)
{
    const struct lk_cache_options options = {.lock_timeout_ns = 2000000000u};
    struct lk_cache_stat stat;
    struct picture now;
    lk_cache *c;
    at->stage = by_repair ? "after repair" : "after a change in a dead thread's slot";
    AT_POINT(at, lk_cache_open_fd(&c, at->v->fd, &options), 0);
    if (by_repair)
        AT_POINT(at, lk_cache_repair(c, false, NULL), 0);
    else
        AT_POINT(at, lk_cache_delete(c, absent_key, strlen(absent_key)), ENOENT);
    AT_POINT(at, lk_cache_verify(c, show_problem, at), 0);
    AT_POINT(at, lk_cache_stat(c, &stat), 0);
    if (stat.shards_dead != 0)
        T_FAIL("%s, instruction %lu, %s: still %u shards of the dead", at->v->what, at->instruction,
               at->stage, stat.shards_dead);
    check_picture(at, c, before, after, seen_after, &now);
    check_leases(at, c, &now);
    check_use(at, c, now.version_max);
    lk_cache_close(c);
}

void survivor_check(struct survivor *v, const char *segment, pid_t dead,
                    const struct picture *before, const struct picture *after, bool *seen_after,
                    unsigned long instruction)
{
    struct point at = {.v = v, .instruction = instruction};
    memcpy(v->image, segment, v->size);
    survivor_mark_dead(v->image, dead);
    put_image(v);
    check_readers(&at, before, after, seen_after);
    check_writer(&at, before, after, seen_after, true);
    if (any_dead(v->image)) {
        fill_vacant(v->image);
        put_image(v);
        check_writer(&at, before, after, seen_after, false);
    }
    v->points++;
}
