/* storm_work.c - one worker: picks files by their popularity, serves them from the cache, puts them
 * there when they are missing, and compares every value that it is served with the file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "storm_worker.h"

const char *const storm_op_name[OP_COUNT] = {
    [OP_START] = "start",     [OP_GET] = "get",       [OP_GET_MANY] = "get_many",
    [OP_READ] = "read",       [OP_SET] = "set",       [OP_ADD] = "add",
    [OP_REPLACE] = "replace", [OP_CAS] = "cas",       [OP_DELETE] = "delete",
    [OP_TOUCH] = "touch",     [OP_INCR] = "incr",     [OP_LEASE] = "lease",
    [OP_FILL] = "fill",       [OP_EACH] = "each",     [OP_FLUSH] = "flush",
    [OP_VERIFY] = "verify",   [OP_ATTACH] = "attach",
};

const char *const storm_wrong_name[WRONG_KINDS] = {
    [WRONG_BYTES] = "bytes",   [WRONG_KEY] = "another key's value", [WRONG_SIZE] = "size",
    [WRONG_STALE] = "stale",   [WRONG_EXPIRED] = "expired",         [WRONG_COUNTER] = "counter",
    [WRONG_RESULT] = "result",
};

bool storm_op_writes(enum storm_op op)
{
    static const uint32_t writes = 1u << OP_SET | 1u << OP_ADD | 1u << OP_REPLACE | 1u << OP_CAS |
                                   1u << OP_DELETE | 1u << OP_TOUCH | 1u << OP_INCR |
                                   1u << OP_LEASE | 1u << OP_FILL | 1u << OP_FLUSH;
    return (writes >> op & 1u) != 0;
}

/* Waiting for a processor is looked up after longer gaps only, and this often to know where it
 * stood before one. */
#define QUEUE_READ_EVERY_NS 1000000u

/* ------------------------------------------------------------------ time and chance */

static uint64_t next_random(struct worker *w)
{
    uint64_t x = w->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    w->random = x;
    return x * 0x2545f4914f6cdd1dull;
}

uint64_t worker_below(struct worker *w, uint64_t n)
{
    return (next_random(w) >> 11) % n;
}

static double chance(struct worker *w)
{
    return (double)(next_random(w) >> 11) * 0x1p-53;
}

static uint64_t boottime_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------ the stall watcher's side */

void worker_begin(struct worker *w, enum storm_op op)
{
    atomic_store_explicit(&w->slot->op, op, memory_order_relaxed);
}

/* How long this process has been ready to run without a processor, since it began.  False:
 * unknown. */
static bool read_queued(struct worker *w, uint64_t *ns)
{
    char text[96];
    ssize_t n = w->schedstat >= 0 ? pread(w->schedstat, text, sizeof text - 1, 0) : -1;
    if (n <= 0)
        return false;
    text[n] = '\0'; /* time on a processor, time waiting for one, turns */
    char *second = strchr(text, ' '), *end;
    if (!second)
        return false;
    *ns = strtoull(second, &end, 10);
    return end != second;
}

void worker_watch_queue(struct worker *w)
{
    w->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    if (!read_queued(w, &w->queued_ns))
        w->queued_ns = 0;
    w->queued_at_ns = cli_now_ns();
}

/* Of this gap, what was not waiting for a processor: the most that the cache can be blamed for. */
static uint64_t without_queue(struct worker *w, uint64_t gap, uint64_t now)
{
    uint64_t queued;
    if (gap < QUEUE_READ_EVERY_NS && now - w->queued_at_ns < QUEUE_READ_EVERY_NS)
        return gap;
    if (!read_queued(w, &queued))
        return gap;
    uint64_t waited = queued - w->queued_ns;
    w->queued_ns = queued;
    w->queued_at_ns = now;
    return gap > waited ? gap - waited : 0;
}

/* The operation under way has ended: measure the time since the last one ended.  A gap in which the
 * parent stopped this process on purpose is not counted. */
void worker_end(struct worker *w)
{
    struct storm_slot *slot = w->slot;
    uint32_t op = atomic_load_explicit(&slot->op, memory_order_relaxed);
    uint32_t stops = atomic_load_explicit(&slot->stops, memory_order_relaxed);
    uint64_t now = cli_now_ns(), gap = now - w->last_ns;
    uint64_t own = without_queue(w, gap, now);
    if (stops == w->stops) {
        storm_hist_add(&slot->hist, gap);
        storm_raise(&w->storm->shared->longest_gap_ns, gap);
        if (own > storm_read(&slot->longest_own_ns))
            atomic_store_explicit(&slot->longest_own_ns, own, memory_order_relaxed);
        if (gap > storm_read(&slot->longest_ns)) {
            atomic_store_explicit(&slot->longest_op, op, memory_order_relaxed);
            atomic_store_explicit(&slot->longest_at_ns, now, memory_order_relaxed);
            atomic_store_explicit(&slot->longest_ns, gap, memory_order_relaxed);
        }
    }
    w->stops = stops;
    w->last_ns = now;
    storm_add(&slot->done[op], 1);
    storm_add(&slot->total, 1);
    atomic_store_explicit(&slot->stamp_ns, now, memory_order_release);
}

void worker_wrong(struct worker *w, struct storm_wrong what)
{
    struct storm_shared *shared = w->storm->shared;
    storm_add(&w->slot->wrong[what.kind], 1);
    uint32_t n = atomic_fetch_add_explicit(&shared->wrong_count, 1, memory_order_relaxed);
    if (n >= STORM_WRONG_LOG)
        return;
    what.op = (enum storm_op)atomic_load_explicit(&w->slot->op, memory_order_relaxed);
    what.worker = w->index;
    what.at_ns = cli_now_ns() - w->storm->begun_ns;
    shared->wrong[n] = what;
}

void worker_result(struct worker *w, const struct item *it, int rc)
{
    worker_wrong(w, (struct storm_wrong){.kind = WRONG_RESULT,
                                         .rc = rc,
                                         .file = it ? it->file : 0,
                                         .chunk = it ? it->chunk : 0});
}

/* ------------------------------------------------------------------ items: a chunk of a file */

static const struct storm_file *file_of(const struct worker *w, const struct item *it)
{
    return &w->storm->files->file[it->file];
}

void item_make(struct worker *w, struct item *it, char space, uint32_t file, uint32_t chunk)
{
    const struct storm_files *all = w->storm->files;
    const struct storm_file *f = &all->file[file];
    uint64_t offset = (uint64_t)chunk * all->chunk_bytes;
    uint64_t left = f->size - offset;
    it->file = file;
    it->chunk = chunk;
    it->space = space;
    it->bytes = f->bytes + offset;
    it->length = (uint32_t)(left < all->chunk_bytes ? left : all->chunk_bytes);
    it->floor = &w->storm->floor_ns[f->first_chunk + chunk];
    it->key_size =
        (size_t)snprintf(it->key, sizeof it->key, "%c:%s#%" PRIu32, space, f->path, chunk);
}

uint32_t worker_pick_file(struct worker *w)
{
    const struct storm_files *f = w->storm->files;
    double x = chance(w);
    uint32_t low = 0, high = f->count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (f->cdf[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void worker_pick(struct worker *w, struct item *it, char space)
{
    uint32_t file = worker_pick_file(w);
    uint32_t chunks = w->storm->files->file[file].chunks;
    item_make(w, it, space, file, (uint32_t)worker_below(w, chunks));
}

/* The version's mask: every word of a value is stored under it. */
static uint64_t mask_of(uint64_t version_ns)
{
    return (version_ns | 1) * 0x9e3779b97f4a7c15ull;
}

size_t item_encode(const struct worker *w, const struct item *it, uint64_t version_ns, void *out)
{
    struct storm_head head = {file_of(w, it)->path_hash, version_ns, it->file,
                              (uint32_t)it->space,       it->chunk,  it->length};
    unsigned char *to = out;
    memcpy(to, &head, sizeof head);
    to += sizeof head;
    uint64_t mask = mask_of(version_ns), word;
    uint32_t i = 0;
    for (; i + 8 <= it->length; i += 8) {
        memcpy(&word, it->bytes + i, 8);
        word ^= mask;
        memcpy(to + i, &word, 8);
    }
    for (; i < it->length; i++)
        to[i] = (unsigned char)(it->bytes[i] ^ (unsigned char)(mask >> 8 * (i % 8)));
    return sizeof head + it->length;
}

/* Where the stored bytes first differ from the file, or length. */
static uint32_t first_difference(const struct item *it, const unsigned char *stored, uint64_t mask)
{
    uint32_t i = 0;
    for (; i + 8 <= it->length; i += 8) {
        uint64_t a, b;
        memcpy(&a, it->bytes + i, 8);
        memcpy(&b, stored + i, 8);
        if ((a ^ mask) != b)
            break;
    }
    while (i < it->length &&
           stored[i] == (unsigned char)(it->bytes[i] ^ (unsigned char)(mask >> 8 * (i % 8))))
        i++;
    return i;
}

void worker_check(struct worker *w, const struct item *it, const struct storm_got *got,
                  const struct served *when)
{
    struct storm_head head;
    struct storm_wrong bad = {.kind = WRONG_KINDS, .file = it->file, .chunk = it->chunk};
    if (got->size != sizeof head + it->length) {
        bad = (struct storm_wrong){.kind = WRONG_SIZE,
                                   .file = it->file,
                                   .chunk = it->chunk,
                                   .got = got->size,
                                   .expected = sizeof head + it->length};
        worker_wrong(w, bad);
        return;
    }
    memcpy(&head, w->value, sizeof head);
    bad.version = head.version_ns;
    if (head.path_hash != file_of(w, it)->path_hash || head.chunk != it->chunk ||
        head.file != it->file || head.length != it->length || head.space != (uint32_t)it->space) {
        bad.kind = WRONG_KEY;
        bad.got = head.path_hash;
        bad.expected = file_of(w, it)->path_hash;
    } else {
        uint32_t at = first_difference(it, w->value + sizeof head, mask_of(head.version_ns));
        if (at < it->length) {
            bad.kind = WRONG_BYTES;
            bad.got = at;
            bad.expected = it->length;
        } else if (head.version_ns + storm_stale_ns(w->storm->shared) < when->floor_ns) {
            bad.kind = WRONG_STALE;
            bad.got = head.version_ns;
            bad.expected = when->floor_ns;
        } else if (got->expire_ns != 0 && got->expire_ns <= when->boottime_ns) {
            bad.kind = WRONG_EXPIRED;
            bad.got = got->expire_ns;
            bad.expected = when->boottime_ns;
        }
    }
    if (bad.kind != WRONG_KINDS)
        worker_wrong(w, bad);
}

struct served worker_asks(const struct worker *w, const struct item *it)
{
    uint64_t floor = atomic_load_explicit(it->floor, memory_order_acquire);
    uint64_t flushed =
        atomic_load_explicit(&w->storm->shared->flush_floor_ns, memory_order_acquire);
    /* Keys of the x space are not tracked one by one, only against flushes. */
    if (it->space != 'f' || flushed > floor)
        floor = flushed;
    return (struct served){floor, boottime_ns()};
}

void worker_changed(const struct item *it, uint64_t begun_ns)
{
    if (it->space == 'f')
        storm_raise(it->floor, begun_ns);
}

/* ------------------------------------------------------------------ the single operations */

int worker_get(struct worker *w, const struct item *it)
{
    struct storm_got got = {0, 0, 0};
    struct served when = worker_asks(w, it);
    worker_begin(w, OP_GET);
    int rc = w->storm->kind->get(w->cache, it->key, it->key_size, w->value, sizeof w->value, &got);
    if (rc == 0) {
        storm_add(&w->slot->hits, 1);
        worker_check(w, it, &got, &when);
        w->seen_version = got.version;
    } else if (rc == ENOENT) {
        storm_add(&w->slot->misses, 1);
    } else {
        worker_result(w, it, rc);
    }
    worker_end(w);
    return rc;
}

int worker_put(struct worker *w, const struct item *it, enum storm_put how, uint64_t ttl_ns)
{
    static const enum storm_op op_of[] = {OP_SET, OP_ADD, OP_REPLACE, OP_CAS};
    uint64_t begun = cli_now_ns();
    size_t size = item_encode(w, it, begun, w->value);
    worker_begin(w, op_of[how]);
    int rc = w->storm->kind->put(w->cache, how, it->key, it->key_size, w->value, size, ttl_ns,
                                 w->seen_version);
    if (rc == 0)
        worker_changed(it, begun);
    else if (!(how == PUT_ADD && rc == EEXIST) && !(how == PUT_REPLACE && rc == ENOENT) &&
             !(how == PUT_CAS && (rc == ENOENT || rc == LK_ECHANGED)))
        worker_result(w, it, rc);
    worker_end(w);
    return rc;
}

/* Read the chunk from disk as a server would.  True if it still is what was loaded. */
bool worker_read(struct worker *w, const struct item *it)
{
    const struct storm_files *f = w->storm->files;
    worker_begin(w, OP_READ);
    int fd = openat(f->dir_fd, file_of(w, it)->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = -1;
    if (fd >= 0) {
        n = pread(fd, w->value, it->length, (off_t)it->chunk * f->chunk_bytes);
        (void)close(fd);
    }
    bool same = n == (ssize_t)it->length && memcmp(w->value, it->bytes, it->length) == 0;
    if (!same)
        storm_add(&w->slot->file_changed, 1);
    worker_end(w);
    return same;
}
