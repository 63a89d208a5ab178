/* robust.h - the calling thread's entry in the kernel's list of words to mark at its death.
 *
 * A *robust word* is four bytes, in memory that the thread maps, whose low 30 bits hold the
 * thread's id.  When the thread is gone (exit, exec, kill) the kernel sets LKI_WORD_DIED in it,
 * clears the id, keeps LKI_WORD_WAITERS, and if that was set wakes one sleeper.  The list's links
 * lie 24 and 32 bytes behind the word (glibc's geometry): the caller provides them, in private
 * memory.
 *
 * Source: Linux Documentation/locking/robust-futex-ABI; glibc 2.36 nptl/descr.h. */
#ifndef LKI_ROBUST_H
#define LKI_ROBUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define LKI_WORD_WAITERS 0x80000000u
#define LKI_WORD_DIED 0x40000000u
#define LKI_WORD_ID 0x3fffffffu

/* Bytes that must be mapped from a robust word's address on. */
#define LKI_ROBUST_SPAN 40u

/* The calling thread's id, as the kernel will compare it. */
uint32_t lki_thread_id(void);

/* 0, or ENOTSUP: this thread has no robust list of glibc's geometry (raw clone, another libc). */
int lki_robust_supported(void);

/* Announce that *word is about to get the thread's id: from here on a death marks it if it has. */
void lki_robust_announce(uint32_t *word);
/* The announced word has it: enter it in the list.  Ends the announcement. */
void lki_robust_enter(uint32_t *word);
/* The announced word did not get it.  Ends the announcement. */
void lki_robust_forget(void);
/* Take *word out of the list, with an announcement that covers it until lki_robust_forget(). */
void lki_robust_leave(uint32_t *word);

/* A number that differs in a child of fork from what it was in the parent; never 0. */
uint32_t lki_fork_epoch_slowly(void);

/* The word that the kernel empties in a child; NULL before the first use. */
extern uint32_t *lki_epoch_word;

/* Is `epoch`, which lki_fork_epoch() gave, still that of this process? */
static inline bool lki_fork_same(uint32_t epoch)
{
    /* [robust.7] acquire, pairs with [robust.4] [robust.6]: the page is mapped. */
    const uint32_t *word = lk_load_acq_pu32(&lki_epoch_word);
    /* [robust.8] relaxed: as [robust.2]. */
    return word != NULL && lk_load_rlx_u32(word) == epoch;
}

static inline uint32_t lki_fork_epoch(void)
{
    /* [robust.3] acquire, pairs with [robust.4] [robust.6]: the page is mapped. */
    const uint32_t *word = lk_load_acq_pu32(&lki_epoch_word);
    /* [robust.2] relaxed: the kernel wrote the zero before the child ran. */
    uint32_t epoch = word != NULL ? lk_load_rlx_u32(word) : 0;
    return __builtin_expect(epoch != 0, 1) ? epoch : lki_fork_epoch_slowly();
}

#endif
