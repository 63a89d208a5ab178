/* rounds.c - may threads go round for ever among states that lead to each other?
 *
 * Under strong fairness: who could go on again and again does so again and again.  A component is a
 * fair round if every thread has steps within it or can go on in none of its states.  If not,
 * whoever could go on but would have to leave is at fault: what remains without the states where it
 * could go on may hold smaller rounds.  (Emerson and Lei, "Modalities for model checking", 1987,
 * for Streett conditions.) */
#include <string.h>

#include "rounds.h"

#define NONE UINT32_MAX

struct node {
    uint32_t first;          /* of its edges, which lie together */
    uint32_t set;            /* which it is in now; NONE = it was taken out */
    uint32_t index, low, at; /* Tarjan's; the edge to look at next */
};

struct rounds {
    const struct round_graph *g;
    struct round_edge *edge; /* by `from` */
    struct node *node;
    uint32_t *open, *path, *todo; /* Tarjan's stacks; sets to look at */
    uint32_t nopen, npath, ntodo, nsets, next;
    struct round_found *found;
};

static void sort_edges(struct rounds *r)
{
    const struct round_graph *g = r->g;
    for (uint32_t i = 0; i < g->nedges; i++)
        r->node[g->edge[i].from + 1].first++;
    for (uint32_t v = 0; v < g->nstates; v++)
        r->node[v + 1].first += r->node[v].first;
    for (uint32_t v = 0; v < g->nstates; v++)
        r->node[v].at = r->node[v].first;
    for (uint32_t i = 0; i < g->nedges; i++)
        r->edge[r->node[g->edge[i].from].at++] = g->edge[i];
}

/* The component that lies on the stack from `bottom` on is complete. */
static void judge(struct rounds *r, uint32_t bottom)
{
    uint32_t stepped = 0, able = 0, own = r->nsets++, left = r->nsets;
    bool effect = false;
    for (uint32_t i = bottom; i < r->nopen; i++) {
        r->node[r->open[i]].set = own;
        able |= r->g->able[r->open[i]];
    }
    for (uint32_t i = bottom; i < r->nopen; i++)
        for (uint32_t e = r->node[r->open[i]].first; e < r->node[r->open[i] + 1].first; e++)
            if (r->node[r->edge[e].to].set == own) {
                stepped |= 1u << r->edge[e].thread;
                effect |= r->edge[e].effect;
            }
    uint32_t stuck = able & ~stepped; /* these could only leave */
    if (stepped != 0 && stuck == 0)
        *r->found = (struct round_found){stepped, r->nopen - bottom, effect};
    for (uint32_t i = bottom; i < r->nopen; i++) {
        bool stays = stepped != 0 && (r->g->able[r->open[i]] & stuck) == 0;
        r->node[r->open[i]].set = stays ? left : NONE;
        if (stays && r->nsets == left) {
            r->nsets++;
            r->todo[r->ntodo++] = left;
        }
    }
    r->nopen = bottom;
}

static void enter(struct rounds *r, uint32_t v)
{
    struct node *n = &r->node[v];
    n->index = n->low = ++r->next;
    n->at = n->first;
    r->open[r->nopen++] = v;
    r->path[r->npath++] = v;
}

/* One step of Tarjan's walk from the path's last node. */
static void walk_on(struct rounds *r, uint32_t set)
{
    uint32_t v = r->path[r->npath - 1];
    struct node *n = &r->node[v];
    if (n->at < r->node[v + 1].first) {
        uint32_t to = r->edge[n->at++].to;
        if (r->node[to].set != set)
            return;
        if (r->node[to].index == 0)
            enter(r, to);
        else if (r->node[to].index < n->low)
            n->low = r->node[to].index;
        return;
    }
    r->npath--;
    if (r->npath > 0 && n->low < r->node[r->path[r->npath - 1]].low)
        r->node[r->path[r->npath - 1]].low = n->low;
    if (n->low < n->index)
        return;
    uint32_t bottom = r->nopen - 1;
    while (r->open[bottom] != v)
        bottom--;
    judge(r, bottom);
}

static void components_of(struct rounds *r, uint32_t set)
{
    for (uint32_t v = 0; v < r->g->nstates; v++)
        if (r->node[v].set == set)
            r->node[v].index = 0;
    for (uint32_t v = 0; v < r->g->nstates && r->found->size == 0; v++) {
        if (r->node[v].set != set || r->node[v].index != 0)
            continue;
        enter(r, v);
        while (r->npath > 0)
            walk_on(r, set);
    }
}

bool round_find(const struct round_graph *g, struct round_found *found)
{
    size_t nodes = (g->nstates + 1) * sizeof(struct node),
           list = (g->nstates + 1) * sizeof(uint32_t);
    size_t edges = (g->nedges + 1) * sizeof(struct round_edge);
    struct rounds r = {.g = g,
                       .edge = lkc_alloc(edges),
                       .node = lkc_alloc(nodes),
                       .open = lkc_alloc(list),
                       .path = lkc_alloc(list),
                       .todo = lkc_alloc(list),
                       .found = found};
    memset(r.node, 0, nodes);
    *found = (struct round_found){0};
    sort_edges(&r);
    r.nsets = 1; /* all are in set 0 */
    r.todo[r.ntodo++] = 0;
    while (r.ntodo > 0 && found->size == 0)
        components_of(&r, r.todo[--r.ntodo]);
    lkc_free(r.edge, edges);
    lkc_free(r.node, nodes);
    lkc_free(r.open, list);
    lkc_free(r.path, list);
    lkc_free(r.todo, list);
    return found->size != 0;
}
