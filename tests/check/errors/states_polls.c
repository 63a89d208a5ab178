/* The thread that polls under a lock has executions without end; its states end, and none of its
 * rounds is fair: the other could have had the lock again and again.
 *
 * Options: --states
 * Expect: none */
#include "livelock_not.c"
