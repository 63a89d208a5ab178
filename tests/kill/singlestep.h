/* singlestep.h - run a child one machine instruction at a time (ptrace). */
#ifndef SINGLESTEP_H
#define SINGLESTEP_H

#include <stdbool.h>
#include <sys/types.h>

/* A child that stands between two instructions. */
struct stepped {
    pid_t pid;
    unsigned long steps; /* made so far */
};

/* What the child does: prepare (may be NULL) runs freely, then operate instruction by
 * instruction. */
struct role {
    void (*prepare)(void *arg);
    void (*operate)(void *arg);
    void *arg;
};

/* Fork the child and let it come to the beginning of operate.  Skips the test where ptrace is not
 * permitted. */
struct stepped step_begin(const struct role *role);

/* One instruction more.  False: operate has returned (the child still stands there). */
bool step_once(struct stepped *s);

/* n instructions; false if operate returned before. */
bool step_many(struct stepped *s, unsigned long n);

/* SIGKILL where it stands, and wait until it is gone. */
void step_kill(struct stepped *s);

/* Leave it stopped, as by SIGSTOP; from now on it can be continued and killed like any process. */
void step_leave_stopped(struct stepped *s);

/* Let it run to its end, which must be exit code 0. */
void step_finish(struct stepped *s);

/* Run to the beginning or the end of the next system call.  False: operate has returned. */
bool step_to_syscall(struct stepped *s);

#endif
