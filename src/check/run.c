/* run.c - one run of the program on the working graph: fibers, and who goes next.
 *
 * Who may add the next event is a function of the graph alone: the thread of the event added last
 * as long as it can, then the lowest thread that can.  Threads that merely replay may run in any
 * order that respects rf (strict modes), or need not run at all (fast mode). */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "program.h"
#include "shim.h"

extern char lkc_fiber_start[];

#define CALLS 4096u

static struct fiber *new_fiber(uint32_t tid)
{
    size_t size = lkc->opt.stack_bytes, page = 4096;
    struct fiber *f = lkc_alloc(sizeof *f);
    memset(f, 0, sizeof *f);
    f->tid = tid;
    char *low = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (low == MAP_FAILED || mprotect(low, page, PROT_NONE) != 0)
        lkc_die("cannot map a stack of %zu bytes", size);
    f->stack_low = (uintptr_t)low + page;
    f->stack_high = f->sp_min = f->stack_low + size;
    if (lkc->stacks_low == 0 || f->stack_low < lkc->stacks_low)
        lkc->stacks_low = f->stack_low;
    if (f->stack_high > lkc->stacks_high)
        lkc->stacks_high = f->stack_high;
    f->calls = lkc_alloc(CALLS * sizeof *f->calls);
    f->calls_top = f->calls;
    return f;
}

struct fiber *run_fiber(uint32_t tid)
{
    while (tid >= lkc->nfibers) {
        LKC_GROW(lkc->fibers, lkc->cap_fibers, lkc->nfibers + 1);
        lkc->fibers[lkc->nfibers] = new_fiber(lkc->nfibers);
        lkc->nfibers++;
    }
    return lkc->fibers[tid];
}

bool run_on_stack(uintptr_t addr, uint32_t *tid)
{
    if (addr - lkc->stacks_low >= lkc->stacks_high - lkc->stacks_low)
        return false;
    for (uint32_t t = 0; t < lkc->nfibers; t++) {
        const struct fiber *f = lkc->fibers[t];
        if (addr - f->stack_low < f->stack_high - f->stack_low) {
            *tid = t;
            return true;
        }
    }
    return false;
}

uint64_t lkc_trap_pc(const struct fiber *f)
{
    return ((const uint64_t *)f->sp)[13];
}

static inline uint64_t mix(uint64_t h, uint64_t k)
{
    h *= k;
    return h ^ h >> 32;
}

/* The words of the trap frame that are the program's, all but the handler and the arguments; and
 * what the thread has made of memory elsewhere. */
uint64_t run_state_hash(const struct fiber *f)
{
    const uint64_t *p = (const uint64_t *)(f->sp + 7 * sizeof *p);
    const uint64_t *end = (const uint64_t *)f->stack_high;
    const uint64_t k = 0xff51afd7ed558ccdu;
    uint64_t a = 0x9e3779b97f4a7c15u, b = 1, c = 2, d = 3; /* four at a time: stacks are long */
    for (; p + 4 <= end; p += 4) {
        a = mix(a ^ p[0], k);
        b = mix(b ^ p[1], k);
        c = mix(c ^ p[2], k);
        d = mix(d ^ p[3], k);
    }
    for (; p < end; p++)
        a = mix(a ^ *p, k);
    return mix(mix(mix(a ^ b, k) ^ c, k) ^ d, k) ^ f->changed;
}

/* ---- who goes next
 * ---------------------------------------------------------------------------- */

/* Whether thread t can never add an event to this graph. */
static bool cannot_extend(uint32_t tid)
{
    const struct fiber *f = lkc->fibers[tid];
    const struct gthread *t = &lkc->g.t[tid];
    if (f->state == FS_FRESH && lkc->mode == MODE_FAST && t->stuck == STUCK_JOIN)
        return !graph_ended(&lkc->g, t->stuck_at); /* it is not even started, see eligible() */
    return f->state == FS_DONE || f->state == FS_STUCK ||
           (f->state == FS_JOIN && !graph_ended(&lkc->g, f->wait));
}

/* Whether all that t could do, as things are, is to wait for a value. */
static bool awaits(uint32_t tid)
{
    const struct fiber *f = lkc->fibers[tid];
    return f->state == FS_AWAIT && await_in_vain(tid, &f->await, f->await_key);
}

static bool may_extend(uint32_t tid)
{
    const struct graph *g = &lkc->g;
    if (g->last == tid)
        return true;
    if (!cannot_extend(g->last) && !awaits(g->last))
        return false;
    for (uint32_t t = 0; t < tid; t++)
        if (g->t[t].live && !cannot_extend(t) && !awaits(t))
            return false;
    return true;
}

/* All threads can at most wait, and tid is the first that can. */
static bool must_wait(uint32_t tid)
{
    const struct graph *g = &lkc->g;
    for (uint32_t t = 0; t < g->nthreads; t++)
        if (t != tid && g->t[t].live && !cannot_extend(t) && (t < tid || !awaits(t)))
            return false;
    return true;
}

static bool eligible(uint32_t tid)
{
    const struct graph *g = &lkc->g;
    const struct fiber *f = lkc->fibers[tid];
    switch ((enum fiber_state)f->state) {
    case FS_FRESH:
        if (lkc->mode != MODE_FAST || g->t[tid].stuck == STUCK_NO)
            return true;
        return g->t[tid].stuck == STUCK_JOIN && graph_ended(g, g->t[tid].stuck_at);
    case FS_READY:
        return true;
    case FS_WAIT_RF:
        return lkc->fibers[ev_tid(f->wait)]->pos > ev_pos(f->wait);
    case FS_JOIN:
        return graph_ended(g, f->wait);
    case FS_TURN:
        return by_turns() || may_extend(tid);
    case FS_AWAIT:
        if (awaits(tid))
            return must_wait(tid);
        return lkc->mode == MODE_FAST || by_turns() || may_extend(tid);
    case FS_STUCK:
    case FS_DONE:
        break;
    }
    return false;
}

static struct fiber *pick(void)
{
    const struct graph *g = &lkc->g;
    for (uint32_t t = lkc->nfibers; t < g->nthreads; t++)
        (void)run_fiber(t);
    if (lkc->fair != NULL)
        return fair_pick(eligible);
    if (lkc->states != NULL)
        return states_pick(eligible);
    if (g->t[g->last].live && eligible(g->last))
        return lkc->fibers[g->last];
    for (uint32_t t = 0; t < g->nthreads; t++)
        if (g->t[t].live && eligible(t))
            return lkc->fibers[t];
    return NULL;
}

void run_turn(uint32_t tid)
{
    if (lkc->fair != NULL) {
        fair_turn(tid);
        return;
    }
    if (lkc->states != NULL) {
        states_turn(tid);
        return;
    }
    if (lkc->mode == MODE_FAST || may_extend(tid))
        return;
    self()->state = FS_TURN;
    self()->redo = 1;
    lkc_reschedule();
}

void run_await(const struct access *a, uint64_t key)
{
    struct fiber *f = self();
    if (await_in_vain(f->tid, a, key) && !must_wait(f->tid))
        run_put_off(a, key);
}

void run_put_off(const struct access *a, uint64_t key)
{
    struct fiber *f = self();
    f->await = *a;
    f->await_key = key;
    f->state = FS_AWAIT;
    f->redo = 1;
    lkc_reschedule();
}

void run_wait_rf(evid w)
{
    self()->state = FS_WAIT_RF;
    self()->wait = w;
    self()->redo = 1;
    lkc_reschedule();
}

void run_wait_join(uint32_t tid)
{
    struct gthread *t = &lkc->g.t[self()->tid];
    t->stuck = STUCK_JOIN;
    t->stuck_at = tid;
    self()->state = FS_JOIN;
    self()->wait = tid;
    self()->redo = 1;
    lkc_reschedule();
}

void run_stuck(enum stuck why, uint32_t at)
{
    struct gthread *t = &lkc->g.t[self()->tid];
    t->stuck = (uint8_t)why;
    t->stuck_at = at;
    self()->state = FS_STUCK;
    self()->redo = 0;
    lkc_reschedule();
}

/* The plain write that the thread was about to make at its last hook is in memory by now.  The call
 * may be made again after others had their turn, so it begins at a fixed place. */
void run_finish_plain(struct fiber *f)
{
    if (!f->pending_begun) {
        f->pending_begun = true;
        f->pending_pos = f->pos;
        f->pending_lap = f->lap;
        f->pending_fresh = f->deeds != f->spared;
    }
    f->pos = f->pending_pos;
    f->lap = f->pending_lap;
    /* It is done; there is no death between the store and its event. */
    f->spared = f->deeds;
    plain_written_to(f->pending, f->pending_size, f->pending_pc);
    plain_written(f->pending, f->pending_size);
    if (f->pending_fresh || (f->mortal && plain_shared(f->pending, f->pending_size)))
        f->spared = f->deeds - 1;
    f->pending = 0;
    f->pending_begun = false;
}

void run_thread_done(void)
{
    self()->state = FS_DONE;
    lkc_reschedule();
}

/* ---- starting and switching
 * ------------------------------------------------------------------- */

/* Bytes below the deepest point known that calls without hooks may have dirtied. */
#define UNSEEN 1024u

static void start(struct fiber *f)
{
    uintptr_t from = f->sp_min - UNSEEN;
    if (from < f->stack_low)
        from = f->stack_low;
    memset((void *)from, 0, f->stack_high - from);
    uint64_t *frame = (uint64_t *)f->stack_high - 14;
    frame[9] = (uint64_t)(uintptr_t)lkc->g.t[f->tid].arg; /* r13 */
    frame[10] = (uint64_t)(uintptr_t)lkc->g.t[f->tid].fn; /* r12 */
    frame[13] = (uint64_t)(uintptr_t)lkc_fiber_start;
    f->sp = f->sp_min = (uintptr_t)frame;
    f->calls_top = f->calls;
    f->pos = f->free_pos = 0;
    f->lap = 0;
    f->changed = 0;
    f->watched = 0;
    f->unseen = 0;
    f->error = 0;
    f->deeds = f->spared = 0;
    f->process = 0;
    f->robust_pending = NULL;
    f->quiet = 0;
    f->pending = 0;
    f->pending_begun = false;
    f->redo = f->again = 0;
    f->created = false;
    f->mortal = f->dying = false;
    f->backstop = 0;
    f->stutter = 0;
    f->nrobust = 0;
    if (f->tid == 0) {
        program_restore();
        shim_reset();
    }
    shim_thread_start(f);
    heap_thread_start(f->tid);
    program_thread_start(f);
}

static void switch_to(struct fiber *f)
{
    struct fiber *old = lkc_hot.current;
    if (old != NULL) {
        old->error = errno;
        old->calls_top = lkc_hot.calls;
        if (lkc_hot.sp_min < old->sp_min)
            old->sp_min = lkc_hot.sp_min;
    }
    lkc_hot.current = f;
    lkc_hot.calls = f->calls_top;
    lkc_hot.calls_end = f->calls + CALLS;
    lkc_hot.sp_min = f->sp_min;
    lkc_hot.stack_low = f->stack_low;
    lkc_hot.stack_size = lkc->mode == MODE_STACKS ? 0 : f->stack_high - f->stack_low;
    program_use_tls(f->tls);
    errno = f->error;
}

/* Called on the checker's own stack, which holds nothing that is still needed. */
uint64_t lkc_dispatch(void)
{
    struct fiber *f = pick();
    if (f == NULL && backstop_fires())
        f = pick();
    if (f == NULL) {
        lkc->end = RUN_COMPLETE;
        for (uint32_t t = 0; t < lkc->g.nthreads; t++) {
            if (lkc->g.t[t].live && !graph_ended(&lkc->g, t))
                lkc->end = RUN_BLOCKED;
            if (lkc->g.t[t].live && lkc->fibers[t] != NULL && lkc->fibers[t]->state == FS_AWAIT)
                lkc_die("thread %u was put off for ever", t);
        }
        lkc_leave();
    }
    /* cppcheck-suppress nullPointerRedundantCheck ; lkc_leave() does not return */
    if (f->state == FS_FRESH)
        start(f);
    f->state = FS_READY;
    switch_to(f);
    if (!f->redo)
        return 0;
    f->redo = 0;
    f->again = 1;
    return lkc_call_again(f);
}

/* Under a debugger every thread runs from its beginning, with real stacks. */
static bool replaying(void)
{
    return lkc->opt.replay == lkc->serial;
}

__attribute__((noinline)) void lk_check_replay_begins(void)
{
    __asm__ volatile("");
}

static void reset_fiber(uint32_t tid)
{
    const struct gthread *t = &lkc->g.t[tid];
    struct fiber *f = run_fiber(tid);
    f->state = FS_FRESH;
    f->pos = 0;
    if (lkc->mode != MODE_FAST || replaying())
        return;
    if (graph_ended(&lkc->g, tid)) {
        f->state = FS_DONE;
        f->pos = t->len;
    } else if (t->stuck != STUCK_NO && t->stuck != STUCK_JOIN) {
        f->state = FS_STUCK;
    }
}

void run_once(void)
{
    lkc->serial++;
    for (uint32_t t = 0; t < lkc->g.nthreads; t++)
        if (lkc->g.t[t].live)
            reset_fiber(t);
    plain_reset();
    lkc->errors_in_run = 0;
    lkc->fired = 0;
    if (replaying())
        lk_check_replay_begins();
    lkc_enter();
    struct fiber *last = lkc_hot.current;
    if (last != NULL && lkc_hot.sp_min < last->sp_min)
        last->sp_min = lkc_hot.sp_min;
    lkc_hot.current = NULL;
    lkc_hot.calls = lkc_hot.calls_end = NULL;
    program_use_tls(NULL);
}
