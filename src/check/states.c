/* states.c - every state once, instead of every execution: for programs whose executions are too
 * many, under sequential consistency.
 *
 * The search goes through the interleavings depth first.  Before each event it looks at the state
 * of the whole program; one that it has met before is not gone on from again, however it was
 * reached.  Runs are made again from the beginning up to where another thread is to come next.
 *
 * The state is what decides all that may follow: each thread's stack and registers (all stand at a
 * trap, so they lie on its stack), what the trapped call has done so far, its thread-local data,
 * its list of robust words; the program's data and heap; the newest value of every location.  It is
 * compared by 64 bits of a hash.  Clocks are no part of it, so races are seen on the way only.
 *
 * What only the thread itself can notice is done at once, without asking who else could come: it
 * commutes with all that others do (an ample set of one, Peled 1993).  That is to begin, to end, a
 * fence, a choice, the join of a thread that has ended; to set a sleeper's flag and to see it; to
 * use a location that no other thread ever uses, or to read one that nobody writes.  The last two
 * are taken for granted until the contrary is seen; then the search begins anew.  A thread that
 * does nothing else for long lets the others come, for it may wait for them.
 *
 * Liveness is exact here: states that lead to each other and back (Tarjan's components, found on
 * the way) are an error if going round among them for ever is fair, see rounds.c.  Steps that need
 * a choice other than the ordinary one (a deadline that passes, an operation that fails for no
 * reason) are no part of a round: nothing makes them happen again and again. */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "program.h"
#include "rounds.h"

enum { MEMBERS = 15, FIRST_ROOM = 1 << 12 };
#define NO_STATE UINT32_MAX
#define CLOSED UINT32_MAX /* of struct state.low: its component is complete */

struct state {
    uint64_t hash;
    uint32_t low;  /* Tarjan's: the lowest state that it is known to lead back to */
    uint16_t able; /* threads that can go on */
};

/* A state whose component is not complete. */
struct open {
    uint32_t state, edges; /* ... and how many edges lead back there were before it */
};

/* Who comes next, or a choice. */
struct step {
    uint32_t state; /* NO_STATE = a choice */
    uint32_t taken; /* the thread, or the value */
    uint32_t todo;  /* the threads that are left, or the number of ways */
    uint32_t turns; /* of the run before this step */
    uint32_t laps;  /* effects that the thread had had before */
    bool effect;    /* it has had one more, when the next state is reached */
};

struct states {
    struct state *state;
    uint32_t n, cap;
    uint32_t *slot, cap_slots; /* open addressing; 1 + a state's number */
    struct open *open;
    uint32_t nopen, cap_open;
    struct round_edge *edge; /* within components that are open */
    uint32_t nedges, cap_edges;
    struct step *path;
    uint32_t depth, cap_path, at; /* steps taken / of them made again in this run */
    uint8_t *turn;                /* the threads as they came, with FREE where others could have */
    uint32_t nturns, cap_turns, turns;
    uint32_t granted;
};
#define NOBODY UINT32_MAX
#define FREE 0x80u

/* What is known of a location, and what was built on its not being otherwise. */
struct use {
    uint8_t by; /* 1 + the thread that uses it */
    bool others, written;
    bool taken_for_own, taken_for_constant;
};
struct uses {
    struct use *of;
    uint32_t cap;
};
enum { PATIENCE = 8 }; /* events that a thread may add before it must let others come */

/* ---- the state ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

/* Whole words. */
static uint64_t mix_memory(uint64_t h, uintptr_t from, uintptr_t to)
{
    const uint64_t k = 0xff51afd7ed558ccdu, *p = (const uint64_t *)from;
    const uint64_t *end = (const uint64_t *)to;
    uint64_t a = h, b = 1, c = 2, d = 3;
    for (; p + 4 <= end; p += 4) {
        a = (a ^ p[0]) * k, a ^= a >> 32;
        b = (b ^ p[1]) * k, b ^= b >> 32;
        c = (c ^ p[2]) * k, c ^= c >> 32;
        d = (d ^ p[3]) * k, d ^= d >> 32;
    }
    for (; p < end; p++)
        a = mix(a, *p);
    return mix(mix(mix(a, b), c), d);
}

/* What the call that the thread stands in has read, chosen and been told so far. */
static uint64_t mix_call(uint64_t h, const struct fiber *f)
{
    const struct gthread *t = &lkc->g.t[f->tid];
    h = mix(h, f->pos - f->op_pos);
    for (uint32_t p = f->op_pos; p < f->pos && p < t->len; p++) {
        h = mix(mix(h, t->ev[p].value), t->ev[p].kind);
        if (t->ev[p].flags & EF_NAP)
            h = mix(h, await_newest(shadow_wake(ev_id(f->tid, p)), 8));
    }
    return h;
}

static uint64_t thread_state(uint32_t tid)
{
    const struct fiber *f = lkc->fibers[tid];
    const struct gthread *t = &lkc->g.t[tid];
    uint64_t h = mix(tid, t->died != 0);
    if (f->state == FS_FRESH)
        return mix(h, 1);
    if (f->state == FS_DONE)
        return mix(mix(h, 2), t->ev[t->len - 1].value);
    h = mix_memory(h, f->sp, f->stack_high);
    h = mix_call(mix(h, f->state == FS_STUCK), f);
    h = mix(h, (uint64_t)f->mortal << 2 | (uint64_t)f->dying << 1 | (f->deeds != f->spared));
    h = mix(mix(h, f->stutter), f->pending);
    h = mix(mix(h, (uint64_t)(uint32_t)(f == self() ? errno : f->error)), f->process);
    h = mix(h, (uintptr_t)f->robust_pending);
    for (uint32_t i = 0; i < f->nrobust; i++)
        h = mix(h, (uintptr_t)f->robust[i]);
    for (uint32_t i = 0; i <= f->keys_used; i++)
        h = mix(h, (uintptr_t)f->keys[i]);
    size_t size;
    uintptr_t tls = program_tls(f, &size);
    return mix_memory(h, tls, tls + size);
}

/* Newest values that memory itself does not show; a sleep's flag has a name of its own, see
 * mix_call(). */
static uint64_t locations_state(void)
{
    const struct graph *g = &lkc->g;
    uint64_t h = 0;
    for (uint32_t i = 0; i < g->nactive; i++) {
        const struct gloc *l = &g->loc[g->active[i]];
        const struct location *at = &lkc->locs[g->active[i]];
        uint64_t value = graph_value(g, g->active[i], l->nco == 0 ? EV_INIT : l->co[l->nco - 1]);
        uint64_t shown = at->addr >= SHADOW ? 0 : plain_load(at->addr, at->size);
        bool flag = at->addr >= SHADOW * 2 && at->addr < SHADOW * 4;
        if (!flag && value != shown)
            h += mix(mix(3, at->addr), value);
    }
    return h;
}

static uint64_t data_state(void)
{
    uintptr_t low, high, hot = (uintptr_t)&lkc_hot;
    program_data(&low, &high);
    low = (low + 7) & ~(uintptr_t)7;
    uint64_t h = mix_memory(4, low, hot);
    return mix_memory(h, (hot + sizeof lkc_hot + 7) & ~(uintptr_t)7, high & ~(uintptr_t)7);
}

static uint64_t state_now(void)
{
    uint64_t h = mix(mix(data_state(), locations_state()), lkc->fired);
    for (uint32_t t = 0; t < lkc->g.nthreads; t++)
        if (lkc->g.t[t].live)
            h = mix(h, thread_state(t));
    return heap_state(h);
}

/* ---- the states that are known --------------------------------------------------------------- */

static uint32_t *slot_of(struct states *s, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (s->cap_slots - 1);
    while (s->slot[i] != 0 && s->state[s->slot[i] - 1].hash != hash)
        i = (i + 1) & (s->cap_slots - 1);
    return &s->slot[i];
}

static void make_room(struct states *s)
{
    LKC_GROW(s->state, s->cap, s->n + 1);
    if (2 * (s->n + 1) <= s->cap_slots)
        return;
    uint32_t old = s->cap_slots;
    lkc_free(s->slot, old * sizeof *s->slot);
    s->cap_slots = old != 0 ? 2 * old : FIRST_ROOM;
    s->slot = lkc_alloc(s->cap_slots * sizeof *s->slot);
    memset(s->slot, 0, s->cap_slots * sizeof *s->slot);
    for (uint32_t i = 0; i < s->n; i++)
        *slot_of(s, s->state[i].hash) = i + 1;
}

/* The program, or a bound, has said that nothing is to be learnt from here on. */
static bool of_no_interest(void)
{
    for (uint32_t t = 0; t < lkc->g.nthreads; t++) {
        unsigned stuck = lkc->g.t[t].stuck;
        if (lkc->g.t[t].live && lkc->fibers[t]->state == FS_STUCK &&
            (stuck == STUCK_ASSUME || stuck == STUCK_BOUND))
            return true;
    }
    return false;
}

/* The number of the state; a new one is open. */
static uint32_t state_number(struct states *s, uint32_t able)
{
    uint64_t hash = state_now();
    make_room(s);
    uint32_t *slot = slot_of(s, hash);
    if (*slot != 0)
        return *slot - 1;
    if (of_no_interest())
        able |= 1u << MEMBERS; /* a thread that never steps: no round is fair */
    s->state[s->n] = (struct state){.hash = hash, .low = s->n, .able = (uint16_t)able};
    LKC_GROW(s->open, s->cap_open, s->nopen + 1);
    s->open[s->nopen++] = (struct open){s->n, s->nedges};
    *slot = ++s->n;
    lkc->nstates = s->n;
    return s->n - 1;
}

/* ---- components ------------------------------------------------------------------------------ */

/* The step leads to the open state `to`, and that to `low`. */
static void lead_back(struct states *s, const struct step *step, uint32_t to, uint32_t low,
                      bool chosen)
{
    struct state *from = &s->state[step->state];
    if (low < from->low)
        from->low = low;
    if (chosen)
        return;
    LKC_GROW(s->edge, s->cap_edges, s->nedges + 1);
    s->edge[s->nedges++] = (struct round_edge){step->state, to, (uint8_t)step->taken, step->effect};
}

/* The latest step of the path below `depth` that is no choice; whether other choices than the
 * ordinary lie between. */
static struct step *step_below(struct states *s, uint32_t depth, bool *chosen)
{
    *chosen = false;
    while (depth-- > 0) {
        struct step *u = &s->path[depth];
        if (u->state != NO_STATE)
            return u;
        *chosen |= u->taken != 0;
    }
    return NULL;
}

static void judge_rounds(struct states *s, uint32_t bottom)
{
    uint32_t n = s->nopen - bottom, first = s->open[bottom].edges;
    struct round_found found;
    uint16_t *able = lkc_alloc(n * sizeof *able);
    for (uint32_t i = 0; i < n; i++) {
        struct state *member = &s->state[s->open[bottom + i].state];
        member->low = i;
        able[i] = member->able;
    }
    for (uint32_t e = first; e < s->nedges; e++) {
        s->edge[e].from = s->state[s->edge[e].from].low;
        s->edge[e].to = s->state[s->edge[e].to].low;
    }
    struct round_graph g = {n, s->nedges - first, able, s->edge + first};
    if (round_find(&g, &found)) {
        uint32_t culprit = (uint32_t)__builtin_ctz(found.stepped);
        error_record(found.effect ? LK_CHECK_LIVELOCK : LK_CHECK_HANG, culprit,
                     lkc_trap_pc(lkc->fibers[culprit]),
                     "from here the threads that are left can go round for ever, %s: %u states "
                     "lead to each other",
                     found.effect ? "with effects" : "waiting for what does not come", found.size);
    }
    lkc_free(able, n * sizeof *able);
}

/* The component of u, the lowest of its states, is complete. */
static void close_component(struct states *s, uint32_t u)
{
    uint32_t bottom = s->nopen - 1;
    while (s->open[bottom].state != u)
        bottom--;
    if (s->open[bottom].edges != s->nedges && !lkc->opt.no_liveness)
        judge_rounds(s, bottom);
    s->nedges = s->open[bottom].edges;
    for (uint32_t i = bottom; i < s->nopen; i++)
        s->state[s->open[i].state].low = CLOSED;
    s->nopen = bottom;
}

/* Everything that follows the state of the path's last step is known. */
static void leave_state(struct states *s)
{
    uint32_t u = s->path[s->depth - 1].state, low = s->state[u].low;
    bool chosen;
    const struct step *parent = step_below(s, s->depth - 1, &chosen);
    if (low == u)
        close_component(s, u);
    else if (parent != NULL) /* as it is: the path's first state leads to none before it */
        lead_back(s, parent, u, low, chosen);
}

/* ---- a run ----------------------------------------------------------------------------------- */

static struct step *new_step(struct states *s)
{
    LKC_GROW(s->path, s->cap_path, s->depth + 1);
    s->at++;
    return &s->path[s->depth++];
}

uint32_t states_choice(uint32_t ways)
{
    struct states *s = lkc->states;
    if (ways <= 1)
        return 0;
    if (s->at == s->depth)
        *new_step(s) = (struct step){.state = NO_STATE, .todo = ways, .turns = s->turns};
    else
        s->at++;
    return s->path[s->at - 1].taken;
}

/* The run is still where it was before, and it is the thread's turn again. */
static bool again(const struct states *s, uint32_t tid)
{
    return s->turns < s->nturns && (s->turn[s->turns] & ~FREE) == tid;
}

/* Take the turn that comes next of those that are known. */
static uint32_t take_turn(struct states *s)
{
    uint32_t turn = s->turn[s->turns++], tid = turn & ~FREE;
    if (turn & FREE) {
        s->path[s->at++].laps = lkc->fibers[tid]->lap;
        lkc->fibers[tid]->free_pos = lkc->fibers[tid]->pos;
    }
    return tid;
}

static void new_turn(struct states *s, uint32_t tid, uint32_t flag)
{
    LKC_GROW(s->turn, s->cap_turns, s->nturns + 1);
    s->turn[s->nturns++] = (uint8_t)(tid | flag);
}

bool states_granted(uint32_t tid)
{
    const struct states *s = lkc->states;
    return s->granted == tid || (s->granted == NOBODY && again(s, tid));
}

void states_turn(uint32_t tid)
{
    struct states *s = lkc->states;
    if (s->granted == NOBODY && again(s, tid)) { /* nobody else comes between */
        (void)take_turn(s);
        return;
    }
    if (s->granted == tid) {
        s->granted = NOBODY;
        return;
    }
    self()->redo = 1;
    self()->state = FS_TURN;
    lkc_reschedule();
}

static struct use *use_of(uint32_t loc)
{
    struct uses *u = lkc->uses;
    if (u == NULL) {
        u = lkc->uses = lkc_alloc(sizeof *u);
        memset(u, 0, sizeof *u);
    }
    uint32_t old = u->cap;
    LKC_GROW(u->of, u->cap, loc + 1);
    if (u->cap > old)
        memset(u->of + old, 0, (u->cap - old) * sizeof *u->of);
    return &u->of[loc];
}

void states_used(uint32_t loc, bool writes)
{
    uint32_t tid = self()->tid;
    struct use *u = use_of(loc);
    if (lkc->locs[loc].addr >= SHADOW)
        return;
    if (u->by == 0)
        u->by = (uint8_t)(tid + 1);
    u->others |= u->by != tid + 1;
    u->written |= writes && lkc->g.nthreads > 1;
    if ((u->others && u->taken_for_own) || (u->written && u->taken_for_constant)) {
        u->taken_for_own = u->taken_for_constant = false;
        lkc->upgrade = true;
        lkc->upgrade_mode = 0;
    }
}

/* Nobody else uses the location that the thread is about to use, or nobody writes it. */
static bool uses_its_own(uint32_t tid)
{
    const struct access *a = &lkc->fibers[tid]->await;
    if (a->addr >= SHADOW)
        return a->addr >= SHADOW * 2 && a->addr < SHADOW * 4;
    uint32_t loc = loc_find(a->addr, a->size);
    if (loc == LOC_NONE)
        return false;
    struct use *u = use_of(loc);
    bool own = !u->others && (u->by == 0 || u->by == tid + 1), constant = false;
    if (!own)
        constant = a->op == OP_NONE && !u->written && lkc->fibers[tid]->state == FS_AWAIT;
    u->taken_for_own |= own;
    u->taken_for_constant |= constant;
    return own || constant;
}

/* The thread's next event commutes with all that others may do. */
static bool minds_its_own(uint32_t tid)
{
    struct fiber *f = lkc->fibers[tid];
    if (f->state == FS_FRESH || f->state == FS_JOIN)
        return true;
    if (f->state == FS_AWAIT || f->next == EK_WRITE)
        return f->pos - f->free_pos < PATIENCE && uses_its_own(tid);
    return f->next == EK_FENCE || f->next == EK_CHOICE || f->next == EK_END || f->next == EK_JOIN ||
           (f->next == EK_CREATE && tid == 0);
}

/* The path has come to a state: a new one, which it goes on from, or one that ends the run. */
static void arrive(struct states *s, uint32_t candidates)
{
    bool chosen;
    uint32_t before = s->n, state = state_number(s, candidates);
    struct step *from = step_below(s, s->depth, &chosen);
    if (from != NULL)
        from->effect = from->laps != lkc->fibers[from->taken]->lap;
    if (state == before) {
        uint32_t first = (uint32_t)__builtin_ctz(candidates);
        *new_step(s) = (struct step){.state = state,
                                     .taken = first,
                                     .todo = candidates & (candidates - 1),
                                     .turns = s->nturns};
        s->at--;
        new_turn(s, first, FREE);
        return;
    }
    if (from != NULL && s->state[state].low != CLOSED)
        lead_back(s, from, state, state, chosen);
    lkc->end = RUN_KNOWN;
    lkc_leave();
}

/* The threads that can go on; one that minds its own business gets a turn at once. */
static uint32_t look_around(struct states *s, bool (*able)(uint32_t tid))
{
    uint32_t candidates = 0, n = lkc->g.nthreads;
    if (n > MEMBERS)
        error_stop(LK_CHECK_UNSUPPORTED, 0, "a search by states has at most %u threads",
                   (unsigned)MEMBERS);
    for (uint32_t t = 0; t < n; t++)
        if (lkc->g.t[t].live && able(t)) {
            candidates |= 1u << t;
            if (minds_its_own(t)) {
                new_turn(s, t, 0);
                break;
            }
        }
    return candidates;
}

struct fiber *states_pick(bool (*able)(uint32_t tid))
{
    struct states *s = lkc->states;
    if (s->turns == s->nturns) {
        uint32_t candidates = look_around(s, able);
        if (candidates == 0)
            return NULL;
        if (s->turns == s->nturns)
            arrive(s, candidates);
    }
    s->granted = take_turn(s);
    return lkc->fibers[s->granted];
}

/* ---- the search ------------------------------------------------------------------------------ */

/* To the next step that has not been taken.  False: there is none. */
static bool next_step(struct states *s)
{
    for (; s->depth > 0; s->depth--) {
        struct step *last = &s->path[s->depth - 1];
        lkc->steps += last->state != NO_STATE;
        if (last->state == NO_STATE) {
            if (++last->taken == last->todo)
                continue;
            s->nturns = last->turns;
            return true;
        }
        if (last->todo != 0) {
            last->taken = (uint32_t)__builtin_ctz(last->todo);
            last->todo &= last->todo - 1;
            s->nturns = last->turns;
            new_turn(s, last->taken, FREE);
            return true;
        }
        leave_state(s);
    }
    return false;
}

static void free_all(struct states *s)
{
    lkc_free(s->state, s->cap * sizeof *s->state);
    lkc_free(s->slot, s->cap_slots * sizeof *s->slot);
    lkc_free(s->open, s->cap_open * sizeof *s->open);
    lkc_free(s->edge, s->cap_edges * sizeof *s->edge);
    lkc_free(s->path, s->cap_path * sizeof *s->path);
    lkc_free(s->turn, s->cap_turns);
    lkc_free(s, sizeof *s);
    lkc->states = NULL;
}

void states_explore(void (*run)(void))
{
    struct states *s = lkc_alloc(sizeof *s);
    memset(s, 0, sizeof *s);
    lkc->states = s;
    do {
        s->at = s->turns = 0;
        s->granted = NOBODY;
        run();
        if (lkc->end == RUN_KNOWN)
            count_progress();
        else
            count_run();
        if (lkc->opt.max_executions != 0 && s->n >= lkc->opt.max_executions)
            lkc->stop = lkc->bounded = true;
    } while (!count_must_stop() && !lkc->upgrade && next_step(s));
    free_all(s);
}
