/* FAILURES.md 2: the odd count is a release store, which orders what
 * comes before it and not the data.
 * Options: --deaths 0
 * Expect: assert */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_uint seq;
static atomic_int word[2];

static void *writer(void *arg)
{
    unsigned s = atomic_load_explicit(&seq, memory_order_relaxed);
    atomic_store_explicit(&seq, s + 1, memory_order_release);
    atomic_store_explicit(&word[0], 1, memory_order_relaxed);
    atomic_store_explicit(&word[1], 1, memory_order_relaxed);
    atomic_store_explicit(&seq, s + 2, memory_order_release);
    return arg;
}

static void *reader(void *arg)
{
    unsigned s = atomic_load_explicit(&seq, memory_order_acquire);
    int a = atomic_load_explicit(&word[0], memory_order_relaxed);
    int b = atomic_load_explicit(&word[1], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (s % 2 == 0 && atomic_load_explicit(&seq, memory_order_relaxed) == s)
        assert(a == b);
    return arg;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, writer, NULL);
    pthread_create(&b, NULL, reader, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    return 0;
}
