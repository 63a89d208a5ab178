/* FAILURES.md 1, dead_reader: a process-shared POSIX reader-writer lock counts its readers; kill one and
 * the next writer waits for ever.  Mended: a reader's only trace is a word of its own, which the kernel
 * marks when it is gone; a writer waits for the words of the living.
 * Shipped: src/life/rrwlock.c, tests/model/rrwlock_model.c
 * Broken: --deaths 1 finds deadlock
 * Mended: --deaths 1 */
#include "specimen.h"

enum { READERS = 2 };
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static uint32_t reading[READERS]; /* the reader's number + 1 while it reads */
static atomic_int writing;
static atomic_int data[2];

static bool rdlock(int slot)
{
    if (BROKEN)
        return pthread_rwlock_rdlock(&rwlock) == 0;
    __atomic_store_n(&reading[slot], lk_check_thread() + 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&writing) == 0)
        return true;
    __atomic_store_n(&reading[slot], 0, __ATOMIC_RELEASE);
    return false;
}

static void rdunlock(int slot)
{
    if (BROKEN)
        pthread_rwlock_unlock(&rwlock);
    else
        __atomic_store_n(&reading[slot], 0, __ATOMIC_RELEASE);
}

static void wrlock(void)
{
    if (BROKEN) {
        pthread_rwlock_wrlock(&rwlock);
        return;
    }
    atomic_store(&writing, 1);
    for (int i = 0; i < READERS; i++)
        while ((__atomic_load_n(&reading[i], __ATOMIC_SEQ_CST) & FUTEX_TID_MASK) != 0)
            continue;
}

static void *reader(void *arg)
{
    int slot = (int)(long)arg;
    lk_check_robust_add(&reading[slot]);
    lk_check_mortal(true);
    if (rdlock(slot)) {
        int a = atomic_load_explicit(&data[0], memory_order_relaxed);
        assert(atomic_load_explicit(&data[1], memory_order_relaxed) == a);
        rdunlock(slot);
    }
    return NULL;
}

int main(void)
{
    pthread_t id[READERS];
    for (long i = 0; i < READERS; i++)
        pthread_create(&id[i], NULL, reader, (void *)i);
    wrlock();
    atomic_store_explicit(&data[0], 1, memory_order_relaxed);
    atomic_store_explicit(&data[1], 1, memory_order_relaxed);
    if (BROKEN)
        pthread_rwlock_unlock(&rwlock);
    else
        atomic_store(&writing, 0);
    for (int i = 0; i < READERS; i++)
        pthread_join(id[i], NULL);
    return 0;
}
