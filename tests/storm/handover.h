/* handover.h - how long a dead holder keeps the next one waiting: two processes and what they tell
 * the test, for any lock. */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

struct handover_stage;

struct handover {
    struct handover_stage *stage; /* beside the segment: when the next holder had the lock */
    int said[2];                  /* pipe: a byte for each "I hold it" and "I am about to sleep" */
    void (*lock)(void *arg);      /* in the holder; it is then killed */
    void (*take_over)(void *arg); /* in the next one: lock; the time is told by handover_got() */
    void *arg;
};

/* Make the stage, and this process and its children the first to run. */
void handover_begin(struct handover *h);

/* In take_over, before the call that sleeps. */
void handover_say(const struct handover *h);

/* In take_over, with the time when the lock was there.  Does not return. */
_Noreturn void handover_got(const struct handover *h, uint64_t now_ns);

/* Rounds of `deaths`, until the p99 of one from the kill to the next holder is 1 ms or less; prints
 * each.  The limit is for the lock, not for what else the machine does in the meantime.  Other load
 * can only make a round slower, so the best of three rounds is what the lock needs; a lock that
 * waits for a timer, or that polls, fails all three.  False: so did this one. */
bool handover_is_quick(const struct handover *h, const char *what, int deaths);

#endif
