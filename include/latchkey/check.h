/* latchkey/check.h - the model checker: every execution of real C code, each exactly once.
 *
 * The code under test is compiled with -fsanitize=thread (instrumentation only) and linked with
 * liblatchkey-check instead of the compiler's own runtime.  lk_check_run() starts the given
 * function over and over, on stacks of its own, until every execution that the memory model allows
 * has been met: every value that every atomic load may return and every order of the stores to one
 * location.
 *
 * What a program may use: C11 atomics or the __atomic builtins in sizes 1 to 8, <threads.h> or
 * <pthread.h>, malloc and free, assert.  It must be deterministic but for its threads, and leave
 * nothing behind outside its memory.  Its data is put back before each run.
 *
 * Model: RC11 (Lahav et al., PLDI 2017) with the release sequences of C++20; algorithm: TruSt
 * (Kokologiannakis et al., POPL 2022).  docs/CHECKER.md says what is covered and what is not. */
#ifndef LATCHKEY_CHECK_H
#define LATCHKEY_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lk_check_model { LK_CHECK_RC11, LK_CHECK_SC, LK_CHECK_TSO };

enum lk_check_error {
    LK_CHECK_ASSERT,   /* an assertion does not hold, or abort() was called */
    LK_CHECK_RACE,     /* two accesses to one location, one of them plain, in no order */
    LK_CHECK_DEADLOCK, /* threads wait for each other's locks, or join each other */
    LK_CHECK_HANG,     /* a thread sleeps or spins for ever */
    LK_CHECK_USE_AFTER_FREE,
    LK_CHECK_BAD_FREE,      /* freed twice, or never allocated */
    LK_CHECK_OUT_OF_BOUNDS, /* outside every block of the heap */
    LK_CHECK_LEAK,          /* still allocated when every thread has ended */
    LK_CHECK_UNINITIALISED, /* an atomic read of heap memory that nobody wrote */
    LK_CHECK_MIXED_SIZE,    /* atomic accesses of different sizes to the same bytes: not covered */
    LK_CHECK_MISUSE,        /* of a lock: unlocked by another thread, destroyed while locked, ... */
    LK_CHECK_CRASH,         /* a signal: null pointer and the like */
    LK_CHECK_UNSUPPORTED,   /* a call that the checker does not model */
    LK_CHECK_BUSY_WAIT,     /* goes round and round a futex call that does not sleep */
    LK_CHECK_LIVELOCK,      /* threads that all go on, with effects, and come to no end */
    LK_CHECK_ERRORS         /* how many there are */
};

struct lk_check_options {
    enum lk_check_model model;
    uint64_t max_executions; /* 0 = no bound */
    uint64_t max_ns;         /* 0 = no bound */
    uint32_t max_events;     /* of one thread; 0 = 100,000 */
    uint32_t max_deaths;     /* processes that may die in one execution */
    uint32_t walks;          /* random walks before the exhaustive search */
    bool bound_preemptions;  /* leave out what needs more than: */
    uint32_t preemptions;
    bool states;      /* every state once, not every execution; the model is LK_CHECK_SC, and
                         there are no walks */
    bool random_only; /* nothing but random walks, until a bound */
    uint64_t seed;
    bool no_liveness;    /* do not call an execution that blocks for ever an error */
    bool weak_fails;     /* weak compare-and-swap may fail for no reason */
    bool spurious_wakes; /* condition and futex waits may return for no reason */
    bool pid_reuse;      /* the number of a dead process may be another's by now */
    bool no_leaks;       /* memory still allocated at the end is no error */
    bool keep_going;     /* explore to the end even after an error */
    bool quiet;          /* no progress line on stderr */
    uint64_t replay;     /* 0, or 1 + the number of an execution: lk_check_replay_begins() is
                                * called before it, so that a debugger can stop there */
    size_t stack_bytes;  /* of each thread; 0 = 256 KiB */
};

struct lk_check_found {
    enum lk_check_error kind;
    const char *text;  /* one sentence */
    const char *place; /* file:line */
    uint64_t times;    /* executions that showed it */
    bool sc, tso;      /* some of them are executions of these stronger models too */
};

struct lk_check_report {
    uint64_t complete;  /* executions in which every thread ended */
    uint64_t blocked;   /* in which some thread waits and no error was seen */
    uint64_t wasted;    /* begun and dropped */
    uint64_t preempted; /* left out: they need more preemptions than the bound */
    uint64_t backstops; /* of the complete ones: a timer had to end a sleep */
    uint64_t states;    /* of a search by states: so many */
    uint64_t steps;     /* ... steps between them */
    uint64_t walked;    /* random walks among them: not counted above */
    double estimate;    /* of the executions in all, from the random walks; 0 = none */
    bool bounded;       /* a bound was hit: nothing is proved */
    bool by_walk;       /* the error was met on a random walk */
    double seconds;
    double executions_per_second;
    uint64_t peak_pending_bytes;
    uint64_t peak_rss_bytes;
    uint32_t nerrors;
    struct lk_check_found error[LK_CHECK_ERRORS * 2];
};

/* Explore fn(arg).  `opt` NULL = defaults.  Returns 0 = explored to the end, no error; 1 = errors
 * found; 3 = a bound was hit and no error found.  Not reentrant.  The texts in *rep last until the
 * next call. */
int lk_check_run(void *(*fn)(void *), void *arg, const struct lk_check_options *opt,
                 struct lk_check_report *rep);

/* In the program: an error unless `condition` holds. */
#define lk_check_assert(condition)                                                                 \
    ((condition) ? (void)0 : lk_check_fail(#condition, __FILE__, __LINE__))
void lk_check_fail(const char *what, const char *file, int line);

/* In the program: this execution is of no interest unless `condition` holds. */
void lk_check_assume(bool condition);

/* In the program: 0..ways-1, each explored. */
uint32_t lk_check_choose(uint32_t ways);

/* ---- processes that die; the kernel's part
 * -------------------------------------------------------
 *
 * A mortal thread stands for a process of its own: it may die behind each of its effects (store,
 * plain or atomic, read-modify-write, wake, wake received), at most `max_deaths` processes in one
 * execution. */

/* In the program: from here on the calling thread may die, or no more. */
void lk_check_mortal(bool on);
/* In the program: the calling thread may die here, mortal or not: for who asks about one point
 * only, or about a death before the first effect. */
void lk_check_crash_point(void);
/* In the program: from here on the calling thread is one of process `process`, whose mortal threads
 * die together: they count as one death, each stops where it happens to be, and none goes on once
 * it could know.  A thread that never says so is a process of its own. */
void lk_check_process(unsigned process);
/* The calling thread's number: 0 = the first, then in order of creation. */
unsigned lk_check_thread(void);
/* Is that thread dead?  Acquires what it did.  The truth about liveness, as the kernel knows it. */
bool lk_check_dead(unsigned thread);

/* futex(2): sleep while *a == va and (b != NULL) *b == vb.  0 = woken, EAGAIN, ETIMEDOUT (if timed,
 * whenever it likes), EINTR (with spurious_wakes). */
struct lk_check_watch {
    const uint32_t *word;
    uint32_t value;
};
/* The same for up to 128 words, as futex_waitv(2): sleep while each holds its value. */
int lk_check_futex_waitv(const struct lk_check_watch *w, unsigned n, bool timed);
int lk_check_futex_wait(const uint32_t *a, uint32_t va, const uint32_t *b, uint32_t vb, bool timed);
/* From here on a sleep of the calling thread that would have no end, nobody being left who could go
 * on, ends with ETIMEDOUT, provided that so many threads have died; an execution that needs that is
 * counted (`backstops`).  With fewer deaths it is a hang. */
void lk_check_backstop(unsigned deaths);
int lk_check_futex_wake(const uint32_t *word, int n);

/* A word that the kernel marks when the calling thread ends or dies, if its low 30 bits are the
 * thread's number + 1: FUTEX_OWNER_DIED is set, FUTEX_WAITERS stays and has one sleeper woken. */
void lk_check_robust_add(uint32_t *word);
/* The same; the word is the low half of one that the program accesses as 8 bytes. */
void lk_check_robust_add64(uint64_t *word);
void lk_check_robust_remove(uint32_t *word);
/* The word that the thread is about to take or to leave (list_op_pending): as an added one, and if
 * it is 0 when the thread dies, one sleeper is woken.  NULL = none. */
void lk_check_robust_pending(uint32_t *word);

/* The pause in a bounded spin: the spin is explored as one look, its later laps see nothing new. */
void lk_check_relax(void);

/* Called, for a debugger's breakpoint, before the execution that is replayed. */
void lk_check_replay_begins(void);

/* The name of an error kind as --json prints it: "race", "hang", ... */
const char *lk_check_error_name(enum lk_check_error kind);

#ifdef __cplusplus
}
#endif
#endif
