/* cache.c - handles: open, close, options. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cache/section.h"
#include "latchkey/seg.h"

enum { OPEN_TRIES = 100 };

/* A handle for the segment in *s, which it takes over (closes on failure too). */
static int hand_out(lk_cache **out, struct lki_segment *s, const char *name,
                    const struct lk_cache_options *o)
{
    struct lk_cache_options has;
    uint64_t body_size = 0;
    int rc = 0;
    lk_cache *c = calloc(1, sizeof *c);
    if (c == NULL) {
        rc = lki_fail(ENOMEM, "no memory for a handle");
        goto undo_segment;
    }
    rc = lki_geometry_make(&c->geometry, s->header.params, &body_size);
    if (rc == 0 && body_size != s->body_size)
        rc = lki_fail(LK_ESIZE, "cache '%s': its geometry takes %llu bytes, it has %llu", name,
                      (unsigned long long)body_size, (unsigned long long)s->body_size);
    lki_geometry_options(s->header.params, s->header.threads, &has);
    if (rc == 0)
        rc = lki_geometry_agree(name, &has, o);
    if (rc != 0)
        goto undo_handle;
    c->segment = *s;
    lki_hash_key_make(&c->key, s->header.key);
    c->get_short = !c->geometry.checksum && c->segment.writable;
    c->flags = o->flags;
    c->lock_timeout_ns = o->lock_timeout_ns;
    s->presence->owner = c;
    s->presence->sweep = lki_section_sweep;
    *out = c;
    return 0;
undo_handle:
    free(c);
undo_segment:
    lki_segment_close(s);
    return rc;
}

/* Make the cache; `asked` agrees with what it is made from. */
static int create(lk_cache **out, const char *name, const struct lk_cache_options *o)
{
    struct lk_cache_options full;
    struct lki_segment_spec spec = {.kind = LKI_KIND_CACHE};
    struct lki_geometry geometry;
    struct lki_segment segment;
    int rc = lki_geometry_params(o, &full, spec.params);
    if (rc == 0 && lki_geometry_make(&geometry, spec.params, &spec.body_size) != 0)
        rc = lki_fail(EINVAL, "option capacity_bytes: %llu is too much for %u shards",
                      (unsigned long long)full.capacity_bytes, full.shards);
    if (rc != 0)
        return rc;
    spec.threads = full.threads;
    rc = lki_segment_create(&segment, name, &spec);
    return rc != 0 ? rc : hand_out(out, &segment, name != NULL ? name : "(memfd)", o);
}

static int attach(lk_cache **out, const char *name, const struct lk_cache_options *o)
{
    struct lki_segment segment;
    bool writable = (o->flags & LK_CACHE_READ_ONLY) == 0;
    int rc = lki_segment_open(&segment, name, LKI_KIND_CACHE, writable);
    return rc != 0 ? rc : hand_out(out, &segment, name, o);
}

int lk_cache_open(lk_cache **out, const char *name, const struct lk_cache_options *options)
{
    static const struct lk_cache_options defaults = {.flags = LK_CACHE_CREATE};
    const struct lk_cache_options *o = options != NULL ? options : &defaults;
    bool make = (o->flags & LK_CACHE_CREATE) != 0;
    bool exclusive = make && (o->flags & LK_CACHE_EXCLUSIVE) != 0;
    if ((o->flags & ~7u) != 0 || (make && (o->flags & LK_CACHE_READ_ONLY) != 0))
        return lki_fail(EINVAL, "option flags: 0x%x (READ_ONLY excludes CREATE)", o->flags);
    /* Others may make and unlink the name between our looks: look again, but not for ever. */
    for (int i = 0; i < OPEN_TRIES; i++) {
        int rc = exclusive ? ENOENT : attach(out, name, o);
        if (rc == LK_EBOOT && make) {
            rc = lki_segment_unlink_stale(name);
            if (rc != 0)
                return rc;
            continue;
        }
        if (rc != ENOENT || !make)
            return rc;
        rc = create(out, name, o);
        if (rc != EEXIST || exclusive)
            return rc;
    }
    return lki_fail(EAGAIN, "cache '%s' comes and goes", name);
}

int lk_cache_open_anonymous(lk_cache **out, const struct lk_cache_options *options)
{
    static const struct lk_cache_options defaults;
    return create(out, NULL, options != NULL ? options : &defaults);
}

int lk_cache_open_fd(lk_cache **out, int fd, const struct lk_cache_options *options)
{
    static const struct lk_cache_options defaults;
    struct lki_segment segment;
    const struct lk_cache_options *o = options != NULL ? options : &defaults;
    int rc = lki_segment_open_fd(&segment, fd, LKI_KIND_CACHE);
    return rc != 0 ? rc : hand_out(out, &segment, "(descriptor)", o);
}

int lk_cache_fd(const lk_cache *c)
{
    return c->segment.fd;
}

void lk_cache_close(lk_cache *c)
{
    if (c == NULL)
        return;
    lki_segment_close(&c->segment);
    free(c);
}

int lk_cache_unlink(const char *name)
{
    return lk_seg_unlink(name);
}

void lk_cache_options_of(const lk_cache *c, struct lk_cache_options *out)
{
    lki_geometry_options(c->segment.header.params, c->segment.header.threads, out);
    out->flags = c->flags;
    out->lock_timeout_ns = c->lock_timeout_ns;
}
