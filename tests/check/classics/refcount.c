/* Reference count: the last one out frees.
 * Mutant 1 (race,use-after-free): counting down orders nothing
 * Mutant 2 (use-after-free,race): looks at the object after giving up its reference  */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define RLX memory_order_relaxed
#define ACQ memory_order_acquire
#define REL memory_order_release
#define SC memory_order_seq_cst

struct object {
    atomic_int refs;
    int value;
};
static struct object *object;

static void *user(void *arg)
{
    int seen = object->value;
    assert(seen == 1 + (0 & (int)(long)arg));
    if (atomic_fetch_sub_explicit(&object->refs, 1, MUTANT == 1 ? RLX : memory_order_acq_rel) == 1)
        free(object);
#if MUTANT == 2
    return (void *)(long)object->value;
#endif
    return NULL;
}

int main(void)
{
    pthread_t id[2];
    object = malloc(sizeof *object);
    atomic_init(&object->refs, 2);
    object->value = 1;
    for (long i = 0; i < 2; i++)
        pthread_create(&id[i], NULL, user, (void *)i);
    for (int i = 0; i < 2; i++)
        pthread_join(id[i], NULL);
    return 0;
}
