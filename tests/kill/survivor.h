/* survivor.h - open a copy of a cache's segment as those find it who outlive a process that died at
 * this very moment, and check all that they may rely on. */
#ifndef SURVIVOR_H
#define SURVIVOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "latchkey/cache.h"

enum { PICTURE_KEYS = 96, PICTURE_VALUE_MAX = 1024 };

/* What readers see: of each key that the test uses, a digest of its value, 0 = absent. */
struct picture {
    uint64_t value[PICTURE_KEYS];
    uint64_t expire_ns[PICTURE_KEYS];
    uint64_t version_max;
};

/* The name of key number i; PICTURE_KEYS of them. */
const char *picture_key(unsigned i);

/* The last of them, which leases are for. */
const char *lease_key(void);

void picture_take(lk_cache *c, struct picture *p);

/* A place to put copies in. */
struct survivor {
    const char *what; /* of what operation, for messages */
    size_t size;
    int fd, fd_read_only;
    unsigned char *image;
    bool fresh; /* nothing but the copying was done with it */
    unsigned long points;
};

void survivor_open(struct survivor *v, const char *what, size_t size);
void survivor_close(struct survivor *v);

/* Put a copy of the segment in place; *c is a new handle of it. */
void survivor_copy(struct survivor *v, const char *segment, lk_cache **c);

/* The process `dead` (0: nobody) is gone while the segment looks like this.  Every key is as in
 * `before` or as in `after`; *seen_after (PICTURE_KEYS) says which have been seen as after: they
 * must stay so. */
void survivor_check(struct survivor *v, const char *segment, pid_t dead,
                    const struct picture *before, const struct picture *after, bool *seen_after,
                    unsigned long instruction);

/* Mark the tokens of `dead` in an image as the kernel would. */
void survivor_mark_dead(unsigned char *image, pid_t dead);

#endif
