/* cursor.c - going from one entry to the next.
 *
 * Nodes have no links to each other: a cursor keeps the way down to its leaf.  Where that may be no
 * longer true (the tree was changed, the section is another) it goes down again by its last key. */
#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/error.h"
#include "object/tree.h"

enum { SMALL = sizeof((lk_cursor *)NULL)->small_[0] };

static int copy_key(unsigned char **to, size_t *size, unsigned char small[SMALL],
                    const struct lk_bytes *key)
{
    *to = NULL;
    if (key == NULL)
        return 0;
    *to = key->size <= SMALL ? small : malloc(key->size);
    if (*to == NULL)
        return ENOMEM;
    if (key->size > 0)
        memcpy(*to, key->at, key->size);
    *size = key->size;
    return 0;
}

/* An open end without a key leaves the first or last entry out: give it that one's. */
static int close_end(lk_tree *t, struct lk_range *r, struct lk_bytes keys[2])
{
    int rc = 0;
    if (r->low_open && r->low == NULL) {
        rc = lk_tree_min(t, NULL, &keys[0], NULL);
        r->low = &keys[0];
    }
    if (rc == 0 && r->high_open && r->high == NULL) {
        rc = lk_tree_max(t, NULL, &keys[1], NULL);
        r->high = &keys[1];
    }
    return rc;
}

int lk_cursor_begin(lk_cursor *c, lk_tree *t, const struct lk_range *range, bool down)
{
    struct lk_range r = range != NULL ? *range : (struct lk_range){0};
    struct lk_bytes keys[2];
    int rc = lki_in_section();
    if (rc == 0)
        rc = close_end(t, &r, keys);
    bool empty = rc == ENOENT;
    if (rc != 0 && !empty)
        return rc;
    memset(c, 0, offsetof(lk_cursor, path_));
    c->tree_ = t;
    c->down_ = down;
    c->ended_ = empty;
    c->low_open_ = r.low_open;
    c->high_open_ = r.high_open;
    rc = empty ? 0 : copy_key(&c->low_, &c->low_size_, c->small_[0], r.low);
    if (rc == 0 && !empty)
        rc = copy_key(&c->high_, &c->high_size_, c->small_[1], r.high);
    if (rc != 0)
        lk_cursor_end(c);
    c->serial_ = lki_section_serial();
    c->thread_ = lki_thread_mine;
    return rc;
}

void lk_cursor_end(lk_cursor *c)
{
    free(c->key_);
    if (c->low_ != c->small_[0])
        free(c->low_);
    if (c->high_ != c->small_[1])
        free(c->high_);
    c->key_ = c->low_ = c->high_ = NULL;
    c->left_ = 0;
    c->ended_ = true;
}

/* A key lies beyond the end that the cursor goes to. */
static bool beyond(const lk_cursor *c, struct lk_bytes key)
{
    const unsigned char *end = c->down_ ? c->low_ : c->high_;
    if (end == NULL)
        return false;
    int d = lki_compare(key, (struct lk_bytes){end, c->down_ ? c->low_size_ : c->high_size_});
    bool open = c->down_ ? c->low_open_ : c->high_open_;
    d = c->down_ ? -d : d;
    return d > 0 || (d == 0 && open);
}

/* How far to go in this leaf: [at, end) going up, (end, at] going down. */
static void set_end(lk_cursor *c, const struct lki_node *leaf)
{
    uint32_t count = leaf->page->count, far = c->down_ ? 0 : count - 1;
    bool equal = false;
    c->leaf_ = (void *)(uintptr_t)leaf;
    if (!beyond(c, lki_node_key(leaf, far))) {
        c->end_ = c->down_ ? UINT32_MAX : count;
        return;
    }
    struct lk_bytes end = {c->down_ ? c->low_ : c->high_, c->down_ ? c->low_size_ : c->high_size_};
    uint32_t at = lki_node_search(leaf, end, &equal);
    if (c->down_)
        c->end_ = equal && c->low_open_ ? at : at - 1;
    else
        c->end_ = equal && !c->high_open_ ? at + 1 : at;
    c->ended_ = true; /* behind this leaf */
}

/* Down from `n` along the near edge. */
static int go_down(lk_cursor *c, struct lki_node *n)
{
    for (;;) {
        uint32_t near = c->down_ ? n->page->count - 1 : 0;
        if (n->page->level == 0) {
            c->at_ = near;
            set_end(c, n);
            return 0;
        }
        c->path_[c->depth_].node = n;
        c->path_[c->depth_++].at = near;
        int rc = lki_use_child(c->tree_, n, near, (struct lk_bytes){"", 0}, &n);
        if (rc != 0)
            return rc;
    }
}

/* Ask for the next leaf while this one is read: where one leaf lies says nothing about where the
 * next does.  Of an even one its beginning: the processor sees by itself how it goes on. */
static void look_ahead(const struct lki_node *n, uint32_t at, bool down)
{
    enum { LEAF = 2048, BEGIN = 512, HEAD = sizeof(struct lki_node) + sizeof(struct lki_page) };
    uint32_t next = down ? at - 1 : at + 1, far = down ? at - 2 : at + 2; /* -1 is UINT32_MAX */
    if (n->guess == NULL || next >= n->page->count)
        return;
    /* [cursor.1] relaxed: a guess that decides nothing. */
    uint64_t guess = lk_load_rlx_u64(&n->guess[next]), even = guess >> LKI_GUESS_BITS << 3;
    uint64_t size = even == 0 ? LEAF : even < BEGIN - HEAD ? HEAD + even : BEGIN;
    for (uint64_t i = 0; guess != 0 && i < size; i += 64)
        lk_prefetch((const void *)(lki_guess_node(guess) + i));
    if (far < n->page->count)
        lk_prefetch(n->child[far]);
}

static int next_leaf(lk_cursor *c)
{
    c->leaf_ = NULL;
    for (; c->depth_ > 0; c->depth_--) {
        struct lki_node *n = c->path_[c->depth_ - 1].node;
        uint32_t *at = &c->path_[c->depth_ - 1].at;
        if (c->down_ ? *at == 0 : *at + 1 == n->page->count)
            continue;
        *at += c->down_ ? UINT32_MAX : 1;
        look_ahead(n, *at, c->down_);
        int rc = lki_use_child(c->tree_, n, *at, (struct lk_bytes){"", 0}, &n);
        return rc == 0 ? go_down(c, n) : rc;
    }
    c->ended_ = true;
    return ENOENT;
}

static int use_root(lk_cursor *c, struct lki_node **root)
{
    if (c->tree_->root != NULL)
        return lki_use(c->tree_, c->tree_->root, -1, root);
    c->ended_ = true;
    return ENOENT;
}

/* Go to the nearest entry at `key` or beyond it; `open`: not at it. */
static int seek(lk_cursor *c, struct lk_bytes key, bool open)
{
    struct lki_node *n;
    bool equal;
    int rc = use_root(c, &n);
    c->depth_ = 0;
    while (rc == 0 && n->page->level > 0) {
        uint32_t at = lki_node_child(n, key);
        c->path_[c->depth_].node = n;
        c->path_[c->depth_++].at = at; /* levels fall from below LK_DEPTH_MAX_ to 0 */
        rc = lki_use_child(c->tree_, n, at, key, &n);
    }
    if (rc != 0)
        return rc;
    if (c->depth_ > 0)
        look_ahead(c->path_[c->depth_ - 1].node, c->path_[c->depth_ - 1].at, c->down_);
    uint32_t at = lki_node_search(n, key, &equal);
    bool stay = equal && !open;
    c->at_ = c->down_ ? at - !stay : at + (equal && open);
    if (c->at_ >= n->page->count) /* -1 too */
        return next_leaf(c);
    set_end(c, n);
    return 0;
}

static int begin(lk_cursor *c)
{
    const unsigned char *from = c->down_ ? c->high_ : c->low_;
    c->begun_ = true;
    if (from != NULL)
        return seek(c, (struct lk_bytes){from, c->down_ ? c->high_size_ : c->low_size_},
                    c->down_ ? c->high_open_ : c->low_open_);
    struct lki_node *root;
    int rc = use_root(c, &root);
    return rc == 0 ? go_down(c, root) : rc;
}

static int keep_key(lk_cursor *c, struct lk_bytes key)
{
    if (key.size >= c->key_room_) {
        size_t room = key.size * 2 + 64;
        unsigned char *more = realloc(c->key_, room);
        if (more == NULL)
            return ENOMEM;
        c->key_ = more;
        c->key_room_ = room;
    }
    if (key.size > 0)
        memcpy(c->key_, key.at, key.size);
    c->key_size_ = key.size;
    c->keyed_ = true;
    return 0;
}

/* The way down may be no longer true. */
static int again(lk_cursor *c, uint64_t serial)
{
    if (c->begun_ && !c->keyed_)
        return EPERM; /* another section, and it was not parked */
    c->serial_ = serial;
    c->thread_ = lki_thread_mine;
    c->changes_ = c->tree_->changes;
    c->ended_ = false;
    c->leaf_ = NULL;
    c->keyed_ = c->tree_->edit != 0;
    return c->begun_ ? seek(c, (struct lk_bytes){c->key_, c->key_size_}, true) : begin(c);
}

/* Entries of this leaf that are still to be given; -1 is UINT32_MAX. */
static uint32_t left_in_leaf(const lk_cursor *c)
{
    int32_t n = (int32_t)(c->down_ ? c->at_ - c->end_ : c->end_ - c->at_);
    return n > 0 ? (uint32_t)n : 0;
}

/* The entries of this leaf can be given without another look; those that lie in a row by their
 * addresses, and then at_ stands still. */
static void set_left(lk_cursor *c)
{
    const struct lki_node *leaf = c->leaf_;
    c->left_ = left_in_leaf(c);
    if (leaf->stride == 0 || c->left_ == 0)
        return;
    c->step_ = c->down_ ? -(int32_t)leaf->stride : (int32_t)leaf->stride;
    c->next_ = lki_even_entry(leaf, c->at_);
    c->next_key_ = leaf->key;
    c->next_value_ = (uint32_t)leaf->stride - leaf->key;
}

/* Let at_ say again which entry is next. */
static void settle(lk_cursor *c)
{
    if (c->step_ != 0)
        c->at_ = c->down_ ? c->end_ + c->left_ : c->end_ - c->left_;
    c->step_ = 0;
    c->left_ = 0;
}

static inline void give(lk_cursor *c, struct lk_bytes *key, struct lk_bytes *value)
{
    const struct lki_node *leaf = c->leaf_;
    *key = lki_node_key(leaf, c->at_);
    if (value != NULL)
        *value = lki_node_value(leaf, c->at_);
    c->at_ += c->down_ ? UINT32_MAX : 1;
}

/* The first entry, one behind a leaf's end, in another section, or of a tree that changes. */
static __attribute__((noinline)) int next_slowly(lk_cursor *c, struct lk_bytes *key,
                                                 struct lk_bytes *value)
{
    uint64_t serial = lki_section_serial();
    int rc = serial != 0 ? 0 : EPERM;
    settle(c);
    if (rc != 0 || (c->ended_ && c->leaf_ == NULL))
        return rc != 0 ? rc : ENOENT;
    if (!c->begun_ || c->thread_ != lki_thread_mine || serial != c->serial_ ||
        c->changes_ != c->tree_->changes)
        rc = again(c, serial);
    while (rc == 0 && left_in_leaf(c) == 0) {
        rc = c->ended_ ? ENOENT : next_leaf(c);
        if (rc == ENOENT)
            c->leaf_ = NULL;
    }
    if (rc != 0)
        return rc;
    give(c, key, value);
    if (c->tree_->edit != 0)
        return keep_key(c, *key);
    c->keyed_ = false; /* the key that it was parked by is passed */
    set_left(c);
    return 0;
}

int lk_cursor_next(lk_cursor *c, struct lk_bytes *key, struct lk_bytes *value)
{
    const struct lki_thread *self = lki_thread_mine;
    if (c->left_ == 0 || c->thread_ != self || c->serial_ != self->serial)
        return next_slowly(c, key, value);
    c->left_--;
    if (c->step_ == 0) {
        give(c, key, value);
        return 0;
    }
    const unsigned char *at = c->next_;
    size_t size = c->next_key_;
    c->next_ = at + c->step_;
    *key = (struct lk_bytes){at, size};
    if (value != NULL)
        *value = (struct lk_bytes){at + size, c->next_value_};
    return 0;
}

int lk_cursor_park(lk_cursor *c)
{
    int rc = lki_in_section();
    if (rc != 0 || !c->begun_ || c->leaf_ == NULL || c->keyed_)
        return rc;
    settle(c);
    /* The last one that was given is the neighbour of the next, or lies in an earlier leaf: then
     * the cursor has not moved on yet, see lk_cursor_next(). */
    return keep_key(c, lki_node_key(c->leaf_, c->at_ + (c->down_ ? 1 : UINT32_MAX)));
}
