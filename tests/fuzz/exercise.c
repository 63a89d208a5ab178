/* exercise.c - every call on a segment that lies, and what each may answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "latchkey/cache.h"

enum { LOCK_TIMEOUT_NS = 100000, VALUE_MAX = 20000 };

/* The codes of opening, and of the calls.  0 ends a list; success is always allowed. */
static const int of_open[] = {LK_ECORRUPT, LK_ENOTSEG, LK_EVERSION, LK_EABI, LK_ESIZE,
                              LK_EBOOT,    LK_EKIND,   LK_EOPTIONS, ENOMEM,  0};
static const int of_get[] = {ENOENT, ENOBUFS, LK_ECORRUPT, EAGAIN, 0};
static const int of_set[] = {E2BIG, ETIMEDOUT, LK_ETHREADS, EROFS, EDEADLK, 0};
static const int of_add[] = {E2BIG,  ETIMEDOUT, LK_ETHREADS, EROFS,      EDEADLK,
                             EEXIST, ENOENT,    LK_ECHANGED, LK_ENOTNUM, 0};
static const int of_lease[] = {ENOENT, ESTALE,  ETIMEDOUT, ENOBUFS,     LK_ECORRUPT,
                               EAGAIN, EDEADLK, EROFS,     LK_ETHREADS, 0};
static const int of_fill[] = {ECANCELED, E2BIG, ETIMEDOUT, LK_ETHREADS, EROFS, EDEADLK, 0};
static const int of_verify[] = {LK_ECORRUPT, EAGAIN, ETIMEDOUT, EDEADLK, LK_ETHREADS, EROFS, 0};
static const int of_repair[] = {ETIMEDOUT, LK_ETHREADS, EROFS, EDEADLK, 0};

/* Abort unless rc is 0 or in the list; EAGAIN always is while somebody scribbles. */
static void require(const char *call, int rc, const int *codes, bool scribbled)
{
    if (rc == 0 || (scribbled && rc == EAGAIN))
        return;
    for (; *codes != 0; codes++) {
        if (*codes == rc)
            return;
    }
    fprintf(stderr, "%s returned %d (%s), which is no documented result\n", call, rc,
            lk_strerror(rc));
    abort();
}

struct use {
    lk_cache *cache;
    struct fuzz_random *r;
    bool scribbled;
    char key[FUZZ_KEY_MAX];
    size_t key_size;
    char *buf; /* VALUE_MAX */
};

static void new_key(struct use *u)
{
    u->key_size = fuzz_key(fuzz_below(u->r, FUZZ_KEYS + 4), u->key);
}

static uint64_t new_ttl(struct use *u)
{
    static const uint64_t ttls[] = {LK_TTL_DEFAULT, LK_TTL_NEVER, LK_TTL_KEEP, 1, 1000000000};
    return ttls[fuzz_below(u->r, 5)];
}

static size_t new_size(struct use *u)
{
    static const uint32_t limits[] = {1, 40, 300, 2000, VALUE_MAX};
    return fuzz_below(u->r, limits[fuzz_below(u->r, 5)]);
}

static void use_get(struct use *u)
{
    size_t size = 0;
    struct lk_cache_entry entry;
    size_t capacity = fuzz_below(u->r, 2) ? VALUE_MAX : new_size(u);
    /* Of exactly this size, so that AddressSanitizer sees a byte too many. */
    char *buf = malloc(capacity + 1);
    if (buf == NULL)
        return;
    new_key(u);
    require("get", lk_cache_get(u->cache, u->key, u->key_size, buf + 1, capacity, &size), of_get,
            u->scribbled);
    require("get_entry", lk_cache_get_entry(u->cache, u->key, u->key_size, NULL, 0, &entry), of_get,
            u->scribbled);
    free(buf);
}

static void use_get_many(struct use *u)
{
    enum { N = 19 };
    char keys[N][FUZZ_KEY_MAX];
    struct lk_cache_request requests[N];
    for (uint32_t i = 0; i < N; i++)
        requests[i] = (struct lk_cache_request){.key = keys[i],
                                                .key_size = fuzz_key(i * 3, keys[i]),
                                                .buf = u->buf,
                                                .capacity = VALUE_MAX};
    (void)lk_cache_get_many(u->cache, requests, N);
    for (uint32_t i = 0; i < N; i++)
        require("get_many", requests[i].rc, of_get, u->scribbled);
}

static void use_write(struct use *u)
{
    new_key(u);
    size_t size = new_size(u);
    uint64_t ttl = new_ttl(u);
    lk_cache *c = u->cache;
    int64_t number;
    struct lk_cache_entry entry = {0};
    switch (fuzz_below(u->r, 10)) {
    case 0:
        require("add", lk_cache_add(c, u->key, u->key_size, u->buf, size, ttl), of_add,
                u->scribbled);
        break;
    case 1:
        require("replace", lk_cache_replace(c, u->key, u->key_size, u->buf, size, ttl), of_add,
                u->scribbled);
        break;
    case 2:
        fuzz_ignore(lk_cache_get_entry(c, u->key, u->key_size, NULL, 0, &entry));
        require("cas", lk_cache_cas(c, u->key, u->key_size, u->buf, size, ttl, entry.version),
                of_add, u->scribbled);
        break;
    case 3:
        require("delete", lk_cache_delete(c, u->key, u->key_size), of_add, u->scribbled);
        break;
    case 4:
        require("touch", lk_cache_touch(c, u->key, u->key_size, ttl), of_add, u->scribbled);
        break;
    case 5:
        require("incr", lk_cache_incr(c, u->key, u->key_size, 3, 1, ttl, &number), of_add,
                u->scribbled);
        break;
    default:
        require("set", lk_cache_set(c, u->key, u->key_size, u->buf, size, ttl), of_set,
                u->scribbled);
    }
}

static void use_lease(struct use *u)
{
    struct lk_lease lease;
    struct timespec until;
    size_t size = 0;
    new_key(u);
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOCK_TIMEOUT_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int rc = lk_cache_lease(u->cache, u->key, u->key_size, u->buf, VALUE_MAX, &size,
                            fuzz_below(u->r, 2), &until, &lease);
    require("lease", rc, of_lease, u->scribbled);
    if (rc != ENOENT)
        return;
    if (fuzz_below(u->r, 3) == 0)
        lk_cache_release(u->cache, &lease);
    else
        require(
            "fill",
            lk_cache_fill(u->cache, u->key, u->key_size, u->buf, new_size(u), new_ttl(u), &lease),
            of_fill, u->scribbled);
}

static int see_item(const struct lk_cache_item *item, void *arg)
{
    uint64_t *sum = arg;
    const unsigned char *key = item->key, *value = item->value;
    for (size_t i = 0; i < item->key_size; i++)
        *sum += key[i];
    for (size_t i = 0; i < item->entry.size; i++)
        *sum += value[i];
    return 0;
}

static void use_each(struct use *u)
{
    uint64_t sum = 0;
    require("each", lk_cache_each(u->cache, NULL, 0, see_item, &sum), of_repair, u->scribbled);
}

static void say_problem(const char *place, const char *text, void *arg)
{
    if (*(bool *)arg)
        fprintf(stderr, "  %s: %s\n", place, text);
}

/* Rebuild everything.  If nobody scribbles, the cache is sound afterwards and stores what it is
 * given. */
static void use_repair(struct use *u)
{
    unsigned repaired = 0;
    size_t size = 0;
    bool loud = false;
    int rc = lk_cache_repair(u->cache, fuzz_below(u->r, 4) != 0, &repaired);
    require("repair", rc, of_repair, u->scribbled);
    rc = lk_cache_repair(u->cache, true, &repaired);
    require("repair", rc, of_repair, u->scribbled);
    int sound = lk_cache_verify(u->cache, say_problem, &loud);
    require("verify", sound, of_verify, u->scribbled);
    if (rc != 0 || u->scribbled)
        return;
    if (sound == LK_ECORRUPT) {
        loud = true;
        fprintf(stderr, "verify after repair finds problems:\n");
        fuzz_ignore(lk_cache_verify(u->cache, say_problem, &loud));
        abort();
    }
    new_key(u);
    fuzz_fill(u->r, u->buf, 8);
    rc = lk_cache_set(u->cache, u->key, u->key_size, u->buf, 8, LK_TTL_NEVER);
    if (rc == E2BIG || rc == ETIMEDOUT || rc == EDEADLK)
        return;
    char got[8];
    int back = lk_cache_get(u->cache, u->key, u->key_size, got, sizeof got, &size);
    if (rc != 0 || back != 0 || size != 8 || memcmp(got, u->buf, 8) != 0) {
        fprintf(stderr, "after a repair set returned %d, get %d\n", rc, back);
        abort();
    }
}

void fuzz_use(lk_cache *c, bool scribbled, struct fuzz_random *r)
{
    struct use u = {.cache = c, .r = r, .scribbled = scribbled, .buf = malloc(VALUE_MAX)};
    struct lk_cache_stat stat;
    bool loud = false;
    if (u.buf == NULL)
        return;
    fuzz_fill(r, u.buf, VALUE_MAX);
    uint32_t steps = 4 + fuzz_below(r, 24);
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t what = fuzz_below(r, 32);
        if (what < 12)
            use_get(&u);
        else if (what < 24)
            use_write(&u);
        else if (what < 28)
            use_lease(&u);
        else if (what == 28)
            use_each(&u);
        else if (what == 29)
            use_get_many(&u);
        else if (what == 30)
            require("verify", lk_cache_verify(c, say_problem, &loud), of_verify, scribbled);
        else
            require("stat", lk_cache_stat(c, &stat), of_repair, scribbled);
    }
    use_each(&u);
    require("stat", lk_cache_stat(c, &stat), of_repair, scribbled);
    use_repair(&u);
    if (fuzz_below(r, 8) == 0)
        require("flush", lk_cache_flush(c), of_repair, scribbled);
    free(u.buf);
}

int fuzz_exercise(const struct fuzz_exercise *e, size_t file_size, struct fuzz_random *r)
{
    struct lk_cache_options o = {.flags = e->read_only ? LK_CACHE_READ_ONLY : 0,
                                 .lock_timeout_ns = LOCK_TIMEOUT_NS};
    struct fuzz_guard guard = {NULL, 0};
    lk_cache *c = NULL;
    bool guarded = e->guarded && fuzz_guard_set(&guard, file_size);
    int rc = e->name != NULL ? lk_cache_open(&c, e->name, &o) : lk_cache_open_fd(&c, e->fd, &o);
    require("open", rc, of_open, e->scribbled);
    if (rc == 0) {
        if (guarded && !fuzz_guard_holds(&guard, c->segment.base)) {
            fprintf(stderr, "the mapping is not between the guard pages\n");
            abort();
        }
        fuzz_use(c, e->scribbled, r);
        lk_cache_close(c);
    }
    fuzz_guard_clear(&guard);
    return rc;
}
