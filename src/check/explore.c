/* explore.c - the exploration: what each operation adds to the graph, and the work list.
 *
 * Algorithm: TruSt (Kokologiannakis et al., POPL 2022).  README.md has the outline, and where we
 * differ.  An operation at a position that the graph already has is replayed: it returns what is
 * recorded.  A new one continues with the default (read the newest write, be the newest write) and
 * pushes every other possibility as a packed graph. */
#include <string.h>

#include "internal.h"
#include "program.h"
#include "shim.h"

/* ---- adding events --------------------------------------------------------------------------- */

static evid newest(const struct gloc *l)
{
    return l->nco == 0 ? EV_INIT : l->co[l->nco - 1];
}

/* Whether another read-modify-write has read what r, at e, reads. */
static bool taken(evid r, const struct event *e)
{
    const struct graph *g = &lkc->g;
    const struct gloc *l = &g->loc[e->loc];
    for (uint32_t i = 0; i < l->nrd; i++) {
        const struct event *o = graph_ev(g, l->rd[i]);
        if (l->rd[i] != r && o->rf == e->rf && o->flags & EF_RMW)
            return true;
    }
    return false;
}

/* Add the write of the read-modify-write r.  False: another one has read the same write, so this
 * graph is impossible (but its revisits, in which the other reads from us, are not). */
bool explore_add_write(evid r)
{
    struct graph *g = &lkc->g;
    struct event *e = graph_ev(g, r);
    uint32_t ways = op_ways(e, e->value), loc = e->loc;
    if (lkc->states != NULL)
        e->choice = (uint8_t)states_choice(ways);
    else if (e->choice == 0)
        for (uint32_t k = 1; k < ways; k++) {
            e->choice = (uint8_t)k;
            explore_push(snapshot_pack(g, NULL, TODO_RMW, r, EV_INIT, 0));
            e->choice = 0;
        }
    bool impossible = taken(r, e);
    uint64_t result;
    (void)op_outcome(e, e->value, &result);
    if (e->size == 8)
        program_tls_escapes(result);
    e->flags |= EF_RMW;
    struct event *w = graph_append(g, ev_tid(r), EK_WRITE);
    e = w - 1; /* the events may have moved */
    w->loc = loc;
    w->value = result;
    w->order = e->ok_order;
    w->flags = EF_RMW;
    w->size = e->size;
    w->pc = e->pc;
    evid id = ev_id(ev_tid(r), ev_pos(r) + 1), after = e->rf;
    graph_clocks(g, id);
    if (!by_turns())
        revisit_reads(id, true, after);
    if (impossible)
        return false;
    graph_insert_co(g, loc, id, (uint32_t)(graph_copos(g, after) + 1));
    if (newest(&g->loc[loc]) == id)
        graph_ev(g, id)->flags |= EF_NEWEST;
    return true;
}

/* r's rf is set: take the value over, see what the operation makes of it. */
enum outcome explore_settle(evid r)
{
    struct graph *g = &lkc->g;
    struct event *e = graph_ev(g, r);
    uint64_t result;
    e->value = graph_value(g, e->loc, e->rf);
    e->flags &= (uint8_t) ~(EF_RMW | EF_STUCK | EF_ELSEWHERE);
    enum outcome out = op_outcome(e, e->value, &result);
    if (!withdrawn_may_read(g, ev_tid(r), ev_pos(r), e->rf)) {
        e->flags |= EF_ELSEWHERE;
        out = OUT_WAIT;
    }
    e->order = out == OUT_READ && e->op != OP_NONE ? e->fail_order : e->ok_order;
    struct gthread *t = &g->t[ev_tid(r)];
    t->stuck = STUCK_NO;
    if (out == OUT_WAIT) {
        e->flags |= EF_STUCK;
        t->stuck = e->flags & EF_ELSEWHERE ? STUCK_ASSUME : STUCK_AWAIT;
        t->stuck_at = ev_pos(r);
        t->timed = (e->flags & EF_TIMED) != 0;
    }
    graph_clocks(g, r);
    return out;
}

/* The new read r, an operation that writes, could read what another one has read: impossible as it
 * is, but the other may read from r's write instead.  Done on the spot, not by way of the list. */
static bool revisit_other(evid r)
{
    struct graph *g = &lkc->g;
    struct event *e = graph_ev(g, r);
    uint64_t result;
    if (op_outcome(e, graph_value(g, e->loc, e->rf), &result) != OUT_WRITE || !taken(r, e))
        return false;
    (void)explore_settle(r);
    if (!explore_slept_in_time(r) || !consistent(g, lkc->opt.model))
        return true;
    (void)explore_add_write(r);
    g->t[ev_tid(r)].len--;
    g->stamp--;
    graph_ev(g, r)->flags &= (uint8_t)~EF_RMW;
    return true;
}

/* ---- going to sleep on a futex ----------------------------------------------------------------
 *
 * The kernel compares the word and enters the queue in one step.  Here it is a read of the word
 * and, if that finds what it expects, a read-modify-write of the queue right behind it, with the
 * condition that nothing that happens before the latter has overwritten what the former read. */

static bool finds_expected(const struct event *e)
{
    return e->kind == EK_READ && e->op == OP_COMPARE && (e->value & e->operand) == e->expected;
}

bool explore_slept_in_time(evid r)
{
    const struct graph *g = &lkc->g;
    const struct event *e = graph_ev(g, r);
    if (e->op != OP_ENTER || ev_pos(r) == 0 || !finds_expected(e - 1))
        return true;
    return graph_seen(g, e[-1].loc, graph_clk(g, r, CLK_HB)) <= graph_copos(g, e[-1].rf);
}

/* Right behind the compare r, the read of the queue's newest value. */
static evid enter_queue(evid r)
{
    struct graph *g = &lkc->g;
    uint32_t queue = graph_ev(g, r)->copos, tid = ev_tid(r);
    graph_touch_loc(g, queue);
    struct gloc *l = &g->loc[queue];
    if (l->nco == 0 && l->nrd == 0) {
        l->init = 0;
        l->init_unknown = false;
    }
    struct event *e = graph_append(g, tid, EK_READ);
    evid q = ev_id(tid, ev_pos(r) + 1);
    e->loc = queue;
    e->op = OP_ENTER;
    e->operand = (uint64_t)1 << tid;
    e->size = 8;
    e->ok_order = e->fail_order = e->order = MO_AR;
    e->pc = e[-1].pc;
    e->flags = EF_SILENT | (e[-1].flags & EF_NAP);
    e->lap = e[-1].lap;
    e->rf = newest(l);
    graph_add_read(g, queue, q);
    return q;
}

/* Entering the queue before one of the wakes that are in it: their reads are thereby revisited. */
static void enter_earlier(evid r, evid q)
{
    struct graph *g = &lkc->g;
    uint32_t queue = graph_ev(g, q)->loc;
    int64_t low = graph_seen(g, queue, graph_clk(g, r, CLK_HB));
    for (int64_t p = low; p < (int64_t)g->loc[queue].nco - 1; p++) {
        graph_ev(g, q)->rf = p < 0 ? EV_INIT : g->loc[queue].co[p];
        (void)revisit_other(q);
    }
}

bool explore_sleep(evid r, bool only_ask)
{
    struct graph *g = &lkc->g;
    const struct event *c = graph_ev(g, r);
    if (!finds_expected(c) || (only_ask && (c->copos >= g->cap_locs || g->loc[c->copos].nco == 0)))
        return true;
    evid q = enter_queue(r), last = graph_ev(g, q)->rf;
    (void)explore_settle(q);
    bool in_time = explore_slept_in_time(q);
    if (!by_turns() && (!in_time || !only_ask))
        enter_earlier(r, q);
    if (in_time && !only_ask) {
        graph_ev(g, q)->rf = last;
        graph_ev(g, q)->flags |= EF_NEWEST;
        (void)explore_settle(q);
        (void)explore_add_write(q);
        return true;
    }
    g->loc[graph_ev(g, q)->loc].nrd--;
    g->t[ev_tid(q)].len--;
    g->stamp--;
    return in_time;
}

static uint32_t location_of(const struct access *a)
{
    uint32_t loc = loc_get(a->addr, a->size, a->pc);
    struct graph *g = &lkc->g;
    graph_touch_loc(g, loc);
    struct gloc *l = &g->loc[loc];
    if (l->nco == 0 && l->nrd == 0) {
        l->init = a->addr >= SHADOW ? 0 : plain_load(a->addr, a->size);
        l->init_unknown = heap_unwritten(a->addr, a->size);
    }
    return loc;
}

static void new_read(const struct access *a, uint64_t state)
{
    struct graph *g = &lkc->g;
    uint32_t tid = self()->tid, loc = location_of(a);
    lkc->sc_used |= a->order == MO_SC || a->fail_order == MO_SC;
    int64_t low = graph_seen(g, loc, graph_now(g, tid));
    struct event *e = graph_append(g, tid, EK_READ);
    evid r = ev_id(tid, g->t[tid].len - 1);
    e->loc = loc;
    e->operand = a->operand;
    e->expected = a->expected;
    e->pc = a->pc;
    e->state = state;
    e->lap = self()->lap;
    e->op = a->op;
    e->size = a->size;
    e->ok_order = e->order = a->order;
    e->fail_order = a->fail_order;
    e->flags =
        (uint8_t)((a->timed ? EF_TIMED : 0) | (a->silent ? EF_SILENT : 0) | (a->nap ? EF_NAP : 0));
    e->copos = a->queue;
    graph_add_read(g, loc, r);
    for (int64_t c = low; !by_turns() && c < (int64_t)g->loc[loc].nco - 1; c++) {
        e->rf = c < 0 ? EV_INIT : g->loc[loc].co[c];
        uint64_t value = graph_value(g, loc, e->rf);
        if (await_would_wait(r, value) || !withdrawn_may_read(g, tid, ev_pos(r), e->rf))
            continue;
        if (a->op == OP_COMPARE)
            (void)explore_settle(r);
        bool done = revisit_other(r) || !explore_sleep(r, true);
        e = graph_ev(g, r);
        if (!done)
            explore_push(snapshot_pack(g, NULL, TODO_READ, r, EV_INIT, 0));
    }
    e->rf = newest(&g->loc[loc]);
    e->flags |= EF_NEWEST;
    if (lkc->mode != MODE_FAST)
        plain_check_atomic(r, a->addr, a->size);
    enum outcome out = explore_settle(r);
    if (lkc->states != NULL)
        states_used(loc, out == OUT_WRITE);
    if (out == OUT_WRITE)
        (void)explore_add_write(r);
    else if (a->op == OP_COMPARE)
        (void)explore_sleep(r, false);
}

static void new_write(const struct access *a, uint64_t value)
{
    struct graph *g = &lkc->g;
    uint32_t tid = self()->tid, loc = location_of(a);
    lkc->sc_used |= a->order == MO_SC;
    if (a->size == 8)
        program_tls_escapes(value);
    struct event *e = graph_append(g, tid, EK_WRITE);
    evid w = ev_id(tid, g->t[tid].len - 1);
    e->loc = loc;
    e->value = value;
    e->order = a->order;
    e->size = a->size;
    e->pc = a->pc;
    e->flags = (uint8_t)((a->silent ? EF_SILENT : 0) | (a->death ? EF_CRASH : 0));
    graph_clocks(g, w);
    if (lkc->mode != MODE_FAST && a->order != MO_PLAIN)
        plain_check_atomic(w, a->addr, a->size);
    if (lkc->states != NULL)
        states_used(loc, true);
    if (!by_turns())
        revisit_reads(w, false, EV_INIT);
    const struct gloc *l = &g->loc[loc];
    int64_t low = graph_seen(g, loc, graph_clk(g, w, CLK_HB));
    for (uint32_t p = (uint32_t)(low + 1); !by_turns() && p < l->nco; p++)
        if (!(graph_ev(g, l->co[p])->flags & EF_RMW))
            explore_push(snapshot_pack(g, NULL, TODO_WRITE, w, w, p));
    graph_insert_co(g, loc, w, l->nco);
    graph_ev(g, w)->flags |= EF_NEWEST;
}

/* ---- operations of the running thread -------------------------------------------------------- */

/* The recorded event that the running thread is at, which must be of this kind; NULL = a new one,
 * and it is this thread's turn to add it. */
static struct event *recorded(unsigned kind)
{
    struct fiber *f = self();
    struct gthread *t = &lkc->g.t[f->tid];
    f->quiet = 0;
    if (f->pos >= t->len) {
        if (stop_asked())
            stop_run();
        count_looks();
        f->next = (uint8_t)kind;
        run_turn(f->tid);
        if (t->len >= lkc->opt.max_events && kind != EK_END) {
            lkc->bounded = true;
            run_stuck(STUCK_BOUND, f->pos);
        }
        return NULL;
    }
    struct event *e = &t->ev[f->pos];
    if (e->kind != kind)
        lkc_die("the program is not deterministic: another operation than before");
    return e;
}

/* In strict runs plain memory must hold what the events before say: wait until they have run. */
static void after_source(const struct event *e)
{
    if (lkc->mode != MODE_FAST && e->rf != EV_INIT &&
        run_fiber(ev_tid(e->rf))->pos <= ev_pos(e->rf))
        run_wait_rf(e->rf);
}

static void check_location(const struct event *e, const struct access *a)
{
    if (lkc->locs[e->loc].addr != a->addr || e->size != a->size)
        lkc_die("the program is not deterministic: another address than before (%#lx, was %#lx)",
                (unsigned long)a->addr, (unsigned long)lkc->locs[e->loc].addr);
}

/* The lap asked the kernel to sleep, was refused, and would be refused again: nothing has
 * changed. */
static void mind_busy_wait(const struct gthread *t, uint32_t from, uint64_t pc)
{
    bool asked = false;
    for (uint32_t p = from; p < t->len; p++) {
        const struct event *e = &t->ev[p];
        asked |= e->op == OP_COMPARE;
        if (e->kind == EK_READ && !(e->flags & EF_SILENT) && !hang_sees_newest(&lkc->g, e))
            return;
    }
    if (asked && !lkc->opt.no_liveness)
        error_stop(LK_CHECK_BUSY_WAIT, pc,
                   "thread %u spins on a futex call that compares with an old value", self()->tid);
}

/* A lap that had no effect and ends in the state in which it began would only repeat itself. */
static void cut_spin(const struct access *a, uint64_t state)
{
    const struct fiber *f = self();
    const struct gthread *t = &lkc->g.t[f->tid];
    for (uint32_t p = t->len; p-- > 0;) {
        const struct event *e = &t->ev[p];
        if (e->kind == EK_FENCE || (e->kind == EK_WRITE && e->flags & (EF_RMW | EF_SILENT)))
            continue;
        if (e->kind != EK_READ || e->lap != f->lap)
            return;
        if (e->state == state && e->pc == a->pc && lkc->locs[e->loc].addr == a->addr &&
            e->op == a->op && e->operand == a->operand) {
            await_learn(a, await_key(a, state), f->lap);
            mind_busy_wait(t, p, a->pc);
            run_stuck(STUCK_SPIN, p);
        }
    }
}

/* A spin that gives up after so many laps is explored as one look: the laps after the first, marked
 * by a pause, repeat its result and are no events. */
static bool stutters(const struct access *a, uint64_t *value)
{
    const struct fiber *f = self();
    const struct event *e = f->pos > 0 ? &lkc->g.t[f->tid].ev[f->pos - 1] : NULL;
    if (f->stutter == 0 || e == NULL || a->op != OP_NONE || e->kind != EK_READ ||
        e->op != OP_NONE || e->pc != a->pc || lkc->locs[e->loc].addr != a->addr)
        return false;
    *value = e->value;
    return true;
}

uint64_t explore_read(const struct access *a)
{
    uint64_t same;
    if (stutters(a, &same))
        return same;
    self()->stutter = 0;
    struct fiber *f = self();
    explore_may_die();
    if (lkc->states != NULL && f->pos >= lkc->g.t[f->tid].len && !states_granted(f->tid))
        run_put_off(a, 0); /* others see then for what it waits */
    struct event *e = recorded(EK_READ);
    if (e == NULL) {
        struct gthread *t = &lkc->g.t[f->tid];
        if (t->stuck == STUCK_SPIN)
            run_stuck(STUCK_SPIN, t->stuck_at);
        uint64_t state = 0;
        if (op_is_asked(a->op)) {
            state = lkc->states != NULL ? 0 : run_state_hash(f);
            if (!by_turns())
                cut_spin(a, state);
        }
        run_await(a, await_key(a, state));
        new_read(a, state);
        explore_operation_done();
        e = &t->ev[f->pos];
    } else {
        check_location(e, a);
    }
    after_source(e);
    f->pos++;
    if (e->flags & EF_STUCK) {
        f->pos--;
        run_stuck(e->flags & EF_ELSEWHERE ? STUCK_ASSUME : STUCK_AWAIT, f->pos);
    }
    if (e->rf == EV_INIT && lkc->g.loc[e->loc].init_unknown)
        error_stop(LK_CHECK_UNINITIALISED, a->pc, "atomic read of memory that was never written");
    if (e->flags & EF_RMW) {
        f->pos++;
        f->lap += e[1].value != e->value && !(e->flags & EF_SILENT);
        f->deeds += e[1].value != e->value && !(e->flags & EF_SILENT);
    }
    return e->value;
}

void explore_write(const struct access *a, uint64_t value)
{
    struct fiber *f = self();
    explore_may_die();
    if (lkc->states != NULL)
        f->await = *a; /* for who looks at what it is about to do */
    struct event *e = recorded(EK_WRITE);
    if (e == NULL)
        new_write(a, value);
    else
        check_location(e, a);
    f->pos++;
    f->lap += !a->silent;
    f->deeds += !a->silent;
    explore_operation_done();
}

uint64_t explore_stored(void)
{
    const struct fiber *f = self();
    return lkc->g.t[f->tid].ev[f->pos - 1].value;
}

/* An event without data; returns its id. */
static evid simple_event(unsigned kind, uint64_t pc, evid rf)
{
    struct graph *g = &lkc->g;
    uint32_t tid = self()->tid;
    struct event *e = graph_append(g, tid, kind);
    e->pc = pc;
    e->rf = rf;
    return ev_id(tid, g->t[tid].len - 1);
}

void explore_fence(unsigned order, uint64_t pc)
{
    if (order == MO_RLX)
        return;
    if (recorded(EK_FENCE) == NULL) {
        evid id = simple_event(EK_FENCE, pc, EV_INIT);
        graph_ev(&lkc->g, id)->order = (uint8_t)order;
        lkc->sc_used |= order == MO_SC;
        graph_clocks(&lkc->g, id);
    }
    self()->pos++;
}

uint32_t explore_choice(uint32_t ways, uint64_t pc)
{
    struct event *e = recorded(EK_CHOICE);
    if (e == NULL) {
        evid id = simple_event(EK_CHOICE, pc, EV_INIT);
        graph_clocks(&lkc->g, id);
        e = graph_ev(&lkc->g, id);
        e->operand = ways;
        for (uint32_t k = 1; !by_turns() && k < ways; k++) {
            e->value = k;
            explore_push(snapshot_pack(&lkc->g, NULL, TODO_RUN, EV_INIT, EV_INIT, 0));
        }
        e->value = lkc->states != NULL ? states_choice(ways) : 0;
    }
    self()->pos++;
    self()->lap++;
    self()->unseen++;
    uint32_t value = (uint32_t)e->value;
    explore_operation_done();
    return value;
}

/* Whether a thread of f's process is dead, as far as f can know. */
static bool process_is_dead(const struct fiber *f)
{
    const struct graph *g = &lkc->g;
    const uint32_t *hb = graph_now(g, f->tid);
    for (uint32_t t = 0; f->process != 0 && t < g->nthreads; t++)
        if (g->t[t].process == f->process && g->t[t].died != 0 &&
            (lkc->states != NULL || hb[t] >= g->t[t].died))
            return true; /* in an interleaving, what it does now it could have done before */
    return false;
}

/* Whether the bound on dead processes leaves room for f's. */
static bool may_add_death(const struct fiber *f)
{
    const struct graph *g = &lkc->g;
    uint32_t dead = 0;
    for (uint32_t t = 0; t < g->nthreads; t++) {
        const struct gthread *t1 = &g->t[t];
        bool counted = t1->died == 0;
        if (!counted && f->process != 0 && t1->process == f->process)
            return true;
        for (uint32_t u = 0; u < t && t1->process != 0; u++)
            counted |= g->t[u].died != 0 && g->t[u].process == t1->process;
        dead += !counted;
    }
    return dead < lkc->opt.max_deaths;
}

/* To die later, after mere reads, makes no difference to the others but that it leaves them less
 * freedom; so the place to die is right behind each effect.  A choice of its own, not to die being
 * the ordinary way. */
void explore_may_die(void)
{
    struct fiber *f = self();
    struct graph *g = &lkc->g;
    if (!f->mortal || f->dying || f->deeds == f->spared || lkc->opt.max_deaths == 0)
        return;
    struct event *e = recorded(EK_CHOICE);
    if (e == NULL) {
        bool must = process_is_dead(f);
        evid id = simple_event(EK_CHOICE, lkc_trap_pc(f), EV_INIT);
        graph_clocks(g, id);
        e = graph_ev(g, id);
        e->flags = EF_CRASH;
        e->operand = must ? 1 : 2;
        bool may = !must && may_add_death(f);
        struct gthread *t = &g->t[f->tid];
        t->died = t->len;
        t->process = f->process;
        uint32_t others = may && !by_turns() ? 1u + lkc->opt.pid_reuse : 0;
        for (e->value = 1; e->value <= others; e->value++)
            explore_push(snapshot_pack(g, NULL, TODO_RUN, EV_INIT, EV_INIT, 0));
        e->value = must;
        if (may && lkc->states != NULL)
            e->value = states_choice(2u + lkc->opt.pid_reuse);
        if (e->value == 0)
            t->died = 0;
    }
    uint64_t dies = e->value; /* 2 = and its number is another's at once */
    f->pos++;
    f->spared = f->deeds;
    explore_operation_done();
    if (dies != 0)
        shim_die(f, dies == 2);
}

uint32_t explore_create(void *(*fn)(void *), void *arg, uint64_t pc)
{
    struct fiber *f = self();
    struct event *e = recorded(EK_CREATE);
    if (e == NULL) {
        program_tls_escapes((uintptr_t)arg);
        evid id = simple_event(EK_CREATE, pc, EV_INIT);
        graph_clocks(&lkc->g, id);
        uint32_t child = graph_new_thread(&lkc->g, id, fn, arg);
        e = graph_ev(&lkc->g, id);
        e->value = child;
        run_fiber(child)->state = FS_FRESH;
        run_fiber(child)->pos = 0;
    }
    f->created = true;
    f->pos++;
    f->lap++;
    f->deeds++;
    return (uint32_t)e->value;
}

uint64_t explore_join(uint32_t tid, uint64_t pc)
{
    struct graph *g = &lkc->g;
    if (lkc->states != NULL && self()->pos >= g->t[self()->tid].len && !graph_ended(g, tid))
        run_wait_join(tid);
    struct event *e = recorded(EK_JOIN);
    if (e == NULL) {
        if (!graph_ended(g, tid))
            run_wait_join(tid);
        evid id = simple_event(EK_JOIN, pc, ev_id(tid, g->t[tid].len - 1));
        graph_clocks(g, id);
        e = graph_ev(g, id);
    }
    after_source(e);
    self()->pos++;
    self()->lap++;
    return graph_ev(&lkc->g, e->rf)->value;
}

void explore_begin(void)
{
    struct event *e = recorded(EK_BEGIN);
    if (e == NULL) {
        evid id = simple_event(EK_BEGIN, 0, lkc->g.t[self()->tid].creator);
        graph_clocks(&lkc->g, id);
        e = graph_ev(&lkc->g, id);
    }
    after_source(e);
    self()->pos++;
}

void explore_end(uint64_t result)
{
    if (recorded(EK_END) == NULL) {
        evid id = simple_event(EK_END, 0, EV_INIT);
        graph_ev(&lkc->g, id)->value = result;
        graph_clocks(&lkc->g, id);
    }
    self()->pos++;
    run_thread_done();
}

uint64_t explore_peek(uintptr_t addr, unsigned size)
{
    struct graph *g = &lkc->g;
    const struct fiber *f = self();
    uint32_t loc = loc_find(addr, size);
    if (loc == LOC_NONE || loc >= g->cap_locs || (g->loc[loc].nco == 0 && g->loc[loc].nrd == 0))
        return plain_load(addr, size);
    if (f->pos == 0)
        return g->loc[loc].init;
    const uint32_t *hb = graph_clk(g, ev_id(f->tid, f->pos - 1), CLK_HB);
    int64_t seen = graph_seen(g, loc, hb);
    return graph_value(g, loc, seen < 0 ? EV_INIT : g->loc[loc].co[seen]);
}
