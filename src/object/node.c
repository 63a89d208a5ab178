/* node.c - see node.h. */
#include "object/node.h"

#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/crc32c.h"
#include "base/error.h"

enum {
    FIRST_ROOM = 512,
    EVEN_MIN = 8, /* bytes of an even leaf's entry */
    EVEN_MAX = 128,
    EVEN_RECORD = 8192,
};

/* How `key` stands to the bytes that all keys of the node share, as `shared` does: < 0 below them
 * all. */
static inline int against_prefix(const struct lki_node *n, struct lk_bytes key,
                                 struct lk_bytes shared)
{
    size_t prefix = n->page->prefix;
    if (prefix <= 8 && key.size >= 8 && shared.size >= 8 && prefix > 0 &&
        (lki_eight(key.at) ^ lki_eight(shared.at)) >> (64 - 8 * prefix) == 0)
        return 0;
    size_t least = key.size < prefix ? key.size : prefix;
    int c = memcmp(key.at, shared.at, least);
    return c != 0 ? c : key.size < prefix ? -1 : 0;
}

/* The first of the slots [low, high) whose number is not below `first`.  Which half it is cannot be
 * predicted, so it is computed: a compiler makes a branch of what looks like a choice. */
static inline uint32_t lower(const struct lki_slot *s, uint32_t low, uint32_t high, uint32_t first)
{
    const struct lki_slot *base = s + low;
    uint32_t n = high - low;
    while (n > 1) {
        uint32_t half = n / 2;
        base += half & (0 - (uint32_t)(base[half - 1].first < first));
        n -= half;
    }
    return (uint32_t)(base - s) + (n == 1 && base->first < first);
}

/* The same for the numbers of an even node. */
static inline uint32_t lower_even(const uint32_t *f, uint32_t n, uint32_t first)
{
    const uint32_t *base = f;
    while (n > 1) {
        uint32_t half = n / 2;
        base += half & (0 - (uint32_t)(base[half - 1] < first));
        n -= half;
    }
    return (uint32_t)(base - f) + (*base < first);
}

static inline uint32_t first_at(const struct lki_node *n, uint32_t at)
{
    return n->stride != 0 ? lki_even_firsts(n)[at] : lki_slots(n->page)[at].first;
}

/* Many slots from `at` on have the number `first`, and the key of `at` is below `key`: the first of
 * [at, high) whose is not. */
static __attribute__((noinline)) uint32_t among_equals(const struct lki_node *n, uint32_t at,
                                                       uint32_t high, struct lk_bytes key,
                                                       bool *equal)
{
    uint32_t first = first_at(n, at), low = at + 1, far = high;
    if (first != UINT32_MAX)
        far = n->stride != 0 ? lower_even(lki_even_firsts(n), high, first + 1)
                             : lower(lki_slots(n->page), at, high, first + 1);
    while (low < far) {
        uint32_t middle = low + (far - low) / 2;
        int c = lki_compare(lki_node_key(n, middle), key);
        if (c == 0) {
            *equal = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            far = middle;
    }
    return low;
}

/* A key of the node that is likely to be in the processor's cache, or will be wanted: of a leaf
 * that is filled the one beside which the next is written, of another that of slot `at`: of an
 * inner node always the same one, of a leaf what is looked at next. */
static inline struct lk_bytes one_key(const struct lki_node *n, uint32_t at)
{
    if (n->edit != 0 && n->page->level == 0 && n->page->garbage == 0)
        return lki_cell_key(lki_last_cell(n));
    return lki_node_key(n, at);
}

/* From slot `low` on, the first whose key is not below `key`. */
static inline __attribute__((always_inline)) uint32_t search(const struct lki_node *n, uint32_t low,
                                                             struct lk_bytes key, bool *equal)
{
    const struct lki_page *p = n->page;
    const struct lki_slot *s = lki_slots(p);
    uint32_t high = p->count;
    *equal = false;
    if (low >= high)
        return low;
    /* The steps of the search wait for each other: have their cache lines come all at once.  Those
     * of a node that does not change came with it. */
    if (n->edit != 0)
        for (uint32_t i = 0; i < high; i += 64 / sizeof *s)
            lk_prefetch(s + i);
    uint32_t first = lki_first_of(key, p->prefix);
    uint32_t at =
        n->stride != 0 ? lower_even(lki_even_firsts(n), high, first) : lower(s, low, high, first);
    if (p->prefix > 0) {
        int c = against_prefix(n, key, one_key(n, p->level > 0 ? low : at < high ? at : high - 1));
        if (c != 0)
            return c < 0 ? low : high;
    }
    if (at == high || first_at(n, at) != first)
        return at;
    int c = lki_compare(lki_node_key(n, at), key);
    *equal = c == 0;
    return c >= 0 ? at : among_equals(n, at, high, key, equal);
}

uint32_t lki_node_search(const struct lki_node *n, struct lk_bytes key, bool *equal)
{
    return search(n, n->page->level > 0, key, equal);
}

uint32_t lki_node_child(const struct lki_node *n, struct lk_bytes key)
{
    bool equal;
    uint32_t at = search(n, 1, key, &equal);
    return equal ? at : at - 1;
}

uint32_t lki_node_bytes(const struct lki_node *n)
{
    return n->page->count * (uint32_t)sizeof(struct lki_slot) + n->page->used - n->page->garbage;
}

uint64_t lki_node_entries(const struct lki_node *n)
{
    if (n->page->level == 0)
        return n->page->count;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n->page->count; i++)
        sum += lki_node_below(n, i).entries;
    return sum;
}

struct lki_node *lki_node_new(unsigned level, uint64_t edit)
{
    struct lki_node *n = calloc(1, sizeof *n);
    if (n == NULL || (n->page = calloc(1, FIRST_ROOM)) == NULL) {
        free(n);
        return NULL;
    }
    n->size = FIRST_ROOM;
    n->edit = edit;
    n->page->magic = LKI_PAGE_MAGIC;
    n->page->level = (uint8_t)level;
    return n;
}

void lki_node_free(struct lki_node *n)
{
    if (n == NULL)
        return;
    if (n->page != (void *)(n + 1))
        free(n->page);
    free(n->child);
    free(n->guess);
    free(n);
}

/* Make the page's memory `size` bytes, the cells at its end. */
static int resize(struct lki_node *n, uint32_t size)
{
    struct lki_page *p = malloc(size);
    if (p == NULL)
        return ENOMEM;
    memcpy(p, n->page, sizeof *p + n->page->count * sizeof(struct lki_slot));
    memcpy((char *)p + size - n->page->used, (char *)n->page + n->size - n->page->used,
           n->page->used);
    if (n->page != (void *)(n + 1))
        free(n->page);
    n->page = p;
    n->size = size;
    return 0;
}

/* The page of `n` has room for all of `from`, which is even. */
static void copy_even(struct lki_node *n, const struct lki_node *from)
{
    memcpy(n->page, from->page, sizeof *n->page);
    n->page->used = 0;
    for (uint32_t i = from->page->count; i-- > 0;) {
        n->page->used += (uint32_t)LKI_CELL_HEAD + from->stride;
        lki_cell_write((unsigned char *)n->page + n->size - n->page->used, lki_node_key(from, i),
                       lki_node_value(from, i));
        lki_slots(n->page)[i] = (struct lki_slot){lki_even_firsts(from)[i], n->page->used};
    }
}

struct lki_node *lki_node_copy(const struct lki_node *from, uint64_t edit)
{
    struct lki_node *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    *n = *from;
    n->edit = edit;
    n->child = NULL;
    n->guess = NULL;
    n->child_room = 0;
    uint32_t size = (uint32_t)sizeof *n->page + lki_node_bytes(from) + from->page->garbage;
    size += size / 4 + 64;
    n->page = malloc(size);
    if (n->page != NULL && from->page->level > 0) {
        n->child_room = from->page->count + 8;
        n->child = malloc(n->child_room * sizeof(struct lki_ref *));
    }
    if (n->page == NULL || (from->page->level > 0 && n->child == NULL)) {
        free(n->page);
        free(n);
        return NULL;
    }
    n->size = size;
    n->stride = 0;
    if (from->stride != 0) {
        copy_even(n, from);
        return n;
    }
    memcpy(n->page, from->page, sizeof *n->page + from->page->count * sizeof(struct lki_slot));
    memcpy((char *)n->page + size - from->page->used,
           (char *)from->page + from->size - from->page->used, from->page->used);
    if (from->page->level > 0)
        memcpy(n->child, from->child, from->page->count * sizeof(struct lki_ref *));
    return n;
}

/* Write the page of `n` into the `size` bytes at `p`: without garbage, the cells in slot order. */
static void write_compact(const struct lki_node *n, struct lki_page *p, uint32_t size)
{
    uint32_t used = 0;
    memcpy(p, n->page, sizeof *p + n->page->count * sizeof(struct lki_slot));
    for (uint32_t i = p->count; i-- > 0;) {
        struct lk_bytes value = lki_node_value(n, i);
        const unsigned char *cell = lki_cell(n, i);
        uint32_t length = (uint32_t)((const unsigned char *)value.at - cell) + (uint32_t)value.size;
        used += length;
        memcpy((char *)p + size - used, cell, length);
        lki_slots(p)[i].back = used;
    }
    p->used = used;
    p->garbage = 0;
}

/* Give the page `size` bytes. */
static int compact(struct lki_node *n, uint32_t size)
{
    struct lki_page *p = malloc(size);
    if (p == NULL)
        return ENOMEM;
    write_compact(n, p, size);
    if (n->page != (void *)(n + 1))
        free(n->page);
    n->page = p;
    n->size = size;
    return 0;
}

/* Put the cells in order, without the garbage. */
static int tidy(struct lki_node *n)
{
    _Alignas(8) unsigned char whole[4096];
    if (n->size > sizeof whole)
        return compact(n, n->size);
    write_compact(n, (struct lki_page *)(void *)whole, n->size);
    memcpy(n->page, whole, n->size);
    return 0;
}

/* Room for one more slot and a cell of so many bytes. */
static int make_room(struct lki_node *n, size_t cell)
{
    struct lki_page *p = n->page;
    size_t need = sizeof *p + (p->count + 1) * sizeof(struct lki_slot) + p->used + cell;
    if (need <= n->size)
        return 0;
    if (need > UINT32_MAX / 2)
        return ENOMEM;
    if (p->garbage > n->size / 4)
        return need - p->garbage <= n->size ? tidy(n) : compact(n, (uint32_t)need);
    return resize(n, (uint32_t)(need + need / 2));
}

static int make_child_room(struct lki_node *n)
{
    if (n->page->count < n->child_room)
        return 0;
    uint32_t room = n->child_room + n->child_room / 2 + 8;
    struct lki_ref **more = realloc(n->child, room * sizeof(struct lki_ref *));
    if (more == NULL)
        return ENOMEM;
    n->child = more;
    n->child_room = room;
    return 0;
}

/* What all keys share, as long as it can be, and the slots' numbers behind it. */
static void set_prefix(struct lki_node *n)
{
    uint32_t begin = n->page->level > 0;
    n->page->prefix = 0;
    if (n->page->count <= begin)
        return;
    struct lk_bytes a = lki_node_key(n, begin), b = lki_node_key(n, n->page->count - 1);
    size_t same = lki_common(a, b);
    n->page->prefix = (uint16_t)same;
    for (uint32_t i = begin; i < n->page->count; i++)
        lki_slots(n->page)[i].first = lki_first_of(lki_node_key(n, i), same);
}

static bool has_prefix(const struct lki_node *n, uint32_t but, struct lk_bytes key)
{
    uint32_t begin = n->page->level > 0;
    uint32_t other = but == begin ? begin + 1 : begin;
    if (other >= n->page->count)
        return false;
    return key.size >= n->page->prefix &&
           memcmp(lki_node_key(n, other).at, key.at, n->page->prefix) == 0;
}

static void put_cell(struct lki_node *n, uint32_t at, struct lk_bytes key, struct lk_bytes value)
{
    struct lki_page *p = n->page;
    p->used += LKI_CELL_HEAD + (uint32_t)(key.size + value.size);
    unsigned char *cell = (unsigned char *)p + n->size - p->used;
    lki_cell_write(cell, key, value);
    lki_slots(p)[at].back = p->used;
}

int lki_node_insert(struct lki_node *n, uint32_t at, struct lk_bytes key, struct lk_bytes value,
                    struct lki_ref *child)
{
    int rc = make_room(n, LKI_CELL_HEAD + key.size + value.size);
    if (rc == 0 && child != NULL)
        rc = make_child_room(n);
    if (rc != 0)
        return rc;
    struct lki_page *p = n->page;
    struct lki_slot *s = lki_slots(p);
    memmove(s + at + 1, s + at, (p->count - at) * sizeof *s);
    if (child != NULL) {
        memmove(n->child + at + 1, n->child + at, (p->count - at) * sizeof(struct lki_ref *));
        n->child[at] = child;
    }
    p->count++;
    put_cell(n, at, key, value);
    if (has_prefix(n, at, key))
        s[at].first = lki_first_of(key, p->prefix);
    else
        set_prefix(n);
    return 0;
}

int lki_node_set_value(struct lki_node *n, uint32_t at, struct lk_bytes value)
{
    struct lk_bytes old = lki_node_value(n, at), key = lki_node_key(n, at);
    if (old.size == value.size) {
        if (value.size > 0)
            memmove((void *)(uintptr_t)old.at, value.at, value.size);
        return 0;
    }
    /* The value may lie in this page, which may move. */
    unsigned char *cell = malloc(key.size + value.size + 1);
    if (cell == NULL)
        return ENOMEM;
    memcpy(cell, key.at, key.size);
    if (value.size > 0)
        memcpy(cell + key.size, value.at, value.size);
    int rc = make_room(n, LKI_CELL_HEAD + key.size + value.size);
    if (rc == 0) {
        n->page->garbage += (uint32_t)(LKI_CELL_HEAD + key.size + old.size);
        put_cell(n, at, (struct lk_bytes){cell, key.size},
                 (struct lk_bytes){cell + key.size, value.size});
    }
    free(cell);
    return rc;
}

void lki_node_set_below(struct lki_node *n, uint32_t at, struct lki_below below)
{
    memcpy((void *)(uintptr_t)lki_node_value(n, at).at, &below, sizeof below);
}

void lki_node_remove(struct lki_node *n, uint32_t at)
{
    struct lki_page *p = n->page;
    struct lki_slot *s = lki_slots(p);
    p->garbage += LKI_CELL_HEAD + (uint32_t)(lki_node_key(n, at).size + lki_node_value(n, at).size);
    memmove(s + at, s + at + 1, (p->count - at - 1) * sizeof *s);
    if (n->child != NULL)
        memmove(n->child + at, n->child + at + 1, (p->count - at - 1) * sizeof(struct lki_ref *));
    p->count--;
    if (p->count == 0)
        p->used = p->garbage = 0;
    /* What the keys that are left share is longer or the same: the prefix is still one. */
    if (p->count <= (p->level > 0))
        p->prefix = 0;
}

static int reserve(struct lki_node *to, const struct lki_node *from, size_t key)
{
    size_t need = sizeof *to->page + to->page->count * sizeof(struct lki_slot) + to->page->used +
                  lki_node_bytes(from) + key + sizeof(struct lki_slot);
    int rc = need <= to->size ? 0 : resize(to, (uint32_t)(need + need / 4));
    uint32_t children = to->page->count + from->page->count + 1;
    if (rc == 0 && from->page->level > 0 && to->child_room < children) {
        struct lki_ref **more = realloc(to->child, children * sizeof(struct lki_ref *));
        if (more == NULL)
            return ENOMEM;
        to->child = more;
        to->child_room = children;
    }
    return rc;
}

int lki_node_move(struct lki_node *n, uint32_t at, struct lki_node *to, const struct lk_bytes *key)
{
    uint32_t count = n->page->count;
    int rc = reserve(to, n, key != NULL ? key->size : 0);
    if (rc != 0)
        return rc;
    for (uint32_t i = at; i < count; i++) {
        uint32_t end = to->page->count++;
        put_cell(to, end, i == at && key != NULL ? *key : lki_node_key(n, i), lki_node_value(n, i));
        if (n->page->level > 0)
            to->child[end] = n->child[i];
    }
    while (n->page->count > at)
        lki_node_remove(n, n->page->count - 1);
    set_prefix(to);
    set_prefix(n);
    if (n->page->garbage > n->size / 4)
        (void)tidy(n); /* no memory: later */
    return 0;
}

size_t lki_separator(struct lk_bytes a, struct lk_bytes b)
{
    size_t same = lki_common(a, b);
    return same + 1 < b.size ? same + 1 : b.size;
}

void lki_page_sign(void *page, uint32_t size)
{
    uint32_t crc = lki_crc32c(page, size);
    memcpy((char *)page + size, &crc, sizeof crc);
}

struct lki_node *lki_node_seal(struct lki_node *n, struct lk_bytes *record)
{
    uint32_t size = (uint32_t)sizeof *n->page + lki_node_bytes(n);
    struct lki_node *sealed = malloc(sizeof *n + size + sizeof(uint32_t));
    if (sealed == NULL)
        return NULL;
    struct lki_page *p = (void *)(sealed + 1);
    *sealed = *n;
    if (n->page->level > 0)
        sealed->guess = calloc(n->page->count, sizeof *n->guess); /* without, too, it is a node */
    sealed->page = p;
    sealed->size = size;
    write_compact(n, p, size);
    p->size = size;
    lki_page_sign(p, size);
    *record = (struct lk_bytes){p, size + sizeof(uint32_t)};
    n->child = NULL;
    lki_node_free(n);
    return sealed;
}

#define BROKEN(...) lki_fail(LK_ECORRUPT, "node %llx: " __VA_ARGS__)

/* Every slot's cell lies in the page; keys have the prefix. */
static int check_cells(const struct lki_node *n, unsigned long long oid)
{
    const struct lki_page *p = n->page;
    uint64_t total = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t back = lki_slots(p)[i].back;
        if (back > p->used || back < LKI_CELL_HEAD)
            return BROKEN("slot %u leads out of it", oid, i);
        size_t key = lki_node_key(n, i).size, value = lki_node_value(n, i).size;
        if (LKI_CELL_HEAD + key + value > back)
            return BROKEN("cell %u is longer than its room", oid, i);
        if (p->level > 0 ? value != LKI_CHILD_SIZE : value > LK_VALUE_MAX)
            return BROKEN("value %u has %zu bytes", oid, i, value);
        if (i >= (p->level > 0) && key < p->prefix)
            return BROKEN("key %u is shorter than the prefix", oid, i);
        total += LKI_CELL_HEAD + key + value;
    }
    /* Else cells overlap, and changed copies of the node have no room for them. */
    if (total != p->used - p->garbage)
        return BROKEN("its cells have %llu bytes", oid, (unsigned long long)total);
    return 0;
}

static int check_page(const void *bytes, size_t size, unsigned long long oid)
{
    struct lki_page p;
    uint32_t crc;
    if (size < sizeof p + sizeof crc || size > UINT32_MAX)
        return BROKEN("it has %zu bytes", oid, size);
    memcpy(&p, bytes, sizeof p);
    memcpy(&crc, (const char *)bytes + size - sizeof crc, sizeof crc);
    if (p.magic != LKI_PAGE_MAGIC)
        return BROKEN("it is no node", oid);
    if (p.size != size - sizeof crc || crc != lki_crc32c(bytes, p.size))
        return BROKEN("the checksum is wrong", oid);
    if (p.level >= LK_DEPTH_MAX_ || p.count == 0 || p.garbage > p.used)
        return BROKEN("level %u, %u entries", oid, p.level, p.count);
    if (sizeof p + (uint64_t)p.count * sizeof(struct lki_slot) + p.used != p.size)
        return BROKEN("%u entries and %u bytes do not fill it", oid, p.count, p.used);
    return 0;
}

/* 8 bytes or more, of a size that is not known here: in steps of 8. */
static inline void copy_eights(unsigned char *to, const unsigned char *from, size_t size)
{
    for (size_t i = 0; i + 8 < size; i += 8)
        memcpy(to + i, from + i, 8);
    memcpy(to + size - 8, from + size - 8, 8);
}

struct lki_node *lki_node_even(const struct lki_node *n)
{
    const struct lki_page *p = n->page;
    if (p->level != 0 || p->count == 0 || n->stride != 0)
        return NULL;
    size_t key = lki_node_key(n, 0).size, stride = key + lki_node_value(n, 0).size;
    if (stride < EVEN_MIN || stride > EVEN_MAX ||
        p->used - p->garbage != p->count * (LKI_CELL_HEAD + stride))
        return NULL;
    size_t entries = (p->count * stride + 3) & ~(size_t)3;
    size_t size = sizeof *p + entries + p->count * sizeof(uint32_t);
    struct lki_node *even = malloc(sizeof *even + size);
    if (even == NULL)
        return NULL;
    *even = *n;
    even->page = (void *)(even + 1);
    even->size = (uint32_t)size;
    even->stride = (uint16_t)stride;
    even->key = (uint16_t)key;
    *even->page = *p;
    even->page->garbage = 0;
    even->page->used = (uint32_t)(p->count * (LKI_CELL_HEAD + stride));
    unsigned char *to = (unsigned char *)(even->page + 1);
    uint32_t *first = (uint32_t *)(void *)(to + entries);
    for (uint32_t i = 0; i < p->count; i++) {
        const unsigned char *cell = lki_cell(n, i);
        if (lki_cell_key(cell).size != key || lki_node_value(n, i).size != stride - key) {
            free(even);
            return NULL;
        }
        copy_eights(to + i * stride, cell + LKI_CELL_HEAD, stride);
        first[i] = lki_slots(p)[i].first;
    }
    return even;
}

/* An even leaf from its record, NULL if it is not one.  The record is checked in a copy that goes:
 * where it lies it is not aligned. */
static struct lki_node *parse_even(const void *bytes, size_t size, uint64_t oid, int *rc)
{
    _Alignas(8) unsigned char copy[EVEN_RECORD];
    struct lki_node n = {.page = (void *)copy, .size = (uint32_t)(size - 4)};
    memcpy(copy, bytes, size);
    *rc = check_cells(&n, oid);
    return *rc == 0 ? lki_node_even(&n) : NULL;
}

int lki_node_parse(const void *bytes, size_t size, uint64_t oid, struct lki_node **out)
{
    int rc = check_page(bytes, size, oid);
    if (rc != 0)
        return rc;
    bool leaf = ((const unsigned char *)bytes)[offsetof(struct lki_page, level)] == 0;
    struct lki_node *n = leaf && size <= EVEN_RECORD ? parse_even(bytes, size, oid, &rc) : NULL;
    if (n != NULL || rc != 0) {
        *out = n;
        return rc;
    }
    n = malloc(sizeof *n + size);
    if (n == NULL)
        return ENOMEM;
    *n = (struct lki_node){.page = (void *)(n + 1), .size = (uint32_t)(size - 4)};
    memcpy(n->page, bytes, size);
    rc = check_cells(n, oid);
    if (rc == 0 && n->page->level > 0) {
        n->child_room = n->page->count;
        n->child = calloc(n->child_room, sizeof(struct lki_ref *));
        n->guess = calloc(n->child_room, sizeof *n->guess); /* without, too, it is a node */
        rc = n->child != NULL ? 0 : ENOMEM;
    }
    if (rc != 0) {
        lki_node_free(n);
        return rc;
    }
    *out = n;
    return 0;
}
