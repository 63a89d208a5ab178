/* bench_trace.c - traces: raw little-endian 32-bit object ids, plain or compressed with xz. */
#include <errno.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cli.h"

#define STEP (1u << 20) /* bytes read at a time */

/* Bytes that grow. */
struct bytes {
    unsigned char *at;
    size_t size, capacity;
};

static bool room(struct bytes *b)
{
    if (b->capacity - b->size >= STEP)
        return true;
    size_t capacity = b->capacity == 0 ? (size_t)4 * STEP : 2 * b->capacity;
    unsigned char *at = realloc(b->at, capacity);
    if (at == NULL)
        return false;
    b->at = at;
    b->capacity = capacity;
    return true;
}

/* NULL or what went wrong. */
static const char *read_plain(FILE *f, struct bytes *out)
{
    for (;;) {
        if (!room(out))
            return "no memory";
        size_t n = fread(out->at + out->size, 1, STEP, f);
        out->size += n;
        if (n == 0)
            return ferror(f) ? strerror(errno) : NULL;
    }
}

static const char *read_xz(FILE *f, struct bytes *out)
{
    static unsigned char in[65536];
    lzma_stream xz = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&xz, UINT64_C(256) << 20, LZMA_CONCATENATED) != LZMA_OK)
        return "no memory";
    const char *problem = NULL;
    lzma_ret rc = LZMA_OK;
    while (rc == LZMA_OK && problem == NULL) {
        if (xz.avail_in == 0) {
            xz.next_in = in;
            xz.avail_in = fread(in, 1, sizeof in, f);
        }
        if (!room(out)) {
            problem = "no memory";
            break;
        }
        xz.next_out = out->at + out->size;
        xz.avail_out = STEP;
        rc = lzma_code(&xz, xz.avail_in == 0 ? LZMA_FINISH : LZMA_RUN);
        out->size += STEP - xz.avail_out;
    }
    if (problem == NULL && rc != LZMA_STREAM_END)
        problem = ferror(f) ? strerror(errno) : "not a sound xz file";
    lzma_end(&xz);
    return problem;
}

bool bench_trace_read(const char *path, uint32_t **ids, size_t *n)
{
    struct bytes out = {0};
    size_t length = strlen(path);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        cli_fail(CLI_CANNOT, "%s: %s", path, strerror(errno));
        return false;
    }
    bool compressed = length > 3 && strcmp(path + length - 3, ".xz") == 0;
    const char *problem = compressed ? read_xz(f, &out) : read_plain(f, &out);
    fclose(f);
    if (problem == NULL && (out.size == 0 || out.size % 4 != 0))
        problem = out.size == 0 ? "no requests in it" : "not a whole number of 32-bit ids";
    uint32_t *list = problem == NULL ? malloc(out.size) : NULL;
    if (problem == NULL && list == NULL)
        problem = "no memory";
    if (problem == NULL) {
        *ids = list;
        *n = out.size / 4;
        for (size_t i = 0; i < *n; i++) {
            const unsigned char *b = out.at + 4 * i;
            list[i] =
                (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        }
    } else {
        free(list);
        cli_fail(CLI_CANNOT, "%s: %s", path, problem);
    }
    free(out.at);
    return problem == NULL;
}
