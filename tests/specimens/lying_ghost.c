/* FAILURES.md 5, mended: one pointer to a complete state; NULL is a ghost.
 * Options: --deaths 0
 * Expect: none */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

struct state {
    int length;
};
static _Atomic(const struct state *) object;
static struct state loaded[2];
static atomic_int loaders;

static const struct state *load(void)
{
    struct state *mine = &loaded[atomic_fetch_add_explicit(&loaders, 1, memory_order_relaxed)];
    const struct state *ghost = NULL;
    mine->length = 3;
    if (atomic_compare_exchange_strong_explicit(&object, &ghost, mine, memory_order_acq_rel,
                                                memory_order_acquire))
        return mine;
    return ghost;
}

static void *use(void *arg)
{
    const struct state *s = atomic_load_explicit(&object, memory_order_acquire);
    if (s == NULL)
        s = load();
    assert(s->length == 3);
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, use, NULL);
    pthread_create(&b, NULL, use, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
