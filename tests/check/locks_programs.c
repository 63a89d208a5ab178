/* locks_programs.c - the spin locks of the textbooks, and a mutex. */
#include "locks_programs.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_int word, next, serving;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int inside;

static void lock_ttas(void)
{
    do {
        while (atomic_load_explicit(&word, memory_order_relaxed) != 0)
            ;
    } while (atomic_exchange_explicit(&word, 1, memory_order_acquire) != 0);
}

static void lock_cas(void)
{
    int free = 0;
    while (!atomic_compare_exchange_strong_explicit(&word, &free, 1, memory_order_acquire,
                                                    memory_order_relaxed))
        free = 0;
}

static void lock_ticket(void)
{
    int mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    while (atomic_load_explicit(&serving, memory_order_acquire) != mine)
        ;
}

static void lock(enum lock_kind kind)
{
    switch (kind) {
    case TAS_LOCK:
        while (atomic_exchange_explicit(&word, 1, memory_order_acquire) != 0)
            ;
        break;
    case TTAS_LOCK:
        lock_ttas();
        break;
    case CAS_LOCK:
        lock_cas();
        break;
    case TICKET_LOCK:
        lock_ticket();
        break;
    case PTHREAD_LOCK:
        (void)pthread_mutex_lock(&mutex);
        break;
    }
}

static void unlock(enum lock_kind kind)
{
    if (kind == PTHREAD_LOCK)
        (void)pthread_mutex_unlock(&mutex);
    else if (kind == TICKET_LOCK)
        atomic_store_explicit(&serving, atomic_load_explicit(&serving, memory_order_relaxed) + 1,
                              memory_order_release);
    else
        atomic_store_explicit(&word, 0, memory_order_release);
}

static void *take_once(void *arg)
{
    const struct lock_program *p = arg;
    lock(p->kind);
    assert(inside == 0);
    inside = 1;
    inside = 0;
    unlock(p->kind);
    return NULL;
}

void *locks_run(void *arg)
{
    const struct lock_program *p = arg;
    pthread_t id[LOCK_THREADS_MAX];
    for (int i = 0; i < p->threads; i++)
        (void)pthread_create(&id[i], NULL, take_once, arg);
    for (int i = 0; i < p->threads; i++)
        (void)pthread_join(id[i], NULL);
    return NULL;
}
