/* laps.h - how many laps a bounded spin makes. */
#ifndef LKI_LAPS_H
#define LKI_LAPS_H

/* A spin only puts off what follows it.  The checker's threads go there at once: each lap would
 * multiply what is to be explored. */
#ifdef LK_BUILD_MODEL
#define LKI_LAPS(n) 0
#else
#define LKI_LAPS(n) (n)
#endif

#endif
