/* order_locks.h - lk order locks PID. */
#ifndef LK_ORDER_LOCKS_H
#define LK_ORDER_LOCKS_H

#include <stdbool.h>

/* Print what the process's keys hold and wait for.  Returns the exit code. */
int order_locks(const char *pid, bool json);

#endif
