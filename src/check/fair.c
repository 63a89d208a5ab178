/* fair.c - livelock: threads that all go on, with effects, and come to no end.
 *
 * Such an execution has no end, so the search does not meet it.  It is looked for on walks of
 * another kind: one interleaving each, sequentially consistent.  On every other one, whoever can go
 * on is as likely as any other to add the next event; on the rest it is mostly the one with the
 * fewest events, for threads that keep step are the likeliest to hinder each other.  If a state of
 * the whole program comes again (the stacks and registers of all threads and what they have made of
 * plain memory, the newest value of every location), what lies between can be repeated for ever.
 * It is an error if that is fair and nobody merely waits: every thread that has not ended has had
 * an effect on the way, or could not have gone on at any time.  Lahav et al., OOPSLA 2021, have
 * liveness in weak models; this is its case of one interleaving, which all of them allow. */
#include <string.h>

#include "internal.h"

enum { STEPS = 600, WALK_STEPS = 20000, THREADS = 64 };
#define NOBODY UINT32_MAX

struct step {
    uint64_t state;
    uint32_t lap[THREADS]; /* effects that each thread had had */
};

struct fair {
    uint64_t rng;
    uint32_t n, granted;
    bool in_step;
    uint32_t enabled[THREADS]; /* 1 + the last step at which it could go on */
    struct step step[STEPS];
};

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}

static uint64_t draw(struct fair *w)
{
    w->rng = w->rng * 6364136223846793005u + 1442695040888963407u;
    return w->rng >> 33;
}

/* ---- the state ------------------------------------------------------------------------------- */

/* What a parked thread is about to do, and all that it has to do it with. */
static uint64_t thread_state(uint32_t tid)
{
    const struct fiber *f = lkc->fibers[tid];
    uint64_t h = mix(tid, f->state == FS_FRESH || f->state == FS_DONE ? f->state : FS_TURN);
    if (f->state == FS_FRESH || f->state == FS_DONE)
        return h;
    for (const uint64_t *p = (const uint64_t *)f->sp; p < (const uint64_t *)f->stack_high; p++)
        h = mix(h, *p);
    h = mix(mix(h, f->changed), f->pos - f->op_pos);
    h = mix(mix(h, f->unseen), f->stutter);
    h = mix(mix(h, (uint64_t)(uint32_t)f->error), (uintptr_t)f->robust_pending);
    for (uint32_t i = 0; i < f->nrobust; i++)
        h = mix(h, (uintptr_t)f->robust[i]);
    return h;
}

/* A sleep's flag has a name of its own, so only that of a sleeper counts. */
static bool old_flag(uintptr_t addr)
{
    if (addr < SHADOW * 2 || addr >= SHADOW * 4)
        return false;
    for (uint32_t t = 0; t < lkc->g.nthreads; t++)
        if (lkc->fibers[t]->state == FS_AWAIT && lkc->fibers[t]->await.addr == addr)
            return false;
    return true;
}

static uint64_t whole_state(void)
{
    const struct graph *g = &lkc->g;
    uint64_t h = 0;
    for (uint32_t t = 0; t < g->nthreads; t++)
        h += thread_state(t);
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        uintptr_t addr = lkc->locs[g->active[i]].addr;
        bool flag = addr >= SHADOW * 2 && addr < SHADOW * 4;
        if (!old_flag(addr))
            h += mix(mix(1, flag ? 0 : addr),
                     graph_value(g, g->active[i], l->nco == 0 ? EV_INIT : l->co[l->nco - 1]));
    }
    return h;
}

/* ---- does it come again? --------------------------------------------------------------------- */

/* Repeating the steps since `from` is fair, and everybody who goes on has an effect. */
static bool goes_round(const struct fair *w, uint32_t from)
{
    const struct graph *g = &lkc->g;
    bool effects = false;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        if (lkc->fibers[t]->state == FS_DONE)
            continue;
        if (lkc->fibers[t]->lap > w->step[from].lap[t])
            effects = true;
        else if (w->enabled[t] > from)
            return false;
    }
    return effects;
}

static void livelock(const struct fair *w, uint32_t from)
{
    uint32_t culprit = 0;
    while (lkc->fibers[culprit]->state == FS_DONE ||
           lkc->fibers[culprit]->lap <= w->step[from].lap[culprit])
        culprit++;
    uint64_t pc = lkc_trap_pc(lkc->fibers[culprit]);
    for (const struct failure *f = lkc->failures; f != NULL; f = f->next)
        if (f->kind == LK_CHECK_LIVELOCK)
            pc = f->pc; /* where in its round the walk met it again says nothing */
    error_record(LK_CHECK_LIVELOCK, culprit, pc,
                 "all threads that are left go round for ever, each with effects: what the last "
                 "%u events have done comes again",
                 w->n - from);
    lkc->end = RUN_ERROR;
    lkc_leave();
}

/* Before each event: note where everybody is. */
static void note_step(struct fair *w)
{
    if (w->n == STEPS)
        stop_run();
    struct step *s = &w->step[w->n];
    s->state = whole_state();
    for (uint32_t t = 0; t < lkc->g.nthreads; t++)
        s->lap[t] = lkc->fibers[t]->lap;
    for (uint32_t i = w->n; i-- > 0;)
        if (w->step[i].state == s->state && goes_round(w, i))
            livelock(w, i);
    w->n++;
}

/* ---- the walks ------------------------------------------------------------------------------- */

void fair_turn(uint32_t tid)
{
    struct fair *w = lkc->fair;
    if (w->granted == tid) {
        w->granted = NOBODY;
        return;
    }
    self()->state = FS_TURN;
    self()->redo = 1;
    lkc_reschedule();
}

struct fiber *fair_pick(bool (*able)(uint32_t tid))
{
    struct fair *w = lkc->fair;
    uint32_t candidate[THREADS], n = 0;
    if (lkc->g.nthreads > THREADS)
        stop_run();
    for (uint32_t t = 0; t < lkc->g.nthreads; t++)
        if (lkc->g.t[t].live && able(t))
            candidate[n++] = t;
    if (n == 0)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        w->enabled[candidate[i]] = w->n + 1;
    note_step(w);
    uint32_t next = (uint32_t)(draw(w) % n);
    if (w->in_step && draw(w) % 16 != 0)
        for (uint32_t i = next = 0; i < n; i++)
            if (lkc->g.t[candidate[i]].len < lkc->g.t[candidate[next]].len)
                next = i;
    w->granted = candidate[next];
    return lkc->fibers[w->granted];
}

void fair_walks(void (*walk)(void))
{
    if (lkc->opt.no_liveness || lkc->opt.walks == 0)
        return;
    struct fair *w = lkc_alloc(sizeof *w);
    w->rng = lkc->opt.seed + 1;
    lkc->fair = w;
    lkc->walking = true;
    for (uint32_t i = 0, steps = 0; i < lkc->opt.walks && steps < WALK_STEPS; i++) {
        if (count_must_stop() || lkc->upgrade)
            break;
        w->n = 0;
        w->granted = NOBODY;
        w->in_step = i % 2 != 0;
        memset(w->enabled, 0, sizeof w->enabled);
        walk();
        steps += w->n + 10;
    }
    lkc->walking = false;
    lkc->fair = NULL;
    lkc_free(w, sizeof *w);
}
