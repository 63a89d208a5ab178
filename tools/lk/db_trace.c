/* db_trace.c - see db_trace.h. */
#include "db_trace.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_LIST = 12 };
extern char **environ;

static bool unpack(struct trace_file *f, const char *path)
{
    int ends[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    char *argv[] = {"gzip", "-dc", "--", (char *)(uintptr_t)path, NULL};
    if (pipe(ends) != 0)
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    int rc = posix_spawnp(&pid, "gzip", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (rc != 0) {
        (void)close(ends[0]);
        errno = rc;
        return false;
    }
    f->child = pid;
    f->in = fdopen(ends[0], "r");
    return f->in != NULL;
}

bool trace_open(struct trace_file *f, const char *path)
{
    size_t n = strlen(path);
    *f = (struct trace_file){NULL, 0};
    f->in = fopen(path, "r");
    if (f->in == NULL || n < 3 || strcmp(path + n - 3, ".gz") != 0)
        return f->in != NULL;
    (void)fclose(f->in); /* it can be read; gzip does it */
    return unpack(f, path);
}

bool trace_close(struct trace_file *f)
{
    int status = 0;
    (void)fclose(f->in);
    if (f->child != 0)
        (void)waitpid(f->child, &status, 0);
    /* A reader that stops early ends gzip by SIGPIPE. */
    return status == 0 || WIFSIGNALED(status);
}

struct lk_bytes trace_view(const struct trace_bytes *b)
{
    return (struct lk_bytes){b->at, b->size};
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool trace_read(enum trace_family family, const char *token, struct trace_bytes *out)
{
    out->size = 0;
    if (family == TRACE_INTEGERS) {
        char *end;
        errno = 0;
        lk_key_int64(out->at, strtoll(token, &end, 10));
        out->size = 8;
        return errno == 0 && *end == '\0' && end != token;
    }
    if (strcmp(token, "%") == 0)
        return true;
    for (const char *p = token; *p != '\0'; p++) {
        int c = (unsigned char)*p;
        if (out->size == TRACE_TOKEN_MAX)
            return false;
        if (c == '%') {
            if (hex(p[1]) < 0 || hex(p[2]) < 0)
                return false;
            c = hex(p[1]) * 16 + hex(p[2]);
            p += 2;
        }
        out->at[out->size++] = (unsigned char)c;
    }
    return true;
}

int64_t trace_integer(struct lk_bytes bytes)
{
    return bytes.size == 8 ? lk_key_to_int64(bytes.at) : INT64_MIN;
}

void trace_write(FILE *text, enum trace_family family, struct lk_bytes bytes)
{
    const unsigned char *p = bytes.at;
    if (family == TRACE_INTEGERS) {
        fprintf(text, "%" PRId64, trace_integer(bytes));
        return;
    }
    if (bytes.size == 0)
        fputc('%', text);
    for (size_t i = 0; i < bytes.size; i++) {
        bool plain = (p[i] < 128 && isalnum(p[i])) || p[i] == '_' || p[i] == '.' || p[i] == '/';
        fprintf(text, plain ? "%c" : "%%%02X", p[i]);
    }
}

bool trace_list_begin(struct trace_list *l)
{
    *l = (struct trace_list){NULL, 0, NULL, 0};
    l->to = open_memstream(&l->text, &l->size);
    return l->to != NULL;
}

void trace_list_add(struct trace_list *l, enum trace_family family, struct lk_bytes key,
                    const struct lk_bytes *value)
{
    trace_write(l->to, family, key);
    fputc(' ', l->to);
    if (value != NULL) {
        trace_write(l->to, family, *value);
        fputc(' ', l->to);
    }
    l->items++;
}

void trace_list_token(struct trace_list *l, const char *token)
{
    fprintf(l->to, "%s ", token);
    l->items++;
}

void trace_list_end(struct trace_list *l, FILE *to)
{
    (void)fclose(l->to);
    size_t n = l->size > 0 ? l->size - 1 : 0; /* without the last blank */
    if (l->items <= SHORT_LIST) {
        fprintf(to, "[%" PRIu64 "]%s%.*s", l->items, n > 0 ? " " : "", (int)n, l->text);
    } else {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        for (size_t i = 0; i < n; i++)
            hash = (hash ^ (unsigned char)l->text[i]) * UINT64_C(0x100000001b3);
        l->text[n] = '\0';
        fprintf(to, "{%" PRIu64 "} %016" PRIx64 " %.*s %s", l->items, hash,
                (int)strcspn(l->text, " "), l->text, strrchr(l->text, ' ') + 1);
    }
    free(l->text);
}
