/* cache_args.c - the command line of lk cache. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cmd.h"

#define LONG(o) (128 + (o))

static const struct cli_option all_options[O_COUNT] = {
    [O_SIZE] = {'s', "size", "BYTES", "capacity of entries, like 64M (default 64M)"},
    [O_SHARDS] = {LONG(O_SHARDS), "shards", "N", "1..1024 (default one per MiB, at most 64)"},
    [O_TTL] = {'t', "ttl", "TIME", "time to live, like 90s, 5m, 1h, 'never' (bare: seconds)"},
    [O_GRANULE] = {LONG(O_GRANULE), "granule", "BYTES",
                   "unit of allocation, 32..4096 (default 48)"},
    [O_ENTRY] = {LONG(O_ENTRY), "entry", "BYTES",
                 "average key + value, sizes the index (default 96)"},
    [O_THREADS] = {LONG(O_THREADS), "threads", "N", "threads attached at once (default 128)"},
    [O_CHECKSUM] = {LONG(O_CHECKSUM), "checksum", NULL, "keep a CRC32C of every entry"},
    [O_EXCLUSIVE] = {'x', "exclusive", NULL, "fail if it is there already"},
    [O_TIMEOUT] = {LONG(O_TIMEOUT), "timeout", "TIME",
                   "longest wait for a live holder (default: none)"},
    [O_KEY_FILE] = {LONG(O_KEY_FILE), "key-file", "FILE",
                    "the key is what FILE holds ('-': stdin)"},
    [O_KEY_HEX] = {LONG(O_KEY_HEX), "key-hex", "HEX", "the key in hexadecimal digits"},
    [O_ESCAPED] = {'e', "escaped", NULL, "keys and prefix are written as list shows them"},
    [O_VERSION] = {LONG(O_VERSION), "if-version", "N", "the version that the entry must have"},
    [O_INITIAL] = {'i', "initial", "N", "what an absent counter becomes (default: DELTA)"},
    [O_PREFIX] = {'p', "prefix", "BYTES", "only keys that begin so"},
    [O_LONG] = {'l', "long", NULL, "size, version and time left beside each key"},
    [O_VALUES] = {LONG(O_VALUES), "values", NULL, "the values too"},
    [O_NAMES] = {LONG(O_NAMES), "names", NULL, "without NAME: names only, one a line"},
    [O_READ_ONLY] = {'r', "read-only", NULL, "attach read-only: leaves no trace, counts no hit"},
    [O_FORCE] = {'f', "force", NULL, "no error if there is none"},
    [O_QUIET] = {'q', "quiet", NULL, "no message when the answer is in the exit code"},
    [O_JSON] = {'j', "json", NULL, "JSON output"},
    [O_HELP] = {'h', "help", NULL, "this text"},
};

static int cache_help(void)
{
    fputs("usage: lk cache ACTION [options] NAME ...\n", stdout);
    for (size_t i = 0; i < cache_actions_count; i++)
        if (cache_actions[i].brief != NULL)
            printf("  %-8s %s\n", cache_actions[i].name, cache_actions[i].brief);
    return cli_help("\nOptions of an action: lk cache ACTION --help.  Details: man lk-cache\n"
                    "Keys are arguments (binary: --key-hex, --key-file), values any bytes.\n"
                    "exit: 0 done, 1 key absent or a condition does not hold, 2 bad usage,\n"
                    "      3 the cache cannot be opened or made\n");
}

static size_t options_of(const struct cache_action *a, struct cli_option out[O_COUNT])
{
    size_t n = 0;
    for (size_t o = 0; o < O_COUNT; o++)
        if (a->options & 1u << o)
            out[n++] = all_options[o];
    return n;
}

static int action_help(const struct cache_action *a)
{
    struct cli_option options[O_COUNT];
    printf("usage: lk cache %s [options] %s\n%s\n\n", a->name, a->synopsis, a->about);
    cli_print_options(options, options_of(a, options));
    printf("\nexit: %s\n", a->exits);
    return CLI_OK;
}

static bool parse_ttl(const char *text, uint64_t *ns)
{
    if (strcmp(text, "never") == 0)
        *ns = LK_TTL_NEVER;
    else if (strcmp(text, "default") == 0)
        *ns = LK_TTL_DEFAULT;
    else if (strcmp(text, "keep") == 0)
        *ns = LK_TTL_KEEP;
    else if (!cli_parse_time("--ttl", text, ns))
        return false;
    else if (*ns == 0) {
        cli_fail(CLI_USAGE, "--ttl: 0 is no time to live; 1ns is the least");
        return false;
    }
    return true;
}

bool cache_parse_integer(const char *option, const char *text, int64_t *n)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) {
        cli_fail(CLI_USAGE, "%s: '%s' is no integer of 64 bits", option, text);
        return false;
    }
    *n = value;
    return true;
}

static bool take_count(const char *option, const char *text, uint32_t *n)
{
    uint64_t wide;
    if (!cli_parse_count(option, text, 1, UINT32_MAX, &wide))
        return false;
    *n = (uint32_t)wide;
    return true;
}

static bool take_bytes(const char *option, const char *text, uint32_t *n)
{
    uint64_t wide;
    if (!cli_parse_size(option, text, &wide))
        return false;
    if (wide == 0 || wide > UINT32_MAX) {
        cli_fail(CLI_USAGE, "%s: %s is out of range", option, text);
        return false;
    }
    *n = (uint32_t)wide;
    return true;
}

/* Options with an argument that is more than a text. */
static bool take_value(struct cache_call *call, int letter, const char *value)
{
    struct lk_cache_options *o = &call->options;
    switch (letter) {
    case 's':
        if (!cli_parse_size("--size", value, &o->capacity_bytes))
            return false;
        if (o->capacity_bytes == 0)
            cli_fail(CLI_USAGE, "--size: 0 is no capacity; 4k is the least");
        return o->capacity_bytes != 0;
    case 't':
        call->ttl_given = true;
        return parse_ttl(value, &call->ttl_ns);
    case 'i':
        call->initial_given = true;
        return cache_parse_integer("--initial", value, &call->initial);
    case LONG(O_SHARDS):
        return take_count("--shards", value, &o->shards);
    case LONG(O_GRANULE):
        return take_bytes("--granule", value, &o->granule_bytes);
    case LONG(O_ENTRY):
        return take_bytes("--entry", value, &o->entry_bytes);
    case LONG(O_THREADS):
        return take_count("--threads", value, &o->threads);
    case LONG(O_TIMEOUT):
        return cli_parse_time("--timeout", value, &o->lock_timeout_ns);
    case LONG(O_VERSION):
        call->version_given = true;
        return cli_parse_count("--if-version", value, 1, UINT64_MAX, &call->version);
    default:
        return false;
    }
}

static bool take_option(struct cache_call *call, int letter, const char *value, const char **prefix)
{
    switch (letter) {
    case LONG(O_CHECKSUM):
        call->options.checksum = 1;
        return true;
    case LONG(O_KEY_FILE):
        call->key_file = value;
        return true;
    case LONG(O_KEY_HEX):
        call->key_hex = value;
        return true;
    case LONG(O_VALUES):
        call->values = true;
        return true;
    case LONG(O_NAMES):
        call->names = true;
        return true;
    case 'p':
        *prefix = value;
        return true;
    case 'x':
        call->exclusive = true;
        return true;
    case 'e':
        call->escaped = true;
        return true;
    case 'l':
        call->details = true;
        return true;
    case 'r':
        call->read_only = true;
        return true;
    case 'f':
        call->force = true;
        return true;
    case 'q':
        call->quiet = true;
        return true;
    case 'j':
        call->json = true;
        return true;
    default:
        return take_value(call, letter, value);
    }
}

bool cache_word_bytes(const struct cache_call *call, const char *what, const char *word,
                      struct cli_bytes *out)
{
    if (call->escaped) {
        if (cli_unescape(word, out))
            return true;
        cli_fail(CLI_USAGE, "%s '%s': a backslash needs n, r, t, \\ or xHH behind it", what, word);
        return false;
    }
    *out = (struct cli_bytes){(unsigned char *)strdup(word), strlen(word)};
    return out->data != NULL;
}

static int key_from_file(struct cache_call *call)
{
    bool standard = strcmp(call->key_file, "-") == 0;
    FILE *in = standard ? stdin : fopen(call->key_file, "rb");
    bool read = in != NULL && cli_read_all(in, &call->key);
    int why = errno;
    if (in != NULL && !standard)
        fclose(in);
    return read ? CLI_OK
                : cli_fail(CLI_CANNOT, "--key-file: %s: %s", call->key_file, strerror(why));
}

/* The key, from the option that gives it or from the first word behind the name. */
static int take_key(struct cache_call *call)
{
    if (call->key_file != NULL && call->key_hex != NULL)
        return cli_usage("--key-file and --key-hex exclude each other");
    if (call->key_file != NULL)
        return key_from_file(call);
    if (call->key_hex != NULL)
        return cli_unhex(call->key_hex, &call->key)
                   ? CLI_OK
                   : cli_usage("--key-hex: '%s' is not pairs of hexadecimal digits", call->key_hex);
    if (call->n_words == 0)
        return cli_usage("no KEY given");
    call->n_words--;
    return cache_word_bytes(call, "key", *call->words++, &call->key) ? CLI_OK : CLI_USAGE;
}

static int take_words(struct cache_call *call, const struct cli_args *args)
{
    call->words = args->words;
    call->n_words = args->n_words;
    if (call->n_words > 0) {
        call->name = *call->words++;
        call->n_words--;
    } else if (!(call->action->takes & TAKES_NO_NAME)) {
        return cli_usage("no NAME of a cache given");
    }
    int code = call->action->takes & TAKES_KEY ? take_key(call) : CLI_OK;
    if (code == CLI_OK && call->n_words > call->action->words_max)
        return cli_usage("'%s' is one word too many", call->words[call->action->words_max]);
    return code;
}

static const struct cache_action *find_action(const char *word)
{
    const char *names[32];
    for (size_t i = 0; i < cache_actions_count; i++) {
        if (strcmp(cache_actions[i].name, word) == 0)
            return &cache_actions[i];
        names[i] = cache_actions[i].name;
    }
    const char *near = cli_nearest(word, names, cache_actions_count);
    if (near != NULL)
        cli_usage("unknown action '%s'; did you mean '%s'?", word, near);
    else
        cli_usage("unknown action '%s'", word);
    return NULL;
}

bool cache_parse(struct cache_call *call, int argc, char **argv, int *code)
{
    static char message_name[32];
    struct cli_option options[O_COUNT];
    *code = CLI_USAGE;
    if (argc < 2 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) {
        *code = argc < 2 ? cli_usage("no action given") : cache_help();
        return false;
    }
    call->action = find_action(argv[1]);
    if (call->action == NULL)
        return false;
    snprintf(message_name, sizeof message_name, "cache %s", call->action->name);
    cli_set_name(message_name);

    struct cli_args args = {.argc = argc - 1,
                            .argv = argv + 1,
                            .options = options,
                            .n_options = options_of(call->action, options)};
    const char *prefix = "";
    int letter;
    while ((letter = cli_args_next(&args)) > 0) {
        if (letter == 'h') {
            *code = action_help(call->action);
            return false;
        }
        if (!take_option(call, letter, args.value, &prefix))
            return false;
    }
    if (letter < 0 || !cache_word_bytes(call, "prefix", prefix, &call->prefix))
        return false;
    *code = take_words(call, &args);
    return *code == CLI_OK;
}
