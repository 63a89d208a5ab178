/* robust_processes.h - threads of the model that are attached to presence slots already, for the
 * models of the robust locks.  Thread i has slot i; main is thread 0. */
#ifndef MODEL_ROBUST_PROCESSES_H
#define MODEL_ROBUST_PROCESSES_H

#include <assert.h>
#include <pthread.h>

#include "life/nap.h"
#include "life/presence.h"
#include "seam.h"

#ifndef THREADS
#define THREADS 2
#endif
enum { PAGE = 2048 }; /* any size does that holds records, read holds and tokens */
enum { PAGES = (THREADS + LKI_TOKENS_PER_PAGE - 1) / LKI_TOKENS_PER_PAGE };

static char pages[PAGES * PAGE] __attribute__((aligned(PAGE)));
static struct lki_presence presence = {
    .pages = pages,
    .page_bytes = PAGE,
    .threads = THREADS,
    .writable = true,
};

static uint64_t *token_of(uint32_t slot)
{
    char *end = pages + (size_t)(slot / LKI_TOKENS_PER_PAGE + 1) * PAGE;
    return (uint64_t *)(void *)end - LKI_TOKENS_PER_PAGE + slot % LKI_TOKENS_PER_PAGE;
}

static uint64_t *record_of(uint32_t slot)
{
    char *page = pages + (size_t)(slot / LKI_TOKENS_PER_PAGE) * PAGE;
    return (uint64_t *)(void *)page + (size_t)(slot % LKI_TOKENS_PER_PAGE) * LKI_RECORD_WORDS;
}

/* Attached already: {generation 1, id as the checker numbers threads from 1, main first}. */
static void attach_all(void)
{
    for (uint32_t i = 0; i < THREADS; i++)
        *token_of(i) = (uint64_t)1 << 32 | (i + 1);
}

/* How long the process of `slot` waits: TIMED gives the last one a deadline. */
static inline const struct timespec *limit_of(uint32_t slot)
{
#ifdef TIMED
    return slot == THREADS - 1 ? &some_time : NULL;
#else
    (void)slot;
    return NULL;
#endif
}

/* The calling thread becomes the process of `slot`, which may be killed from here on. */
static struct lki_self become(uint32_t slot)
{
    lk_check_robust_add64(token_of(slot));
    lk_check_mortal(true);
    return (struct lki_self){
        .presence = &presence,
        .slot = slot,
        .holder = 1u << 10 | (slot + 1),
        .epoch = 1,
        .holds = lki_slot_holds(&presence, slot),
        .record = record_of(slot),
    };
}

/* For the sources that find their attachment themselves. */
__thread struct lki_self *lki_mine;

struct lki_presence *lki_presence_of(const void *address)
{
    (void)address;
    return &presence;
}

int lki_attach(struct lki_presence *p, struct lki_self **self)
{
    (void)p;
    *self = lki_mine;
    return lki_mine != NULL ? 0 : EINVAL;
}

/* With all attached: threads 1..THREADS-1 run role(slot), the first one role(0), and then it waits
 * for them. */
static void run_attached(void *(*role)(void *))
{
    pthread_t id[THREADS];
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, role, (void *)i);
    (void)role(NULL);
    lk_check_mortal(false);
    for (int i = 1; i < THREADS; i++)
        pthread_join(id[i], NULL);
}

static inline void run_all(void *(*role)(void *))
{
    attach_all();
    run_attached(role);
}

#endif
