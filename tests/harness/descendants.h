/* descendants.h - the processes below this one, found in /proc.  For the harness itself. */
#ifndef T_DESCENDANTS_H
#define T_DESCENDANTS_H

#include <stddef.h>
#include <sys/types.h>

/* Fill pids with the living (not zombie) processes below `root`, at most `capacity`.  Returns how
 * many there are in the array. */
size_t t_descendants(pid_t root, pid_t *pids, size_t capacity);

/* Print what each of them does: name, state, system call; ask each thread for its backtrace. */
void t_descendants_show(const pid_t *pids, size_t n);

/* Have threads print their backtrace when t_descendants_show() asks.  Inherited by fork. */
void t_backtrace_prepare(void);

/* Kill every process below `root` and reap those that are root's children.  Returns how many. */
size_t t_descendants_kill(pid_t root);

#endif
