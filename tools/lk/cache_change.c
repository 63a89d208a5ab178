/* cache_change.c - the actions of lk cache that change something. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cmd.h"

/* Make it, or find it there with the same options; *made says which. */
static int make_or_find(struct cache_call *call, bool *made)
{
    call->options.flags = LK_CACHE_CREATE | LK_CACHE_EXCLUSIVE;
    int rc = lk_cache_open(&call->c, call->name, &call->options);
    *made = rc == 0;
    if (rc == EEXIST && !call->exclusive) {
        call->options.flags = LK_CACHE_CREATE; /* it may have gone again meanwhile */
        rc = lk_cache_open(&call->c, call->name, &call->options);
    }
    return rc;
}

int cache_create(struct cache_call *call)
{
    bool made;
    if (call->ttl_ns == LK_TTL_KEEP)
        return cli_usage("--ttl: a new cache has no time to live to keep");
    call->options.ttl_ns = call->ttl_ns;
    int rc = make_or_find(call, &made);
    if (rc != 0) {
        call->c = NULL;
        if (rc == EINVAL)
            return cli_usage("%s: %s", call->name, lk_error_text());
        return cli_fail_rc(call->name, rc);
    }
    struct lk_cache_options o;
    lk_cache_options_of(call->c, &o);
    if (call->json) {
        json_t *root = cache_options_json(&o);
        cli_json_set_bytes(root, "name", call->name, strlen(call->name));
        json_object_set_new(root, "made", json_boolean(made));
        cli_json_print(root);
    } else if (!call->quiet) {
        char size[32];
        printf("%s: %s, %s in %" PRIu32 " shard%s\n", call->name, made ? "made" : "there already",
               cli_size(size, o.capacity_bytes), o.shards, o.shards == 1 ? "" : "s");
    }
    return CLI_OK;
}

/* The value: the word, or standard input for "-" and for none. */
static int take_value(struct cache_call *call, struct cli_bytes *value)
{
    const char *word = call->n_words > 0 ? call->words[0] : "-";
    if (strcmp(word, "-") != 0) {
        *value = (struct cli_bytes){(unsigned char *)strdup(word), strlen(word)};
        return value->data != NULL ? CLI_OK : cli_fail(CLI_CANNOT, "%s", strerror(ENOMEM));
    }
    if (call->key_file != NULL && strcmp(call->key_file, "-") == 0)
        return cli_usage("key and value cannot both come from standard input");
    if (!cli_read_all(stdin, value))
        return cli_fail(CLI_CANNOT, "standard input: %s", strerror(errno));
    return CLI_OK;
}

static int store(struct cache_call *call, const struct cli_bytes *value)
{
    const struct cli_bytes *key = &call->key;
    switch (call->action->name[0]) {
    case 's':
        return lk_cache_set(call->c, key->data, key->size, value->data, value->size, call->ttl_ns);
    case 'a':
        return lk_cache_add(call->c, key->data, key->size, value->data, value->size, call->ttl_ns);
    case 'r':
        return lk_cache_replace(call->c, key->data, key->size, value->data, value->size,
                                call->ttl_ns);
    default:
        return lk_cache_cas(call->c, key->data, key->size, value->data, value->size, call->ttl_ns,
                            call->version);
    }
}

int cache_store(struct cache_call *call)
{
    if (strcmp(call->action->name, "cas") == 0 && !call->version_given)
        return cli_usage("cas needs --if-version N; lk cache get --json tells it");
    struct cli_bytes value = {NULL, 0};
    int code = take_value(call, &value);
    if (code != CLI_OK)
        return code;
    int rc = store(call, &value);
    free(value.data);
    code = cache_answer(call, &call->key, rc);
    if (call->json && (code == CLI_OK || code == CLI_PROBLEM))
        cli_json_print(json_pack("{s:b}", "stored", code == CLI_OK));
    return code;
}

int cache_delete(struct cache_call *call)
{
    int code =
        cache_answer(call, &call->key, lk_cache_delete(call->c, call->key.data, call->key.size));
    for (int i = 0; i < call->n_words && code <= CLI_PROBLEM; i++) {
        struct cli_bytes key;
        if (!cache_word_bytes(call, "key", call->words[i], &key))
            return CLI_USAGE;
        int one = cache_answer(call, &key, lk_cache_delete(call->c, key.data, key.size));
        free(key.data);
        code = one > code ? one : code;
    }
    return code;
}

int cache_incr(struct cache_call *call)
{
    int64_t delta = 1, result = 0;
    if (call->n_words > 0 && !cache_parse_integer("DELTA", call->words[0], &delta))
        return CLI_USAGE;
    int64_t initial = call->initial_given ? call->initial : delta;
    int rc = lk_cache_incr(call->c, call->key.data, call->key.size, delta, initial, call->ttl_ns,
                           &result);
    int code = cache_answer(call, &call->key, rc);
    if (code != CLI_OK)
        return code;
    if (call->json)
        cli_json_print(json_pack("{s:I}", "value", (json_int_t)result));
    else if (!call->quiet)
        printf("%" PRId64 "\n", result);
    return CLI_OK;
}

int cache_touch(struct cache_call *call)
{
    if (!call->ttl_given)
        return cli_usage("touch needs --ttl TIME");
    return cache_answer(call, &call->key,
                        lk_cache_touch(call->c, call->key.data, call->key.size, call->ttl_ns));
}

int cache_flush(struct cache_call *call)
{
    int rc = lk_cache_flush(call->c);
    if (rc == ETIMEDOUT)
        return cli_fail(CLI_PROBLEM, "%s: a shard stayed locked by a live process", call->name);
    return rc == 0 ? CLI_OK : cli_fail_rc(call->name, rc);
}

static int unlink_one(const struct cache_call *call, const char *name)
{
    int rc = lk_cache_unlink(name);
    if (rc == 0 || (rc == ENOENT && call->force))
        return CLI_OK;
    if (rc != ENOENT)
        return cli_fail_rc(name, rc);
    if (call->quiet)
        return CLI_PROBLEM;
    char directory[4096] = "?";
    if (lk_seg_directory(directory, sizeof directory) != 0)
        return cli_fail_rc(name, rc);
    return cli_fail(CLI_PROBLEM, "no cache '%s' in %s", name, directory);
}

int cache_unlink(struct cache_call *call)
{
    int code = unlink_one(call, call->name);
    for (int i = 0; i < call->n_words; i++) {
        int one = unlink_one(call, call->words[i]);
        code = one > code ? one : code;
    }
    return code;
}
