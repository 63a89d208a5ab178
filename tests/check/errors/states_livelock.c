/* The livelock of the polite: among states it is not looked for on walks but decided.
 *
 * Options: --states
 * Expect: livelock */
#include "livelock_polite.c"
