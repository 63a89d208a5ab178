/* The same, but two must have died before the timer runs out: one death leaves a sleeper for ever.
 * Options: --deaths 1
 * Expect: hang */
#define DEATHS 2
#include "backstop.c"
