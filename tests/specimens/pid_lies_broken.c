/* FAILURES.md 1, pid_lies: a corrupt word reaches kill() as a pid.
 * Options: --deaths 0
 * Expect: misuse */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "latchkey/check.h"

static atomic_int word = -1; /* what a scribbler left */

int main(void)
{
    int seen = atomic_load_explicit(&word, memory_order_acquire);
    return kill(seen, 0) != 0 && errno == ESRCH;
}
