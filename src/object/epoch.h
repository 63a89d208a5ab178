/* epoch.h - who may still see what was made unreachable. */
#ifndef LKI_EPOCH_H
#define LKI_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A thread that has been in a section.  Records are never freed; a new thread takes over that of
 * one that has ended. */
struct lki_thread {
    uint64_t inside; /* 0 = outside; else the epoch in which its section began.  Own line. */
    struct lki_thread *next;
    uint32_t nest;
    uint32_t taken;
    struct lki_claim *waits; /* for whose loading; under the ghosts' lock */
    uint64_t serial;         /* raised when a section begins and when it ends */
    uint64_t pad[3];
};

/* The calling thread's record; NULL: out of memory. */
struct lki_thread *lki_thread_self(void);

/* The same if it has one already. */
extern __thread struct lki_thread *lki_thread_mine __attribute__((tls_model("initial-exec")));

/* The number of the thread's section, no other one's; 0 outside. */
static inline uint64_t lki_section_serial(void)
{
    const struct lki_thread *t = lki_thread_mine;
    return t != NULL && t->nest != 0 ? t->serial : 0;
}

/* Something has been made unreachable: no section that begins after this call can see it.  Returns
 * the epoch to remember it by. */
uint64_t lki_epoch_retire(void);

/* The oldest epoch in which a thread is; what was retired in an earlier one is seen by nobody. */
uint64_t lki_epoch_oldest(void);

/* In a child of fork: the other threads are not there. */
void lki_epoch_forked(void);

#endif
