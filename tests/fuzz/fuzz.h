/* fuzz.h - segments that lie: made from sound ones, damaged on purpose, then used by every call.
 *
 * A case is one number, its seed.  It chooses a sound image (images.c), the damage (mutate.c) and
 * the calls (exercise.c).  What must hold: no signal, no endless loop, no access outside the
 * mapping, only documented results; and after a repair the cache is sound and works. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/layout.h"

/* For calls whose result does not matter here. */
static inline void fuzz_ignore(int rc)
{
    (void)rc;
}

/* Random numbers: splitmix64. */
struct fuzz_random {
    uint64_t state;
};
uint64_t fuzz_draw(struct fuzz_random *r);
uint32_t fuzz_below(struct fuzz_random *r, uint32_t n);
void fuzz_fill(struct fuzz_random *r, void *bytes, size_t n);

/* The file of a segment, in private memory. */
enum { FUZZ_IMAGE_MAX = 1 << 20 };
struct fuzz_image {
    unsigned char *bytes; /* FUZZ_IMAGE_MAX of them */
    size_t size;
    struct lki_geometry geometry;
    size_t body_at;
};

/* Keys that images and cases use: fuzz_key(0) .. fuzz_key(FUZZ_KEYS - 1). */
enum { FUZZ_KEYS = 48, FUZZ_KEY_MAX = 64 };
size_t fuzz_key(uint32_t number, char key[FUZZ_KEY_MAX]);

/* Make the sound images: entries whole and in pieces, expired ones, leases and locks of live and
 * dead holders, a writer that died half way.  False (and a line on stderr) if that fails. */
bool fuzz_images_make(void);
uint32_t fuzz_images_count(void);
void fuzz_image_copy(uint32_t number, struct fuzz_image *to);

/* Find the geometry of whatever image; false if its header has none. */
bool fuzz_image_look(struct fuzz_image *image);

/* Give the image a header that opens here: magic, versions, boot, sizes. */
void fuzz_image_fix(struct fuzz_image *image);

/* Damage it. */
void fuzz_mutate(struct fuzz_image *image, struct fuzz_random *r);

/* How an exercise begins and what it may expect. */
struct fuzz_exercise {
    const char *name; /* of the segment; NULL: by descriptor */
    int fd;
    bool read_only;
    bool scribbled; /* somebody writes meanwhile: results are checked loosely */
    bool guarded;   /* pages without access on both sides of the mapping */
};

/* Open, every call, close.  Returns the result of opening.  Aborts after a line on stderr when a
 * result is not a documented one. */
int fuzz_exercise(const struct fuzz_exercise *e, size_t file_size, struct fuzz_random *r);

/* The calls on an open cache. */
void fuzz_use(lk_cache *c, bool scribbled, struct fuzz_random *r);

/* Leave a hole of exactly `size` bytes between two pages without access, where the next mapping
 * of that size will be put.  After it, fuzz_guard_holds() tells whether it was. */
struct fuzz_guard {
    char *region;
    size_t size;
};
bool fuzz_guard_set(struct fuzz_guard *g, size_t size);
bool fuzz_guard_holds(const struct fuzz_guard *g, const void *mapping);
void fuzz_guard_clear(struct fuzz_guard *g);

#endif
