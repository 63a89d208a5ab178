/* segment.h - segments inside the library: a header, presence pages, and a body for whoever asked.
 *
 *   page 0              struct lki_header, never changed after the segment can be seen
 *   presence pages      life/presence.h
 *   body                page-aligned, body_size bytes
 * Everything that the header says is copied and checked once, at attach; offsets are computed,
 * never read.  The public face is latchkey/seg.h. */
#ifndef LKI_SEGMENT_H
#define LKI_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "life/presence.h"

enum lki_kind { LKI_KIND_MEMORY = 1, LKI_KIND_CACHE = 2 };
enum { LKI_PARAMS = 8, LKI_LAYOUT_VERSION = 2 };

#define LKI_MAGIC 0x79656b686374616cull /* "latchkey" in memory order */

/* On the segment's first page.  See docs/FORMAT.md. */
struct lki_header {
    uint64_t magic;
    uint32_t layout_version;
    uint32_t abi; /* 0x01020304, as the creator's byte order has it, ^ size of a pointer */
    uint32_t page_bytes;
    uint32_t kind;
    uint32_t threads;
    uint32_t reserved;
    uint64_t file_size;
    uint64_t body_size;
    uint8_t boot_id[16];
    uint64_t key[2];             /* random, for keyed hashes */
    uint64_t params[LKI_PARAMS]; /* the body's geometry, its owner's business */
};

struct lki_segment {
    char *base;
    size_t size;
    char *body;
    size_t body_size;
    int fd;
    bool writable;
    struct lki_header header; /* the private copy */
    struct lki_presence *presence;
};

/* What a new segment is to be. */
struct lki_segment_spec {
    uint32_t kind;
    uint32_t threads;
    uint64_t body_size;
    uint64_t params[LKI_PARAMS];
    /* Fill in the body, which is all zero, before anybody can see it. */
    void (*fill)(void *body, const struct lki_header *header);
};

/* Make a segment under `name` (NULL: a sealed memfd).  EEXIST if the name is taken. */
int lki_segment_create(struct lki_segment *s, const char *name,
                       const struct lki_segment_spec *spec);

/* Attach a segment of `kind` (0: of any kind). */
int lki_segment_open(struct lki_segment *s, const char *name, uint32_t kind, bool writable);
int lki_segment_open_fd(struct lki_segment *s, int fd, uint32_t kind);

/* Detach the calling thread, unmap, close. */
void lki_segment_close(struct lki_segment *s);

/* Remove the name if the segment behind it is from before the last boot; somebody else may have
 * done so already. */
int lki_segment_unlink_stale(const char *name);

/* The directory of names, opened; made first when `make`.  ENOENT when it is not there. */
int lki_directory_open(int *fd, bool make);

/* 0 or LK_ENAME. */
int lki_name_check(const char *name);

#endif
