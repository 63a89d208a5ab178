/* bench_collide.c - lk bench collide: 16,384 keys that have one hash value under a hash without
 * a key, beside as many random keys of the same length, in two caches of the same options.  What
 * the same keys do to a plain chained table with that hash is measured too, to show that they
 * bite. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

#define CHAIN_SLOTS 32768u
#define VALUE_SIZE 100u

/* Two sets of keys: [0] crafted, [1] random. */
struct contest {
    size_t key_size;
    unsigned char *keys[2];
    lk_cache *caches[2];
    struct bench_series set_ns[2], get_ns[2];
    double chain_ns[2]; /* inserting into the chained table */
};

/* ---- the table that falls ------------------------------------------------------------------ */

struct link {
    struct link *next;
    const unsigned char *key;
    uint32_t hash;
};

/* Insert all keys, each after a look whether it is there; ns per key. */
static double chain_insert(enum bench_hostile kind, const unsigned char *keys, size_t key_size)
{
    struct link **slots = calloc(CHAIN_SLOTS, sizeof *slots);
    struct link *links = calloc(BENCH_HOSTILE_KEYS, sizeof *links);
    double ns = NAN;
    if (slots != NULL && links != NULL) {
        uint64_t begin = cli_now_ns();
        for (size_t i = 0; i < BENCH_HOSTILE_KEYS; i++) {
            const unsigned char *key = keys + i * key_size;
            uint32_t hash = bench_hostile_hash(kind, key, key_size);
            struct link **slot = &slots[hash % CHAIN_SLOTS], *l = *slot;
            while (l != NULL && (l->hash != hash || memcmp(l->key, key, key_size) != 0))
                l = l->next;
            if (l == NULL) {
                links[i] = (struct link){*slot, key, hash};
                *slot = &links[i];
            }
        }
        ns = (double)(cli_now_ns() - begin) / BENCH_HOSTILE_KEYS;
    }
    free(slots);
    free(links);
    return ns;
}

/* ---- the cache that must not --------------------------------------------------------------- */

static unsigned char *random_keys(size_t key_size)
{
    unsigned char *keys = malloc(BENCH_HOSTILE_KEYS * key_size);
    uint64_t random = 7;
    for (size_t i = 0; keys != NULL && i < BENCH_HOSTILE_KEYS * key_size; i++)
        keys[i] = (unsigned char)('A' + bench_random(&random) % 58);
    return keys;
}

static bool open_contest(struct contest *c, enum bench_hostile kind)
{
    c->keys[0] = bench_hostile_make(kind, &c->key_size);
    c->keys[1] = c->keys[0] != NULL ? random_keys(c->key_size) : NULL;
    if (c->keys[1] == NULL) {
        cli_fail(CLI_CANNOT, "no memory for keys");
        return false;
    }
    struct lk_cache_options options = {
        .capacity_bytes = UINT64_C(16) << 20,
        .entry_bytes = (uint32_t)(c->key_size + VALUE_SIZE),
    };
    for (int k = 0; k < 2; k++) {
        int rc = lk_cache_open_anonymous(&c->caches[k], &options);
        if (rc != 0) {
            cli_fail_rc("a cache for the measurement", rc);
            return false;
        }
    }
    return true;
}

static void close_contest(struct contest *c)
{
    for (int k = 0; k < 2; k++) {
        free(c->keys[k]);
        lk_cache_close(c->caches[k]);
    }
}

/* Insert all keys into the emptied cache, then get them all. */
static bool measure(struct contest *c, int k)
{
    char value[VALUE_SIZE] = "value", buf[VALUE_SIZE];
    size_t stored = 0, found = 0, size;
    if (lk_cache_flush(c->caches[k]) != 0)
        return false;
    uint64_t begin = cli_now_ns();
    for (size_t i = 0; i < BENCH_HOSTILE_KEYS; i++)
        stored += lk_cache_set(c->caches[k], c->keys[k] + i * c->key_size, c->key_size, value,
                               sizeof value, LK_TTL_DEFAULT) == 0;
    uint64_t middle = cli_now_ns();
    for (size_t i = 0; i < BENCH_HOSTILE_KEYS; i++)
        found += lk_cache_get(c->caches[k], c->keys[k] + i * c->key_size, c->key_size, buf,
                              sizeof buf, &size) == 0;
    uint64_t end = cli_now_ns();
    bench_add(&c->set_ns[k], (double)(middle - begin) / BENCH_HOSTILE_KEYS);
    bench_add(&c->get_ns[k], (double)(end - middle) / BENCH_HOSTILE_KEYS);
    if (stored == BENCH_HOSTILE_KEYS && found == BENCH_HOSTILE_KEYS)
        return true;
    cli_fail(CLI_PROBLEM, "%zu of %u keys stored, %zu found", stored, BENCH_HOSTILE_KEYS, found);
    return false;
}

static int run_contest(struct contest *c, enum bench_hostile kind, const struct bench_options *o)
{
    if (!open_contest(c, kind))
        return CLI_CANNOT;
    for (int k = 0; k < 2; k++)
        c->chain_ns[k] = chain_insert(kind, c->keys[k], c->key_size);
    for (int k = 0; k < 2; k++)
        if (!measure(c, k))
            return CLI_PROBLEM;
    memset(c->set_ns, 0, sizeof c->set_ns); /* that was the warm-up */
    memset(c->get_ns, 0, sizeof c->get_ns);
    for (uint64_t round = 0; round < o->rounds && !cli_stop; round++)
        for (int k = 0; k < 2; k++)
            if (!measure(c, (int)((round + (uint64_t)k) % 2)))
                return CLI_PROBLEM;
    return cli_stop ? CLI_STOPPED : CLI_OK;
}

/* ---- the report ---------------------------------------------------------------------------- */

static double ratio(const struct bench_series s[2])
{
    return bench_median(&s[0]) / bench_median(&s[1]);
}

static void print_contest(const struct contest *c, enum bench_hostile kind)
{
    printf("%-22s %3zu-byte keys  set %6.1f ns, random %6.1f (%.2fx)  get %6.1f ns, random %6.1f "
           "(%.2fx)  chained table with that hash: %.0fx\n",
           bench_hostile_names[kind], c->key_size, bench_median(&c->set_ns[0]),
           bench_median(&c->set_ns[1]), ratio(c->set_ns), bench_median(&c->get_ns[0]),
           bench_median(&c->get_ns[1]), ratio(c->get_ns), c->chain_ns[0] / c->chain_ns[1]);
    fflush(stdout);
}

static json_t *contest_json(const struct contest *c, enum bench_hostile kind)
{
    return json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f}", "hash", bench_hostile_names[kind],
                     "key_bytes", (json_int_t)c->key_size, "set_ns", bench_median(&c->set_ns[0]),
                     "set_random_ns", bench_median(&c->set_ns[1]), "get_ns",
                     bench_median(&c->get_ns[0]), "get_random_ns", bench_median(&c->get_ns[1]),
                     "chained_table_times", c->chain_ns[0] / c->chain_ns[1]);
}

int bench_collide(const struct bench_options *o)
{
    struct bench_limits limits = {0};
    json_t *list = json_array();
    int code = CLI_OK;
    if (!o->json)
        bench_machine_print();
    bench_pin(bench_cpu(0));
    for (int kind = 0; kind < BENCH_HOSTILE_N && code == CLI_OK; kind++) {
        struct contest *c = calloc(1, sizeof *c);
        if (c == NULL) {
            code = cli_fail(CLI_CANNOT, "no memory");
            break;
        }
        char text[96];
        code = run_contest(c, (enum bench_hostile)kind, o);
        if (code == CLI_OK) {
            snprintf(text, sizeof text, "set, 16,384 keys colliding under %s / random",
                     bench_hostile_names[kind]);
            bench_limit_at_most(&limits, text, 1.2, "x", ratio(c->set_ns));
            memcpy(text, "get", 3);
            bench_limit_at_most(&limits, text, 1.2, "x", ratio(c->get_ns));
            if (!o->json)
                print_contest(c, (enum bench_hostile)kind);
            json_array_append_new(list, contest_json(c, (enum bench_hostile)kind));
        }
        close_contest(c);
        free(c);
    }
    bench_unpin();
    if (code == CLI_OK && o->json)
        cli_json_print(json_pack("{s:s, s:o, s:O, s:o}", "bench", "collide", "machine",
                                 bench_machine_json(), "hashes", list, "limits",
                                 bench_limits_json(&limits)));
    else if (code == CLI_OK)
        bench_limits_print(&limits);
    json_decref(list);
    return code == CLI_OK ? bench_limits_code(&limits, o->check) : code;
}
