/* counts_programs.h - the larger programs of shared/data/litmus. */
#ifndef COUNTS_PROGRAMS_H
#define COUNTS_PROGRAMS_H

enum { LASTZERO_MAX = 20 };

void *fib_run(void *unused);
/* One thread looks for the last zero from cell n down; n threads each add one to the cell below and
 * store it in their own. */
void *lastzero_run(void *n);

#endif
