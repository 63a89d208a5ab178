/* load.c - filling an empty tree from entries that come in key order.
 *
 * Each level has one node under construction; a node that is full is stored at once and stands in
 * the node above.  So a tree of any size needs the memory of one node for each level, and every
 * byte is written once. */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "object/load.h"

enum { FIRST_CELLS = 4096 };

/* A key of its own. */
struct key {
    unsigned char *at;
    size_t size, room;
};

/* The node of one level: cells one behind the other; before them there is always room for the head
 * and the slots, behind them for the checksum. */
struct level {
    unsigned char *buffer;
    size_t room; /* for cells */
    uint32_t used, count;
    uint64_t entries; /* below it */
    struct lki_slot *slots;
    struct key first; /* parts it from the node before it */
};

struct build {
    lk_tree *t;
    const lk_store *store;
    struct lk_writing *w;
    uint64_t entries;
    uint32_t levels;
    struct level level[LK_DEPTH_MAX_];
};

static uint32_t most_of(const struct build *b, uint32_t level)
{
    return level > 0 ? b->t->inner_max : b->t->leaf_max;
}

static size_t head_bytes(const struct build *b, uint32_t level)
{
    return sizeof(struct lki_page) + most_of(b, level) * sizeof(struct lki_slot);
}

static int copy_key(struct key *to, struct lk_bytes key, size_t size)
{
    if (size > to->room) {
        unsigned char *more = realloc(to->at, size * 2);
        if (more == NULL)
            return ENOMEM;
        to->at = more;
        to->room = size * 2;
    }
    if (size > 0)
        memcpy(to->at, key.at, size);
    to->size = size;
    return 0;
}

static struct lk_bytes key_at(const struct build *b, uint32_t level, uint32_t i)
{
    const struct level *l = &b->level[level];
    return lki_cell_key(l->buffer + head_bytes(b, level) + l->slots[i].back);
}

/* Room for another cell of so many bytes. */
static int make_room(struct build *b, uint32_t level, size_t cell)
{
    struct level *l = &b->level[level];
    if (l->used + cell <= l->room)
        return 0;
    size_t room = l->room * 2 + FIRST_CELLS, head = head_bytes(b, level);
    while (room < l->used + cell)
        room *= 2;
    if (room > UINT32_MAX / 2)
        return ENOMEM;
    unsigned char *wider = malloc(head + room + sizeof(uint32_t));
    if (wider != NULL && l->slots == NULL)
        l->slots = malloc(most_of(b, level) * sizeof *l->slots);
    if (wider == NULL || l->slots == NULL) {
        free(wider);
        return ENOMEM;
    }
    if (l->used > 0)
        memcpy(wider + head, l->buffer + head, l->used);
    free(l->buffer);
    l->buffer = wider;
    l->room = room;
    return 0;
}

static bool is_full(const struct build *b, uint32_t level, size_t cell)
{
    const struct level *l = &b->level[level];
    size_t bytes = (l->count + 1) * sizeof(struct lki_slot) + l->used + cell;
    return l->count == most_of(b, level) || (l->count >= 3 && bytes > LKI_SPLIT_BYTES);
}

static int put_cell(struct build *b, uint32_t level, struct lk_bytes key, struct lk_bytes value)
{
    struct level *l = &b->level[level];
    size_t cell = LKI_CELL_HEAD + key.size + value.size;
    int rc = make_room(b, level, cell);
    if (rc != 0)
        return rc;
    lki_cell_write(l->buffer + head_bytes(b, level) + l->used, key, value);
    l->slots[l->count++].back = l->used; /* from the begin, as long as the end is not known */
    l->used += (uint32_t)cell;
    return 0;
}

/* Head and slots before the cells, the checksum behind them. */
static struct lk_bytes make_page(struct build *b, uint32_t level)
{
    struct level *l = &b->level[level];
    uint32_t begin = level > 0;
    size_t slots = l->count * sizeof *l->slots, prefix = 0;
    if (l->count > begin)
        prefix = lki_common(key_at(b, level, begin), key_at(b, level, l->count - 1));
    for (uint32_t i = 0; i < l->count; i++) {
        l->slots[i].first = i < begin ? 0 : lki_first_of(key_at(b, level, i), prefix);
        l->slots[i].back = l->used - l->slots[i].back;
    }
    unsigned char *at = l->buffer + head_bytes(b, level) - slots;
    memcpy(at, l->slots, slots);
    struct lki_page page = {.magic = LKI_PAGE_MAGIC,
                            .level = (uint8_t)level,
                            .prefix = (uint16_t)prefix,
                            .count = l->count,
                            .used = l->used,
                            .size = (uint32_t)(sizeof page + slots + l->used)};
    at -= sizeof page;
    memcpy(at, &page, sizeof page);
    lki_page_sign(at, page.size);
    return (struct lk_bytes){at, page.size + sizeof(uint32_t)};
}

/* Store the node under construction; the next one is empty. */
static int finish_node(struct build *b, uint32_t level, uint64_t *oid)
{
    struct level *l = &b->level[level];
    struct lk_bytes record = make_page(b, level);
    int rc = b->store->ops->oids(b->w, 1, oid);
    if (rc == 0)
        rc = b->w->put(b->w, *oid, record.at, record.size);
    l->used = l->count = 0;
    l->entries = 0;
    return rc;
}

static int add_child(struct build *b, uint32_t level, struct lk_bytes key, struct lki_below below);

/* Store the node, and let it stand in the one above. */
static int hand_up(struct build *b, uint32_t level)
{
    struct level *l = &b->level[level];
    struct lki_below below = {0, l->entries};
    int rc = finish_node(b, level, &below.oid);
    return rc != 0 ? rc
                   : add_child(b, level + 1, (struct lk_bytes){l->first.at, l->first.size}, below);
}

/* One more child of the node under construction; `key` parts it from the child before. */
static int add_child(struct build *b, uint32_t level, struct lk_bytes key, struct lki_below below)
{
    struct lk_bytes value = {&below, sizeof below}, none = {"", 0};
    int rc = 0;
    if (level == LK_DEPTH_MAX_)
        return EFBIG;
    struct level *l = &b->level[level];
    b->levels = b->levels > level ? b->levels : level + 1;
    if (l->count > 0 && is_full(b, level, LKI_CELL_HEAD + key.size + value.size))
        rc = hand_up(b, level);
    if (rc == 0 && l->count == 0)
        rc = copy_key(&l->first, key, key.size);
    if (rc == 0)
        rc = put_cell(b, level, l->count == 0 ? none : key, value);
    l->entries += below.entries;
    return rc;
}

static int add_entry(struct build *b, struct lk_bytes key, struct lk_bytes value)
{
    struct level *l = &b->level[0];
    unsigned long long number = b->entries;
    if (key.size > LK_KEY_MAX || value.size > LK_VALUE_MAX)
        return lki_fail(EINVAL, "'%s': entry %llu of what is loaded is too long", b->t->name,
                        number);
    b->levels = b->levels > 0 ? b->levels : 1;
    if (l->count > 0) {
        struct lk_bytes last = key_at(b, 0, l->count - 1);
        if (lki_compare(last, key) >= 0)
            return lki_fail(EINVAL,
                            "'%s': entry %llu of what is loaded is not above the one before",
                            b->t->name, number);
        if (is_full(b, 0, LKI_CELL_HEAD + key.size + value.size)) {
            size_t parts = lki_separator(last, key);
            int rc = hand_up(b, 0);
            if (rc != 0 || (rc = copy_key(&l->first, key, parts)) != 0)
                return rc;
        }
    }
    b->entries++;
    l->entries++;
    return put_cell(b, 0, key, value);
}

/* What is under construction; *root = the topmost node. */
static int finish(struct build *b, uint64_t *root)
{
    int rc = 0;
    *root = 0;
    for (uint32_t level = 0; level < b->levels && rc == 0; level++)
        rc = level + 1 == b->levels ? finish_node(b, level, root) : hand_up(b, level);
    return rc;
}

int lki_load(lk_tree *t, const lk_store *store, struct lk_writing *w, struct lki_named *named)
{
    struct build *b = calloc(1, sizeof *b);
    struct lk_bytes key, value;
    if (b == NULL)
        return ENOMEM;
    b->t = t;
    b->store = store;
    b->w = w;
    int next = 0, rc = 0;
    while (rc == 0 && (next = t->load(t->load_arg, &key, &value)) == 0)
        rc = add_entry(b, key, value);
    if (rc == 0)
        rc = next == ENOENT ? finish(b, &named->root) : next;
    named->entries = b->entries;
    for (uint32_t i = 0; i < LK_DEPTH_MAX_; i++) {
        free(b->level[i].buffer);
        free(b->level[i].slots);
        free(b->level[i].first.at);
    }
    free(b);
    return rc;
}
