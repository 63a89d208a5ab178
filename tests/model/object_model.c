/* Objects that load themselves: two readers, an evictor, a loader that fails once (FAILS) or not.
 * No reader sees anything but a complete state, none that it sees is freed before its section ends,
 * and nobody sleeps for ever.
 * LOADED: the object has a state when they come.  SECTIONS: how many each reader has.  ENDS: its
 * thread ends inside the last one.  EVICTS: how often the evictor looks for what may be freed.
 *
 * Sources: src/object/ghost.c src/object/epoch.c
 * Run: -DFAILS=0 -DREADERS=1 -DEVICTS=1
 * Run: -DFAILS=0 -DREADERS=2 -DEVICTS=0
 * Run: -DFAILS=1 -DREADERS=2 -DEVICTS=1
 * Run: -DFAILS=0 -DREADERS=1 -DEVICTS=2 -DLOADED
 * Run: -DFAILS=0 -DREADERS=1 -DEVICTS=2 -DLOADED -DENDS
 * Run: -DFAILS=0 -DREADERS=1 -DEVICTS=2 -DLOADED -DSECTIONS=2
 * Campaign: -DFAILS=0 -DREADERS=2 -DEVICTS=1
 * Campaign: --states -DFAILS=0 -DREADERS=2 -DEVICTS=1
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/futex.h"
#include "latchkey/check.h"
#include "latchkey/mutex.h"
#include "latchkey/object.h"
#include "simple_mutex.h"

int lki_futex_sleep(const uint32_t *word, uint32_t value, bool shared,
                    const struct lki_deadline *until)
{
    (void)shared;
    (void)until;
    return lk_check_futex_wait(word, value, NULL, 0, false);
}

int lki_futex_rouse(const uint32_t *word, int n, bool shared)
{
    (void)shared;
    return lk_check_futex_wake(word, n);
}

void lk_mutex_init(lk_mutex *m, unsigned flags)
{
    (void)flags;
    m->word_ = 0;
}

/* Nobody forks. */
int model_atfork(void (*prepare)(void), void (*parent)(void), void (*in_child)(void))
{
    (void)prepare;
    (void)parent;
    (void)in_child;
    return 0;
}

#ifndef SECTIONS
#define SECTIONS 1
#endif

static lk_heap *heap;
static int failures = FAILS;

static void *make(void)
{
    int *made = malloc(2 * sizeof *made);
    made[0] = 1;
    made[1] = 1;
    return made;
}

static int load(lk_object *o, void *arg, void **state, size_t *bytes)
{
    (void)o;
    (void)arg;
    if (failures > 0) { /* one loader at a time: no race */
        failures--;
        return EIO;
    }
    *state = make();
    *bytes = sizeof(int);
    return 0;
}

static void release(void *state)
{
    free(state);
}

static const struct lk_class class = {.name = "int", .load = load, .free = release};
static lk_object object = {.class_ = &class};

static void look(void)
{
    void *state;
    assert(lk_section_begin() == 0);
    int rc = lk_object_use(heap, &object, NULL, &state);
    assert(rc == 0 || (FAILS && rc == EIO));
    if (rc == 0) {
        const int *seen = state;
        assert(seen[0] == 1 && seen[1] == 1);
    }
}

static void *reader(void *arg)
{
    for (int i = 1; i < SECTIONS; i++) {
        look();
        lk_section_end();
    }
    look();
#ifndef ENDS
    lk_section_end();
#endif
    return arg;
}

int main(void)
{
    pthread_t id[READERS];
    assert(lk_heap_new(&heap, NULL) == 0);
#ifdef LOADED
    assert(lk_object_adopt(heap, &object, make(), sizeof(int)) == 0);
#endif
    for (int i = 0; i < READERS; i++)
        pthread_create(&id[i], NULL, reader, NULL);
    for (int i = 0; i < EVICTS; i++)
        (void)lk_object_evict(heap, &object);
    for (int i = 0; i < READERS; i++)
        pthread_join(id[i], NULL);
    lk_object_drop(heap, &object);
    lk_heap_free(heap);
    return 0;
}
