/* scene.h - one lock in a segment, and beside it what the processes of a test tell each other: a
 * victim that is killed at some step, and others that come for the lock meanwhile. */
#ifndef KILL_SCENE_H
#define KILL_SCENE_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "latchkey/latchkey.h"

struct stage {
    /* 1: the victim has the lock; 2: it has begun to unlock; 3: it has done so */
    _Atomic int inside;
    _Atomic int come, gone, held;
    _Atomic unsigned got, told; /* others that locked; that were told of a death */
    _Atomic int first, second;  /* equal but inside */
    _Atomic uint64_t longest_ns;
};

struct scene {
    lk_seg *seg;
    void *lock; /* all zero bytes at first */
    struct stage *stage;
    int others; /* that sleep for it */
};

struct scene scene_make(int others);
void scene_end(struct scene *s);

/* Whoever waits longer hangs. */
enum { SCENE_LIMIT_MS = 4000 };
struct timespec scene_limit(void);
void scene_await(_Atomic int *what, int value);

/* By those who come later: wait until the victim is inside or gone, and say that one has come. */
void scene_come(struct stage *stage);

/* Under the lock: a section, in two steps; what a dead one left half done; whether all is whole. */
void scene_change(struct stage *stage);
void scene_mend(struct stage *stage);
void scene_look(struct stage *stage);

#endif
