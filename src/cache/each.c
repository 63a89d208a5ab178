/* each.c - iteration: every slot once, each entry copied and checked like a read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "cache/section.h"

enum { ITEM_TRIES = 64 };

/* A private copy of one entry, grown as needed. */
struct copy {
    char *bytes;
    size_t capacity;
    struct lki_view view;
};

static bool reserve(struct copy *copy, size_t size)
{
    if (size <= copy->capacity)
        return true;
    char *grown = realloc(copy->bytes, size);
    if (grown == NULL)
        return false;
    copy->bytes = grown;
    copy->capacity = size;
    return true;
}

/* Copy what the slot holds.  0, ENOENT (nothing to show), ENOMEM. */
static int copy_slot(const struct lki_shard *s, uint32_t slot, struct copy *copy)
{
    const uint64_t *slot_word = lki_slot_word(s, slot);
    for (int i = 0; i < ITEM_TRIES; i++) {
        /* [each.1] acquire, pairs with [index.2]: the entry is visible. */
        uint64_t word = lk_load_acq_u64(slot_word);
        if (word == 0)
            return ENOENT;
        if (!lki_view_load(s, word, &copy->view))
            continue;
        if (!reserve(copy, (size_t)copy->view.key_size + copy->view.value_size + 1))
            return ENOMEM;
        lki_view_copy_key(s, &copy->view, copy->bytes);
        lki_view_copy_value(s, &copy->view, copy->bytes + copy->view.key_size);
        if (!lki_view_holds(s, slot_word, word, &copy->view))
            continue;
        bool damaged = lki_view_damaged(s, &copy->view, copy->bytes + copy->view.key_size);
        return damaged || lki_expired(copy->view.expire_ns) ? ENOENT : 0;
    }
    return ENOENT;
}

static bool has_prefix(const struct copy *copy, const void *prefix, size_t size)
{
    return size == 0 || (copy->bytes != NULL && copy->view.key_size >= size &&
                         memcmp(copy->bytes, prefix, size) == 0);
}

static int show(const struct copy *copy, int (*each)(const struct lk_cache_item *, void *),
                void *arg)
{
    const struct lki_view *v = &copy->view;
    struct lk_cache_item item = {
        .key = copy->bytes,
        .key_size = v->key_size,
        .value = copy->bytes + v->key_size,
        .entry = {.size = v->value_size, .version = v->version, .expire_ns = v->expire_ns}};
    return each(&item, arg);
}

int lk_cache_each(lk_cache *c, const void *prefix, size_t prefix_size,
                  int (*each)(const struct lk_cache_item *item, void *arg), void *arg)
{
    struct copy copy = {NULL, 0, {0}};
    int rc = 0;
    if (each == NULL || (prefix == NULL && prefix_size > 0))
        return EINVAL;
    for (uint32_t i = 0; i < c->geometry.shards && rc == 0; i++) {
        struct lki_shard s = lki_shard_at(c, i);
        for (uint32_t slot = 0; slot < c->geometry.slots && rc == 0; slot++) {
            rc = copy_slot(&s, slot, &copy);
            if (rc == 0 && has_prefix(&copy, prefix, prefix_size))
                rc = show(&copy, each, arg);
            else if (rc == ENOENT)
                rc = 0;
        }
    }
    free(copy.bytes);
    return rc;
}
