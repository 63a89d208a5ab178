/* killpoint.c - counting steps in a kill build. */
#include "base/killpoint.h"

#ifdef LK_BUILD_KILL
#include <signal.h>
#include <unistd.h>

static __thread unsigned long steps_left;

void lki_kill_at(unsigned long n)
{
    steps_left = n;
}

void lki_kill_step(void)
{
    if (steps_left == 0 || --steps_left > 0)
        return;
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}
#else
typedef int lki_no_kill_steps;
#endif
