/* search.c - the work list: which graph comes next, random walks, and the death of threads. */
#include <string.h>

#include "internal.h"

/* ---- the work list --------------------------------------------------------------------------- */

static uint64_t draw(void)
{
    uint64_t x = lkc->rng;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return lkc->rng = x;
}

void explore_push(struct snapshot *s)
{
    if (by_turns() || lkc->fired != 0) { /* one interleaving is followed */
        snapshot_free(s);
        return;
    }
    if (lkc->walking) { /* keep one of all branches, each with equal chance */
        lkc->branches++;
        if (draw() % (lkc->branches + 1) != 0) {
            snapshot_free(s);
            return;
        }
        if (lkc->hop != NULL)
            snapshot_free(lkc->hop);
        lkc->hop = s;
        return;
    }
    if (lkc->nwork == lkc->cap_work) {
        size_t cap = lkc->cap_work != 0 ? 2 * lkc->cap_work : 256;
        lkc->work = lkc_grow(lkc->work, lkc->cap_work * sizeof(void *), cap * sizeof(void *));
        lkc->cap_work = cap;
    }
    lkc->work[lkc->nwork++] = s;
    lkc->work_bytes += snapshot_bytes(s);
    if (lkc->work_bytes > lkc->work_bytes_max)
        lkc->work_bytes_max = lkc->work_bytes;
}

/* On a random walk, after each operation: go on here, or hop to the branch that was drawn. */
void explore_operation_done(void)
{
    if (!lkc->walking || lkc->branches == 0)
        return;
    lkc->weight *= lkc->branches + 1;
    lkc->branches = 0;
    if (lkc->hop != NULL) {
        lkc->end = RUN_HOP;
        lkc_leave();
    }
}

/* ---- the search ------------------------------------------------------------------------------ */

static bool settle_read(evid r, bool check)
{
    struct graph *g = &lkc->g;
    enum outcome out = explore_settle(r);
    if (!explore_slept_in_time(r) || (check && !consistent(g, lkc->opt.model)))
        return false;
    if (out != OUT_WRITE)
        return graph_ev(g, r)->op != OP_COMPARE || explore_sleep(r, false);
    if (!explore_add_write(r))
        return false;
    const struct event *w = graph_ev(g, ev_id(ev_tid(r), ev_pos(r) + 1));
    return w->copos + 1 == g->loc[w->loc].nco || consistent(g, lkc->opt.model);
}

/* Take a graph off the list and finish what was left undone.  False: it is impossible. */
static bool settle(struct snapshot *s)
{
    struct graph *g = &lkc->g;
    evid subject;
    enum todo todo = snapshot_unpack(s, g, &subject);
    switch (todo) {
    case TODO_READ:
        return settle_read(subject, true);
    case TODO_WRITE:
        return consistent(g, lkc->opt.model);
    case TODO_REVISIT: {
        const struct event *w = graph_ev(g, graph_ev(g, subject)->rf);
        return settle_read(subject, w->copos + 1 != g->loc[w->loc].nco);
    }
    case TODO_WITHDRAW:
        withdraw(subject);
        return true;
    case TODO_RMW:
        return explore_add_write(subject);
    case TODO_RUN:
        break;
    }
    return true;
}

static void root(void)
{
    graph_clear(&lkc->g);
    if (lkc->states == NULL) /* there one search has many roots */
        plain_use_shared();
    (void)graph_new_thread(&lkc->g, EV_INIT, lkc->fn, lkc->arg);
}

static void drop_work(void)
{
    while (lkc->nwork > 0)
        snapshot_free(lkc->work[--lkc->nwork]);
    lkc->work_bytes = 0;
}

/* One random descent from the root; the branches drawn are followed, all others forgotten. */
static void walk(void)
{
    bool possible = true;
    root();
    lkc->descents++;
    lkc->weight = 1;
    for (;;) {
        if (possible)
            run_once();
        if (!possible || lkc->end != RUN_HOP)
            break;
        do {
            struct snapshot *s = lkc->hop;
            lkc->hop = NULL;
            lkc->branches = 0;
            possible = settle(s);
            lkc->weight *= lkc->branches + 1;
            lkc->branches = 0;
        } while (lkc->hop != NULL);
    }
    if (lkc->hop != NULL)
        snapshot_free(lkc->hop);
    lkc->hop = NULL;
    lkc->branches = 0;
    if (possible)
        count_walk();
}

static void run_from_root(void)
{
    root();
    run_once();
}

static void fair_walk(void)
{
    run_from_root();
    count_fair_walk();
}

/* The random walks; false if the mode has to rise first. */
static void walks(void)
{
    lkc->walking = true;
    for (uint64_t i = 0; !count_must_stop() && !lkc->upgrade; i++) {
        if (!lkc->opt.random_only && i >= lkc->opt.walks)
            break;
        walk();
        count_progress();
    }
    lkc->walking = false;
}

/* So far over the bound on preemptions that nothing below it can come of the graph. */
static bool cut_off(void)
{
    if (!lkc->opt.bound_preemptions ||
        preempt_fits(&lkc->g, lkc->opt.preemptions + lkc->g.nthreads))
        return false;
    lkc->cut++;
    lkc->bounded = true;
    return true;
}

static void exhaust(void)
{
    root();
    run_once();
    count_run();
    if (lkc->end == RUN_STOPPED)
        (void)count_must_stop();
    while (lkc->nwork > 0 && !count_must_stop() && !lkc->upgrade) {
        struct snapshot *s = lkc->work[--lkc->nwork];
        lkc->work_bytes -= snapshot_bytes(s);
        if (!settle(s)) {
            lkc->inconsistent++;
            continue;
        }
        if (cut_off())
            continue;
        run_once();
        count_run();
    }
    drop_work();
}

/* Plain memory that threads share makes a stricter mode necessary; we then begin anew. */
void explore_all(void)
{
    do {
        if (lkc->upgrade) {
            lkc->mode += lkc->upgrade_mode;
            lkc->upgrade = false;
            count_reset();
        }
        fair_walks(fair_walk);
        walks();
        if (lkc->upgrade || lkc->stop || lkc->opt.random_only)
            continue;
        if (!lkc->opt.states) {
            exhaust();
            continue;
        }
        plain_use_shared();
        states_explore(run_from_root);
    } while (lkc->upgrade && !lkc->stop);
}
