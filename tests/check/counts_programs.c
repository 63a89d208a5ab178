/* counts_programs.c - fib(5) and lastzero(n) of shared/data/litmus; compiled with
 * -fsanitize=thread. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "counts_programs.h"

enum { ROUNDS = 5, LIMIT = 144 };
static atomic_int x, y;

static int acquire(atomic_int *a)
{
    return atomic_load_explicit(a, memory_order_acquire);
}
static void release(atomic_int *a, int v)
{
    atomic_store_explicit(a, v, memory_order_release);
}

static void *sum_into(void *target)
{
    for (int i = 0; i < ROUNDS; i++) {
        int v = acquire(&x), w = acquire(&y);
        release(target, v + w);
    }
    return NULL;
}

static void *look(void *unused)
{
    (void)unused;
    if (acquire(&x) > LIMIT || acquire(&y) > LIMIT)
        assert(!"a sum is larger than the eleventh Fibonacci number");
    return NULL;
}

void *fib_run(void *unused)
{
    pthread_t a, b, c;
    (void)unused;
    atomic_init(&x, 1);
    atomic_init(&y, 1);
    (void)pthread_create(&a, NULL, sum_into, &x);
    (void)pthread_create(&b, NULL, sum_into, &y);
    (void)pthread_create(&c, NULL, look, NULL);
    (void)pthread_join(a, NULL);
    (void)pthread_join(b, NULL);
    (void)pthread_join(c, NULL);
    return NULL;
}

static atomic_int cell[LASTZERO_MAX + 1];
static int n;

static void *find_zero(void *unused)
{
    int i = n;
    (void)unused;
    while (acquire(&cell[i]) != 0)
        i--;
    return NULL;
}

static void *fill(void *number)
{
    long j = (long)number;
    release(&cell[j], acquire(&cell[j - 1]) + 1);
    return NULL;
}

void *lastzero_run(void *size)
{
    pthread_t id[LASTZERO_MAX + 1];
    n = (int)(long)size;
    (void)pthread_create(&id[0], NULL, find_zero, NULL);
    for (long j = 1; j <= n; j++)
        (void)pthread_create(&id[j], NULL, fill, (void *)j);
    for (int j = 0; j <= n; j++)
        (void)pthread_join(id[j], NULL);
    return NULL;
}
