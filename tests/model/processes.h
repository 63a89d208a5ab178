/* processes.h - threads of the model that are attached already, as lki_attach() leaves them: each
 * has a presence slot, its number, and the token in it is on the kernel's list. */
#ifndef MODEL_PROCESSES_H
#define MODEL_PROCESSES_H

#include <assert.h>
#include <pthread.h>

#include "life/presence.h"
#include "seam.h"

enum { PROCESSES_MAX = 3, PAGE = 2048 }; /* any size that holds three records does */
_Static_assert(PAGE >= PROCESSES_MAX * (LKI_RECORD_WORDS + 1) * 8, "one page for all");

static char pages[PAGE] __attribute__((aligned(64)));
static struct lki_presence presence = {
    .pages = pages,
    .page_bytes = PAGE,
    .threads = PROCESSES_MAX,
    .writable = true,
};

/* The attachment of the calling thread; attach.c has it in a list. */
__thread struct lki_self *lki_mine;
static struct lki_self attachments[PROCESSES_MAX];

int lki_attach(struct lki_presence *p, struct lki_self **self)
{
    (void)p;
    *self = lki_mine;
    return *self != NULL ? 0 : EINVAL;
}

struct lki_self *lki_attach_slowly(struct lki_presence *p)
{
    (void)p;
    return NULL;
}

static uint64_t *token_of(uint32_t slot)
{
    return (uint64_t *)(void *)(pages + PAGE) - LKI_TOKENS_PER_PAGE + slot;
}

/* By the first thread, before any other is there: all slots are LIVE in generation 1.  The checker
 * numbers threads from 0, and a thread's id is its number + 1. */
static void attach_all(void)
{
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        attachments[i] = (struct lki_self){
            .presence = &presence,
            .slot = i,
            .holder = 1u << 10 | (i + 1),
            .epoch = 1,
            .token = token_of(i),
            .record = (uint64_t *)(void *)pages + (size_t)i * LKI_RECORD_WORDS,
        };
        *token_of(i) = (uint64_t)1 << 32 | (i + 1);
    }
}

/* The calling thread is the process of its own number; `mortal`: it may be killed from here on. */
static struct lki_self *become_process(bool mortal)
{
    uint32_t slot = lk_check_thread();
    lki_mine = &attachments[slot];
    lk_check_robust_add64(token_of(slot));
    lk_check_mortal(mortal);
    return lki_mine;
}

/* Threads 1..n run fn with their number. */
static void run_processes(uint32_t n, void *(*fn)(void *))
{
    pthread_t id[PROCESSES_MAX];
    for (uintptr_t i = 1; i <= n; i++)
        pthread_create(&id[i], NULL, fn, (void *)i);
    for (uint32_t i = 1; i <= n; i++)
        pthread_join(id[i], NULL);
}

#endif
