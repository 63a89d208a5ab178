/* storm_lk.c - the storm on latchkey: the table of calls, and the work that only latchkey can do.
 * */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "storm_worker.h"

#define LEASE_DEADLINE_NS 20000000ull

static struct lk_cache_options options_of(const struct storm_plan *plan)
{
    return (struct lk_cache_options){.shards = plan->shards,
                                     .capacity_bytes = plan->capacity_bytes,
                                     .entry_bytes = plan->entry_bytes,
                                     .checksum = plan->checksum};
}

static struct storm_range lk_range; /* of the cache, the same in all workers */

static void lk_warm(void)
{
    storm_warm_range(&lk_range);
}

static int lk_make(const struct storm_plan *plan, void **cache)
{
    struct lk_cache_options o = options_of(plan);
    o.flags = LK_CACHE_CREATE | LK_CACHE_EXCLUSIVE;
    lk_cache *c;
    int rc = lk_cache_open(&c, plan->name, &o);
    if (rc != 0)
        return rc;
    if (!storm_find_map(lk_cache_fd(c), &lk_range))
        lk_range.size = 0;
    *cache = c;
    return rc;
}

static int lk_attach(const struct storm_plan *plan, void **cache)
{
    struct lk_cache_options o = options_of(plan);
    lk_cache *c;
    int rc = lk_cache_open(&c, plan->name, &o);
    if (rc == 0)
        *cache = c;
    return rc;
}

static void lk_detach(void *cache)
{
    lk_cache_close(cache);
}

static void lk_end(const struct storm_plan *plan, void *cache, bool keep)
{
    lk_cache_close(cache);
    if (!keep) {
        int rc = lk_cache_unlink(plan->name);
        if (rc != 0)
            (void)cli_fail_rc(plan->name, rc);
    }
}

static int lk_get(void *cache, const char *key, size_t key_size, void *buf, size_t capacity,
                  struct storm_got *got)
{
    struct lk_cache_entry entry;
    int rc = lk_cache_get_entry(cache, key, key_size, buf, capacity, &entry);
    if (rc == 0)
        *got = (struct storm_got){entry.size, entry.version, entry.expire_ns};
    return rc;
}

static int lk_put(void *cache, enum storm_put how, const char *key, size_t key_size,
                  const void *value, size_t size, uint64_t ttl_ns, uint64_t version)
{
    switch (how) {
    case PUT_ADD:
        return lk_cache_add(cache, key, key_size, value, size, ttl_ns);
    case PUT_REPLACE:
        return lk_cache_replace(cache, key, key_size, value, size, ttl_ns);
    case PUT_CAS:
        return lk_cache_cas(cache, key, key_size, value, size, ttl_ns, version);
    case PUT_SET:
        break;
    }
    return lk_cache_set(cache, key, key_size, value, size, ttl_ns);
}

static int lk_del(void *cache, const char *key, size_t key_size)
{
    return lk_cache_delete(cache, key, key_size);
}

static int lk_touch(void *cache, const char *key, size_t key_size, uint64_t ttl_ns)
{
    return lk_cache_touch(cache, key, key_size, ttl_ns);
}

static int lk_incr(void *cache, const char *key, size_t key_size, int64_t initial, int64_t *result)
{
    return lk_cache_incr(cache, key, key_size, 1, initial, LK_TTL_NEVER, result);
}

static int lk_flush(void *cache)
{
    return lk_cache_flush(cache);
}

const struct storm_kind storm_latchkey = {
    .name = "latchkey",
    .make = lk_make,
    .attach = lk_attach,
    .detach = lk_detach,
    .end = lk_end,
    .get = lk_get,
    .put = lk_put,
    .del = lk_del,
    .touch = lk_touch,
    .incr = lk_incr,
    .flush = lk_flush,
    .warm = lk_warm,
};

/* ------------------------------------------------------------------ leases */

/* The lease is ours: read the file, then fill, or now and then give it back unused.  Some die
 * here. */
static void fill(struct worker *w, const struct item *it, struct lk_lease *lease)
{
    bool same = worker_read(w, it);
    worker_begin(w, OP_FILL);
    if (!same || worker_below(w, 16) == 0) {
        lk_cache_release(w->cache, lease);
        worker_end(w);
        return;
    }
    uint64_t begun = cli_now_ns();
    size_t size = item_encode(w, it, begun, w->value);
    int rc = lk_cache_fill(w->cache, it->key, it->key_size, w->value, size, LK_TTL_NEVER, lease);
    if (rc == 0)
        worker_changed(it, begun);
    else if (rc == ECANCELED)
        storm_add(&w->slot->cancelled, 1);
    else
        worker_result(w, it, rc);
    worker_end(w);
}

void worker_lk_serve_leased(struct worker *w, const struct item *it)
{
    struct storm_got got = {0, 0, 0};
    struct lk_lease lease;
    struct served when = worker_asks(w, it);
    uint64_t until = cli_now_ns() + LEASE_DEADLINE_NS;
    struct timespec deadline = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
    unsigned flags = worker_below(w, 2) ? LK_LEASE_STALE : 0;
    worker_begin(w, OP_LEASE);
    int rc = lk_cache_lease(w->cache, it->key, it->key_size, w->value, sizeof w->value, &got.size,
                            flags, &deadline, &lease);
    if (rc == 0 || (rc == ESTALE && flags != 0)) {
        storm_add(rc == 0 ? &w->slot->hits : &w->slot->misses, 1);
        /* A stale value is an old one by agreement; its bytes must still be right. */
        if (rc == ESTALE)
            when.floor_ns = 0;
        worker_check(w, it, &got, &when);
    } else if (rc == ENOENT || rc == ETIMEDOUT) {
        storm_add(&w->slot->misses, 1);
        if (rc == ETIMEDOUT)
            storm_add(&w->slot->lease_timeouts, 1);
    } else {
        worker_result(w, it, rc);
    }
    worker_end(w);
    if (rc == ENOENT)
        fill(w, it, &lease);
}

/* ------------------------------------------------------------------ many, each, verify */

void worker_lk_get_many(struct worker *w)
{
    enum { MANY = 8 };
    static unsigned char values[MANY][STORM_VALUE_MAX];
    static struct item items[MANY];
    struct lk_cache_request request[MANY];
    struct served when[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        worker_pick(w, &items[i], 'f');
        when[i] = worker_asks(w, &items[i]);
        request[i] = (struct lk_cache_request){.key = items[i].key,
                                               .key_size = items[i].key_size,
                                               .buf = values[i],
                                               .capacity = STORM_VALUE_MAX};
    }
    worker_begin(w, OP_GET_MANY);
    size_t hits = lk_cache_get_many(w->cache, request, MANY), seen = 0;
    for (unsigned i = 0; i < MANY; i++) {
        if (request[i].rc == 0) {
            struct storm_got got = {request[i].size, 0, 0};
            size_t size = got.size < STORM_VALUE_MAX ? got.size : STORM_VALUE_MAX;
            memcpy(w->value, values[i], size);
            worker_check(w, &items[i], &got, &when[i]);
            seen++;
        } else if (request[i].rc != ENOENT) {
            worker_result(w, &items[i], request[i].rc);
        }
    }
    if (seen != hits)
        worker_wrong(w, (struct storm_wrong){.kind = WRONG_RESULT, .got = hits, .expected = seen});
    storm_add(&w->slot->hits, seen);
    storm_add(&w->slot->misses, MANY - seen);
    worker_end(w);
}

/* Every item shown must be a whole value of the key that it is shown under. */
static int show(const struct lk_cache_item *shown, void *arg)
{
    static struct item it;
    struct worker *w = arg;
    const struct storm_files *f = w->storm->files;
    struct storm_head head = {0, 0, 0, 0, 0, 0};
    struct storm_got got = {shown->entry.size, shown->entry.version, 0};
    struct served when = {0, 0};
    if (got.size < sizeof head || got.size > sizeof w->value) {
        worker_wrong(w, (struct storm_wrong){.kind = WRONG_SIZE, .got = got.size});
        return 0;
    }
    memcpy(w->value, shown->value, got.size);
    memcpy(&head, w->value, sizeof head);
    if (head.file < f->count && head.chunk < f->file[head.file].chunks)
        item_make(w, &it, 'f', head.file, head.chunk);
    else
        it.key_size = 0;
    if (it.key_size != shown->key_size || memcmp(it.key, shown->key, it.key_size) != 0)
        worker_wrong(w, (struct storm_wrong){.kind = WRONG_KEY,
                                             .file = head.file,
                                             .chunk = head.chunk,
                                             .got = head.path_hash});
    else
        worker_check(w, &it, &got, &when);
    worker_end(w); /* each item is an operation: the storm's own work is what takes the time */
    return atomic_load_explicit(&w->storm->shared->stop, memory_order_relaxed) ? 1 : 0;
}

void worker_lk_each(struct worker *w)
{
    if (w->storm->plan.entries > 20000)
        return;
    worker_begin(w, OP_EACH);
    int rc = lk_cache_each(w->cache, "f:", 2, show, w);
    if (rc != 0 && rc != 1)
        worker_result(w, NULL, rc);
    worker_end(w);
}

/* In the middle of the storm: shards that others change or have died in are no problem.  Only of
 * small caches: the time that it takes for a large one is no stall, but would be counted as one. */
void worker_lk_verify(struct worker *w)
{
    if (w->storm->plan.capacity_bytes > 2u << 20)
        return;
    worker_begin(w, OP_VERIFY);
    int rc = lk_cache_verify(w->cache, NULL, NULL);
    if (rc != 0 && rc != EAGAIN)
        worker_result(w, NULL, rc);
    worker_end(w);
}
