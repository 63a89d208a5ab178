/* Attaching and detaching as shipped: two processes and a slot or two, deaths at any step.  Whoever
 * is attached has a slot of its own under a name that was never given before; a slot is given again
 * only after its thread has gone, and then what that thread wrote is visible; whoever sleeps until
 * somebody goes is woken.
 *
 * Sources: @life src/life/attach.c
 * Run: --deaths 0 -DSLOTS=1 -DWATCH=1
 * Run: --deaths 2 -DSLOTS=1 -DWATCH=0
 * Run: --deaths 2 -DSLOTS=1 -DWATCH=1
 * Run: --deaths 1 -DSLOTS=2 -DWATCH=1
 */
#include <assert.h>
#include <pthread.h>

#include "kernel_attach.h"
#include "latchkey/err.h"
#include "life/presence.h"
#include "seam.h"

enum { PROCESSES = 2 };

/* ---- processes ------------------------------------------------------------------------------- */

static struct lki_presence presence[PROCESSES + 1]; /* each process has its own */
static uint64_t given[SLOTS];                       /* names: only who has the slot touches it */
static bool left[SLOTS];                            /* its last thread came as far as to leave it */
static bool swept[PROCESSES + 1];

static void sweep(void *owner, struct lki_self *self)
{
    (void)self;
    swept[(uintptr_t)owner] = true;
}

/* Sleep until the first holder of the first slot is gone, if it is there. */
static void wait_for_first(const struct lki_presence *p)
{
    const uint32_t *word;
    uint32_t value, name = 1u << 10 | 1;
    while (lki_holder_watch(p, name, &word, &value))
        (void)lki_futex_wait(word, value, NULL, 0, NULL);
    lki_holder_mourn(p, name);
}

static void *process(void *arg)
{
    struct lki_presence *p = &presence[(uintptr_t)arg];
    struct lki_self *self = NULL, *again = NULL;
    lk_check_mortal(true);
    int rc = lki_attach(p, &self);
    if (rc == LK_ETHREADS)
        return arg; /* the other has the last slot */
    assert(rc == 0);
    assert(lki_holder_alive(p, self->holder));
    assert(given[self->slot] < self->holder); /* generations rise */
    assert(given[self->slot] == 0 || left[self->slot] || swept[(uintptr_t)arg]);
    given[self->slot] = self->holder;
    left[self->slot] = false;
    lki_count(self, 0, 1);
    assert(lki_attach(p, &again) == 0 && again == self);
    left[self->slot] = true;
    if (arg == (void *)1)
        lki_detach(p); /* the other's end does it */
    return arg;
}

int main(void)
{
    pthread_t id[PROCESSES];
    struct lki_presence *made;
    assert(lki_presence_new(&made, pages, 0, SLOTS, PAGE, 3, true) == 0);
    for (uintptr_t i = 0; i <= PROCESSES; i++) {
        presence[i] = *made;
        presence[i].sweep = sweep;
        presence[i].owner = (void *)i;
    }
    for (uintptr_t i = 0; i < PROCESSES; i++)
        pthread_create(&id[i], NULL, process, (void *)(i + 1));
    if (WATCH)
        wait_for_first(&presence[0]);
    for (int i = 0; i < PROCESSES; i++)
        pthread_join(id[i], NULL);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        assert(lki_slot_state(&presence[0], slot) != LKI_SLOT_LIVE);
    lki_presence_put(made);
    return 0;
}
