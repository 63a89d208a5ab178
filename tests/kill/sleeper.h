/* sleeper.h - children that sleep for a lock, and that the test stops between the kernel's waking
 * them and their first instruction after it (ptrace): what the order of events was, is no matter
 * of luck. */
#ifndef SLEEPER_H
#define SLEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What sleeper and test tell each other, in shared memory. */
struct sleeper_report {
    _Atomic int locked; /* it has the lock */
    _Atomic int rc;     /* what locking returned */
    _Atomic unsigned backstops;
    _Atomic int may_unlock; /* it keeps the lock until then */
};

enum sleeper_event {
    SLEEPER_ASLEEP,    /* nothing happened */
    SLEEPER_WOKEN,     /* the kernel woke it; it stands still */
    SLEEPER_TIMED_OUT, /* its timer did */
    SLEEPER_AGAIN,     /* what it was to sleep on had changed already */
};

struct sleeper {
    pid_t pid; /* 0: it has ended */
    struct sleeper_report *report;
    unsigned timeouts; /* of its backstop timer so far */
};

/* Fork a child that calls fn(report, arg), which sleeps for a lock, and let it fall asleep.
 * Skips the test where ptrace is not permitted. */
void sleeper_start(struct sleeper *s, void (*fn)(struct sleeper_report *report, void *arg),
                   void *arg);

/* What has happened to it; waits up to wait_ms for something to happen. */
enum sleeper_event sleeper_look(struct sleeper *s, unsigned wait_ms);

/* From where it stands into its next sleep. */
void sleeper_sleep_again(struct sleeper *s);

/* Let it run without being watched any more. */
void sleeper_run(struct sleeper *s);

/* sleeper_run() to its end, which must be exit code 0. */
void sleeper_finish(struct sleeper *s);

/* SIGKILL, where it stands or runs; nothing if it has ended. */
void sleeper_kill(struct sleeper *s);

/* Until all n have slept so long that their backstop timers are far off. */
void sleepers_settle(struct sleeper *s, unsigned n);

#endif
