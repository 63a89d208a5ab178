/* bench_replay.c - lk bench replay: a recorded trace through a real cache that holds exactly N
 * objects. Every object is one granule of 32 bytes: header 24, key 4 (the id), value 4 (the id
 * again, compared at each hit).  A get that misses is followed by a set. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

#define OBJECT_BYTES 32u

struct replay {
    char name[64]; /* of the trace, without folder and ending */
    uint32_t *ids;
    size_t requests;
    uint64_t hits, wrong;
    double seconds;
    struct lk_cache_stat stat;
    json_t *policies; /* what the reference says of the same trace and size */
};

static void name_of(const char *path, char *name, size_t capacity)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash != NULL ? slash + 1 : path;
    snprintf(name, capacity, "%.*s", (int)strcspn(base, "."), base);
}

/* False and a message if a call fails. */
static bool run(struct replay *r, lk_cache *c, const struct bench_options *o)
{
    struct cli_progress progress;
    cli_progress_begin(&progress, r->name, r->requests, o->quiet);
    uint64_t begin = cli_now_ns();
    for (size_t i = 0; i < r->requests && !cli_stop; i++) {
        uint32_t id = r->ids[i], value;
        size_t size;
        int rc = lk_cache_get(c, &id, sizeof id, &value, sizeof value, &size);
        if (rc == 0) {
            r->hits++;
            r->wrong += size != sizeof value || value != id;
        } else {
            rc = lk_cache_set(c, &id, sizeof id, &id, sizeof id, LK_TTL_DEFAULT);
            if (rc != 0) {
                cli_fail_rc("set", rc);
                return false;
            }
        }
        if (i % 65536 == 0)
            cli_progress_show(&progress, i, NULL);
    }
    r->seconds = (double)(cli_now_ns() - begin) / 1e9;
    cli_progress_end(&progress);
    int rc = lk_cache_stat(c, &r->stat);
    if (rc != 0)
        cli_fail_rc("stat", rc);
    return rc == 0;
}

/* Lines "trace,requests,unique,frac,capacity,policy,hits,hit_ratio" of our trace and size. */
static bool read_policies(struct replay *r, const struct bench_options *o)
{
    FILE *f = fopen(o->policies, "r");
    if (f == NULL) {
        cli_fail(CLI_CANNOT, "cannot read %s", o->policies);
        return false;
    }
    char line[256], trace[64], policy[64];
    uint64_t requests, capacity, hits;
    while (fgets(line, sizeof line, f) != NULL)
        /* NOLINTNEXTLINE(cert-err34-c): a bad number is a row that fits no trace */
        if (sscanf(line, "%63[^,],%" SCNu64 ",%*[^,],%*[^,],%" SCNu64 ",%63[^,],%" SCNu64, trace,
                   &requests, &capacity, policy, &hits) == 5 &&
            strcmp(trace, r->name) == 0 && capacity == o->objects && requests == r->requests)
            json_array_append_new(
                r->policies, json_pack("{s:s, s:I}", "policy", policy, "hits", (json_int_t)hits));
    fclose(f);
    if (json_array_size(r->policies) == 0)
        cli_fail(CLI_OK, "%s has no row for trace %s at %" PRIu64 " objects", o->policies, r->name,
                 o->objects);
    return true;
}

static void print_policies(const struct replay *r)
{
    size_t i;
    json_t *row;
    double ours = (double)r->hits / (double)r->requests;
    json_array_foreach(r->policies, i, row)
    {
        double theirs =
            (double)json_integer_value(json_object_get(row, "hits")) / (double)r->requests;
        printf("  %-14s %.4f  (ours %+.2f points)\n",
               json_string_value(json_object_get(row, "policy")), theirs, 100 * (ours - theirs));
    }
}

static void print_replay(const struct replay *r, const struct bench_options *o)
{
    char requests[32], hits[32];
    printf("%s: %" PRIu64 " objects, %" PRIu32 " shard%s: %s requests, %s hits, hit ratio %.4f  "
           "(%.1f M requests/s)\n",
           r->name, o->objects, r->stat.shards, r->stat.shards == 1 ? "" : "s",
           cli_count(requests, r->requests), cli_count(hits, r->hits),
           (double)r->hits / (double)r->requests, (double)r->requests / r->seconds / 1e6);
    print_policies(r);
}

static void json_replay(const struct replay *r, const struct bench_options *o)
{
    cli_json_print(json_pack(
        "{s:s, s:s, s:I, s:i, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f, s:O}", "bench", "replay",
        "trace", r->name, "objects", (json_int_t)o->objects, "shards", (int)r->stat.shards,
        "requests", (json_int_t)r->requests, "hits", (json_int_t)r->hits, "hit_ratio",
        (double)r->hits / (double)r->requests, "entries", (json_int_t)r->stat.entries, "evictions",
        (json_int_t)r->stat.evictions, "promotions", (json_int_t)r->stat.promotions, "ghost_hits",
        (json_int_t)r->stat.ghost_hits, "seconds", r->seconds, "policies", r->policies));
}

static int replay(struct replay *r, const struct bench_options *o)
{
    struct lk_cache_options options = {
        .capacity_bytes = o->objects * OBJECT_BYTES,
        .granule_bytes = OBJECT_BYTES,
        .entry_bytes = 8,
        .shards = (uint32_t)o->shards,
    };
    lk_cache *c;
    int rc = lk_cache_open_anonymous(&c, &options);
    if (rc != 0)
        return cli_fail_rc("a cache for the trace", rc);
    bool done = run(r, c, o);
    lk_cache_close(c);
    if (!done)
        return CLI_CANNOT;
    if (cli_stop)
        return CLI_STOPPED;
    if (r->wrong > 0)
        return cli_fail(CLI_PROBLEM, "%" PRIu64 " hits had a wrong value", r->wrong);
    /* Every shard's share is rounded up to a granule: with one shard the capacity is N exactly. */
    uint64_t most = o->objects + r->stat.shards - 1;
    if (r->stat.entries > most)
        return cli_fail(CLI_PROBLEM, "%" PRIu64 " entries in a cache of %" PRIu64, r->stat.entries,
                        most);
    if (o->policies != NULL && !read_policies(r, o))
        return CLI_CANNOT;
    if (o->json)
        json_replay(r, o);
    else
        print_replay(r, o);
    return CLI_OK;
}

int bench_replay(const struct bench_options *o)
{
    if (o->objects == 0)
        return cli_usage("replay needs --objects N");
    struct replay r = {.policies = json_array()};
    name_of(o->operand, r.name, sizeof r.name);
    int code = CLI_CANNOT;
    if (bench_trace_read(o->operand, &r.ids, &r.requests))
        code = replay(&r, o);
    free(r.ids);
    json_decref(r.policies);
    return code;
}
