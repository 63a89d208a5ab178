/* db_replay_leaves.c - the lines of a trace that say how many entries each leaf has.
 *
 * The oracle splits in halves and leaves what deletes leave; our leaves are full after appends and
 * at least a quarter full after deletes.  So the sizes differ, and what must be the same is
 * their sum; each leaf has to keep its own bounds. */
#include <stdlib.h>
#include <string.h>

#include "db_replay.h"

struct leaves {
    uint64_t n, entries, thin, fat, last;
    uint32_t most;
    FILE *list;
};

static int add_leaf(void *arg, uint32_t entries)
{
    struct leaves *l = arg;
    if (l->last > 0 && l->last * 4 < l->most) /* the last one may be less */
        l->thin++;
    l->fat += entries > l->most;
    l->last = entries;
    l->entries += entries;
    l->n++;
    (void)fprintf(l->list, " %u", entries);
    return 0;
}

/* The sum of "[n] a b c"; false for "{n} hash first last", which does not say it. */
static bool sum_of(const char *list, uint64_t *sum)
{
    char *at = NULL;
    *sum = 0;
    if (*list != '[' || (at = strchr(list, ']')) == NULL)
        return false;
    for (at++; *at == ' ';)
        *sum += strtoull(at, &at, 10);
    return true;
}

bool replay_leaves(struct replay *r, const char *expected, FILE *out)
{
    struct container *c = r->words == 2 ? replay_container(r, r->word[1]) : NULL;
    struct leaves l = {0};
    char *text = NULL;
    size_t size = 0;
    uint64_t sum = 0, count = 0;
    if (c == NULL || (l.list = open_memstream(&text, &size)) == NULL)
        return false;
    l.most = c->sizes.leaf_max;
    if (l.most == 0)
        l.most = 64; /* latchkey/tree.h */
    int rc = lk_tree_leaves(c->tree, add_leaf, &l);
    if (rc == 0)
        rc = lk_tree_count(c->tree, NULL, &count);
    (void)fclose(l.list);
    bool legal = rc == 0 && l.thin == 0 && l.fat == 0 && l.entries == count &&
                 (!sum_of(expected, &sum) || sum == count);
    if (legal)
        fputs(expected, out);
    else
        fprintf(out, "[%llu]%s (sum %llu, count %llu, result %d)", (unsigned long long)l.n, text,
                (unsigned long long)l.entries, (unsigned long long)count, rc);
    r->own_splits += legal && (strchr(expected, ']') == NULL ||
                               strcmp(strchr(expected, ']') + 1, l.n > 0 ? text : "") != 0);
    free(text);
    return true;
}
