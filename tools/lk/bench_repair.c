/* bench_repair.c - lk bench repair: how long it takes to rebuild a whole cache, and how long the
 * next writer of a shard waits when its holder is killed inside (hand-over).
 *
 * Hand-over: a victim sets values in a cache of one shard; it gets SIGKILL at a random moment,
 * and we set a value at once.  Only kills that hit inside the lock count (the cache says so);
 * the time is from before kill(2) to our set's return, the kernel's work and the repair
 * included. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "cli.h"

#define SHARD_ENTRIES 5000u /* in the hand-over's only shard: one of 20 of a cache of 1e5 */
#define VICTIM_VALUE 4096u

struct repair {
    struct bench_series all_ms, death_ms, shard_ms, handover_ms;
    unsigned shards;
    uint64_t kills, wrong;
};

/* Time lk_cache_repair(all) `rounds` times; every entry must still be there. */
static int time_repairs(lk_cache *c, size_t entries, uint64_t rounds, struct bench_series *ms,
                        unsigned *shards)
{
    for (uint64_t i = 0; i < rounds && !cli_stop; i++) {
        uint64_t begin = cli_now_ns();
        int rc = lk_cache_repair(c, true, shards);
        bench_add(ms, (double)(cli_now_ns() - begin) / 1e6);
        struct lk_cache_stat stat;
        if (rc == 0)
            rc = lk_cache_stat(c, &stat);
        if (rc != 0)
            return cli_fail_rc("repair", rc);
        if (stat.entries != entries)
            return cli_fail(CLI_PROBLEM, "repair left %llu of %zu entries",
                            (unsigned long long)stat.entries, entries);
    }
    return cli_stop ? CLI_STOPPED : CLI_OK;
}

/* ---- hand-over ----------------------------------------------------------------------------- */

static _Noreturn void victim_main(lk_cache *c, const struct bench_load *load, int ready)
{
    static char value[VICTIM_VALUE];
    bench_pin(bench_cpu(1));
    for (size_t i = 0;; i++) {
        if (lk_cache_set(c, load->keys[i % 64], BENCH_KEY_SIZE, value, sizeof value,
                         LK_TTL_DEFAULT) != 0)
            _exit(1);
        if (i == 64 && write(ready, "", 1) != 1)
            _exit(1);
    }
}

/* Start a victim and wait until it works.  Its pid, or -1. */
static int victim_start(lk_cache *c, const struct bench_load *load)
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0)
        return -1;
    pid_t pid = cli_fork();
    if (pid == 0)
        victim_main(c, load, ready[1]);
    close(ready[1]);
    ssize_t n;
    do
        n = read(ready[0], &byte, 1);
    while (n < 0 && errno == EINTR && !cli_stop);
    close(ready[0]);
    return n == 1 || pid < 0 ? pid : (kill(pid, SIGKILL), waitpid(pid, NULL, 0), -1);
}

/* One kill.  0, or an exit code after a message. */
static int one_kill(struct repair *r, lk_cache *c, const struct bench_load *load, uint64_t *random)
{
    struct lk_cache_stat before, after;
    int pid = victim_start(c, load);
    if (pid < 0)
        return cli_stop ? CLI_STOPPED : cli_fail(CLI_CANNOT, "cannot start a victim");
    nanosleep(&(struct timespec){.tv_nsec = (long)(bench_random(random) % 100000)}, NULL);
    int rc = lk_cache_stat(c, &before);
    uint64_t begin = cli_now_ns();
    kill(pid, SIGKILL);
    if (rc == 0)
        rc = lk_cache_set(c, load->keys[100], BENCH_KEY_SIZE, load->value, load->value_size,
                          LK_TTL_DEFAULT);
    uint64_t end = cli_now_ns();
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (rc == 0)
        rc = lk_cache_stat(c, &after);
    if (rc != 0)
        return cli_fail_rc("set after a kill", rc);
    r->kills++;
    if (after.deaths > before.deaths)
        bench_add(&r->handover_ms, (double)(end - begin) / 1e6);
    return CLI_OK;
}

/* Kill victims until one dies inside the lock of the only shard, with nobody coming after it. */
static int die_inside(lk_cache *c, const struct bench_load *load, uint64_t *random)
{
    struct lk_cache_stat stat = {0};
    int rc = 0;
    while (rc == 0 && stat.shards_dead == 0) {
        int pid = cli_stop ? -1 : victim_start(c, load);
        if (pid < 0)
            return cli_stop ? CLI_STOPPED : cli_fail(CLI_CANNOT, "cannot start a victim");
        nanosleep(&(struct timespec){.tv_nsec = (long)(bench_random(random) % 100000)}, NULL);
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        rc = lk_cache_stat(c, &stat);
    }
    return rc != 0 ? cli_fail_rc("stat after a kill", rc) : CLI_OK;
}

/* Time the repair that a death asks for, of a cache whose entries are all in one shard. */
static int time_death_repairs(struct repair *r, const struct bench_options *o,
                              const struct bench_load *load)
{
    uint64_t random = 5;
    int code = CLI_OK;
    lk_cache *c = bench_cache_open(load, 1);
    if (c == NULL)
        return CLI_CANNOT;
    for (uint64_t i = 0; i < o->rounds && code == CLI_OK; i++) {
        code = die_inside(c, load, &random);
        unsigned repaired = 0;
        uint64_t begin = cli_now_ns();
        int rc = code == CLI_OK ? lk_cache_repair(c, false, &repaired) : 0;
        if (code == CLI_OK && (rc != 0 || repaired != 1))
            code = cli_fail_rc("repair after a death", rc);
        if (code == CLI_OK)
            bench_add(&r->death_ms, (double)(cli_now_ns() - begin) / 1e6);
    }
    lk_cache_close(c);
    return code;
}

static int hand_over(struct repair *r, const struct bench_options *o)
{
    struct bench_load load;
    struct cli_progress progress;
    uint64_t random = 3;
    if (!bench_load_init(&load, SHARD_ENTRIES, 100, o->skew))
        return CLI_CANNOT;
    int code = CLI_CANNOT;
    unsigned shards;
    lk_cache *c = bench_cache_open(&load, 1);
    if (c != NULL)
        code = time_repairs(c, SHARD_ENTRIES, o->rounds, &r->shard_ms, &shards);
    cli_progress_begin(&progress, "kills", o->kills, o->quiet);
    while (code == CLI_OK && r->kills < o->kills && r->handover_ms.n < BENCH_ROUNDS_MAX) {
        code = cli_stop ? CLI_STOPPED : one_kill(r, c, &load, &random);
        cli_progress_show(&progress, r->kills, NULL);
    }
    cli_progress_end(&progress);
    lk_cache_close(c);
    bench_load_destroy(&load);
    return code;
}

/* ---- the report ---------------------------------------------------------------------------- */

static json_t *series_json(const struct bench_series *s)
{
    if (s->n == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:i}", "median_ms", bench_median(s), "least_ms",
                     bench_least(s), "p99_ms", bench_quantile(s, 0.99), "most_ms", bench_most(s),
                     "n", (int)s->n);
}

static void print_series(const char *what, const struct bench_series *s)
{
    if (s->n > 0)
        printf("  %-44s median %8.3f ms  least %8.3f  p99 %8.3f  most %8.3f  (%zu times)\n", what,
               bench_median(s), bench_least(s), bench_quantile(s, 0.99), bench_most(s), s->n);
}

static int report(const struct repair *r, const struct bench_options *o)
{
    struct bench_limits limits = {0};
    if (o->entries == 100000)
        bench_limit_at_most(&limits, "repair of 1e5 entries after a death, one shard, median", 5,
                            "ms", bench_median(&r->death_ms));
    if (o->kills > 0)
        bench_limit_at_most(&limits, "hand-over after SIGKILL inside a lock, p99, less repair", 1,
                            "ms",
                            bench_quantile(&r->handover_ms, 0.99) - bench_median(&r->shard_ms));
    if (o->json) {
        cli_json_print(json_pack(
            "{s:s, s:o, s:I, s:i, s:o, s:o, s:o, s:I, s:o, s:o}", "bench", "repair", "machine",
            bench_machine_json(), "entries", (json_int_t)o->entries, "shards", (int)r->shards,
            "repair", series_json(&r->all_ms), "repair_after_death", series_json(&r->death_ms),
            "repair_one_shard", series_json(&r->shard_ms), "kills", (json_int_t)r->kills,
            "hand_over", series_json(&r->handover_ms), "limits", bench_limits_json(&limits)));
    } else {
        char text[96], entries[32];
        bench_machine_print();
        snprintf(text, sizeof text, "thorough repair of %s, %u shards",
                 cli_count(entries, o->entries), r->shards);
        print_series(text, &r->all_ms);
        snprintf(text, sizeof text, "after a death: %s in one shard", entries);
        print_series(text, &r->death_ms);
        print_series("thorough repair of one shard of 5,000", &r->shard_ms);
        snprintf(text, sizeof text, "hand-over, %zu of %llu kills inside the lock",
                 r->handover_ms.n, (unsigned long long)r->kills);
        print_series(text, &r->handover_ms);
        bench_limits_print(&limits);
    }
    return bench_limits_code(&limits, o->check);
}

int bench_repair(const struct bench_options *o)
{
    struct repair *r = calloc(1, sizeof *r);
    struct bench_load load;
    if (r == NULL || !bench_load_init(&load, o->entries, o->value_size, o->skew)) {
        free(r);
        return CLI_CANNOT;
    }
    int code = CLI_CANNOT;
    bench_pin(bench_cpu(0));
    lk_cache *c = bench_cache_open(&load, (unsigned)o->shards);
    if (c != NULL)
        code = time_repairs(c, o->entries, o->rounds, &r->all_ms, &r->shards);
    lk_cache_close(c);
    if (code == CLI_OK)
        code = time_death_repairs(r, o, &load);
    bench_load_destroy(&load);
    if (code == CLI_OK && o->kills > 0)
        code = hand_over(r, o);
    bench_unpin();
    if (code == CLI_OK)
        code = report(r, o);
    free(r);
    return code;
}
