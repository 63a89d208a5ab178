/* bench_child.c - programs of others: starting and ending them, and talking to them over a unix
 * socket through one buffer each way. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <dirent.h>
#include <time.h>

#include "bench.h"
#include "cli.h"

int bench_peer_failed(struct bench_peer *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->why, sizeof p->why, format, args);
    va_end(args);
    return -1;
}

/* ---- directories --------------------------------------------------------------------------- */

bool bench_directory_make(char path[64])
{
    snprintf(path, 64, "/dev/shm/lk-bench-%d-XXXXXX", (int)getpid());
    if (mkdtemp(path) != NULL)
        return true;
    snprintf(path, 64, "/tmp/lk-bench-%d-XXXXXX", (int)getpid());
    if (mkdtemp(path) != NULL)
        return true;
    path[0] = '\0';
    return false;
}

void bench_directory_remove(char *path)
{
    DIR *d = path[0] == '\0' ? NULL : opendir(path);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    (void)rmdir(path);
    path[0] = '\0';
}

/* ---- children ------------------------------------------------------------------------------ */

static void become(char *const argv[], int cpu, int in, int out)
{
    int null = open("/dev/null", O_RDWR);
    dup2(in >= 0 ? in : null, STDIN_FILENO);
    dup2(out >= 0 ? out : null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    bench_pin(cpu);
    execvp(argv[0], argv);
    _exit(127);
}

bool bench_child_start(struct bench_child *c, char *const argv[], int cpu, bool with_pipes)
{
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    *c = (struct bench_child){.pid = -1, .in = -1, .out = -1};
    if (with_pipes && (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0))
        goto failed;
    c->pid = cli_fork();
    if (c->pid < 0)
        goto failed;
    if (c->pid == 0)
        become(argv, cpu, to[0], from[1]);
    if (with_pipes) {
        close(to[0]);
        close(from[1]);
        c->in = to[1];
        c->out = from[0];
    }
    return true;
failed:
    for (int i = 0; i < 2; i++) {
        if (to[i] >= 0)
            close(to[i]);
        if (from[i] >= 0)
            close(from[i]);
    }
    return false;
}

void bench_child_end(struct bench_child *c)
{
    if (c->pid > 0) {
        kill(c->pid, SIGKILL); /* it holds nothing that we want */
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (c->in >= 0)
        close(c->in);
    if (c->out >= 0)
        close(c->out);
    *c = (struct bench_child){.pid = -1, .in = -1, .out = -1};
}

bool bench_first_line(const char *command, char *buf, size_t capacity)
{
    FILE *f = popen(command, "r");
    if (f == NULL)
        return false;
    bool some = fgets(buf, (int)capacity, f) != NULL;
    char rest[256];
    while (fgets(rest, sizeof rest, f) != NULL)
        ; /* let it end by itself */
    if (pclose(f) != 0 || !some)
        return false;
    buf[strcspn(buf, "\n")] = '\0';
    return true;
}

/* ---- streams ------------------------------------------------------------------------------- */

bool bench_stream_open(struct bench_stream *s, const char *path, size_t capacity)
{
    *s = (struct bench_stream){.fd = -1, .capacity = capacity};
    s->in = malloc(capacity + 1);
    s->out = malloc(capacity);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (int tries = 0; s->in != NULL && s->out != NULL && tries < 500 && !cli_stop; tries++) {
        s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s->fd >= 0 && connect(s->fd, (struct sockaddr *)&address, sizeof address) == 0)
            return true;
        if (s->fd >= 0)
            close(s->fd);
        s->fd = -1;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    bench_stream_close(s);
    return false;
}

void bench_stream_close(struct bench_stream *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->in);
    free(s->out);
    *s = (struct bench_stream){.fd = -1};
}

char *bench_stream_room(struct bench_stream *s, size_t n)
{
    if (s->capacity - s->out_used < n)
        return NULL;
    char *room = s->out + s->out_used;
    s->out_used += n;
    return room;
}

bool bench_stream_send(struct bench_stream *s)
{
    size_t sent = 0;
    while (sent < s->out_used) {
        ssize_t n = send(s->fd, s->out + sent, s->out_used - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        sent += n > 0 ? (size_t)n : 0;
    }
    s->out_used = 0;
    return true;
}

/* Read more behind what is there; what was used up makes room. */
static bool more(struct bench_stream *s)
{
    if (s->in_begin > 0) {
        memmove(s->in, s->in + s->in_begin, s->in_end - s->in_begin);
        s->in_end -= s->in_begin;
        s->in_begin = 0;
    }
    if (s->in_end == s->capacity)
        return false;
    ssize_t n;
    do
        n = recv(s->fd, s->in + s->in_end, s->capacity - s->in_end, 0);
    while (n < 0 && errno == EINTR && !cli_stop);
    if (n <= 0)
        return false;
    s->in_end += (size_t)n;
    return true;
}

char *bench_stream_line(struct bench_stream *s)
{
    size_t seen = 0;
    for (;;) {
        char *begin = s->in + s->in_begin;
        char *end = memchr(begin + seen, '\n', s->in_end - s->in_begin - seen);
        if (end != NULL) {
            s->in_begin += (size_t)(end - begin) + 1;
            *(end > begin && end[-1] == '\r' ? end - 1 : end) = '\0';
            return begin;
        }
        seen = s->in_end - s->in_begin;
        if (!more(s))
            return NULL;
    }
}

char *bench_stream_bytes(struct bench_stream *s, size_t n)
{
    while (s->in_end - s->in_begin < n)
        if (!more(s))
            return NULL;
    char *begin = s->in + s->in_begin;
    s->in_begin += n;
    return begin;
}
