/* specimen.h - what all specimens need.  BROKEN is 1 in the form that was published and 0 in the mended
 * one; specimens_test.sh says -DBROKEN=1 and -DBROKEN=0. */
#ifndef SPECIMEN_H
#define SPECIMEN_H

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "latchkey/check.h"

enum { SPECIMEN_THREADS = 4 };

/* Run fn(0), fn(1), ... as n threads. */
static inline void run_threads(long n, void *(*fn)(void *))
{
    pthread_t id[SPECIMEN_THREADS];
    for (long i = 0; i < n; i++)
        pthread_create(&id[i], NULL, fn, (void *)i);
    for (long i = 0; i < n; i++)
        pthread_join(id[i], NULL);
}

/* Run these two. */
static inline void run_two(void *(*a)(void *), void *(*b)(void *))
{
    pthread_t id[2];
    pthread_create(&id[0], NULL, a, NULL);
    pthread_create(&id[1], NULL, b, NULL);
    pthread_join(id[0], NULL);
    pthread_join(id[1], NULL);
}

static inline void futex_wait(atomic_int *word, int value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static inline void futex_wake(atomic_int *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

#endif
