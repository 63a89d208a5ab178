/* node.h - one node of a tree: a page that is searched as it is stored.
 *
 *     head | slots, in key order -> |  free  | <- cells, in any order |
 *
 * A slot is {first: the 4 bytes of the key behind the prefix that all keys share, as a number;
 * back: distance of the cell from the page's end}.  A cell is {key size u16, value size u32, key,
 * value}.  Stored, the page has no free space and a CRC-32C behind it.  Numbers are little-endian.
 * In an inner node the value is {oid, entries below}, 8 bytes each, and the first key, which stands
 * for everything below the second, is not looked at.
 *
 * A stored leaf whose keys are all of one size and whose values are too, small ones, is *even*: in
 * memory it is smaller than its record, and where an entry lies follows from its number:
 *
 *     head | entries {key, value}, in key order | their `first` numbers */
#ifndef LKI_NODE_H
#define LKI_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "latchkey/object.h"
#include "latchkey/tree.h"

#define LKI_PAGE_MAGIC 0x314e4b4cu /* "LKN1" */

struct lki_page {
    uint32_t magic;
    uint8_t level; /* 0 = leaf */
    uint8_t unused;
    uint16_t prefix; /* bytes that all keys share */
    uint32_t count;
    uint32_t used;    /* bytes of cells, with the garbage */
    uint32_t garbage; /* of cells that no slot names */
    uint32_t size;    /* of the page as it was stored */
};

struct lki_slot {
    uint32_t first, back;
};

enum {
    LKI_CELL_HEAD = 6,
    LKI_CHILD_SIZE = 16,
    LKI_SPLIT_BYTES = 1 << 15, /* a node of 4 or more entries with more bytes is split */
};

struct lki_ref;

/* The state of a node's object. */
struct lki_node {
    struct lki_page *page;
    uint32_t size;          /* of the memory at page */
    uint16_t stride;        /* even: bytes of an entry; else 0 */
    uint16_t key;           /* even: bytes of a key */
    uint64_t edit;          /* the edit that may change it; 0 = it never changes */
    struct lki_ref **child; /* of an inner node, by slot */
    uint64_t *guess;        /* where the children's states were last; NULL while it may change */
    uint32_t child_room;
    struct lki_nodes *nodes; /* that its children are counted in */
};

static inline struct lki_slot *lki_slots(const struct lki_page *p)
{
    return (struct lki_slot *)((uintptr_t)p + sizeof *p);
}

/* Of an even node: its entries, and the numbers behind them. */
static inline const unsigned char *lki_even_entry(const struct lki_node *n, uint32_t at)
{
    return (const unsigned char *)(n->page + 1) + (size_t)at * n->stride;
}

static inline const uint32_t *lki_even_firsts(const struct lki_node *n)
{
    size_t entries = ((size_t)n->page->count * n->stride + 3) & ~(size_t)3;
    return (const uint32_t *)((uintptr_t)(n->page + 1) + entries);
}

/* Of another one. */
static inline const unsigned char *lki_cell(const struct lki_node *n, uint32_t at)
{
    return (const unsigned char *)n->page + n->size - lki_slots(n->page)[at].back;
}

/* The cell that was written last. */
static inline const unsigned char *lki_last_cell(const struct lki_node *n)
{
    return (const unsigned char *)n->page + n->size - n->page->used;
}

static inline struct lk_bytes lki_cell_key(const unsigned char *cell)
{
    uint16_t size;
    memcpy(&size, cell, sizeof size);
    return (struct lk_bytes){cell + LKI_CELL_HEAD, size};
}

static inline struct lk_bytes lki_node_key(const struct lki_node *n, uint32_t at)
{
    if (n->stride != 0)
        return (struct lk_bytes){lki_even_entry(n, at), n->key};
    return lki_cell_key(lki_cell(n, at));
}

static inline void lki_cell_write(unsigned char *cell, struct lk_bytes key, struct lk_bytes value)
{
    uint16_t key_size = (uint16_t)key.size;
    uint32_t value_size = (uint32_t)value.size;
    memcpy(cell, &key_size, sizeof key_size);
    memcpy(cell + 2, &value_size, sizeof value_size);
    if (key.size > 0)
        memcpy(cell + LKI_CELL_HEAD, key.at, key.size);
    if (value.size > 0)
        memcpy(cell + LKI_CELL_HEAD + key.size, value.at, value.size);
}

/* Four bytes of a key from `prefix` on, as a number that sorts as they do. */
static inline uint32_t lki_first_of(struct lk_bytes key, size_t prefix)
{
    const unsigned char *p = (const unsigned char *)key.at;
    uint32_t v = 0;
    if (key.size >= prefix + 4) {
        memcpy(&v, p + prefix, 4);
        return __builtin_bswap32(v);
    }
    if (key.size >= 4 && key.size > prefix) { /* the key's last four, without those before */
        memcpy(&v, p + key.size - 4, 4);
        return __builtin_bswap32(v) << 8 * (prefix + 4 - key.size);
    }
    for (size_t i = prefix; i < prefix + 4; i++)
        v = v << 8 | (i < key.size ? p[i] : 0);
    return v;
}

/* How many bytes two keys have in common at their beginning. */
static inline size_t lki_common(struct lk_bytes a, struct lk_bytes b)
{
    size_t most = a.size < b.size ? a.size : b.size, same = 0;
    while (same < most &&
           ((const unsigned char *)a.at)[same] == ((const unsigned char *)b.at)[same])
        same++;
    return same;
}

static inline struct lk_bytes lki_node_value(const struct lki_node *n, uint32_t at)
{
    if (n->stride != 0)
        return (struct lk_bytes){lki_even_entry(n, at) + n->key, (size_t)(n->stride - n->key)};
    const unsigned char *cell = lki_cell(n, at);
    uint16_t key;
    uint32_t size;
    memcpy(&key, cell, sizeof key);
    memcpy(&size, cell + 2, sizeof size);
    return (struct lk_bytes){cell + LKI_CELL_HEAD + key, size};
}

/* {oid, entries below} of an inner node's slot. */
struct lki_below {
    uint64_t oid, entries;
};
static inline struct lki_below lki_node_below(const struct lki_node *n, uint32_t at)
{
    struct lki_below b;
    memcpy(&b, lki_node_value(n, at).at, sizeof b);
    return b;
}

/* Eight bytes as a number that sorts as they do. */
static inline uint64_t lki_eight(const void *at)
{
    uint64_t v;
    memcpy(&v, at, 8);
    return __builtin_bswap64(v);
}

/* < 0, 0, > 0 as memcmp does, a shorter one before its continuations. */
static inline int lki_compare(struct lk_bytes a, struct lk_bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size, done = 0;
    if (n >= 8) { /* most often that is all there is to see */
        uint64_t x = lki_eight(a.at), y = lki_eight(b.at);
        if (x != y)
            return x < y ? -1 : 1;
        done = 8;
    }
    if (n > done) {
        int c = memcmp((const char *)a.at + done, (const char *)b.at + done, n - done);
        if (c != 0)
            return c;
    }
    return (a.size > b.size) - (a.size < b.size);
}

/* The first slot whose key is not below `key`; *equal: it is the key. */
uint32_t lki_node_search(const struct lki_node *n, struct lk_bytes key, bool *equal);
/* The child that `key` belongs to. */
uint32_t lki_node_child(const struct lki_node *n, struct lk_bytes key);
/* Bytes that are in use. */
uint32_t lki_node_bytes(const struct lki_node *n);
/* Entries in it and below it. */
uint64_t lki_node_entries(const struct lki_node *n);

/* A node that may be changed by `edit`; without children's references. */
struct lki_node *lki_node_new(unsigned level, uint64_t edit);
/* A copy to be changed, room for more included; children are copied as pointers, not counted. */
struct lki_node *lki_node_copy(const struct lki_node *n, uint64_t edit);
void lki_node_free(struct lki_node *n); /* not its children */

/* Changes: ENOMEM leaves the node as it was.  child: NULL in a leaf. */
int lki_node_insert(struct lki_node *n, uint32_t at, struct lk_bytes key, struct lk_bytes value,
                    struct lki_ref *child);
int lki_node_set_value(struct lki_node *n, uint32_t at, struct lk_bytes value);
void lki_node_set_below(struct lki_node *n, uint32_t at, struct lki_below below);
void lki_node_remove(struct lki_node *n, uint32_t at);
/* Move the slots from `at` on to the end of `to`; the first gets `key` if it is not NULL. */
int lki_node_move(struct lki_node *n, uint32_t at, struct lki_node *to, const struct lk_bytes *key);
/* How many of b's first bytes make a key above a and not above b; a < b. */
size_t lki_separator(struct lk_bytes a, struct lk_bytes b);

/* The checksum behind a page of `size` bytes that is to be stored. */
void lki_page_sign(void *page, uint32_t size);
/* The node as it is stored: no free space, the cells in order, the checksum behind it; all in one
 * piece, *record too.  `n` is freed.  NULL: no memory, and nothing is done. */
struct lki_node *lki_node_seal(struct lki_node *n, struct lk_bytes *record);
/* The even form of a stored leaf that can have it, else NULL, as without memory. */
struct lki_node *lki_node_even(const struct lki_node *n);
/* A node from a record, checked: LK_ECORRUPT with words about what is wrong.  The children's array
 * is there and zero. */
int lki_node_parse(const void *bytes, size_t size, uint64_t oid, struct lki_node **out);

#endif
