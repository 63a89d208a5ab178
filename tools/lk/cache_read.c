/* cache_read.c - the actions of lk cache that show entries: get, list, each. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cache_cmd.h"

#define GET_TRIES 1000
#define GET_PAUSE_NS 1000000

int cache_get_all(lk_cache *c, const struct cli_bytes *key, struct cli_bytes *value,
                  struct lk_cache_entry *entry)
{
    size_t room = 65536;
    *value = (struct cli_bytes){malloc(room), 0};
    for (int tries = 0; value->data != NULL; tries++) {
        int rc = lk_cache_get_entry(c, key->data, key->size, value->data, room, entry);
        if (rc == 0) {
            value->size = entry->size;
            return 0;
        }
        if (rc == ENOBUFS) { /* the next one may be larger again */
            free(value->data);
            room = entry->size + entry->size / 2;
            value->data = malloc(room);
        } else if (rc != EAGAIN || tries >= GET_TRIES) {
            free(value->data);
            value->data = NULL;
            return rc;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = GET_PAUSE_NS}, NULL);
        }
    }
    return ENOMEM;
}

uint64_t cache_ttl_left(uint64_t expire_ns)
{
    if (expire_ns == 0)
        return UINT64_MAX;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return expire_ns > now_ns ? expire_ns - now_ns : 0;
}

static json_t *time_json(uint64_t ns, uint64_t none)
{
    return ns == none || ns > INT64_MAX ? json_null() : json_integer((json_int_t)ns);
}

struct json_t *cache_entry_json(const struct cli_bytes *key, const void *value,
                                const struct lk_cache_entry *entry)
{
    json_t *root = json_object();
    cli_json_set_bytes(root, "key", key->data, key->size);
    if (value != NULL)
        cli_json_set_bytes(root, "value", value, entry->size);
    json_object_set_new(root, "size", json_integer((json_int_t)entry->size));
    json_object_set_new(root, "version", json_integer((json_int_t)entry->version));
    json_object_set_new(root, "expire_ns", time_json(entry->expire_ns, 0));
    json_object_set_new(root, "ttl_ns", time_json(cache_ttl_left(entry->expire_ns), UINT64_MAX));
    return root;
}

int cache_get(struct cache_call *call)
{
    struct cli_bytes value;
    struct lk_cache_entry entry;
    int rc = cache_get_all(call->c, &call->key, &value, &entry);
    if (rc != 0)
        return cache_answer(call, &call->key, rc);
    if (call->json) {
        cli_json_print(cache_entry_json(&call->key, value.data, &entry));
    } else {
        fwrite(value.data, 1, value.size, stdout);
        bool line = value.size > 0 && value.data[value.size - 1] == '\n';
        if (isatty(STDOUT_FILENO) && !line)
            putchar('\n');
    }
    free(value.data);
    return CLI_OK;
}

static void print_details(const struct lk_cache_entry *entry)
{
    char left[32] = "never";
    uint64_t ttl = cache_ttl_left(entry->expire_ns);
    if (ttl != UINT64_MAX)
        cli_span(left, ttl);
    printf("%10zu %12" PRIu64 " %9s  ", entry->size, entry->version, left);
}

static int print_item(const struct lk_cache_item *item, void *arg)
{
    const struct cache_call *call = arg;
    struct cli_bytes key = {(unsigned char *)(uintptr_t)item->key, item->key_size};
    if (call->json) {
        cli_json_line(cache_entry_json(&key, call->values ? item->value : NULL, &item->entry));
        return ferror(stdout) ? CLI_CANNOT : 0;
    }
    if (call->details)
        print_details(&item->entry);
    cli_put_escaped(stdout, item->key, item->key_size);
    if (call->values) {
        putchar('\t');
        cli_put_escaped(stdout, item->value, item->entry.size);
    }
    putchar('\n');
    return ferror(stdout) ? CLI_CANNOT : 0;
}

int cache_each(struct cache_call *call)
{
    if (call->details && !call->json)
        printf("%10s %12s %9s  %s\n", "SIZE", "VERSION", "EXPIRES", "KEY");
    int rc = lk_cache_each(call->c, call->prefix.data, call->prefix.size, print_item, call);
    return rc == 0 || rc == CLI_CANNOT ? rc : cli_fail_rc(call->name, rc);
}

int cache_list(struct cache_call *call)
{
    if (call->name == NULL)
        return cache_segments(call);
    if (call->names)
        return cli_usage("--names is for the list of segments; without it, list %s shows keys",
                         call->name);
    int code = cache_open(call, LK_CACHE_READ_ONLY);
    return code == CLI_OK ? cache_each(call) : code;
}
