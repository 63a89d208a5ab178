/* locks_programs.h - n threads take one lock once each; compiled with -fsanitize=thread. */
#ifndef LOCKS_PROGRAMS_H
#define LOCKS_PROGRAMS_H

enum lock_kind { TAS_LOCK, TTAS_LOCK, CAS_LOCK, TICKET_LOCK, PTHREAD_LOCK };
enum { LOCK_THREADS_MAX = 6 };

struct lock_program {
    enum lock_kind kind;
    int threads;
};

/* The argument is a struct lock_program; fails an assertion when two threads are inside. */
void *locks_run(void *program);

#endif
