/* bench_memcached.c - memcached: a server of our own on a private unix socket, one thread, text
 * protocol by hand; a get asks for 64 keys at once, a set has 64 commands in flight. */
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

static void memcached_close(struct bench_peer *p)
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
    char path[96], memory[32];
    if (!bench_directory_make(s->directory))
        return false;
    snprintf(path, sizeof path, "%s/memcached.sock", s->directory);
    snprintf(memory, sizeof memory, "%zu", load->entries * (load->value_size + 200) * 2 >> 20 | 64);
    char *const argv[] = {"memcached", "-s", path, "-m", memory, "-t", "1", "-u", "root", NULL};
    return bench_child_start(&s->server, argv, bench_cpu(1), false) &&
           bench_stream_open(&s->stream, path, (load->value_size + 128) * DEPTH * 2);
}

static bool add_set(struct bench_stream *out, const struct bench_load *load, const char *key,
                    uint32_t id)
{
    char head[64];
    int head_size = snprintf(head, sizeof head, "set %.20s 0 0 %zu\r\n", key, load->value_size);
    char *room = bench_stream_room(out, (size_t)head_size + load->value_size + 2);
    if (room == NULL)
        return false;
    uint64_t mark = bench_mark(id);
    memcpy(room, head, (size_t)head_size);
    room += head_size;
    memcpy(room, load->value, load->value_size);
    memcpy(room, &mark, sizeof mark);
    memcpy(room + load->value_size, "\r\n", 2);
    return true;
}

static size_t stored(struct bench_stream *in, size_t n)
{
    size_t done = 0;
    for (size_t i = 0; i < n; i++) {
        const char *line = bench_stream_line(in);
        if (line == NULL)
            return 0;
        done += strcmp(line, "STORED") == 0;
    }
    return done;
}

static size_t memcached_set(struct bench_peer *p, const struct bench_load *load, size_t first,
                            size_t n)
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

/* Ask for `n` keys at once. */
static bool ask(struct bench_stream *out, const struct bench_load *load, size_t first, size_t n)
{
    char *room = bench_stream_room(out, 3);
    if (room == NULL)
        return false;
    memcpy(room, "get", 3);
    for (size_t k = 0; k < n; k++) {
        room = bench_stream_room(out, 1 + BENCH_KEY_SIZE);
        if (room == NULL)
            return false;
        room[0] = ' ';
        memcpy(room + 1, load->asked[(first + k) & (BENCH_REQUESTS - 1)], BENCH_KEY_SIZE);
    }
    room = bench_stream_room(out, 2);
    if (room == NULL)
        return false;
    memcpy(room, "\r\n", 2);
    return bench_stream_send(out);
}

/* Read "VALUE key flags size", the bytes, and so on to "END". */
static size_t fetched(struct state *s, const struct bench_load *load, uint64_t *sum)
{
    size_t hits = 0;
    for (;;) {
        const char *line = bench_stream_line(&s->stream);
        if (line == NULL || strncmp(line, "VALUE ", 6) != 0)
            return line != NULL && strcmp(line, "END") == 0 ? hits : 0;
        const char *size = strrchr(line, ' ');
        if (strtoul(size + 1, NULL, 10) != load->value_size)
            return 0;
        const char *bytes = bench_stream_bytes(&s->stream, load->value_size + 2);
        if (bytes == NULL)
            return 0;
        uint64_t mark;
        memcpy(s->buf, bytes, load->value_size);
        memcpy(&mark, s->buf, sizeof mark);
        *sum += mark;
        hits++;
    }
}

static size_t memcached_get(struct bench_peer *p, const struct bench_load *load, size_t first,
                            size_t n, uint64_t *sum)
{
    struct state *s = p->state;
    size_t hits = 0;
    for (size_t i = 0; i < n; i += DEPTH) {
        size_t batch = n - i < DEPTH ? n - i : DEPTH;
        if (!ask(&s->stream, load, first + i, batch))
            return 0;
        hits += fetched(s, load, sum);
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

static int memcached_open(struct bench_peer *p, const struct bench_load *load)
{
    char line[128];
    if (!bench_first_line("memcached -V 2>/dev/null", line, sizeof line)) {
        bench_peer_failed(p, "memcached is not installed");
        return ENOENT;
    }
    const char *version = strrchr(line, ' ');
    snprintf(p->version, sizeof p->version, "%.60s", version != NULL ? version + 1 : "");
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
    memcached_close(p);
    return bench_peer_failed(p, "memcached does not start or answer");
}

const struct bench_peer bench_peer_memcached = {
    .name = "memcached",
    .how = "get of 64 keys / 64 sets in flight over a unix socket, the server on the second CPU",
    .open = memcached_open,
    .get = memcached_get,
    .set = memcached_set,
    .close = memcached_close,
    .remote = true,
};
