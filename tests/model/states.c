/* states.c - see states.h. */
#include "states.h"

#include <assert.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "states_seam.h"

enum { STACK = 65536, CLEARED = 3072, STEPS = 4096, CHOICES = 2 * STATES_THREADS };
enum what { TRY, WAIT, LEAVE, UPGRADE, DOWNGRADE, ENDED };

struct thread {
    jmp_buf begin, at;
    char *stack, *top, *lowest, *live, *low; /* its end; first frame; last */
    enum what what;
    unsigned lock;
    bool reading;
    int answer;
};

struct lock {
    unsigned char writer; /* thread + 1 */
    unsigned char readers[STATES_THREADS];
};

struct step {
    uint64_t state;
    unsigned char choice[CHOICES]; /* thread * 2 + does a try of a free lock fail? */
    unsigned n, at;
    char *memory; /* all that go_back() needs */
    size_t room;
};

static const struct states_program *program;
static struct thread thread[STATES_THREADS];
static struct lock lock[STATES_LOCKS];
static unsigned current;
static jmp_buf scheduler;
static struct step path[STEPS];
static const char *error;

/* ---- the set of states
 * -------------------------------------------------------------------------- */

static uint64_t *table, *known; /* open addressing; the same in the order of coming */
static size_t n_known, room;

static bool remember(uint64_t state);

static void make_room(void)
{
    size_t n = n_known;
    uint64_t *old = known;
    room = room == 0 ? 1u << 12 : room * 2;
    free(table);
    table = calloc(room, sizeof *table);
    known = malloc(room / 2 * sizeof *known);
    assert(table != NULL && known != NULL);
    n_known = 0;
    for (size_t i = 0; i < n; i++)
        (void)remember(old[i]);
    free(old);
}

/* False: it was there. */
static bool remember(uint64_t state)
{
    if (n_known == room / 2)
        make_room();
    size_t at = state & (room - 1);
    for (; table[at] != 0; at = (at + 1) & (room - 1))
        if (table[at] == state)
            return false;
    table[at] = state;
    known[n_known++] = state;
    return true;
}

static void forget_all(void)
{
    for (size_t i = 0; i < n_known; i++) {
        size_t at = known[i] & (room - 1);
        while (table[at] != 0) { /* its neighbours go as well: all of them do */
            table[at] = 0;
            at = (at + 1) & (room - 1);
        }
    }
    n_known = 0;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xd6e8feb86659fd93));
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiples of eight bytes. */
static uint64_t add(uint64_t hash, const void *piece, size_t size)
{
    const char *at = piece;
    for (uint64_t word; size >= sizeof word; at += sizeof word, size -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = mix(hash ^ word, size);
    }
    return hash;
}

static uint64_t state_now(void)
{
    uint64_t hash = 1;
    void *piece;
    size_t size;
    for (unsigned t = 0; t < program->threads; t++) {
        const struct thread *f = &thread[t];
        hash = mix(hash, f->what * 64u + f->lock * 2u + f->reading);
        if (f->what == ENDED)
            continue;
        hash = add(hash, f->live, (size_t)(f->top - f->live));
        hash = add(hash, f->at[0].__jmpbuf, sizeof f->at[0].__jmpbuf);
    }
    for (unsigned i = 0; (size = program->memory(i, &piece)) != 0; i++)
        hash = add(hash, piece, size);
    for (unsigned l = 0; l < STATES_LOCKS; l++) {
        uint64_t word = 0;
        memcpy(&word, &lock[l], sizeof lock[l]);
        hash = mix(hash, word);
    }
    return hash == 0 ? 1 : hash;
}

/* ---- threads
 * ------------------------------------------------------------------------------------ */

unsigned states_thread(void)
{
    return current;
}

void states_fail(const char *what)
{
    if (error == NULL)
        error = what;
}

/* Of thread `but`'s no account is taken. */
static bool is_free(unsigned l, bool reading, unsigned but)
{
    unsigned readers = 0;
    for (unsigned t = 0; t < STATES_THREADS; t++)
        readers += t != but && lock[l].readers[t] != 0;
    return lock[l].writer == 0 && (reading || readers == 0);
}

bool states_holds(unsigned l, bool reading)
{
    return reading ? lock[l].readers[current] != 0 : lock[l].writer == current + 1;
}

static void change_lock(struct lock *l, unsigned t, enum what what, bool reading)
{
    bool writes = l->writer == t + 1;
    bool wrong = what == LEAVE
                     ? !writes && l->readers[t] == 0
                     : (what == UPGRADE && l->readers[t] != 1) || (what == DOWNGRADE && !writes);
    if (wrong)
        states_fail("a lock is unlocked or changed that the thread does not hold so");
    if (what == LEAVE && !writes)
        l->readers[t]--;
    else if (what == UPGRADE || what == DOWNGRADE)
        l->readers[t] = what == DOWNGRADE;
    else if (what != LEAVE && reading)
        l->readers[t]++;
    if (writes)
        l->writer = 0;
    else if (what != LEAVE && !reading)
        l->writer = (unsigned char)(t + 1);
}

/* The thread stops before this step; it has been made when it goes on. */
static __attribute__((noinline)) int step(enum what what, void *address, bool reading)
{
    struct thread *f = &thread[current];
    f->what = what;
    f->lock = program->lock_number(address);
    f->reading = reading;
    f->live = __builtin_frame_address(0);
    f->low = __builtin_alloca(sizeof(max_align_t));
    if (_setjmp(f->at) == 0)
        _longjmp(scheduler, 1);
    return thread[current].answer;
}

int states_lock(void *address, int reading, int only_try)
{
    return step(only_try ? TRY : WAIT, address, reading != 0);
}

/* Where any try may fail, nobody can tell when a lock was let go: it might as well be at once. */
static int let_go(enum what what, void *address)
{
    if (program->strictly)
        return step(what, address, what == DOWNGRADE);
    change_lock(&lock[program->lock_number(address)], current, what, what == DOWNGRADE);
    return 0;
}

int states_unlock(void *address)
{
    return let_go(LEAVE, address);
}

int states_upgrade(void *address)
{
    return step(UPGRADE, address, false);
}

int states_downgrade(void *address)
{
    return let_go(DOWNGRADE, address);
}

static __attribute__((noinline)) void first_frame(void)
{
    thread[current].top = __builtin_frame_address(0);
    thread[current].lowest = __builtin_alloca(sizeof(max_align_t));
    if (_setjmp(thread[current].begin) == 0)
        _longjmp(scheduler, 1);
    program->run(current);
    thread[current].what = ENDED;
    _longjmp(scheduler, 1);
}

static void make_threads(void)
{
    static ucontext_t context, back;
    for (current = 0; current < STATES_THREADS; current++) {
        struct thread *f = &thread[current];
        if (f->stack == NULL)
            f->stack = malloc(STACK);
        assert(f->stack != NULL && getcontext(&context) == 0);
        context.uc_stack.ss_sp = f->stack;
        context.uc_stack.ss_size = STACK;
        makecontext(&context, first_frame, 0);
        if (_setjmp(scheduler) == 0)
            (void)swapcontext(&back, &context);
    }
}

static void go_on(unsigned t, jmp_buf at)
{
    current = t;
    program->resume(t);
    memset(thread[t].low - CLEARED, 0, CLEARED); /* what was there is no part of the state */
    if (_setjmp(scheduler) == 0)
        _longjmp(at, 1);
    program->suspend(current);
}

/* ---- steps
 * -------------------------------------------------------------------------------------- */

static bool may_step(unsigned t)
{
    const struct thread *f = &thread[t];
    if (f->what == TRY || f->what == WAIT)
        return is_free(f->lock, f->reading, STATES_THREADS);
    if (f->what == UPGRADE)
        return is_free(f->lock, false, t);
    return f->what != ENDED;
}

static unsigned choices(unsigned char *choice)
{
    unsigned n = 0;
    for (unsigned t = 0; t < program->threads; t++) {
        bool may = may_step(t), tries = thread[t].what == TRY || thread[t].what == UPGRADE;
        if (may)
            choice[n++] = (unsigned char)(2 * t);
        if (tries && !(may && program->strictly))
            choice[n++] = (unsigned char)(2 * t + 1);
    }
    return n;
}

static void make_step(unsigned choice)
{
    unsigned t = choice / 2;
    struct thread *f = &thread[t];
    f->answer = choice % 2 ? EBUSY : 0;
    if (f->answer == 0)
        change_lock(&lock[f->lock], t, f->what, f->reading);
    go_on(t, f->at);
}

static void begin_again(void)
{
    memset(lock, 0, sizeof lock);
    program->begin();
    for (unsigned t = 0; t < program->threads; t++) {
        thread[t].low = thread[t].lowest;
        go_on(t, thread[t].begin);
    }
}

/* ---- back to a state
 * --------------------------------------------------------------------------- */

/* Copy a piece of the program's memory to or from `at`; how far that goes. */
static size_t copy(char *at, void *piece, size_t size, bool back)
{
    if (back)
        memcpy(piece, at, size);
    else if (at != NULL)
        memcpy(at, piece, size);
    return size;
}

/* All that the state consists of; at NULL: how much that is. */
static size_t copy_all(char *at, bool back)
{
    enum { FRAME = 64 }; /* of what lies below `low` */
    size_t n = 0, size;
    void *piece;
#define AT (at != NULL ? at + n : NULL)
    n += copy(AT, lock, sizeof lock, back);
    n += copy(AT, thread, sizeof thread, back);
    for (unsigned t = 0; t < program->threads; t++)
        if (thread[t].what != ENDED)
            n += copy(AT, thread[t].low - FRAME, (size_t)(thread[t].top - thread[t].low) + FRAME,
                      back);
    for (unsigned i = 0; (size = program->memory(i, &piece)) != 0; i++)
        n += copy(AT, piece, size, back);
#undef AT
    return n;
}

static void keep(struct step *s)
{
    size_t size = copy_all(NULL, false);
    if (size > s->room) {
        free(s->memory);
        s->memory = malloc(size);
        assert(s->memory != NULL);
        s->room = size;
    }
    (void)copy_all(s->memory, false);
}

/* ---- the search
 * --------------------------------------------------------------------------------- */

static void print_path(unsigned depth)
{
    static const char *const word[] = {"tries", "waits for", "unlocks", "upgrades", "downgrades"};
    begin_again();
    for (unsigned d = 0; d < depth; d++) {
        unsigned choice = path[d].choice[path[d].at], t = choice / 2;
        (void)fprintf(stderr, "    thread %u %s lock %u%s%s\n", t, word[thread[t].what],
                      thread[t].lock, thread[t].reading ? " to read" : "",
                      choice % 2 ? ": taken" : "");
        make_step(choice);
    }
}

static bool on_the_way(uint64_t state, unsigned depth)
{
    while (depth-- > 0)
        if (path[depth].state == state)
            return true;
    return false;
}

/* The state now, which a step has led to: is there anything to go on from? */
static bool enter(unsigned depth)
{
    struct step *s = &path[depth];
    uint64_t state = state_now();
    assert(depth < STEPS - 1);
    if (!remember(state)) {
        if (on_the_way(state, depth))
            states_fail("livelock: a state comes again");
        return false;
    }
    s->state = state;
    s->at = 0;
    s->n = choices(s->choice);
    if (s->n > 1)
        keep(s);
    if (s->n != 0)
        return true;
    for (unsigned t = 0; t < program->threads; t++)
        if (thread[t].what != ENDED)
            states_fail("deadlock");
    for (unsigned l = 0; l < STATES_LOCKS; l++)
        if (!is_free(l, false, STATES_THREADS))
            states_fail("a lock stays locked");
    if (error == NULL && !program->end())
        states_fail("the end is not what it must be");
    return false;
}

struct states_found states_explore(const struct states_program *p)
{
    struct states_found found = {0};
    unsigned depth = 0;
    program = p;
    error = NULL;
    make_threads();
    forget_all();
    begin_again();
    for (;;) {
        for (; error == NULL && enter(depth); depth++, found.steps++)
            make_step(path[depth].choice[0]);
        found.deepest = depth > found.deepest ? depth : found.deepest;
        if (error != NULL)
            break;
        while (depth > 0 && path[depth - 1].at + 1 == path[depth - 1].n)
            depth--;
        if (depth == 0)
            break;
        struct step *s = &path[depth - 1];
        (void)copy_all(s->memory, true);
        make_step(s->choice[++s->at]);
        found.steps++;
    }
    found.states = n_known;
    if ((found.error = error) != NULL)
        print_path(depth);
    return found;
}
