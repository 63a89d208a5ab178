/* latchkey/object.h - objects that load themselves when they are used, shared by all threads.
 *
 * An object has one state word: a pointer to a complete state that never changes, or NULL, and then
 * it is a *ghost*.  There is no flag beside it, so nobody can see an object loaded whose state is
 * not there.  Using a ghost loads it: the first thread to come runs the class's loader, which
 * builds the state privately; the others wait for the result.  Nothing is published unless the
 * loader succeeds: a loader that fails, is cancelled, or whose thread ends leaves a ghost, and all
 * that waited get its error.
 *
 * States are used inside *sections*.  A state that was seen in a section is there until the section
 * ends, whether it is evicted meanwhile or not.  A section costs two atomic operations of the
 * thread's own word, a use of a loaded object one load.
 *
 * Loaders may use other objects.  One that uses its own object, or closes a circle of threads that
 * wait for each other's objects, gets EDEADLK there, and may go on or fail.  A loader must not be
 * left by longjmp: its object would stay claimed until its thread ends.
 * fork: the child has the loaded objects; what other threads were loading are ghosts again there.
 * Safe from   any thread; not from signal handlers. */
#ifndef LATCHKEY_OBJECT_H
#define LATCHKEY_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchkey/err.h"
#include "latchkey/word.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_heap lk_heap;
typedef struct lk_object lk_object;
struct lk_class;

struct lk_bytes {
    const void *at;
    size_t size;
};

/* Hears of an entry that a state refers to, and of its class.  Other than 0: stop with that. */
typedef int lk_ref_fn(void *arg, const char *tree, struct lk_bytes key,
                      const struct lk_class *class_);

/* What the objects of one kind have in common.  save, merge and refs are for objects that are
 * entries of trees (latchkey/db.h); NULL where there is nothing to say.  States that are given as
 * const are shared with other threads. */
struct lk_class {
    const char *name;
    /* Build the state of *o.  0: *state (not NULL) and its size.  Anything else: it failed.
     * `arg` is what was given to lk_object_use(); of an entry, a struct lk_entry. */
    int (*load)(lk_object *o, void *arg, void **state, size_t *bytes);
    /* Nobody can see this state any more.  Called by any thread, without locks. */
    void (*free)(void *state);
    /* Write the entry's value, from which load makes the same state again, into the `room` bytes at
     * `at`; *size = how long it is.  Returns 0, ENOBUFS (it is longer than `room`; *size is set),
     * or anything else: the commit fails with that. */
    int (*save)(const void *state, void *at, size_t room, size_t *size);
    /* Two transactions changed one entry: make `mine`, which is private, what both together come
     * to. old, theirs: the state before both, and what the other committed; NULL = no entry.
     * Returns 0, or anything else: the commit is refused (LK_ECHANGED). */
    int (*merge)(const void *old, const void *theirs, void *mine);
    /* Call fn(arg, ...) for each entry that the state refers to, until it returns other than 0.
     * Returns what it returned last. */
    int (*refs)(const void *state, lk_ref_fn *fn, void *arg);
};

/* An object, in its owner's memory.  All zero bytes but for class_ are a ghost. */
struct lk_object {
    void *state_;
    uint32_t used_; /* a hint for eviction; beside state_, in the same cache line */
    uint32_t unused_;
    const struct lk_class *class_;
    lk_object *next_, *prev_; /* among the loaded ones of the heap */
    size_t bytes_;
};

struct lk_heap_options {
    uint64_t limit_bytes;   /* evict above this sum of sizes; 0 = no limit */
    uint64_t limit_objects; /* the same for their number */
};

/* Make, free a family of objects with one limit.  No object of it may be loaded or used when it is
 * freed: lk_object_drop() them before. */
LK_API LK_MUST_USE int lk_heap_new(lk_heap **heap, const struct lk_heap_options *options);
LK_API void lk_heap_free(lk_heap *heap);

/* Begin, end a section of the calling thread.  They nest.  A thread that ends ends its section.
 * begin returns 0, or ENOMEM (the thread's first). */
LK_API LK_MUST_USE int lk_section_begin(void);
LK_API void lk_section_end(void);
/* Is the calling thread inside a section? */
LK_API bool lk_section_inside(void);

LK_API void lk_object_used_(lk_object *o);
LK_API LK_MUST_USE int lk_object_use_slowly_(lk_heap *heap, lk_object *o, void *arg, void **state);

/* *state = the state of *o, loaded if it is a ghost; valid until the section ends.
 * Returns  0, EPERM (no section), EDEADLK (this thread is loading it, or a circle would close),
 *          ECANCELED (the loader's thread ended), ENOMEM, or what the loader returned.
 * Blocks   while another thread loads it. */
static inline LK_MUST_USE int lk_object_use(lk_heap *heap, lk_object *o, void *arg, void **state)
{
    /* [object.1] acquire, pairs with [ghost.1]: the state is complete. */
    void *seen = lk_word_load_acq_ptr(&o->state_);
    if (!LK_LIKELY(seen != NULL))
        return lk_object_use_slowly_(heap, o, arg, state);
    /* [object.2] relaxed: a hint; written only when it changes, so that readers share the line. */
    if (!LK_LIKELY(lk_word_load_rlx_u32(&o->used_) != 0))
        lk_object_used_(o);
    *state = seen;
    return 0;
}

/* Give a ghost a state that was made elsewhere.  Returns 0, or EEXIST (it has one; yours stays
 * yours). */
LK_API LK_MUST_USE int lk_object_adopt(lk_heap *heap, lk_object *o, void *state, size_t bytes);

/* Make it a ghost; its state is freed when no section can see it.  False: it was one, or is being
 * loaded. */
LK_API bool lk_object_evict(lk_heap *heap, lk_object *o);

/* Before the memory of *o goes: nobody may use it any more, so its state is freed at once. */
LK_API void lk_object_drop(lk_heap *heap, lk_object *o);

/* For tools. */
enum lk_object_state { LK_OBJECT_GHOST, LK_OBJECT_LOADING, LK_OBJECT_LOADED };
LK_API enum lk_object_state lk_object_state(lk_heap *heap, lk_object *o);

struct lk_heap_stat {
    uint64_t objects, bytes; /* loaded now */
    uint64_t loads, failed, waited, evicted, freed;
    uint64_t retired; /* evicted, and a section may still see them */
};
LK_API void lk_heap_stat(lk_heap *heap, struct lk_heap_stat *stat);
/* Free what no section can see any more (evictions do so too). */
LK_API void lk_heap_collect(lk_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
