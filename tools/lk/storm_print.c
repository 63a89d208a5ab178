/* storm_print.c - the table and the JSON of a storm. */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "storm.h"

enum { CELL = 48 };

static void row(const char *title, char cell[2][CELL], size_t n)
{
    printf("  %-24s", title);
    for (size_t i = 0; i < n; i++)
        printf("%*s", i ? 24 : 20, cell[i]);
    putchar('\n');
}

static void row_count(const char *title, size_t n, uint64_t a, uint64_t b)
{
    char cell[2][CELL] = {"", ""}, text[32];
    const uint64_t v[2] = {a, b};
    for (size_t i = 0; i < n && i < 2; i++)
        (void)snprintf(cell[i], CELL, "%s", cli_count(text, v[i]));
    row(title, cell, n);
}

static void row_span(const char *title, size_t n, uint64_t a, uint64_t b)
{
    char cell[2][CELL] = {"", ""}, text[32];
    const uint64_t v[2] = {a, b};
    for (size_t i = 0; i < n && i < 2; i++)
        (void)snprintf(cell[i], CELL, "%s", cli_span(text, v[i]));
    row(title, cell, n);
}

/* What only latchkey counts: the other column stays empty. */
static void row_stat(const char *title, const struct storm_result *r, size_t n, uint64_t value)
{
    char cell[2][CELL] = {"", ""}, text[32];
    for (size_t i = 0; i < n; i++)
        (void)snprintf(cell[i], CELL, "%s", r[i].has_stat ? cli_count(text, value) : "-");
    row(title, cell, n);
}

static void row_longest(const struct storm_result *r, size_t n)
{
    char cell[2][CELL] = {"", ""}, text[32];
    for (size_t i = 0; i < n; i++)
        if (r[i].wedges)
            (void)snprintf(cell[i], CELL, "for ever");
        else
            (void)snprintf(cell[i], CELL, "%s (%s)", cli_span(text, r[i].longest_ns),
                           storm_op_name[r[i].longest_op]);
    row("longest stall", cell, n);
}

static void rows_work(const struct storm_result *r, size_t n)
{
    char cell[2][CELL] = {"", ""}, text[32];
    for (size_t i = 0; i < n; i++)
        (void)snprintf(cell[i], CELL, "%.1f s", r[i].seconds);
    row("ran for", cell, n);
    row_count("operations", n, r[0].operations, r[1].operations);
    for (size_t i = 0; i < n; i++) {
        double asked = (double)(r[i].hits + r[i].misses);
        (void)snprintf(cell[i], CELL, "%s (%.1f %%)", cli_count(text, r[i].hits),
                       asked > 0 ? 100.0 * (double)r[i].hits / asked : 0.0);
    }
    row("hits", cell, n);
    for (size_t i = 0; i < n; i++)
        (void)snprintf(cell[i], CELL, "%s (%.0f/s)", cli_count(text, r[i].kills),
                       r[i].seconds > 0 ? (double)r[i].kills / r[i].seconds : 0.0);
    row("kills", cell, n);
    row_count("  in a changing call", n, r[0].kills_writing, r[1].kills_writing);
    if (r[0].stops || (n > 1 && r[1].stops))
        row_count("stops (SIGSTOP)", n, r[0].stops, r[1].stops);
}

static void rows_outcome(const struct storm_result *r, size_t n)
{
    const struct storm_result *lk = &r[0];
    if (lk->has_stat) {
        row_stat("deaths inside a lock", r, n, lk->stat.deaths);
        row_stat("repairs", r, n, lk->stat.repairs);
        row_stat("leases of the dead", r, n, lk->stat.lease_deaths);
        row_stat("backstop time-outs", r, n, lk->stat.backstops);
    }
    row_span("stall p50", n, r[0].p50_ns, r[1].p50_ns);
    row_span("stall p99", n, r[0].p99_ns, r[1].p99_ns);
    row_span("stall p99.9", n, r[0].p999_ns, r[1].p999_ns);
    row_longest(r, n);
    row_span("  not waiting for a CPU", n, r[0].longest_own_ns, r[1].longest_own_ns);
    row_count("wrong values", n, r[0].wrong, r[1].wrong);
    row_count("wedges", n, r[0].wedges, r[1].wedges);
    if (r[0].crashes || (n > 1 && r[1].crashes))
        row_count("crashes", n, r[0].crashes, r[1].crashes);
}

static const char *file_name(const struct storm_files *f, uint32_t i)
{
    return i < f->count ? f->file[i].path : "?";
}

static void print_problems(const struct storm_files *f, const struct storm_result *r)
{
    for (unsigned i = 0; i < r->first_wrong_count; i++) {
        const struct storm_wrong *w = &r->first_wrong[i];
        printf("  wrong: %s in %s by worker %u at %.3f s: f:%s#%" PRIu32 " version %" PRIu64
               " got %" PRIu64 " expected %" PRIu64 " result %d\n",
               storm_wrong_name[w->kind], storm_op_name[w->op], w->worker, (double)w->at_ns * 1e-9,
               file_name(f, w->file), w->chunk, w->version, w->got, w->expected, w->rc);
    }
    if (r->crashes)
        printf("  crash: %s\n", r->crash_text);
    if (r->checked && !r->check_sound)
        printf("  check: %s", r->check_text);
}

static void print_end(const struct storm_options *o, const struct storm_files *f,
                      const struct storm_result *r)
{
    char count[32];
    if (r->wedges)
        printf("%s wedged %s%s\n", r->lock, r->wedge_text,
               r->stopped_by_wedge ? "; no worker makes progress" : "");
    print_problems(f, r);
    if (r->checked && r->check_sound) {
        printf("%s: after the storm %u %s repaired, verify clean", r->lock, r->repaired_after,
               r->repaired_after == 1 ? "shard" : "shards");
        if (!o->keep)
            printf(", after a flush %" PRIu64 " bytes in use", r->used_after_flush);
        putchar('\n');
    }
    printf("%s: %s%s\n", r->lock,
           storm_sound(r) ? "sound: 0 wrong values, 0 wedges"
           : r->wedges    ? "wedged"
                          : "NOT SOUND",
           r->interrupted ? " (stopped by a signal)" : "");
    if (r->file_changed)
        printf("%s: %s reads found a file that had changed on disk; not served\n", r->lock,
               cli_count(count, r->file_changed));
}

void storm_print(const struct storm_options *o, const struct storm_files *f,
                 const struct storm_plan *plan, const struct storm_result *r, size_t n)
{
    char files[32], bytes[32], capacity[32], values[32];
    char cell[2][CELL] = {"", ""};
    printf("%s files of %s (%s in %s values) through a cache of %s, %u workers, seed %" PRIu64 "\n",
           cli_count(files, f->count), o->dir, cli_size(bytes, f->total_bytes),
           cli_count(values, f->chunk_count), cli_size(capacity, plan->capacity_bytes), o->workers,
           o->seed);
    for (size_t i = 0; i < n; i++)
        (void)snprintf(cell[i], CELL, "%s", r[i].lock);
    row("", cell, n);
    rows_work(r, n);
    rows_outcome(r, n);
    for (size_t i = 0; i < n; i++)
        print_end(o, f, &r[i]);
}

/* ------------------------------------------------------------------ JSON */

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *json_counts(const struct storm_result *r)
{
    json_t *operations = json_object(), *wrong = json_object();
    for (unsigned i = OP_GET; i < OP_COUNT; i++)
        json_object_set_new(operations, storm_op_name[i], number(r->done[i]));
    for (unsigned i = 0; i < WRONG_KINDS; i++)
        json_object_set_new(wrong, storm_wrong_name[i], number(r->wrong_kind[i]));
    return json_pack("{so so}", "operations_by_kind", operations, "wrong_by_kind", wrong);
}

static json_t *json_stat(const struct storm_result *r)
{
    const struct lk_cache_stat *s = &r->stat;
    return json_pack("{so so so so so so so so so so so so}", "deaths", number(s->deaths),
                     "repairs", number(s->repairs), "lease_deaths", number(s->lease_deaths),
                     "backstops", number(s->backstops), "lock_waits", number(s->lock_waits),
                     "evictions", number(s->evictions), "expirations", number(s->expirations),
                     "fragmented", number(s->fragmented), "entries", number(s->entries),
                     "used_bytes", number(s->used_bytes), "shards", number(s->shards),
                     "shards_dead", number(s->shards_dead));
}

static json_t *json_check(const struct storm_result *r)
{
    return json_pack("{sb so so so ss}", "sound", r->check_sound, "repaired",
                     number(r->repaired_after), "entries_after_flush",
                     number(r->entries_after_flush), "used_bytes_after_flush",
                     number(r->used_after_flush), "problems", r->check_text);
}

static json_t *json_run(const struct storm_result *r)
{
    json_t *run = json_pack(
        "{ss sf so so so so so so so so so so so ss}", "lock", r->lock, "seconds", r->seconds,
        "operations", number(r->operations), "hits", number(r->hits), "misses", number(r->misses),
        "kills", number(r->kills), "kills_in_changing_calls", number(r->kills_writing), "stops",
        number(r->stops), "crashes", number(r->crashes), "wrong", number(r->wrong), "wedges",
        number(r->wedges), "file_changed", number(r->file_changed), "lease_timeouts",
        number(r->lease_timeouts), "wedge", r->wedge_text);
    json_object_set_new(run, "sound", json_boolean(storm_sound(r)));
    json_object_set_new(run, "interrupted", json_boolean(r->interrupted));
    json_object_set_new(
        run, "stall_ns",
        json_pack("{so so so so so ss so}", "p50", number(r->p50_ns), "p99", number(r->p99_ns),
                  "p999", number(r->p999_ns), "longest", number(r->longest_ns),
                  "longest_without_cpu_wait", number(r->longest_own_ns), "longest_in",
                  storm_op_name[r->longest_op], "never_ended", number(r->open_stalls)));
    json_object_update_new(run, json_counts(r));
    if (r->has_stat)
        json_object_set_new(run, "cache", json_stat(r));
    if (r->checked)
        json_object_set_new(run, "check", json_check(r));
    return run;
}

struct json_t *storm_json(const struct storm_options *o, const struct storm_files *f,
                          const struct storm_plan *plan, const struct storm_result *r, size_t n)
{
    json_t *runs = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(runs, json_run(&r[i]));
    return json_pack("{ss so so so so so so so so so}", "directory", o->dir, "files",
                     number(f->count), "file_bytes", number(f->total_bytes), "values",
                     number(f->chunk_count), "capacity_bytes", number(plan->capacity_bytes),
                     "entries", number(plan->entries), "workers", number(o->workers), "aim_percent",
                     number(o->aim_percent), "seed", number(o->seed), "storms", runs);
}
