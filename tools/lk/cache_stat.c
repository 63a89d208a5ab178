/* cache_stat.c - figures of caches: lk cache stat, and lk cache list without a name. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cmd.h"

struct json_t *cache_stat_json(const struct lk_cache_stat *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"entries", s->entries},
        {"used_bytes", s->used_bytes},
        {"capacity_bytes", s->capacity_bytes},
        {"segment_bytes", s->segment_bytes},
        {"hits", s->hits},
        {"misses", s->misses},
        {"sets", s->sets},
        {"deletes", s->deletes},
        {"evictions", s->evictions},
        {"expirations", s->expirations},
        {"index_full", s->index_full},
        {"promotions", s->promotions},
        {"ghost_hits", s->ghost_hits},
        {"fragmented", s->fragmented},
        {"leases", s->leases},
        {"lease_waits", s->lease_waits},
        {"lease_deaths", s->lease_deaths},
        {"leases_held", s->leases_held},
        {"deaths", s->deaths},
        {"repairs", s->repairs},
        {"lock_waits", s->lock_waits},
        {"backstops", s->backstops},
        {"shards", s->shards},
        {"shards_locked", s->shards_locked},
        {"shards_dead", s->shards_dead},
        {"threads", s->threads},
        {"threads_dead", s->threads_dead},
        {"threads_max", s->threads_max},
    };
    json_t *root = json_object();
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        json_object_set_new(root, fields[i].name, json_integer((json_int_t)fields[i].value));
    return root;
}

struct json_t *cache_options_json(const struct lk_cache_options *o)
{
    json_t *root =
        json_pack("{s:I, s:i, s:i, s:i, s:i, s:b}", "capacity_bytes", (json_int_t)o->capacity_bytes,
                  "shards", (int)o->shards, "granule_bytes", (int)o->granule_bytes, "entry_bytes",
                  (int)o->entry_bytes, "threads", (int)o->threads, "checksum", (int)o->checksum);
    bool never = o->ttl_ns == 0 || o->ttl_ns == LK_TTL_NEVER;
    json_object_set_new(root, "ttl_ns", never ? json_null() : json_integer((json_int_t)o->ttl_ns));
    return root;
}

/* A line of lk cache stat: two figures of which the second may be missing. */
static void line(const char *what, uint64_t n, const char *what2, uint64_t n2)
{
    char a[32], b[32];
    printf("  %-12s %15s", what, cli_count(a, n));
    if (what2 != NULL)
        printf("   %-18s %15s", what2, cli_count(b, n2));
    putchar('\n');
}

static void print_stat(const char *name, const struct lk_cache_stat *s,
                       const struct lk_cache_options *o)
{
    char a[32], b[32], c[32];
    printf("%s: %s of %s used (%.1f %%) in %" PRIu32 " shard%s; segment %s\n", name,
           cli_size(a, s->used_bytes), cli_size(b, s->capacity_bytes),
           s->capacity_bytes > 0 ? 100.0 * (double)s->used_bytes / (double)s->capacity_bytes : 0.0,
           s->shards, s->shards == 1 ? "" : "s", cli_size(c, s->segment_bytes));
    bool never = o->ttl_ns == 0 || o->ttl_ns == LK_TTL_NEVER;
    printf("granule %" PRIu32 " B, time to live %s, checksums %s\n\n", o->granule_bytes,
           never ? "unlimited" : cli_span(a, o->ttl_ns), o->checksum ? "on" : "off");
    uint64_t gets = s->hits + s->misses;
    line("entries", s->entries, "leases held", s->leases_held);
    line("hits", s->hits, "leases given", s->leases);
    line("misses", s->misses, "lease waits", s->lease_waits);
    snprintf(a, sizeof a, gets > 0 ? "%.2f %%" : "-", 100.0 * (double)s->hits / (double)gets);
    printf("  %-12s %15s   %-18s %15s\n", "hit ratio", a, "leases of the dead",
           cli_count(b, s->lease_deaths));
    line("sets", s->sets, "threads live", s->threads);
    line("deletes", s->deletes, "threads at most", s->threads_max);
    line("evictions", s->evictions, "threads dead", s->threads_dead);
    line("expirations", s->expirations, "shards locked", s->shards_locked);
    line("index full", s->index_full, "of these, dead", s->shards_dead);
    line("promotions", s->promotions, "deaths in a lock", s->deaths);
    line("ghost hits", s->ghost_hits, "repairs", s->repairs);
    line("fragmented", s->fragmented, "lock waits", s->lock_waits);
    printf("  %-12s %15s   %-18s %15s\n", "", "", "backstops", cli_count(b, s->backstops));
}

int cache_stat(struct cache_call *call)
{
    struct lk_cache_stat s;
    struct lk_cache_options o;
    int rc = lk_cache_stat(call->c, &s);
    if (rc != 0)
        return cli_fail_rc(call->name, rc);
    lk_cache_options_of(call->c, &o);
    if (!call->json) {
        print_stat(call->name, &s, &o);
        return CLI_OK;
    }
    json_t *root = cache_stat_json(&s);
    uint64_t gets = s.hits + s.misses;
    cli_json_set_bytes(root, "name", call->name, strlen(call->name));
    json_object_set_new(root, "hit_ratio",
                        gets > 0 ? json_real((double)s.hits / (double)gets) : json_null());
    json_object_set_new(root, "options", cache_options_json(&o));
    cli_json_print(root);
    return CLI_OK;
}

/* The names in the directory. */
struct names {
    char (*list)[LK_SEG_NAME_MAX + 1];
    size_t count, room;
};

static int add_name(const char *name, void *arg)
{
    struct names *n = arg;
    if (n->count == n->room) {
        size_t room = n->room > 0 ? 2 * n->room : 16;
        void *list = realloc(n->list, room * sizeof *n->list);
        if (list == NULL)
            return -1;
        n->list = list;
        n->room = room;
    }
    (void)snprintf(n->list[n->count++], sizeof *n->list, "%s", name);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The name in 24 columns, with nothing in it that moves a cursor. */
static void print_name(const char *name)
{
    char *shown = cli_escaped(name, strlen(name));
    printf("%-24s ", shown != NULL ? shown : "?");
    free(shown);
}

/* One segment: a cache, plain memory, or why it cannot be opened. */
static void print_segment(const char *name, json_t *list)
{
    char a[32], b[32], c[32];
    lk_cache *cache = NULL;
    lk_seg *seg;
    json_t *row = json_object();
    cli_json_set_bytes(row, "name", name, strlen(name));
    if (list == NULL)
        print_name(name);
    int rc = lk_cache_open(&cache, name, &(struct lk_cache_options){.flags = LK_CACHE_READ_ONLY});
    if (rc != 0)
        cache = NULL;
    struct lk_cache_stat s;
    if (rc == 0 && (rc = lk_cache_stat(cache, &s)) == 0) {
        json_object_set_new(row, "kind", json_string("cache"));
        json_object_set_new(row, "stat", cache_stat_json(&s));
        if (list == NULL)
            printf("cache   %10s %10s %14s\n", cli_size(a, s.used_bytes),
                   cli_size(b, s.capacity_bytes), cli_count(c, s.entries));
    } else if (rc == LK_EKIND && (rc = lk_seg_open(&seg, name)) == 0) {
        json_object_set_new(row, "kind", json_string("memory"));
        json_object_set_new(row, "size_bytes", json_integer((json_int_t)lk_seg_size(seg)));
        if (list == NULL)
            printf("memory  %10s %10s %14s\n", "-", cli_size(b, lk_seg_size(seg)), "-");
        lk_seg_close(seg);
    } else {
        json_object_set_new(row, "kind", json_string("error"));
        json_object_set_new(row, "error", json_string(lk_strerror(rc)));
        if (list == NULL)
            printf("-       %s\n", lk_strerror(rc));
    }
    lk_cache_close(cache);
    if (list != NULL)
        json_array_append(list, row);
    json_decref(row);
}

int cache_segments(struct cache_call *call)
{
    struct names names = {0};
    int rc = lk_seg_each_name(add_name, &names);
    json_t *list = call->json ? json_array() : NULL;
    if (names.count > 1)
        qsort(names.list, names.count, sizeof *names.list, by_name);
    if (!call->json && !call->names && names.count > 0)
        printf("%-24s %-7s %10s %10s %14s\n", "NAME", "KIND", "USED", "CAPACITY", "ENTRIES");
    for (size_t i = 0; i < names.count; i++) {
        if (call->names)
            printf("%s\n", names.list[i]);
        else
            print_segment(names.list[i], list);
    }
    free(names.list);
    if (rc != 0) {
        json_decref(list);
        char directory[4096] = "";
        rc = lk_seg_directory(directory, sizeof directory) == 0 ? rc : -1;
        return cli_fail_rc(directory, rc);
    }
    if (list != NULL)
        cli_json_print(list);
    return CLI_OK;
}
