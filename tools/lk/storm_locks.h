/* storm_locks.h - `lk storm --locks`: the robust locks by themselves under a kill storm. */
#ifndef LK_STORM_LOCKS_H
#define LK_STORM_LOCKS_H

/* argv as of `lk storm`.  Returns an exit code. */
int storm_locks(int argc, char **argv);

#endif
