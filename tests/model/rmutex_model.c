/* The robust mutex as shipped: exclusion, publication, repair after a death, no lost wake.
 * Its mutants are in rmutex_model.mutants.
 *
 * Sources: src/life/rmutex.c src/life/presence.c
 * Run: -DTHREADS=2
 * Run: --deaths 2 -DTHREADS=2
 */
#include <assert.h>
#include <pthread.h>

#include "life/rmutex.h"
#include "seam.h"

#ifndef THREADS
#define THREADS 2
#endif
enum { PAGE = 512 }; /* any size does */

static char pages[PAGE] __attribute__((aligned(PAGE)));
static struct lki_presence presence = {
    .pages = pages,
    .page_bytes = PAGE,
    .threads = THREADS,
    .writable = true,
};
static uint32_t mutex;
static int first, second; /* equal but inside */

static uint64_t *token_of(uint32_t slot)
{
    return (uint64_t *)(void *)(pages + PAGE) - 3 + slot;
}

static void *process(void *arg)
{
    uint32_t slot = (uint32_t)(uintptr_t)arg;
    struct lki_self self = {.presence = &presence, .slot = slot, .holder = 1u << 10 | (slot + 1)};
    struct lki_wait wait = {0, 0};
    lk_check_robust_add64(token_of(slot));
    lk_check_mortal(true);
    int rc = lki_rmutex_lock(&mutex, &self, NULL, &wait);
    if (rc == EOWNERDEAD) {
        second = first;
        assert(lki_rmutex_consistent(&mutex, &self) == 0);
    } else {
        assert(rc == 0);
    }
    assert(first == second);
    first++;
    second++;
    assert(lki_rmutex_unlock(&mutex, &self) == 0);
    return NULL;
}

/* The first thread is one of them and then waits for the others, so that a sleeper is not woken by
 * the end of a holder that forgot it. */
int main(void)
{
    pthread_t id[THREADS];
    /* Attached already: {generation 1, id as the checker numbers threads from 1, main first}. */
    for (uint32_t i = 0; i < THREADS; i++)
        *token_of(i) = (uint64_t)1 << 32 | (i + 1);
    for (uintptr_t i = 1; i < THREADS; i++)
        pthread_create(&id[i], NULL, process, (void *)i);
    (void)process(NULL);
    lk_check_mortal(false);
    for (int i = 1; i < THREADS; i++)
        pthread_join(id[i], NULL);
    return 0;
}
