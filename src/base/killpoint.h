/* killpoint.h - the steps at which a `kill` build can be stopped.
 *
 * In every other build the macro is nothing.  In a kill build each atomic operation with an effect
 * and each futex call is one step, and a process that called lki_kill_at(n) ends by SIGKILL just
 * before its n-th step from then on. */
#ifndef LKI_KILLPOINT_H
#define LKI_KILLPOINT_H

#ifdef LK_BUILD_KILL
/* End this process by SIGKILL at its n-th step from now; 0 = never. */
void lki_kill_at(unsigned long n);
void lki_kill_step(void);
#define LK_KILLPOINT() lki_kill_step()
#else
#define LK_KILLPOINT() ((void)0)
#endif

#endif
