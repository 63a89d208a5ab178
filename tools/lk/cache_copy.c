/* cache_copy.c - lk cache export, import and once. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache_cmd.h"

extern char **environ;

static int export_item(const struct lk_cache_item *item, void *arg)
{
    (void)arg;
    struct cli_bytes key = {(unsigned char *)(uintptr_t)item->key, item->key_size};
    json_t *root = cache_entry_json(&key, item->value, &item->entry);
    json_object_del(root, "version"); /* of this cache and this boot: no use elsewhere */
    json_object_del(root, "expire_ns");
    json_object_del(root, "size");
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    bool written = text != NULL && puts(text) != EOF;
    free(text);
    return written ? 0 : CLI_CANNOT;
}

int cache_export(struct cache_call *call)
{
    int rc = lk_cache_each(call->c, call->prefix.data, call->prefix.size, export_item, NULL);
    return rc == 0 || rc == CLI_CANNOT ? rc : cli_fail_rc(call->name, rc);
}

/* entry[name] or entry[name + "_base64"] as bytes. */
static bool take_bytes(const json_t *entry, const char *name, struct cli_bytes *out)
{
    char field[32];
    const json_t *text = json_object_get(entry, name);
    snprintf(field, sizeof field, "%s_base64", name);
    const json_t *encoded = json_object_get(entry, field);
    if (json_is_string(encoded))
        return cli_unbase64(json_string_value(encoded), out);
    if (!json_is_string(text))
        return false;
    out->size = json_string_length(text);
    out->data = malloc(out->size + 1);
    if (out->data != NULL)
        memcpy(out->data, json_string_value(text), out->size);
    return out->data != NULL;
}

/* One line of import: 0, an error of the library, or -1000 for a line that is no entry. */
enum { NO_ENTRY = -1000 };

static int import_line(struct cache_call *call, const char *line, size_t length,
                       struct cli_bytes *key)
{
    struct cli_bytes value = {NULL, 0};
    json_t *entry = json_loadb(line, length, JSON_ALLOW_NUL, NULL);
    const json_t *ttl = json_object_get(entry, "ttl_ns");
    uint64_t ttl_ns = LK_TTL_NEVER;
    int rc = NO_ENTRY;
    if (json_is_integer(ttl))
        ttl_ns = json_integer_value(ttl) > 0 ? (uint64_t)json_integer_value(ttl) : 0;
    else if (ttl != NULL && !json_is_null(ttl))
        goto done;
    if (!take_bytes(entry, "key", key) || !take_bytes(entry, "value", &value))
        goto done;
    rc = ttl_ns == 0 ? 0 /* over before it came here */
                     : lk_cache_set(call->c, key->data, key->size, value.data, value.size, ttl_ns);
done:
    free(value.data);
    json_decref(entry);
    return rc;
}

int cache_import(struct cache_call *call)
{
    char *line = NULL, number[32];
    size_t room = 0;
    ssize_t length;
    uint64_t count = 0;
    int code = CLI_OK;
    while (code == CLI_OK && (length = getline(&line, &room, stdin)) >= 0) {
        struct cli_bytes key = {NULL, 0};
        count++;
        int rc = import_line(call, line, (size_t)length, &key);
        if (rc == NO_ENTRY)
            code = cli_fail(CLI_PROBLEM, "standard input, line %s: no entry (JSON with key, value)",
                            cli_count(number, count));
        else if (rc == EINVAL)
            code =
                cli_fail(CLI_PROBLEM, "standard input, line %s: the key has no or too many bytes",
                         cli_count(number, count));
        else
            code = cache_answer(call, &key, rc);
        free(key.data);
    }
    free(line);
    if (code == CLI_OK && ferror(stdin))
        return cli_fail(CLI_CANNOT, "standard input: %s", strerror(errno));
    if (code == CLI_OK && !call->quiet)
        fprintf(stderr, "%s: %s entries stored\n", call->name, cli_count(number, count));
    return code;
}

/* Run words[0] and collect what it prints; its exit code, or -1 after a message. */
static int run_command(char **words, struct cli_bytes *output)
{
    int ends[2], status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return cli_fail(-1, "pipe: %s", strerror(errno));
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int rc = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    FILE *in = rc == 0 ? fdopen(ends[0], "rb") : NULL;
    if (in == NULL) {
        close(ends[0]);
        return cli_fail(-1, "%s: %s", words[0], strerror(rc));
    }
    bool read = cli_read_all(in, output);
    fclose(in);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!read)
        return cli_fail(-1, "output of %s: %s", words[0], strerror(ENOMEM));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The lease is ours: compute, store, hand on. */
static int compute(struct cache_call *call, struct lk_lease *lease)
{
    struct cli_bytes output = {NULL, 0};
    int code = run_command(call->words, &output);
    if (code == 0 && output.data != NULL) {
        fwrite(output.data, 1, output.size, stdout);
        int rc = lk_cache_fill(call->c, call->key.data, call->key.size, output.data, output.size,
                               call->ttl_ns, lease);
        if (rc != 0 && rc != ECANCELED) /* cancelled: somebody stored a newer one */
            cache_answer(call, &call->key, rc);
    } else {
        lk_cache_release(call->c, lease);
        if (code > 0)
            cli_fail(code, "%s: exit code %d; nothing stored", call->words[0], code);
    }
    free(output.data);
    return code < 0 ? CLI_CANNOT : code;
}

static void deadline_after(uint64_t wait_ns, struct timespec *deadline)
{
    uint64_t at = cli_now_ns();
    at = wait_ns > UINT64_MAX - at ? UINT64_MAX : at + wait_ns;
    *deadline = (struct timespec){.tv_sec = (time_t)(at / 1000000000u),
                                  .tv_nsec = (long)(at % 1000000000u)};
}

int cache_once(struct cache_call *call)
{
    if (call->n_words == 0)
        return cli_usage("no COMMAND given");
    struct timespec deadline;
    uint64_t wait_ns = call->options.lock_timeout_ns;
    deadline_after(wait_ns, &deadline);
    struct lk_lease lease;
    size_t room = 65536, size = 0;
    unsigned char *value = malloc(room);
    int rc = value == NULL ? ENOMEM : EAGAIN;
    while (rc == EAGAIN || rc == ENOBUFS) {
        if (rc == ENOBUFS) {
            free(value);
            room = size + size / 2;
            value = malloc(room);
        }
        rc = value == NULL ? ENOMEM
                           : lk_cache_lease(call->c, call->key.data, call->key.size, value, room,
                                            &size, 0, wait_ns > 0 ? &deadline : NULL, &lease);
    }
    if (rc == 0)
        fwrite(value, 1, size, stdout);
    free(value);
    if (rc == ENOENT)
        return compute(call, &lease);
    return cache_answer(call, &call->key, rc);
}
