/* cache.c - lk cache: what the actions are, and how one is run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cmd.h"

#define BIT(o) (1u << (o))
#define KEY_OPTIONS (BIT(O_KEY_FILE) | BIT(O_KEY_HEX) | BIT(O_ESCAPED))
#define COMMON (BIT(O_TIMEOUT) | BIT(O_HELP))
#define STORE_OPTIONS (KEY_OPTIONS | COMMON | BIT(O_TTL) | BIT(O_QUIET) | BIT(O_JSON))

#define EXIT_OPEN "2 bad usage, 3 cache cannot be opened"

const struct cache_action cache_actions[] = {
    {"create", "NAME", "make a cache, or check that the one there has these options",
     "Make a cache, or check that the one there has these options.",
     "0 it is there now, 2 bad usage, 3 cannot be made, has other options,\n"
     "      or (--exclusive) was there before",
     cache_create, 0, 0,
     BIT(O_SIZE) | BIT(O_SHARDS) | BIT(O_TTL) | BIT(O_GRANULE) | BIT(O_ENTRY) | BIT(O_THREADS) |
         BIT(O_CHECKSUM) | BIT(O_EXCLUSIVE) | BIT(O_QUIET) | BIT(O_JSON) | BIT(O_HELP)},
    {"get", "NAME KEY", "write a value to standard output, byte for byte",
     "Write the value to standard output, byte for byte (in a terminal, a line).",
     "0 found, 1 absent or expired, " EXIT_OPEN, cache_get, TAKES_KEY | OPENS, 0,
     KEY_OPTIONS | COMMON | BIT(O_READ_ONLY) | BIT(O_QUIET) | BIT(O_JSON)},
    {"set", "NAME KEY [VALUE]", "store a value (an argument or standard input), whatever is there",
     "Store VALUE, or standard input if it is '-' or left out, whatever is there.",
     "0 stored, 1 not stored (too large), " EXIT_OPEN, cache_store, TAKES_KEY | OPENS, 1,
     STORE_OPTIONS},
    {"add", "NAME KEY [VALUE]", "store it only if the key is absent",
     "Store the value only if the key is absent.", "0 stored, 1 the key is there, " EXIT_OPEN,
     cache_store, TAKES_KEY | OPENS, 1, STORE_OPTIONS},
    {"replace", "NAME KEY [VALUE]", "store it only if the key is there",
     "Store the value only if the key is there.", "0 stored, 1 the key is absent, " EXIT_OPEN,
     cache_store, TAKES_KEY | OPENS, 1, STORE_OPTIONS},
    {"cas", "NAME KEY --if-version N [VALUE]",
     "store it only if the entry still has the version given",
     "Store the value only if the entry still has version N (see get --json).",
     "0 stored, 1 absent or changed, " EXIT_OPEN, cache_store, TAKES_KEY | OPENS, 1,
     STORE_OPTIONS | BIT(O_VERSION)},
    {"delete", "NAME KEY...", "remove keys", "Remove keys.",
     "0 removed, 1 a key was absent, " EXIT_OPEN, cache_delete, TAKES_KEY | OPENS, 65535,
     KEY_OPTIONS | COMMON | BIT(O_QUIET)},
    {"incr", "NAME KEY [DELTA]", "add to a counter and print it",
     "Add DELTA (default 1, may be negative) to a counter and print it.",
     "0 done, 1 the value is no number, " EXIT_OPEN, cache_incr, TAKES_KEY | OPENS, 1,
     KEY_OPTIONS | COMMON | BIT(O_INITIAL) | BIT(O_TTL) | BIT(O_QUIET) | BIT(O_JSON)},
    {"touch", "NAME KEY --ttl T", "give an entry a new time to live",
     "Give the entry a new time to live.", "0 done, 1 the key is absent, " EXIT_OPEN, cache_touch,
     TAKES_KEY | OPENS, 0, KEY_OPTIONS | COMMON | BIT(O_TTL) | BIT(O_QUIET)},
    {"list", "[NAME]", "keys of a cache; without NAME, the segments of the user",
     "The entries of a cache; without NAME, the segments of the user.", "0 done, " EXIT_OPEN,
     cache_list, TAKES_NO_NAME, 0,
     BIT(O_PREFIX) | BIT(O_ESCAPED) | BIT(O_LONG) | BIT(O_VALUES) | BIT(O_NAMES) | BIT(O_JSON) |
         BIT(O_HELP)},
    {"each", "NAME", NULL, "As list NAME: the entries of a cache.", "0 done, " EXIT_OPEN,
     cache_each, OPENS_TO_READ, 0,
     BIT(O_PREFIX) | BIT(O_ESCAPED) | BIT(O_LONG) | BIT(O_VALUES) | BIT(O_JSON) | BIT(O_HELP)},
    {"stat", "NAME", "what the cache holds and has done",
     "What the cache holds and has done since it was made.", "0 done, " EXIT_OPEN, cache_stat,
     OPENS_TO_READ, 0, BIT(O_JSON) | BIT(O_HELP)},
    {"once", "NAME KEY COMMAND [ARGUMENT...]",
     "write the cached value, or run a command and cache what it prints",
     "Write the cached value, or run COMMAND and cache what it prints.  Of several\n"
     "that ask at once, one runs it and the others wait for its value.",
     "0 done, 1 no value before --timeout, or COMMAND failed (its own code),\n"
     "      " EXIT_OPEN,
     cache_once, TAKES_KEY | OPENS, 65535, KEY_OPTIONS | COMMON | BIT(O_TTL)},
    {"flush", "NAME", "remove every entry", "Remove every entry.", "0 done, " EXIT_OPEN,
     cache_flush, OPENS, 0, COMMON},
    {"unlink", "NAME...", "remove caches by name",
     "Remove caches (or other segments) by name; who has one attached keeps it.",
     "0 removed, 1 there was none (unless --force), 2 bad usage, 3 cannot", cache_unlink, 0, 65535,
     BIT(O_FORCE) | BIT(O_QUIET) | BIT(O_HELP)},
    {"export", "NAME", "write every entry as a line of JSON",
     "Write every entry as a line of JSON: key, value, ttl_ns.", "0 done, " EXIT_OPEN, cache_export,
     OPENS_TO_READ, 0, BIT(O_PREFIX) | BIT(O_ESCAPED) | BIT(O_HELP)},
    {"import", "NAME", "store what export wrote",
     "Store the entries that export wrote, from standard input.",
     "0 done, 1 a line is no entry or does not fit, " EXIT_OPEN, cache_import, OPENS, 0,
     COMMON | BIT(O_QUIET)},
};
const size_t cache_actions_count = sizeof cache_actions / sizeof cache_actions[0];

int cache_open(struct cache_call *call, unsigned flags)
{
    call->options.flags = flags;
    int rc = lk_cache_open(&call->c, call->name, &call->options);
    if (rc == 0)
        return CLI_OK;
    call->c = NULL;
    char directory[4096];
    if (rc == ENOENT && lk_seg_directory(directory, sizeof directory) == 0)
        return cli_fail(CLI_CANNOT, "no cache '%s' in %s; lk cache create makes one", call->name,
                        directory);
    return cli_fail_rc(call->name, rc);
}

/* At most 64 bytes of a key as text. */
static void show_key(char text[272], const struct cli_bytes *key)
{
    size_t shown = key->size > 64 ? 64 : key->size;
    char *escaped = cli_escaped(key->data, shown);
    snprintf(text, 272, "%s%s", escaped != NULL ? escaped : "?", shown < key->size ? "..." : "");
    free(escaped);
}

int cache_answer(const struct cache_call *call, const struct cli_bytes *key, int rc)
{
    char text[272];
    show_key(text, key);
    switch (rc) {
    case 0:
        return CLI_OK;
    case ENOENT:
        return call->quiet ? CLI_PROBLEM
                           : cli_fail(CLI_PROBLEM, "%s: no key '%s'", call->name, text);
    case EEXIST:
        return call->quiet ? CLI_PROBLEM
                           : cli_fail(CLI_PROBLEM, "%s: key '%s' is there", call->name, text);
    case EINVAL:
        return cli_usage("key '%s' has %zu bytes; 1 to %u can be stored", text, key->size,
                         LK_CACHE_KEY_MAX);
    case LK_ECHANGED:
        return call->quiet
                   ? CLI_PROBLEM
                   : cli_fail(CLI_PROBLEM, "%s: key '%s': %s", call->name, text, lk_strerror(rc));
    case E2BIG:
        return cli_fail(CLI_PROBLEM,
                        "%s: key '%s': the value is too large for this cache "
                        "(a quarter of a shard is the most)",
                        call->name, text);
    case LK_ENOTNUM:
    case LK_ECORRUPT:
    case ETIMEDOUT:
    case EAGAIN:
    case ECANCELED:
        return cli_fail(CLI_PROBLEM, "%s: key '%s': %s", call->name, text, lk_strerror(rc));
    default:
        return cli_fail(CLI_CANNOT, "%s: key '%s': %s", call->name, text, lk_strerror(rc));
    }
}

int cmd_cache(int argc, char **argv)
{
    struct cache_call call = {0};
    int code = CLI_OK;
    if (cache_parse(&call, argc, argv, &code)) {
        unsigned takes = call.action->takes;
        if (takes & (OPENS | OPENS_TO_READ)) {
            bool read_only = (takes & OPENS_TO_READ) || call.read_only;
            code = cache_open(&call, read_only ? LK_CACHE_READ_ONLY : 0);
        }
        if (code == CLI_OK)
            code = call.action->run(&call);
        lk_cache_close(call.c);
    }
    free(call.key.data);
    free(call.prefix.data);
    return code;
}
