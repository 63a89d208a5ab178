/* bench_redis.c - Redis: a server of our own on a private unix socket, no TCP, nothing saved, 64
 * commands in flight.  The protocol is spoken by hand, without a client library's allocations. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define DEPTH 64u

struct state {
    char directory[64];
    struct bench_child server;
    struct bench_stream stream;
    char *buf;
};

static void redis_close(struct bench_peer *p)
{
    struct state *s = p->state;
    bench_stream_close(&s->stream);
    bench_child_end(&s->server);
    bench_directory_remove(s->directory);
    free(s->buf);
    free(s);
    p->state = NULL;
}

static bool start(struct state *s, const struct bench_load *load)
{
    char path[96];
    if (!bench_directory_make(s->directory))
        return false;
    snprintf(path, sizeof path, "%s/redis.sock", s->directory);
    char *const argv[] = {
        "redis-server", "--port",       "0",  "--unixsocket", path, "--save", "", "--dir",
        s->directory,   "--appendonly", "no", "--daemonize",  "no", NULL};
    return bench_child_start(&s->server, argv, bench_cpu(1), false) &&
           bench_stream_open(&s->stream, path, (load->value_size + 128) * DEPTH * 2);
}

static bool add_get(struct bench_stream *out, const char *key)
{
    static const char head[] = "*2\r\n$3\r\nGET\r\n$20\r\n";
    char *room = bench_stream_room(out, sizeof head - 1 + BENCH_KEY_SIZE + 2);
    if (room == NULL)
        return false;
    memcpy(room, head, sizeof head - 1);
    memcpy(room + sizeof head - 1, key, BENCH_KEY_SIZE);
    memcpy(room + sizeof head - 1 + BENCH_KEY_SIZE, "\r\n", 2);
    return true;
}

static bool add_set(struct bench_stream *out, const struct bench_load *load, const char *key,
                    uint32_t id)
{
    char head[64], size[32];
    int head_size = snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$20\r\n%.20s\r\n", key);
    int size_size = snprintf(size, sizeof size, "$%zu\r\n", load->value_size);
    size_t all = (size_t)head_size + (size_t)size_size + load->value_size + 2;
    char *room = bench_stream_room(out, all);
    if (room == NULL)
        return false;
    uint64_t mark = bench_mark(id);
    memcpy(room, head, (size_t)head_size);
    room += head_size;
    memcpy(room, size, (size_t)size_size);
    room += size_size;
    memcpy(room, load->value, load->value_size);
    memcpy(room, &mark, sizeof mark);
    memcpy(room + load->value_size, "\r\n", 2);
    return true;
}

/* Read the answers to n SETs. */
static size_t stored(struct bench_stream *in, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        const char *line = bench_stream_line(in);
        if (line == NULL)
            return 0;
        done += strcmp(line, "+OK") == 0;
    }
    return done;
}

static size_t redis_set(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n)
{
    struct state *s = p->state;
    size_t done = 0;
    for (size_t i = 0; i < n; i += DEPTH) {
        size_t batch = n - i < DEPTH ? n - i : DEPTH;
        for (size_t k = 0; k < batch; k++) {
            size_t r = (first + i + k) & (BENCH_REQUESTS - 1);
            if (!add_set(&s->stream, load, load->asked[r], load->ids[r]))
                return 0;
        }
        if (!bench_stream_send(&s->stream))
            return 0;
        done += stored(&s->stream, batch);
    }
    return done;
}

/* Read the answers to n GETs, each copied out as the other peers do. */
static size_t fetched(struct state *s, const struct bench_load *load, size_t n, uint64_t *sum)
{
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        const char *line = bench_stream_line(&s->stream);
        if (line == NULL)
            return 0;
        if (line[0] != '$' || strtoul(line + 1, NULL, 10) != load->value_size)
            continue;
        const char *bytes = bench_stream_bytes(&s->stream, load->value_size + 2);
        if (bytes == NULL)
            return 0;
        uint64_t mark;
        memcpy(s->buf, bytes, load->value_size);
        memcpy(&mark, s->buf, sizeof mark);
        *sum += mark;
        hits++;
    }
    return hits;
}

static size_t redis_get(struct bench_peer *p, const struct bench_load *load, size_t first, size_t n,
                        uint64_t *sum)
{
    struct state *s = p->state;
    size_t hits = 0;
    for (size_t i = 0; i < n; i += DEPTH) {
        size_t batch = n - i < DEPTH ? n - i : DEPTH;
        for (size_t k = 0; k < batch; k++)
            if (!add_get(&s->stream, load->asked[(first + i + k) & (BENCH_REQUESTS - 1)]))
                return 0;
        if (!bench_stream_send(&s->stream))
            return 0;
        hits += fetched(s, load, batch, sum);
    }
    return hits;
}

static bool fill(struct state *s, const struct bench_load *load)
{
    for (size_t i = 0; i < load->entries; i += DEPTH) {
        size_t batch = load->entries - i < DEPTH ? load->entries - i : DEPTH;
        for (size_t k = 0; k < batch; k++)
            if (!add_set(&s->stream, load, load->keys[i + k], (uint32_t)(i + k)))
                return false;
        if (!bench_stream_send(&s->stream) || stored(&s->stream, batch) != batch)
            return false;
    }
    return true;
}

static int redis_open(struct bench_peer *p, const struct bench_load *load)
{
    char line[128];
    if (!bench_first_line("redis-server --version 2>/dev/null", line, sizeof line)) {
        bench_peer_failed(p, "redis-server is not installed");
        return ENOENT;
    }
    const char *version = strstr(line, "v=");
    snprintf(p->version, sizeof p->version, "%.*s",
             version != NULL ? (int)strcspn(version + 2, " ") : 0,
             version != NULL ? version + 2 : "");
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL)
        return bench_peer_failed(p, "no memory");
    p->state = s;
    s->server.pid = s->server.in = s->server.out = s->stream.fd = -1;
    s->buf = malloc(load->value_size);
    if (s->buf != NULL && start(s, load) && fill(s, load)) {
        bench_directory_remove(s->directory);
        return 0;
    }
    redis_close(p);
    return bench_peer_failed(p, "redis-server does not start or answer");
}

const struct bench_peer bench_peer_redis = {
    .name = "Redis",
    .how = "GET / SET over a unix socket, 64 in flight, the server on the second CPU",
    .open = redis_open,
    .get = redis_get,
    .set = redis_set,
    .close = redis_close,
    .remote = true,
};
