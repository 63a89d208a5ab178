/* internal.h - what the rooms of the model checker share.
 *
 * The runtime is linked into the program under test, whose data is put back before every run.  So
 * everything that must outlive a run lies behind `lkc` (mapped apart from the program's data), and
 * what the assembler needs lies in `lkc_hot`, which the restoring copy steps over. */
#ifndef LKC_INTERNAL_H
#define LKC_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "latchkey/check.h"

/* ---- events ---------------------------------------------------------------------------------- */

/* An event is named by its thread and its position there; restriction cuts suffixes of threads, so
 * names never change.  EV_INIT, the initial value of a location, belongs to no thread. */
typedef uint32_t evid;
#define EV_POS_BITS 20u
#define EV_POS_MAX ((1u << EV_POS_BITS) - 2)
#define EV_TID_MAX ((1u << (32 - EV_POS_BITS)) - 2)
#define EV_INIT UINT32_MAX

static inline evid ev_id(uint32_t tid, uint32_t pos)
{
    return tid << EV_POS_BITS | pos;
}
static inline uint32_t ev_tid(evid e)
{
    return e >> EV_POS_BITS;
}
static inline uint32_t ev_pos(evid e)
{
    return e & ((1u << EV_POS_BITS) - 1);
}

enum ev_kind {
    EK_BEGIN, /* first event of a thread; rf = its CREATE */
    EK_END,
    EK_CREATE, /* value = the child's thread number */
    EK_JOIN,   /* rf = the END that was waited for */
    EK_READ,
    EK_WRITE,
    EK_FENCE,
    EK_CHOICE, /* value = what was chosen of `operand` ways; 0 is the ordinary way */
};

/* Memory orders as the compilers number them; a plain write to a location that is used atomically
 * elsewhere is an event of order MO_PLAIN. */
enum { MO_RLX = 0, MO_CONSUME = 1, MO_ACQ = 2, MO_REL = 3, MO_AR = 4, MO_SC = 5, MO_PLAIN = 6 };

static inline bool mo_acquires(unsigned mo)
{
    return mo == 1 || mo == 2 || mo == 4 || mo == 5;
}
static inline bool mo_releases(unsigned mo)
{
    return mo >= 3 && mo <= 5;
}

/* What a read does with the value: nothing, or a read-modify-write that may fail or may have to
 * wait.  The OP_WAIT_* never fail: the thread stands still while the value does not suit them. */
enum ev_op {
    OP_NONE,
    OP_XCHG,
    OP_ADD,
    OP_SUB,
    OP_AND,
    OP_OR,
    OP_XOR,
    OP_NAND,
    OP_CAS,         /* expected -> operand */
    OP_COMPARE,     /* no write; the kernel's look at a futex word: (value & operand) ==
                       expected? */
    OP_WAIT_MASKED, /* no write; proceeds when (value & expected) == operand */
    OP_WAIT_NOT,    /* no write; proceeds when (value & expected) != operand */
    OP_LOCK,        /* proceeds when (value & expected) == 0, adds operand */
    OP_TRYLOCK,     /* fails unless (value & expected) == 0, adds operand */
    OP_SEM,         /* proceeds when value > 0, subtracts 1 */
    OP_TRYSEM,      /* fails unless value > 0, subtracts 1 */
    OP_ENTER,       /* sets bits of a queue of sleepers; after a matching OP_COMPARE one step with
                       it */
    OP_LEAVE,       /* clears bits of it */
    OP_WAKE,        /* clears up to `operand` set bits: which ones is a choice */
    OP_ROBUST,      /* the kernel's mark: if the low 30 bits are `expected`, see op.c */
    OP_BARRIER,     /* expected = count: arrivals in the low half, phase in the high half */
};

enum {
    EF_RMW = 1,        /* a read whose write follows, and that write */
    EF_STUCK = 2,      /* a read whose operation waits for another value */
    EF_TIMED = 4,      /* ... but only until a deadline */
    EF_SILENT = 8,     /* of the kernel's queues: no effect that ends a lap of a loop */
    EF_CRASH = 16,     /* a choice: to live on (0) or to die; the write that says that the thread is
                      dead */
    EF_NAP = 32,       /* the first queue entered for a sleep; names the sleep */
    EF_ELSEWHERE = 64, /* a read that waits because what it could read belongs to another branch */
    EF_NEWEST = 128,   /* added as the newest write, or reading it; never revisited, nor read by a
                      revisit */
};

struct event {
    uint64_t value; /* read or written */
    uint64_t operand, expected;
    uint64_t pc;    /* return address of the access */
    uint64_t state; /* of reads: hash of the thread's local state when it read */
    uint32_t stamp; /* when it was added; grows along every thread */
    uint32_t loc;
    uint32_t rf;       /* of READ BEGIN JOIN */
    uint32_t copos;    /* of WRITE: index in the location's modification order; of an OP_COMPARE:
                          the location of the word's queue; of a sleep: 0, or 1 + the deaths from
                          which on a timer ends it (backstop.c) */
    uint32_t relfence; /* 1 + position of the thread's last release fence up to here */
    uint32_t lap;      /* how many effects the thread had had */
    uint8_t kind, order, op, size, flags;
    uint8_t ok_order, fail_order; /* of a read with an operation: `order` is one of them */
    uint8_t choice;               /* of OP_WAKE */
};

/* ---- the graph ------------------------------------------------------------------------------- */

enum { CLK_HB, CLK_PORF, CLK_REL, CLK_KINDS };

/* Why a thread cannot go on from the end of its events. */
enum stuck { STUCK_NO, STUCK_AWAIT, STUCK_SPIN, STUCK_JOIN, STUCK_BOUND, STUCK_ASSUME };

/* A read that a revisit made wait, taken back until the wait is over (withdraw.c). */
struct withdrawn {
    evid write;          /* that revisited it */
    uint32_t pos, stamp; /* where in its thread, and when, it was added */
};

struct gthread {
    struct event *ev;
    uint32_t *clk; /* [len][CLK_KINDS][tcap] */
    uint32_t len, cap;
    void *(*fn)(void *);
    void *arg;
    evid creator;      /* EV_INIT for the first thread */
    uint32_t stuck_at; /* STUCK_SPIN: where the lap began; STUCK_JOIN: the thread waited for */
    uint8_t live, stuck;
    uint8_t timed; /* what it waits for has a deadline: no hang */
    uint8_t detached;
    uint32_t died;    /* 1 + position of its choice to die; 0 = it lives */
    uint32_t process; /* ... with the process */
    struct withdrawn *out;
    uint32_t nout, cap_out;
};

struct gloc {
    evid *co, *rd; /* modification order without the initial value; reads, in order of addition */
    uint32_t nco, nrd, cap_co, cap_rd;
    uint64_t init;
    uint64_t asked;    /* the revisits (graph.revisits) that `below` is about */
    int64_t below;     /* highest index in co of a write that the revisiting one depends on */
    bool init_unknown; /* first read from heap memory that nobody had written */
};

struct graph {
    struct gthread *t;
    uint32_t nthreads, cap_threads;
    uint32_t tcap; /* entries of a clock */
    struct gloc *loc;
    uint32_t cap_locs;
    uint32_t *active; /* locations that have events */
    uint32_t nactive, cap_active;
    uint32_t stamp;
    uint32_t last;     /* thread of the event added last */
    uint64_t revisits; /* new writes so far whose revisits were sought */
};

static inline struct event *graph_ev(const struct graph *g, evid e)
{
    return &g->t[ev_tid(e)].ev[ev_pos(e)];
}
static inline uint32_t *graph_clk(const struct graph *g, evid e, unsigned kind)
{
    return g->t[ev_tid(e)].clk + ((size_t)ev_pos(e) * CLK_KINDS + kind) * g->tcap;
}
static inline bool clk_has(const uint32_t *clk, evid e)
{
    return clk[ev_tid(e)] > ev_pos(e);
}
/* Index of a write in its location's modification order; the initial value is -1. */
static inline int64_t graph_copos(const struct graph *g, evid w)
{
    return w == EV_INIT ? -1 : (int64_t)graph_ev(g, w)->copos;
}
static inline uint64_t graph_value(const struct graph *g, uint32_t loc, evid w)
{
    return w == EV_INIT ? g->loc[loc].init : graph_ev(g, w)->value;
}
static inline bool graph_ended(const struct graph *g, uint32_t tid)
{
    const struct gthread *t = &g->t[tid];
    return t->len != 0 && t->ev[t->len - 1].kind == EK_END;
}

void graph_init(struct graph *g);
void graph_clear(struct graph *g);
uint32_t graph_new_thread(struct graph *g, evid creator, void *(*fn)(void *), void *arg);
struct event *graph_append(struct graph *g, uint32_t tid, unsigned kind);
void graph_reserve_threads(struct graph *g, uint32_t n);
void graph_touch_loc(struct graph *g, uint32_t loc);
void graph_add_read(struct graph *g, uint32_t loc, evid r);
void graph_insert_co(struct graph *g, uint32_t loc, evid w, uint32_t pos);
/* Fill in all clocks of e from its predecessors. */
void graph_clocks(struct graph *g, evid e);
/* Highest index in `loc`'s modification order that the clock has seen, written or read; -1 =
 * none. */
int64_t graph_seen(const struct graph *g, uint32_t loc, const uint32_t *hb);
/* The clock of thread tid at the end of its events; zero for an empty thread. */
const uint32_t *graph_now(const struct graph *g, uint32_t tid);

/* ---- pending graphs -------------------------------------------------------------------------- */

enum todo {
    TODO_RUN,      /* nothing to check */
    TODO_READ,     /* subject = a new read whose clocks are not known yet */
    TODO_WRITE,    /* subject = a new write that is not last in modification order */
    TODO_REVISIT,  /* subject = a read that now reads from `write` */
    TODO_WITHDRAW, /* ... and would wait */
    TODO_RMW,      /* subject = a read whose write must be added, with its choice */
};

struct snapshot; /* a packed graph, in the work list */

/* Pack g, cut to keep[] events a thread (NULL = all of them); the newest event `write`, not yet in
 * the modification order, goes to index `pos` of the kept order when todo says WRITE or REVISIT. */
struct snapshot *snapshot_pack(const struct graph *g, const uint32_t *keep, enum todo todo,
                               evid subject, evid write, uint32_t pos);
/* Restore it into g and free it. */
enum todo snapshot_unpack(struct snapshot *s, struct graph *g, evid *subject);
struct snapshot *snapshot_copy(const struct graph *g);
struct snapshot *snapshot_clone(const struct snapshot *s);
void snapshot_free(struct snapshot *s);
size_t snapshot_bytes(const struct snapshot *s);

/* ---- consistency ----------------------------------------------------------------------------- */

bool consistent_rc11(struct graph *g);
bool consistent_sc(struct graph *g);
bool consistent_tso(struct graph *g);
bool consistent(struct graph *g, enum lk_check_model model);

/* Whether one of the graph's interleavings has at most so many preemptions (preempt.c). */
bool preempt_fits(struct graph *g, uint32_t limit);

/* ---- exploration ----------------------------------------------------------------------------- */

/* The engine's verbs; each adds one operation of the running thread to the graph (or replays
 * it). */
struct access {
    uintptr_t addr;
    uint64_t operand, expected;
    uint64_t pc;
    uint32_t queue; /* of OP_COMPARE; of a sleep: its timer; as event.copos */
    uint8_t size, order, fail_order, op;
    bool timed, silent, nap, death;
};

/* Locations of the checker's own, beside the program's memory: a queue of sleepers for each word, a
 * wake-up flag for each sleep and a sign of death for each thread.  Their initial value is 0. */
#define SHADOW ((uintptr_t)1 << 60)
static inline uintptr_t shadow_queue(uintptr_t word)
{
    return SHADOW * 4 + word * 2;
}
static inline uintptr_t shadow_wake(evid nap)
{
    return SHADOW * 2 + (uintptr_t)nap * 8;
}
static inline uintptr_t shadow_death(uint32_t tid)
{
    return SHADOW + (uintptr_t)tid * 8;
}
uint64_t explore_read(const struct access *a); /* loads and read-modify-writes: the value read */
void explore_write(const struct access *a, uint64_t value);
void explore_fence(unsigned order, uint64_t pc);
uint32_t explore_choice(uint32_t ways, uint64_t pc);
uint32_t explore_create(void *(*fn)(void *), void *arg, uint64_t pc);
uint64_t explore_join(uint32_t tid, uint64_t pc); /* the thread's result */
void explore_begin(void);
_Noreturn void explore_end(uint64_t result);
/* Value that the running thread sees without an event: the newest write in its past. */
uint64_t explore_peek(uintptr_t addr, unsigned size);
/* What the running thread's last read-modify-write stored. */
uint64_t explore_stored(void);
/* A mortal thread that has done something since it last could have died may die here. */
void explore_may_die(void);

/* What `op` makes of a value. */
enum outcome { OUT_READ, OUT_WRITE, OUT_WAIT };
enum outcome op_outcome(const struct event *e, uint64_t value, uint64_t *result);
uint32_t op_ways(const struct event *e, uint64_t value);
bool op_may_write(const struct event *e);
/* One that may be asked in a loop until it says yes; the others ask themselves, or always do. */
static inline bool op_is_asked(unsigned op)
{
    return op < OP_WAIT_MASKED || op == OP_TRYLOCK || op == OP_TRYSEM;
}
/* Push a branch; the newest write w of the working graph may be read by earlier reads: push
 * those. */
void explore_push(struct snapshot *s);
void revisit_reads(evid w, bool forced, evid after);
/* A read whose rf is set takes the value over; add the write of a read-modify-write (false: another
 * one has read the same, the graph is impossible); after each operation of a thread. */
enum outcome explore_settle(evid r);
bool explore_add_write(evid r);
/* A futex word was compared, at r, and if it was found equal the thread goes to sleep: its entry
 * into the queue is added after all others.  False: that would be too late for what the word held;
 * then the graphs in which it enters before a wake are pushed.  Or just ask. */
bool explore_sleep(evid r, bool only_ask);
/* The word was not overwritten before the thread entered its queue, at r. */
bool explore_slept_in_time(evid r);
void explore_operation_done(void);

/* Explore everything; the caller has made the program ready to be started over and over. */
void explore_all(void);

/* ---- waiting for a value (await.c) ------------------------------------------------------------
 */

/* The read `a` in this local state, as a key. */
uint64_t await_key(const struct access *a, uint64_t state);
/* The reads of the running thread since its lap-th effect, and the one with `key` that it is about
 * to make, are a loop that only waits. */
void await_learn(const struct access *a, uint64_t key, uint32_t lap);
/* With the newest values the read would only leave its thread waiting. */
bool await_in_vain(uint32_t tid, const struct access *a, uint64_t key);
/* The read r would leave its thread waiting, did it read this value: it waits by itself, or ends a
 * lap of a loop. */
bool await_would_wait(evid r, uint64_t value);
/* The newest value of what may be a location. */
uint64_t await_newest(uintptr_t addr, unsigned size);

/* ---- reads withdrawn (withdraw.c) ------------------------------------------------------------ */

/* Take back r, the last event of its thread, which a write has revisited. */
void withdraw(evid r);
/* Whether what was withdrawn at this place, if anything, may be made again reading y. */
bool withdrawn_may_read(const struct graph *g, uint32_t tid, uint32_t pos, evid y);
/* A read that w had revisited was withdrawn: w must not be deleted. */
bool withdrawn_from(const struct graph *g, evid w);
/* A revisit of what was added at `stamp`, keeping so many events of its thread, leaves h there. */
bool withdrawn_kept(const struct withdrawn *h, uint32_t keep, uint32_t stamp);
/* Those of thread tid that it would delete were as extending the rest by default makes them. */
bool withdrawn_maximal(const struct graph *g, uint32_t tid, uint32_t stamp, const uint32_t *porf_w);

/* ---- running --------------------------------------------------------------------------------- */

enum fiber_state { FS_FRESH, FS_READY, FS_WAIT_RF, FS_JOIN, FS_TURN, FS_AWAIT, FS_STUCK, FS_DONE };

/* A stack on which a thread of the program runs.  The first two are where the assembler knows. */
struct fiber {
    uintptr_t sp;
    uint64_t stutter;                /* inside a bounded spin: looking again shows nothing new */
    uintptr_t stack_low, stack_high; /* usable stack */
    uintptr_t sp_min;                /* deepest since the stack was wiped */
    void **calls;                    /* return addresses of the functions it is in */
    void **calls_top;
    uint32_t pos;      /* events replayed or added in this run */
    uint32_t free_pos; /* ... when it last came where another could have */
    uint32_t tid;
    uint32_t wait;       /* FS_WAIT_RF: the event; FS_JOIN: the thread */
    struct access await; /* FS_AWAIT: the read that has been put off, and its key */
    uint64_t await_key;
    uint32_t lap;      /* effects so far: stores, creations, large plain writes */
    uint64_t changed;  /* hash of what it has made of plain memory outside its stack */
    uintptr_t watched; /* such memory that it is about to write, in words, as it was; 0 = none */
    uint64_t before[3];
    uint8_t nwatched;
    uint32_t unseen;   /* effects on what no hash covers: blocks, keys, large writes, choices */
    uint32_t deeds;    /* effects so far that other processes can see */
    uint32_t spared;   /* ... when it last could have died and did not */
    uint64_t quiet;    /* plain accesses since the last event */
    uintptr_t pending; /* plain write under way to a location, 0 = none */
    uint32_t pending_size;
    uint64_t pending_pc;
    uint32_t pending_pos, pending_lap; /* where its events begin */
    bool pending_begun, pending_fresh;
    bool created;        /* has started other threads */
    uintptr_t heap_next; /* bump pointer of its arena */
    uint8_t state;
    uint8_t next;             /* FS_TURN: the kind of event that it is about to add */
    bool dying;               /* the kernel acts for it: no death from here on */
    bool mortal;              /* may die before each of its effects */
    uint32_t process;         /* which it belongs to: 0 = one of its own, else number + 1 */
    uint32_t *robust[32];     /* words that the kernel marks when it ends */
    uint32_t *robust_pending; /* the one that it is about to take or to leave */
    uint8_t robust_size[32];  /* 8: the word is the low half of an atomic one */
    uint32_t nrobust;
    uint8_t redo;  /* on resuming, the trapped call is made again */
    uint8_t again; /* ... as it is now, from the events that it began at: */
    uint32_t op_pos, op_lap, op_deeds, op_spared;
    evid nap;           /* its last sleep: where it first entered a queue */
    void *tls;          /* thread pointer or thread-local data, when the program has any */
    bool tls_apart;     /* the former */
    int error;          /* errno, while another runs */
    void **keys;        /* pthread_setspecific */
    uint32_t keys_used; /* the highest key set in this run */
    uint32_t backstop;  /* its sleeps have a timer: 1 + the deaths from which on */
};

/* What the assembler and the fast paths of the hooks read. */
struct hot {
    struct fiber *current; /* NULL: no exploration, every hook does the natural thing */
    uintptr_t kernel_sp;
    uintptr_t stack_low, stack_size; /* the running thread's own stack: not traced */
    void **calls, **calls_end;
    uintptr_t sp_min; /* how deep the running thread's stack has been */
};
extern struct hot lkc_hot;

/* Enter the run loop (on the caller's stack); returns when lkc_leave() is called. */
void lkc_enter(void);
_Noreturn void lkc_leave(void);
/* Give up the trapped call and run somebody else: lkc_dispatch() says whom. */
_Noreturn void lkc_reschedule(void);
uint64_t lkc_dispatch(void);
void lkc_fiber_prepare(struct fiber *f, void *fn, void *arg);
uint64_t lkc_call_again(struct fiber *f);
uint64_t lkc_trap_pc(const struct fiber *f);

/* Run the program once on the working graph. */
void run_once(void);
/* May thread tid add an event now?  If not, its call is put off. */
void run_turn(uint32_t tid);
/* The same for a read that may only leave the thread waiting. */
void run_await(const struct access *a, uint64_t key);
/* Put the read off: it is another's turn. */
_Noreturn void run_put_off(const struct access *a, uint64_t key);
void run_wait_rf(evid w);
void run_wait_join(uint32_t tid);
_Noreturn void run_stuck(enum stuck why, uint32_t at);
_Noreturn void run_thread_done(void);
void run_finish_plain(struct fiber *f);
struct fiber *run_fiber(uint32_t tid);
bool run_on_stack(uintptr_t addr, uint32_t *tid);
uint64_t run_state_hash(const struct fiber *f);

/* ---- locations, plain memory ----------------------------------------------------------------- */

struct location {
    uintptr_t addr;
    uint32_t next; /* in the same 8-byte granule; 0 = end */
    uint8_t size;
};
#define LOC_NONE 0u /* location numbers begin at 1 */
uint32_t loc_find(uintptr_t addr, unsigned size);
/* The location, made if need be; reports mixed sizes. */
uint32_t loc_get(uintptr_t addr, unsigned size, uint64_t pc);
uint32_t loc_granule(uintptr_t addr);

/* The scratch memory of the consistency tests; must exist before the data is remembered. */
void consistency_init(void);

void plain_reset(void);
void plain_read(uintptr_t addr, size_t size, uint64_t pc);
void plain_write(uintptr_t addr, size_t size, uint64_t pc);
/* A new atomic event met memory that others access plainly. */
void plain_check_atomic(evid e, uintptr_t addr, unsigned size);
void plain_check_free(uintptr_t addr, size_t size, uint64_t pc);
void plain_written(uintptr_t addr, size_t size);
void plain_written_to(uintptr_t addr, size_t size, uint64_t pc);
/* Whether the running thread's plain write to a location is an event of the graph. */
bool plain_is_event(uint32_t loc);
/* What the thread's last plain write outside its stack has changed. */
void plain_look_again(struct fiber *f);
/* Whether two threads have met in the memory, in any run so far: only where processes may die. */
bool plain_shared(uintptr_t addr, size_t size);
void plain_use_shared(void);
uint64_t plain_load(uintptr_t addr, unsigned size);
void plain_store(uintptr_t addr, unsigned size, uint64_t value);

void heap_init(void);
void heap_thread_start(uint32_t tid);
/* Record blocks that neither the data given nor other blocks refer to. */
void heap_leaks(uintptr_t data, uintptr_t data_end);
bool heap_any(void);
/* "block 2 of T0, byte 8" */
bool heap_name(uintptr_t addr, char *text, size_t size);
bool heap_owns(const void *p);
void *heap_new(size_t size, size_t align, bool zero, uint64_t pc);
void heap_delete(void *p, uint64_t pc);
size_t heap_size(const void *p);
/* The hash h and what the heap holds. */
uint64_t heap_state(uint64_t h);
void heap_check(uintptr_t addr, size_t size, uint64_t pc);
bool heap_unwritten(uintptr_t addr, unsigned size);

/* ---- errors and the end of runs -------------------------------------------------------------- */

/* Record an error met by the running thread and end this run. */
_Noreturn void error_stop(enum lk_check_error kind, uint64_t pc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Record one that the graph as a whole shows. */
void error_record(enum lk_check_error kind, uint32_t tid, uint64_t pc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void hang_judge(void);
/* Nobody can go on, and nothing that is yet to be seen would change that: the thread to blame. */
bool hang_stands(uint32_t *culprit);
/* Whether the read sees what is, for now, the last write of its location, or the same value. */
bool hang_sees_newest(const struct graph *g, const struct event *e);

struct failure {
    enum lk_check_error kind;
    char text[256];
    uint64_t pc, other_pc;
    uint32_t tid;
    uint64_t calls[16];
    uint32_t ncalls;
    struct snapshot *graph;
    uint32_t events;
    uint64_t execution; /* serial number of the run that found it */
    bool sc, tso;       /* some failing graph was allowed there */
    uint64_t times;
    struct failure *next;
};

/* After each run and each walk: what came of it. */
void count_run(void);
void count_walk(void);
void count_fair_walk(void);
void count_progress(void);
void count_reset(void);
/* The search is to end: enough is known, or somebody asked. */
bool count_must_stop(void);
/* Within a run, which may have no end: an error is known, and no shorter one was found for long. */
void count_looks(void);

/* ---- livelock (fair.c) ----------------------------------------------------------------------- */

void fair_walks(void (*walk)(void));
/* On such a walk, a thread that is about to add an event waits until it is drawn: of those that are
 * `able` to go on. */
void fair_turn(uint32_t tid);
struct fiber *fair_pick(bool (*able)(uint32_t tid));

/* ---- every state once (states.c) ------------------------------------------------------------- */

/* One run from the root after the other, until no interleaving leads to another state. */
void states_explore(void (*run)(void));
/* In such a run: as fair_turn() and fair_pick(); is it the thread's turn?; what is chosen. */
void states_turn(uint32_t tid);
struct fiber *states_pick(bool (*able)(uint32_t tid));
bool states_granted(uint32_t tid);
uint32_t states_choice(uint32_t ways);
/* The running thread uses the location. */
void states_used(uint32_t loc, bool writes);

/* ---- timers (backstop.c) --------------------------------------------------------------------- */

/* The run would end with somebody asleep for ever: whether a timer ends the sleep instead. */
bool backstop_fires(void);
#define WOKEN_BY_TIMER UINT32_MAX /* by no queue */

/* ---- the end from outside (stop.c) ----------------------------------------------------------- */

void stop_begin(uint64_t max_ns);
void stop_end(void);
/* The time is up, or SIGINT came. */
bool stop_asked(void);
/* End the run in the middle: it counts for nothing. */
_Noreturn void stop_run(void);

/* ---- state ----------------------------------------------------------------------------------- */

enum { MODE_FAST, MODE_STRICT, MODE_STACKS };
enum run_end {
    RUN_COMPLETE,
    RUN_BLOCKED,
    RUN_ERROR,
    RUN_BOUND,
    RUN_HOP,
    RUN_UPGRADE,
    RUN_STOPPED,
    RUN_KNOWN, /* in a state that was met before */
};

struct checker {
    struct lk_check_options opt;
    struct lk_check_report *rep;
    struct graph g;
    /* work list */
    struct snapshot **work;
    size_t nwork, cap_work;
    size_t work_bytes, work_bytes_max;
    /* locations */
    struct location *locs;
    uint32_t nlocs, cap_locs;
    uint32_t *loc_hash;
    uint32_t cap_loc_hash;
    /* fibers */
    struct fiber **fibers;
    uint32_t nfibers, cap_fibers;
    uintptr_t stacks_low, stacks_high; /* all of them lie between */
    /* program */
    void *(*fn)(void *);
    void *arg;
    /* run */
    int mode;
    bool upgrade; /* the mode must rise and the exploration begin anew */
    int upgrade_mode;
    bool tls_apart; /* a thread pointer for each thread, see program.c */
    enum run_end end;
    bool walking; /* random walk: one branch is taken, the others are dropped */
    void *fair;   /* a walk through one fair interleaving */
    void *states; /* the search goes by states, through interleavings */
    void *uses;   /* ... what it has learnt of locations */
    uint64_t rng;
    double weight;
    bool stop;
    uint32_t errors_in_run;
    /* counts */
    uint64_t backstops; /* executions that a timer has ended */
    uint64_t complete, blocked, preempted, cut, runs, inconsistent, failing, walked, descents;
    uint64_t nstates, steps; /* of a search by states */
    double weight_sum;
    bool bounded, by_walk;
    bool sc_used; /* some access or fence was sequentially consistent */
    uint64_t begun_ns, progress_ns, first_error_ns, first_error_runs;
    struct failure *failures;
    void *shadow, *heap, *keys, *facts, *met;
    uint64_t serial;             /* runs begun, of all modes and walks */
    uint64_t looks;              /* at the clock, or nearly, since an error was met */
    uint64_t marked;             /* blocks reached so far */
    uint64_t race_pc;            /* the other access of a race */
    uint32_t *keep, *kept_index; /* scratch of revisits */
    evid *kept;
    uint32_t cap_keep, cap_kept_index, cap_kept;
    struct snapshot *hop; /* random walk: the branch drawn so far, of so many */
    uint32_t branches;
    uint32_t fired; /* timers that have run out in this run */
};
extern struct checker *lkc;

static inline struct fiber *self(void)
{
    return lkc_hot.current;
}

/* A run follows one interleaving: reads see the newest write, nothing else is tried. */
static inline bool by_turns(void)
{
    return lkc->fair != NULL || lkc->states != NULL;
}

/* Memory that the program's own malloc does not see. */
void *lkc_alloc(size_t size);
void *lkc_grow(void *p, size_t old_size, size_t new_size);
void lkc_free(void *p, size_t size);
#define LKC_GROW(array, cap, need)                                                                 \
    do {                                                                                           \
        if ((need) > (cap)) {                                                                      \
            size_t lkc_new_ = (cap) != 0 ? 2 * (size_t)(cap) : 16;                                 \
            while (lkc_new_ < (need))                                                              \
                lkc_new_ *= 2;                                                                     \
            (array) =                                                                              \
                lkc_grow((array), (size_t)(cap) * sizeof *(array), lkc_new_ * sizeof *(array));    \
            (cap) = (uint32_t)lkc_new_;                                                            \
        }                                                                                          \
    } while (0)

uint64_t lkc_now_ns(void);
void lkc_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
