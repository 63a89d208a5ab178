/* order_locks.c - lk order locks PID: what the keys of a running process hold and wait for, read
 * from outside while it goes on (or hangs).
 *
 * lk_key_dump_on() leaves a memfd in the process, struct lk_key_root_, that says where the list of
 * keys is; the keys are read from /proc/PID/mem.  They change meanwhile, so everything read is
 * checked or bounded, and the result is a picture, not a moment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "latchkey/order.h"
#include "order_locks.h"

enum { MOST_KEYS = 4096, MOST_MEMBERS = 4096, TEXT = 200 };

struct process {
    int mem;
    size_t n;
    struct lk_key_ *key;
};

static bool read_at(const struct process *p, const void *at, void *to, size_t size)
{
    return pread(p->mem, to, size, (off_t)(uintptr_t)at) == (ssize_t)size;
}

/* The text there, or "?". */
static const char *text_at(const struct process *p, const char *at, char text[TEXT])
{
    ssize_t n = at == NULL ? 0 : pread(p->mem, text, TEXT - 1, (off_t)(uintptr_t)at);
    if (n <= 0)
        return "?";
    text[n] = 0;
    for (char *c = text; *c != 0; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
    return text;
}

/* Open what lk_key_dump_on() left: the file descriptor, or -1. */
static int open_root(const char *pid)
{
    char path[64], link[PATH_MAX];
    int found = -1;
    (void)snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    for (const struct dirent *e; found < 0 && (e = readdir(folder)) != NULL;) {
        ssize_t n = readlinkat(dirfd(folder), e->d_name, link, sizeof link - 1);
        if (n <= 0)
            continue;
        link[n] = 0;
        if (strncmp(link, "/memfd:" LK_KEY_ROOT_NAME_, sizeof "/memfd:" LK_KEY_ROOT_NAME_ - 1) == 0)
            found = openat(dirfd(folder), e->d_name, O_RDONLY | O_CLOEXEC);
    }
    (void)closedir(folder);
    return found;
}

static int open_process(struct process *p, const char *pid, struct lk_key_root_ *root)
{
    char path[64];
    int fd = open_root(pid);
    if (fd < 0)
        return cli_fail(CLI_CANNOT,
                        "process %s: cannot be seen, or has not called lk_key_dump_on()", pid);
    bool ok = read(fd, root, sizeof *root) == (ssize_t)sizeof *root &&
              root->key_size == sizeof(struct lk_key_);
    (void)close(fd);
    if (!ok)
        return cli_fail(CLI_CANNOT, "process %s has another version of latchkey", pid);
    (void)snprintf(path, sizeof path, "/proc/%s/mem", pid);
    p->mem = open(path, O_RDONLY | O_CLOEXEC);
    return p->mem >= 0 ? CLI_OK : cli_fail(CLI_CANNOT, "%s: %s", path, strerror(errno));
}

static int read_keys(struct process *p, const struct lk_key_root_ *root)
{
    const struct lk_key_ *list = (const struct lk_key_ *)(uintptr_t)root->list, *at;
    p->key = calloc(MOST_KEYS, sizeof *p->key);
    if (p->key == NULL)
        return cli_fail(CLI_CANNOT, "no memory");
    bool ok = read_at(p, &list->next_, &at, sizeof at);
    while (ok && at != list && p->n < MOST_KEYS) {
        ok = read_at(p, at, &p->key[p->n], sizeof *at);
        if (ok)
            at = p->key[p->n++].next_;
    }
    return ok ? CLI_OK : cli_fail(CLI_CANNOT, "the process's keys cannot be read");
}

/* Does this key hold the lock? */
static bool holds(const struct process *p, const struct lk_key_ *k, const void *lock)
{
    for (uint32_t i = 0; k->claim_ != NULL && i < k->claimed_n_ && i < LK_KEY_MEMBERS; i++)
        if (k->claimed_[i].member_.lock_ == lock)
            return true;
    for (uint32_t d = 0; d < k->depth_ && d < LK_KEY_DEPTH; d++) {
        lk_member m;
        for (uint32_t i = 0; i < k->hold_[d].n_ && i < MOST_MEMBERS; i++)
            if (read_at(p, &k->hold_[d].member_[i], &m, sizeof m) && m.lock_ == lock)
                return true;
    }
    return false;
}

static json_t *picture_of(const struct process *p, const struct lk_key_ *k)
{
    char text[TEXT];
    json_t *held = json_array(), *by = json_array();
    for (uint32_t d = 0; d < k->depth_ && d < LK_KEY_DEPTH; d++)
        json_array_append_new(
            held, json_pack("{s:I, s:s}", "locks",
                            (json_int_t)(k->claim_ != NULL ? k->claimed_n_ : k->hold_[d].n_),
                            "since", text_at(p, k->hold_[d].here_, text)));
    json_t *o = json_pack("{s:I, s:b, s:o}", "thread", (json_int_t)k->thread_, "key_taken",
                          k->taken_at_ != NULL, "holds", held);
    if (k->waits_for_ == NULL) {
        json_decref(by);
        return o;
    }
    for (size_t i = 0; i < p->n; i++)
        if (&p->key[i] != k && holds(p, &p->key[i], k->waits_for_))
            json_array_append_new(by, json_integer((json_int_t)p->key[i].thread_));
    char lock[32];
    (void)snprintf(lock, sizeof lock, "%p", k->waits_for_);
    json_object_set_new(o, "waits_for", json_string(lock));
    json_object_set_new(o, "waits_at", json_string(text_at(p, k->waits_at_, text)));
    json_object_set_new(o, "held_by", by);
    return o;
}

static void print_text(const json_t *key)
{
    size_t i;
    json_t *one;
    printf("thread %" JSON_INTEGER_FORMAT ":", json_integer_value(json_object_get(key, "thread")));
    if (!json_is_true(json_object_get(key, "key_taken")))
        printf(" key not taken");
    else if (json_array_size(json_object_get(key, "holds")) == 0)
        printf(" key free");
    json_array_foreach(json_object_get(key, "holds"), i, one)
    {
        printf("%s holds %" JSON_INTEGER_FORMAT " since %s", i == 0 ? "" : ",",
               json_integer_value(json_object_get(one, "locks")),
               json_string_value(json_object_get(one, "since")));
    }
    if (json_object_get(key, "waits_for") != NULL)
        printf(", waits for %s at %s", json_string_value(json_object_get(key, "waits_for")),
               json_string_value(json_object_get(key, "waits_at")));
    json_array_foreach(json_object_get(key, "held_by"), i, one)
    {
        printf("%s thread %" JSON_INTEGER_FORMAT, i == 0 ? ", held by" : ",",
               json_integer_value(one));
    }
    printf("\n");
}

int order_locks(const char *pid, bool json)
{
    struct process p = {.mem = -1};
    struct lk_key_root_ root;
    json_t *all = json_array();
    if (pid[strspn(pid, "0123456789")] != 0)
        return cli_usage("'%s': a process's number", pid);
    int code = open_process(&p, pid, &root);
    if (code == CLI_OK)
        code = read_keys(&p, &root);
    for (size_t i = 0; i < p.n && code == CLI_OK; i++) {
        json_t *key = picture_of(&p, &p.key[i]);
        if (!json)
            print_text(key);
        json_array_append_new(all, key);
    }
    if (json && code == CLI_OK) {
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        printf("\n");
    }
    json_decref(all);
    free(p.key);
    if (p.mem >= 0)
        (void)close(p.mem);
    return code;
}
