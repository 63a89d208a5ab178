/* cache_cmd.h - what the actions of lk cache share. */
#ifndef LK_CACHE_CMD_H
#define LK_CACHE_CMD_H

#include "cli.h"
#include "latchkey/latchkey.h"

struct cache_action;

/* One call of lk cache, its command line taken apart. */
struct cache_call {
    const struct cache_action *action;
    const char *name;     /* of the cache; NULL: none given */
    struct cli_bytes key; /* of actions with one key */
    char **words;         /* behind the name and the key */
    int n_words;
    struct lk_cache_options options;
    uint64_t ttl_ns, version;
    int64_t initial;
    bool ttl_given, version_given, initial_given, exclusive, read_only, force;
    bool json, quiet, names, details, values, escaped;
    const char *key_file, *key_hex;
    struct cli_bytes prefix;
    lk_cache *c; /* open, if the action opens it */
};

/* What an action takes beside the cache's name, and what main() does for it. */
enum cache_takes {
    TAKES_KEY = 1u << 0,     /* one key, as a word or by --key-file, --key-hex */
    TAKES_NO_NAME = 1u << 1, /* the name may be left out */
    OPENS = 1u << 2,         /* c is open, for changing unless --read-only */
    OPENS_TO_READ = 1u << 3, /* c is open read-only */
};

struct cache_action {
    const char *name, *synopsis;
    const char *brief; /* in the list of actions; NULL: not in it */
    const char *about, *exits;
    int (*run)(struct cache_call *call);
    unsigned takes;
    int words_max;    /* words behind name and key, at most */
    uint32_t options; /* 1u << enum cache_option of those it knows */
};

enum cache_option {
    O_SIZE,
    O_SHARDS,
    O_TTL,
    O_GRANULE,
    O_ENTRY,
    O_THREADS,
    O_CHECKSUM,
    O_EXCLUSIVE,
    O_TIMEOUT,
    O_KEY_FILE,
    O_KEY_HEX,
    O_ESCAPED,
    O_VERSION,
    O_INITIAL,
    O_PREFIX,
    O_LONG,
    O_VALUES,
    O_NAMES,
    O_READ_ONLY,
    O_FORCE,
    O_QUIET,
    O_JSON,
    O_HELP,
    O_COUNT
};

extern const struct cache_action cache_actions[];
extern const size_t cache_actions_count;

/* cache_args.c: fill in *call from the command line.  False: end with *code (usage, help). */
bool cache_parse(struct cache_call *call, int argc, char **argv, int *code);
/* A key or prefix from a word of the command line (--escaped or as it is).  False after a
 * message. */
bool cache_word_bytes(const struct cache_call *call, const char *what, const char *word,
                      struct cli_bytes *out);
bool cache_parse_integer(const char *option, const char *text, int64_t *n);

/* cache_change.c */
int cache_create(struct cache_call *call);
int cache_store(struct cache_call *call); /* set add replace cas */
int cache_delete(struct cache_call *call);
int cache_incr(struct cache_call *call);
int cache_touch(struct cache_call *call);
int cache_flush(struct cache_call *call);
int cache_unlink(struct cache_call *call);

/* cache_read.c */
int cache_get(struct cache_call *call);
int cache_list(struct cache_call *call);
int cache_each(struct cache_call *call);

/* cache_stat.c */
int cache_stat(struct cache_call *call);
int cache_segments(struct cache_call *call); /* lk cache list without a name */
struct json_t *cache_stat_json(const struct lk_cache_stat *s);
struct json_t *cache_options_json(const struct lk_cache_options *o);

/* cache_copy.c */
int cache_export(struct cache_call *call);
int cache_import(struct cache_call *call);
int cache_once(struct cache_call *call);

/* Open call->name; on failure say so: an exit code, or CLI_OK. */
int cache_open(struct cache_call *call, unsigned flags);
/* Say what `rc`, the result of an operation on `key`, means; the exit code for it. */
int cache_answer(const struct cache_call *call, const struct cli_bytes *key, int rc);
/* A get into memory on the heap that grows as needed; asks again after EAGAIN. */
int cache_get_all(lk_cache *c, const struct cli_bytes *key, struct cli_bytes *value,
                  struct lk_cache_entry *entry);
/* Time to live of an expiry time: UINT64_MAX never, 0 over. */
uint64_t cache_ttl_left(uint64_t expire_ns);
/* key, size, version, expire_ns, ttl_ns; value if not NULL. */
struct json_t *cache_entry_json(const struct cli_bytes *key, const void *value,
                                const struct lk_cache_entry *entry);

#endif
